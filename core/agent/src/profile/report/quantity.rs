//! Amounts for people.

/// An amount with its unit: `1.25 s`, `64.0 KiB`, `12,345`, `7 pages`.
pub(in crate::profile) fn amount(value: i64, unit: &str) -> String {
    match unit {
        "nanoseconds" => scaled(value, &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")]),
        "bytes" => {
            let kib = 1024.0;
            let (mib, gib) = (kib * kib, kib * kib * kib);
            scaled(value, &[(gib, "GiB"), (mib, "MiB"), (kib, "KiB"), (1.0, "B")])
        }
        "count" | "" => grouped(value),
        unit => format!("{} {unit}", grouped(value)),
    }
}

fn scaled(value: i64, units: &[(f64, &str)]) -> String {
    let exact = value as f64;
    let unit = units.iter().find(|(size, _)| exact.abs() >= *size);
    match unit {
        Some(&(size, name)) if size > 1.0 => {
            let scaled = exact / size;
            let decimals = if scaled.abs() < 10.0 { 2 } else { 1 };
            format!("{scaled:.decimals$} {name}")
        }
        _ => format!("{value} {}", units.last().map_or("", |(_, name)| name)),
    }
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = if value < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A part of a whole in percent, one decimal: `12.5%`. A part of nothing is `-`.
pub(in crate::profile) fn share(part: i64, whole: i64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.1}%", part as f64 / whole as f64 * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{amount, share};

    #[test]
    fn amounts_are_scaled_to_their_unit() {
        let nanoseconds = [0, 999, 1_500, 12_340_000, 1_250_000_000, 90_000_000_000];
        let nanoseconds = nanoseconds.map(|value| amount(value, "nanoseconds"));
        assert_eq!(nanoseconds, ["0 ns", "999 ns", "1.50 µs", "12.3 ms", "1.25 s", "90.0 s"]);
        let bytes = [1_023, 1_024, 5_000_000, 3 << 30].map(|value| amount(value, "bytes"));
        assert_eq!(bytes, ["1023 B", "1.00 KiB", "4.77 MiB", "3.00 GiB"]);
        let counts = [0, 999, 1_000, -1_234_567].map(|value| amount(value, "count"));
        assert_eq!(counts, ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!(amount(7, "pages"), "7 pages");
    }

    #[test]
    fn a_share_of_nothing_is_no_number() {
        assert_eq!([share(1, 8), share(5, 0)], ["12.5%", "-"]);
    }
}
