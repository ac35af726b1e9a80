//! The ids of spans and traces, which look like labels and are kept as numbers: every request has
//! new ones, so that interning them would fill the tables within minutes.

use sondage_sampler::Labels;

/// The label that shows a span's id, as 16 lower-case hexadecimal digits.
const SPAN: &str = "span_id";

/// The label that shows a trace's id, as 32 lower-case hexadecimal digits.
const TRACE: &str = "trace_id";

/// What a label says about ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Span(u64),
    Trace(u128),
    /// A text under one of the two keys that is no id.
    Malformed,
}

/// The id in a label; `None` for a label of another key.
pub(super) fn parse(key: &str, value: &str) -> Option<Id> {
    let id = match key {
        SPAN => digits(value, 16).and_then(|text| u64::from_str_radix(text, 16).ok()).map(Id::Span),
        TRACE => {
            digits(value, 32).and_then(|text| u128::from_str_radix(text, 16).ok()).map(Id::Trace)
        }
        _ => return None,
    };
    Some(id.unwrap_or(Id::Malformed))
}

/// The text if it is so many hexadecimal digits.
fn digits(text: &str, count: usize) -> Option<&str> {
    let all_digits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    all_digits.then_some(text)
}

/// The labels that show the ids there are, sorted by key.
pub(crate) fn pairs(labels: Labels) -> Vec<(&'static str, String)> {
    let span = (labels.span != 0).then(|| (SPAN, format!("{:016x}", labels.span)));
    let trace = (labels.trace != 0).then(|| (TRACE, format!("{:032x}", labels.trace)));
    span.into_iter().chain(trace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_so_many_hexadecimal_digits_of_either_case_and_nothing_else() {
        assert_eq!(parse("span_id", "00000000000000fF"), Some(Id::Span(255)));
        let trace = "0123456789abcdef0123456789ABCDEF";
        let number = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        assert_eq!(parse("trace_id", trace), Some(Id::Trace(number)));
        let wrong = ["", "ff", "+0000000000000ff", "0x000000000000ff", " 00000000000000f", trace];
        for text in wrong {
            assert_eq!(parse("span_id", text), Some(Id::Malformed), "{text:?}");
        }
        assert_eq!(parse("trace_id", "00000000000000ff"), Some(Id::Malformed));
        assert_eq!(parse("trace_id", "ä123456789abcdef0123456789abcde"), Some(Id::Malformed));
        assert_eq!(parse("route", "00000000000000ff"), None);
    }

    #[test]
    fn ids_are_shown_as_lower_case_digits_and_only_if_there_are_any() {
        assert_eq!(pairs(Labels { set: 7, ..Labels::NONE }), []);
        let shown = pairs(Labels { set: 0, span: 0xAB, trace: 1 << 64 });
        let expected =
            [("span_id", "00000000000000ab"), ("trace_id", "00000000000000010000000000000000")];
        assert_eq!(shown, expected.map(|(key, id)| (key, id.to_owned())));
    }
}
