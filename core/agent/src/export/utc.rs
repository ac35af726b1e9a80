//! Dates of the proleptic Gregorian calendar in UTC, from seconds since 1970.

use std::time::Duration;

/// Seconds of a day.
pub(super) const DAY: u64 = 86_400;

/// `20250131T235959Z`, of at most the year 9999.
pub(super) fn compact(unix_seconds: u64) -> String {
    let seconds = unix_seconds.min(253_402_300_799);
    let (year, month, day) = date(seconds / DAY);
    let time = seconds % DAY;
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The inverse of [`compact`]; `None` for anything else.
pub(super) fn parse_compact(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || time.len() != 6 || !text.is_ascii() {
        return None;
    }
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (year, month, day) = (number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?);
    let (hour, minute, second) = (number(&time[..2])?, number(&time[2..4])?, number(&time[4..])?);
    let valid = year >= 1970
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    valid.then(|| days(year, month, day) * DAY + hour * 3600 + minute * 60 + second)
}

/// A time since 1970 as `2025-01-31T23:59:59.000000000Z`, of at most the year 9999.
pub fn rfc3339(since_epoch: Duration) -> String {
    let text = compact(since_epoch.as_secs());
    let (date, time) = (&text[..8], &text[9..15]);
    let nanos = since_epoch.subsec_nanos();
    format!(
        "{}-{}-{}T{}:{}:{}.{nanos:09}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    )
}

/// Days from 0000-03-01, with which the leap day ends a year, to 1970-01-01.
const EPOCH: u64 = 719_468;

/// Year, month and day of a day since 1970. Years begin in March here, so that the months' days
/// (31, 30, 31, 30, 31 and again) follow one formula and the leap day comes last.
pub(super) fn date(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let january_or_february = month >= 10;
    let month = if january_or_february { month - 9 } else { month + 3 };
    (era * 400 + year + u64::from(january_or_february), month, day)
}

/// The inverse of [`date`], for years from 1970.
pub(super) fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year / 400, year % 400);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day
        - 1
        - EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_follows_the_day_before() {
        for day in 0..146_097 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn dates_match_the_calendar() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_735_689_599, "20241231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
            (u64::MAX, "99991231T235959Z"),
        ] {
            assert_eq!(compact(seconds), text);
            assert_eq!(parse_compact(text), Some(seconds.min(253_402_300_799)));
        }
    }
}
