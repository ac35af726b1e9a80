//! Settings as text: numbers with units, switches, pairs.

use std::time::Duration;

/// What a text must look like, for the error message.
pub(crate) type Allowed = String;

/// `true`, `1`, `on`, `yes` and their opposites, in any case.
///
/// # Errors
/// What would be allowed, for a message.
pub fn switch(text: &str) -> Result<bool, Allowed> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

/// A whole number.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Result<T, Allowed> {
    text.parse().map_err(|_| "a whole number".to_owned())
}

/// A part of the whole: `10%` or `0.1`.
pub(super) fn share(text: &str) -> Result<f64, Allowed> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share: f64 =
        number.parse().map_err(|_| "a percentage or a fraction: 10%, 0.1".to_owned())?;
    Ok(share / whole)
}

/// Seconds, or a number followed by `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// What would be allowed, for a message.
pub fn duration(text: &str) -> Result<Duration, Allowed> {
    let allowed = || "seconds, or a whole number with ms, s, m, h or d: 10, 500ms, 1m".to_owned();
    let (digits, unit) = split_unit(text);
    let count: u64 = digits.parse().map_err(|_| allowed())?;
    let seconds = |each: u64| count.checked_mul(each).map(Duration::from_secs);
    let duration = match unit {
        "ms" => Some(Duration::from_millis(count)),
        "" | "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(24 * 3600),
        _ => None,
    };
    duration.ok_or_else(allowed)
}

/// Bytes, or a number followed by `KiB`, `MiB` or `GiB` (or `k`, `m`, `g`, which mean the same).
///
/// # Errors
/// What would be allowed, for a message.
pub fn bytes(text: &str) -> Result<u64, Allowed> {
    let allowed = || "bytes, or a whole number with KiB, MiB or GiB: 64MiB".to_owned();
    let (digits, unit) = split_unit(text);
    let count: u64 = digits.parse().map_err(|_| allowed())?;
    let each = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(allowed()),
    };
    count.checked_mul(each).ok_or_else(allowed)
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    (digits, unit.trim_start())
}

/// `key=value,key=value`, where `%` and two hexadecimal digits stand for a byte of UTF-8: the
/// form of `OTEL_RESOURCE_ATTRIBUTES`. White space around keys and values does not count.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, Allowed> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (key, value) = part.split_once('=').ok_or("key=value pairs separated by commas")?;
            let decoded = |text: &str| {
                percent_decoded(text.trim()).ok_or("every % followed by two hexadecimal digits (%25 is %, %2C is a comma), and UTF-8")
            };
            Ok((decoded(key)?, decoded(value)?))
        })
        .collect()
}

/// Headers of HTTP as [`pairs`]. Names may have the characters of RFC 9110's tokens, values those
/// of printable ASCII; those of the connection and of the message itself are refused.
pub(crate) fn headers(text: &str) -> Result<Vec<(String, String)>, Allowed> {
    const OURS: [&str; 6] =
        ["connection", "content-length", "content-type", "host", "te", "transfer-encoding"];
    let headers = pairs(text)?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    for (name, value) in &headers {
        if name.is_empty() || !name.bytes().all(token) || OURS.contains(&&*name.to_lowercase()) {
            let allowed = "names of HTTP headers but those of the message itself";
            return Err(allowed.to_owned());
        }
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err("header values of printable ASCII".to_owned());
        }
    }
    Ok(headers)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            out.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_unless_they_say_otherwise() {
        for (text, millis) in [("10", 10_000), ("10s", 10_000), ("500ms", 500), ("2m", 120_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "-1", "1.5", "10 days", "ms", "99999999999999999999", "9999999999999999h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("64 m"), Ok(64 << 20));
        assert_eq!(bytes("1024"), Ok(1024));
        for text in ["", "MiB", "1.5GiB", "64MB ", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_a_percentage_or_a_fraction() {
        for (text, expected) in [("10%", 0.1), ("0.1", 0.1), ("100 %", 1.0), ("1", 1.0)] {
            assert!((share(text).unwrap() - expected).abs() < 1e-12, "{text}");
        }
        for text in ["", "%", "ten", "1/2", "10%%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_are_percent_decoded() {
        let decoded = pairs("a=1, b = x%2Cy%3d%C3%A9 ,c==,,d=").unwrap();
        let expected = [("a", "1"), ("b", "x,y=é"), ("c", "="), ("d", "")];
        assert_eq!(decoded, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        for text in ["a", "a=1,b", "a=%", "a=%4", "a=%zz", "a=%FF", "%+1=x"] {
            assert!(pairs(text).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_that_would_break_a_message_are_refused() {
        let read = headers("api-key=abc%3D,x-b=1").unwrap();
        assert_eq!(read[0], ("api-key".to_owned(), "abc=".to_owned()));
        for text in ["a b=1", "=1", "Host=evil", "content-length=0", "a=%0d%0aB: c", "a=%C3%A9"] {
            assert!(headers(text).is_err(), "{text}");
        }
    }
}
