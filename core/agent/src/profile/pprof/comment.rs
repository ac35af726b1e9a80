//! Facts that pprof has no field for, as comment lines.

use std::time::Duration;

use crate::profile::LossCause;
use crate::profile::Profile;
use crate::profile::limits;

const PREFIX: &str = "sondage:";

/// The comment lines of a profile: labels, sources, losses, then the user's own comments.
pub(super) fn lines(profile: &Profile) -> Vec<String> {
    let meta = &profile.meta;
    let mut lines = Vec::new();
    for (key, value) in &meta.labels {
        lines.push(format!("{PREFIX}label {}={}", escape(key, true), escape(value, false)));
    }
    for source in &meta.sources {
        lines.push(format!("{PREFIX}source {}", escape(source, false)));
    }
    for loss in profile.losses() {
        let (cause, unit) = (loss.cause.name(), escape(profile.loss_unit(), false));
        lines.push(format!("{PREFIX}lost {cause}={} {unit}", loss.value));
    }
    if let Some(cost) = meta.cost {
        lines.push(format!("{PREFIX}cost {} nanoseconds", cost.as_nanos()));
    }
    for comment in &meta.comments {
        lines.push(match comment.starts_with(PREFIX) {
            true => format!("{PREFIX}comment {}", escape(comment, false)),
            false => comment.clone(),
        });
    }
    lines
}

/// Puts one comment line where it belongs.
pub(super) fn apply(profile: &mut Profile, line: &str) {
    if apply_fact(profile, line).is_none() {
        profile.meta.comments.push(line.to_owned());
    }
}

/// `None` if the line is no fact of ours.
fn apply_fact(profile: &mut Profile, line: &str) -> Option<()> {
    let (word, rest) = line.strip_prefix(PREFIX)?.split_once(' ')?;
    let meta = &mut profile.meta;
    match word {
        "label" if meta.labels.len() < limits::MAX_META_LABELS => {
            let (key, value) = rest.split_once('=')?;
            if key.len() > limits::MAX_META_KEY_BYTES {
                return None;
            }
            meta.labels.push((unescape(key)?, unescape(value)?));
        }
        "source" => meta.sources.push(unescape(rest)?),
        "lost" => {
            let (cause, amount) = rest.split_once('=')?;
            let (value, _unit) = amount.split_once(' ')?;
            profile.add_loss(LossCause::from_name(cause)?, value.parse().ok()?);
        }
        "cost" => {
            let (value, _unit) = rest.split_once(' ')?;
            meta.cost = Some(Duration::from_nanos(value.parse().ok()?));
        }
        "comment" => meta.comments.push(unescape(rest)?),
        _ => return None,
    }
    Some(())
}

fn escape(text: &str, is_key: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '%' || c.is_control() || (is_key && c == '=') {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        out.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::{escape, unescape};

    #[test]
    fn escaped_text_is_one_line_and_comes_back() {
        for text in ["", "plain text", "a=b%c", "line\nbreak\r\u{85}é", "100%25"] {
            let escaped = escape(text, true);
            assert!(!escaped.contains(|c: char| c.is_control() || c == '='), "{escaped}");
            assert_eq!(unescape(&escaped).as_deref(), Some(text));
        }
        assert_eq!(unescape("%4"), None);
        assert_eq!(unescape("%é"), None);
    }
}
