//! Text that other processes chose: bounded, and without characters that would change how a line
//! is shown or where it ends.

/// Bytes of a label's value. Pyroscope takes 2048.
pub(crate) const MAX_VALUE: usize = 1024;

/// The text as it may be shown and sent: at most `max` bytes, cut between characters; bytes that
/// are not UTF-8, control characters and those that turn the direction of writing become U+FFFD.
pub(crate) fn clean(bytes: &[u8], max: usize) -> String {
    // What is cut anyway need not be decoded: U+FFFD has three bytes, and a character at most four.
    let bytes = &bytes[..bytes.len().min(max.saturating_add(4))];
    let mut out = String::with_capacity(bytes.len().min(max));
    for char in String::from_utf8_lossy(bytes).chars() {
        let char = if is_misleading(char) { char::REPLACEMENT_CHARACTER } else { char };
        if out.len() + char.len_utf8() > max {
            break;
        }
        out.push(char);
    }
    out
}

/// Characters that are not shown, end a line, or turn the direction of what follows.
fn is_misleading(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The text with what may not stand in a label's name as underscores, as Prometheus does it.
pub(crate) fn as_name_part(text: &str) -> String {
    text.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect()
}

/// Whether it is a label name as Prometheus and all backends take it: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub(crate) fn is_label_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|char: char| char.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_a_line_is_replaced() {
        for (bytes, shown) in [
            (&b"nginx: worker"[..], "nginx: worker"),
            (b"a\nb\tc\x1b[31m\x7f", "a\u{fffd}b\u{fffd}c\u{fffd}[31m\u{fffd}"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            ("é\u{202e}cod".as_bytes(), "é\u{fffd}cod"),
            ("a\u{85}b\u{2028}c".as_bytes(), "a\u{fffd}b\u{fffd}c"),
        ] {
            assert_eq!(clean(bytes, 100), shown, "{bytes:?}");
        }
    }

    #[test]
    fn a_cut_is_between_characters() {
        assert_eq!(clean("ééé".as_bytes(), 5), "éé");
        assert_eq!(clean(b"\xff\xff\xff", 5), "\u{fffd}");
        assert_eq!(clean(&vec![b'x'; 1 << 20], 10), "x".repeat(10));
    }

    #[test]
    fn names_are_those_of_prometheus() {
        assert_eq!(as_name_part("app.kubernetes.io/näme-1"), "app_kubernetes_io_n_me_1");
        for name in ["a", "_", "__meta_x", "A9"] {
            assert!(is_label_name(name), "{name}");
        }
        for name in ["", "9a", "a-b", "a.b", "é", "a b"] {
            assert!(!is_label_name(name), "{name}");
        }
    }
}
