//! What an answer of a server, or of a proxy before it, means for the upload.

use std::time::Duration;

use super::line::one_line;
use super::net::{Answer, Failure, Response};
use super::sink::{MAX_TRIES, PushError};

/// Some servers answer 500 to a profile they cannot read as well as to trouble of their own.
pub(super) const FEW_TRIES: u32 = 3;

/// How a kind of server answers over HTTP, where that differs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// What the server is, for people.
    pub(super) server: &'static str,
    /// The most tries after a status with this text; 0 for a refusal. 408, 413, 429 and 502 to
    /// 504 mean the same everywhere.
    pub(super) tries: fn(u16, &str) -> u32,
    /// Whether a refusal with this text is for the message's size.
    pub(super) is_size: fn(&str) -> bool,
    /// Settings to check after 401 and 403.
    pub(super) credentials: &'static str,
}

impl Dialect {
    /// Judges what came of posting a message.
    pub(super) fn judge(&self, outcome: Result<Response, Failure>) -> Result<Response, PushError> {
        let response = outcome.map_err(of_failure)?;
        let status = response.status;
        let text = response.text();
        let message = self.message(status, &text);
        let after = response.retry_after;
        match status {
            200..=299 => Ok(response),
            300..=399 => Err(PushError::Rejected { message: redirected(&response) }),
            408 | 429 | 502..=504 => Err(retry(message, after, MAX_TRIES)),
            413 => Err(PushError::TooLarge { message }),
            400..=499 if (self.is_size)(&text) => Err(PushError::TooLarge { message }),
            _ => Err(match (self.tries)(status, &text) {
                0 => PushError::Rejected { message },
                tries => retry(message, after, tries),
            }),
        }
    }

    fn message(&self, status: u16, text: &str) -> String {
        let advice = match status {
            401 | 403 => format!(": check {}", self.credentials),
            404 | 405 => ": check the path in SONDAGE_PUSH".to_owned(),
            415 => format!(": is this {}?", self.server),
            _ => String::new(),
        };
        let text = one_line(text);
        let colon = if text.is_empty() { "" } else { ": " };
        format!("the server answers {status}{colon}{text}{advice}")
    }
}

fn retry(message: String, after: Option<Duration>, max_tries: u32) -> PushError {
    PushError::Retry { message, after, max_tries }
}

fn of_failure(failure: Failure) -> PushError {
    match failure {
        Failure::NotSent(message) => PushError::retry(message),
        Failure::Unanswered(message) => PushError::Ambiguous { message },
    }
}

/// Judges what came of a call of gRPC, by the rules of OTLP.
pub(super) fn judge_call(outcome: Result<Answer, Failure>) -> Result<Answer, PushError> {
    let answer = outcome.map_err(of_failure)?;
    if answer.code == 0 {
        return Ok(answer);
    }
    let name = CODES.get(answer.code as usize).copied().unwrap_or("an unknown code");
    let text = one_line(&answer.message);
    let says = |words: &[&str]| words.iter().any(|word| answer.message.contains(word));
    let advice = match answer.code {
        7 | 16 => ": check SONDAGE_TOKEN_FILE, SONDAGE_BASIC_AUTH_FILE, SONDAGE_TENANT and headers",
        12 => ": is this the port for this protocol?",
        _ => "",
    };
    let message = format!("the server answers {name}: {text}{advice}");
    let after = answer.retry_after;
    Err(match answer.code {
        // The words of gRPC's own limit in Go.
        8 if says(&["larger than max"]) => PushError::TooLarge { message },
        8 if after.is_some() => retry(message, after, MAX_TRIES),
        1 | 4 | 10 | 11 | 14 | 15 => retry(message, after, MAX_TRIES),
        // Pyroscope says so of its rate limits, and 1.x in these words under another code.
        2 | 8 if says(&["rate limit", "resource_exhausted", "unavailable:"]) => {
            retry(message, after, MAX_TRIES)
        }
        _ => PushError::Rejected { message },
    })
}

/// The status codes of gRPC, in their order.
const CODES: [&str; 17] = [
    "OK",
    "Cancelled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

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

    const DIALECT: Dialect = Dialect {
        server: "a server",
        tries: |status, _| if status == 500 { FEW_TRIES } else { 0 },
        is_size: |text| text.contains("exceeds the size limit"),
        credentials: "SONDAGE_TOKEN_FILE",
    };

    fn answer(status: u16, text: &str) -> Result<(), PushError> {
        let retry_after = Some(Duration::from_secs(3));
        let body = text.as_bytes().to_vec();
        DIALECT.judge(Ok(Response { status, retry_after, location: None, body })).map(|_| ())
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
        for (status, text) in [(413, ""), (400, "it exceeds the size limit (5, limit: 4)")] {
            assert!(matches!(answer(status, text), Err(PushError::TooLarge { .. })), "{status}");
        }
    }

    #[test]
    fn a_message_is_one_short_line_without_secrets() {
        let error = answer(400, &format!("bad\r\n\x1b[31m{}", "x".repeat(9999))).unwrap_err();
        assert!(error.message().len() < 400 && !error.message().contains(char::is_control));
        let location = Some("https://u:canary@evil/x?key=canary".to_owned());
        let error = DIALECT.judge(Ok(Response { status: 302, location, ..Response::default() }));
        let error = error.unwrap_err();
        assert!(error.message().contains("https://***@evil/x"), "{error}");
        assert!(!error.message().contains("canary"), "{error}");
    }

    #[test]
    fn calls_are_tried_again_as_the_specification_says() {
        let judged = |code, message: &str, retry_after| {
            let answer = Answer { code, message: message.to_owned(), retry_after, reply: vec![] };
            judge_call(Ok(answer)).map(|_| ())
        };
        for code in [1, 4, 10, 11, 14, 15] {
            let error = judged(code, "", None).unwrap_err();
            assert!(matches!(error, PushError::Retry { max_tries: 8, .. }), "{code}: {error}");
        }
        for code in [2, 3, 5, 6, 7, 8, 9, 12, 13, 16, 99] {
            let error = judged(code, "x", None).unwrap_err();
            assert!(matches!(error, PushError::Rejected { .. }), "{code}: {error}");
        }
        let after = Some(Duration::from_secs(9));
        let error = judged(8, "later", after).unwrap_err();
        assert!(matches!(error, PushError::Retry { after: Some(_), .. }), "{error}");
        let error = judged(8, "grpc: received message larger than max (5 vs. 4)", after);
        assert!(matches!(error, Err(PushError::TooLarge { .. })));
        assert!(matches!(
            judged(2, "rpc error: resource_exhausted", None),
            Err(PushError::Retry { .. })
        ));
        assert_eq!(judged(0, "", None), Ok(()));
    }
}
