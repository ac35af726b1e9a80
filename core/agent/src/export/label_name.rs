//! Names that every server stores alike.

use std::borrow::Cow;

/// A name of letters, digits and underscores that does not begin with a digit: Pyroscope 1.x turns
/// dots into underscores, 2.x keeps them.
pub(super) fn label_name(name: &str) -> Cow<'_, str> {
    let valid = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let digit_first = name.starts_with(|char: char| char.is_ascii_digit());
    if !name.is_empty() && !digit_first && name.chars().all(valid) {
        return Cow::Borrowed(name);
    }
    let kept = name.chars().map(|char| if valid(char) { char } else { '_' });
    let prefix = if digit_first || name.is_empty() { "_" } else { "" };
    prefix.chars().chain(kept).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_names_are_the_same_for_every_version() {
        for (name, sent) in [
            ("k8s.pod.name", "k8s_pod_name"),
            ("a-b", "a_b"),
            ("1st", "_1st"),
            ("é", "_"),
            ("", "_"),
        ] {
            assert_eq!(label_name(name), sent);
        }
    }
}
