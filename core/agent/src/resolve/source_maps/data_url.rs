//! Source maps that stand within the comment.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;

use super::load::MAX_MAP;
use crate::resolve::bytes::Bytes;
use crate::resolve::error::ResolveError;
use crate::resolve::percent::percent_decoded;

/// With or without `=` at the end: both are met.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What follows `data:` in any capitals; `None` for other URLs.
pub(super) fn data_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_at_checked(5)?;
    scheme.eq_ignore_ascii_case("data:").then_some(rest)
}

/// The bytes of `application/json;charset=utf-8;base64,e30=` or, percent-encoded,
/// `application/json,%7B%7D`: `{}`. The media type is not looked at: if it is no JSON, that shows.
///
/// # Errors
/// When there is no comma, what follows is not base64 although it says so, or it is more than 32
/// MiB as it is written.
pub(super) fn decode(data: &str) -> Result<Bytes, ResolveError> {
    if data.len() as u64 > MAX_MAP {
        return Err(ResolveError::too_large("the data URL", data.len() as u64, MAX_MAP));
    }
    let (kind, content) =
        data.split_once(',').ok_or_else(|| ResolveError::malformed("the data URL has no comma"))?;
    let content = percent_decoded(content.as_bytes());
    let mut parameters = kind.rsplit(';').map(str::trim);
    if parameters.next().is_none_or(|last| !last.eq_ignore_ascii_case("base64")) {
        return Ok(Bytes::from(content.into_owned()));
    }
    let digits = content.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
    let mut bytes = Bytes::zeroed(digits / 4 * 3 + digits % 4 * 3 / 4)?;
    BASE64
        .decode_slice(&content, bytes.as_mut_slice())
        .map_err(|_| ResolveError::malformed("the data URL is not base64"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(url: &str) -> Result<String, String> {
        let bytes = decode(data_of(url).unwrap()).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn base64_is_decoded_whatever_is_said_before_it() {
        for before in ["", "application/json", "application/json;charset=utf-8", "a/b;x=y"] {
            let encoded = |content| text(&format!("data:{before};base64,{content}"));
            assert_eq!(encoded("e30=").as_deref(), Ok("{}"));
            assert_eq!(encoded("e30").as_deref(), Ok("{}"));
            assert_eq!(encoded("e30%3D").as_deref(), Ok("{}"));
            assert_eq!(encoded("W10g").as_deref(), Ok("[] "));
            assert_eq!(encoded("WzFd").as_deref(), Ok("[1]"));
            assert_eq!(encoded("").as_deref(), Ok(""));
        }
        assert_eq!(text("DATA:application/json;BASE64,e30=").as_deref(), Ok("{}"));
    }

    #[test]
    fn percent_encoded_json_is_decoded() {
        assert_eq!(text("data:application/json,%7B%22a%22:1}").as_deref(), Ok("{\"a\":1}"));
        assert_eq!(text("data:application/json;charset=utf8,%7b%7d").as_deref(), Ok("{}"));
        assert_eq!(text("data:,%").as_deref(), Ok("%"));
    }

    #[test]
    fn what_is_no_data_is_an_error() {
        assert_eq!(data_of("dat"), None);
        assert_eq!(data_of("a.js.map"), None);
        assert!(text("data:application/json;base64").unwrap_err().contains("no comma"));
        for broken in ["e30=e30=", "e", "e30!", "====", "e===", "\u{e9}\u{e9}"] {
            assert!(text(&format!("data:;base64,{broken}")).is_err(), "{broken}");
        }
        let huge = format!("data:,{}", "x".repeat(MAX_MAP as usize));
        assert!(text(&huge).unwrap_err().contains("more than the limit"));
    }
}
