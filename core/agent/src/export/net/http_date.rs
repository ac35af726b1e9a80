//! The dates of HTTP headers.

use super::super::utc::{DAY, days};

/// Seconds since 1970 of an HTTP date in any of the three forms that a recipient must know
/// (RFC 9110, section 5.6.7). `None` for anything else and for years before 1970.
pub(super) fn parse(text: &str) -> Option<u64> {
    let words: Vec<&str> =
        text.split([' ', ',', '-']).filter(|word| !word.is_empty()).take(8).collect();
    let (day, month, year, time) = match *words.as_slice() {
        [_, day, month, year, time, "GMT"] => (day, month, year, time),
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let year = match (number(year)?, year.len()) {
        // Two digits: of the two candidates, the one nearer to our time.
        (year, 2) => year + if year < 70 { 2000 } else { 1900 },
        (year, 4) => year,
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let mut parts = time.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let day = number(day)?;
    // 60 is a leap second.
    let valid = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    (valid && year >= 1970 && parts.next().is_none())
        .then(|| days(year, month, day) * DAY + hour * 3600 + minute * 60 + second)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_date_is_read_in_each_of_its_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        for text in [
            "",
            "120",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nix 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
