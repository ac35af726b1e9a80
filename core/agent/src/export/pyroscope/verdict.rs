//! What an answer of Pyroscope, or of a proxy before it, means for the upload.

use super::super::http::Response;
use super::super::line::one_line;
use super::super::sink::{MAX_TRIES, PushError};

/// The server answers 500 to a profile it cannot read as well as to trouble of its own.
const MAX_TRIES_ON_500: u32 = 3;

/// Judges the answer.
pub(super) fn judge(response: &Response) -> Result<(), PushError> {
    let status = response.status;
    let message = message(response);
    let retry = |max_tries| PushError::Retry {
        message: message.clone(),
        after: response.retry_after,
        max_tries,
    };
    match status {
        200..=299 => Ok(()),
        300..=399 => Err(PushError::Rejected { message: redirected(response) }),
        408 | 429 | 502..=504 => Err(retry(MAX_TRIES)),
        500 => Err(retry(MAX_TRIES_ON_500)),
        413 => Err(PushError::TooLarge { message }),
        400 if is_size(&response.text) => Err(PushError::TooLarge { message }),
        _ => Err(PushError::Rejected { message }),
    }
}

/// The texts of Pyroscope's validation for its limits on bytes and samples.
fn is_size(text: &str) -> bool {
    text.contains("exceeds the size limit") || text.contains("exceeds the samples count limit")
}

fn message(response: &Response) -> String {
    let advice = match response.status {
        401 => ": check SONDAGE_TOKEN_FILE, SONDAGE_BASIC_AUTH_FILE or SONDAGE_TENANT",
        404 => ": check the path in SONDAGE_PUSH",
        415 => ": is this a Pyroscope server?",
        _ => "",
    };
    let text = one_line(&response.text);
    let colon = if text.is_empty() { "" } else { ": " };
    format!("the server answers {}{colon}{text}{advice}", response.status)
}

fn redirected(response: &Response) -> String {
    let to = response.location.as_deref().map(one_line).unwrap_or_default();
    // What follows may be secret, and is none of the target's business.
    let to = to.split(['?', '#']).next().unwrap_or_default();
    let to = match to.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://***@{host}"),
            None => to.to_owned(),
        },
        None => to.to_owned(),
    };
    let status = response.status;
    format!("the server redirects to {to} ({status}), which is not followed: set the target to it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answer(status: u16, text: &str) -> Result<(), PushError> {
        let after = Some(Duration::from_secs(3));
        let text = text.to_owned();
        judge(&Response { status, retry_after: after, location: None, text })
    }

    #[test]
    fn only_what_time_may_heal_is_tried_again() {
        for status in [408, 429, 502, 503, 504] {
            let error = answer(status, "later").unwrap_err();
            let after = Some(Duration::from_secs(3));
            let message = format!("the server answers {status}: later");
            assert_eq!(error, PushError::Retry { message, after, max_tries: 8 });
        }
        assert!(matches!(answer(500, ""), Err(PushError::Retry { max_tries: 3, .. })));
        for status in [400, 401, 403, 404, 405, 415, 422, 501, 505, 100, 307] {
            assert!(matches!(answer(status, ""), Err(PushError::Rejected { .. })), "{status}");
        }
        assert_eq!(answer(200, ""), Ok(()));
    }

    #[test]
    fn what_is_too_large_is_recognised_in_the_text_too() {
        let text = "the profile with labels '{}' exceeds the size limit \
                    (max_profile_size_byte, actual: 5, limit: 4)";
        for (status, text) in [(413, ""), (400, text)] {
            assert!(matches!(answer(status, text), Err(PushError::TooLarge { .. })), "{status}");
        }
    }

    #[test]
    fn a_message_is_one_short_line_without_secrets() {
        let error = answer(400, &format!("bad\r\n\x1b[31m{}", "x".repeat(9999))).unwrap_err();
        assert!(error.message().len() < 400 && !error.message().contains(char::is_control));
        let location = Some("https://u:canary@evil/x?key=canary".to_owned());
        let text = String::new();
        let error = judge(&Response { status: 302, retry_after: None, location, text });
        let error = error.unwrap_err();
        assert!(error.message().contains("https://***@evil/x"), "{error}");
        assert!(!error.message().contains("canary"), "{error}");
    }
}
