//! "Did you mean": the known name nearest to a mistyped one.

/// The name that differs from `text` by the fewest insertions, deletions, replacements and swaps
/// of neighbours, when those are at most a third of its letters.
///
/// ```
/// let known = ["interval", "labels"];
/// assert_eq!(sondage::config::nearest("intreval", known.into_iter()), Some("interval"));
/// ```
pub fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let measured = names.map(|name| (distance(text.as_bytes(), name.as_bytes()), name));
    let (distance, name) = measured.min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= name.len()).then_some(name)
}

/// The optimal string alignment distance. Texts beyond 64 bytes count as wholly different.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return a.len().max(b.len());
    }
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        fn find(text: &str) -> Option<&'static str> {
            nearest(text, ["HZ", "LABELS", "INTERVAL", "TOKEN_FILE"].into_iter())
        }
        assert_eq!(find("LABLES"), Some("LABELS"));
        assert_eq!(find("INTREVAL"), Some("INTERVAL"));
        assert_eq!(find("TOKENFILE"), Some("TOKEN_FILE"));
        assert_eq!(find("LABEL"), Some("LABELS"));
        assert_eq!(find("COLOUR"), None);
        assert_eq!(find(&"X".repeat(1000)), None);
        assert_eq!(find(""), None);
    }
}
