//! Foreign text as a part of one line.

/// Characters of a text that a message shows.
const MAX_CHARS: usize = 300;

/// The text as one short line without control characters.
pub(super) fn one_line(text: &str) -> String {
    let plain = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    let mut line: String = plain.take(MAX_CHARS).collect();
    line.truncate(line.trim_end().len());
    line
}

/// The longest beginning of at most `max` bytes that is text.
pub(super) fn prefix(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_between_characters() {
        assert_eq!(prefix("aé", 2), "a");
        assert_eq!(prefix("aé", 3), "aé");
        assert_eq!(prefix("aé", 99), "aé");
        assert_eq!(prefix("é", 0), "");
    }
}
