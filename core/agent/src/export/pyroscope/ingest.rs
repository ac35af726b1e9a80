//! Pyroscope's older `/ingest`, by the query of the URL and a pprof file as the body.

use std::time::{Duration, Instant};

use super::super::groups::{encode_pieces, pieces};
use super::super::headed;
use super::super::net::{Client, Credentials, Request};
use super::super::sink::{MAX_TRIES, PushError, Sink, Upload};
use super::super::verdict::{Dialect, FEW_TRIES};
use super::message::Label;
use super::{MAX_AGE, MOST, series};
use crate::config::{Endpoint, Http};
use crate::error::Error;
use crate::profile::{Profile, Rename, pprof};

const DIALECT: Dialect = Dialect {
    server: "a Pyroscope server",
    // Before 2.0 everything that is wrong with a pprof file is 422, trouble of the server too.
    tries: |status, text| match status {
        422 if text.contains("unavailable") || text.contains("resource_exhausted") => MAX_TRIES,
        500 => FEW_TRIES,
        _ => 0,
    },
    is_size: series::is_size,
    credentials: series::CREDENTIALS,
};

/// Sends profiles to `/ingest`, for servers older than Pyroscope 1.0 and those that only speak
/// that.
///
/// As [`PyroscopeSink`](super::PyroscopeSink), but the values of labels lose the characters that
/// the query has no escape for (`,`, `=`, `{` and `}` become `_`), and the server chooses the name
/// of a type itself.
#[derive(Debug)]
pub struct IngestSink {
    endpoint: Endpoint,
    client: Client,
    rename: Rename,
}

impl IngestSink {
    /// Sends to `endpoint`, as `http` says, trace ids of samples only if `trace_ids`. Nobody is
    /// contacted yet.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) in a build without the feature
    /// `push`.
    pub fn new(endpoint: Endpoint, http: &Http, trace_ids: bool) -> Result<Self, Error> {
        let client = Client::new(&endpoint, http, Credentials::Standard)?;
        Ok(Self { endpoint, client, rename: series::sample_labels(trace_ids) })
    }
}

impl Sink for IngestSink {
    fn name(&self) -> String {
        format!("pyroscope-ingest+{}", self.endpoint)
    }

    fn max_age(&self) -> Option<Duration> {
        Some(MAX_AGE)
    }

    /// An upload is the path with its query, a line feed, and the file.
    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let mut uploads = Vec::new();
        for (name, piece) in pieces(profile, self.rename) {
            let (labels, note) = series::labels(&piece, &name);
            let path = path(&piece, &labels);
            encode_pieces(&piece, MOST, &mut pprof::encode, &mut |part, raw| {
                uploads.push(Upload { note: note.clone(), ..headed::upload(&path, part, raw) });
            });
        }
        Ok(uploads)
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        let Some((path, body)) = headed::parts(upload) else {
            return Err(PushError::rejected("not an upload for /ingest"));
        };
        let content_type = "application/octet-stream";
        // A second compression around a compressed file is not undone.
        let request = Request { path, content_type, gzip: false, body, reads_reply: false };
        DIALECT.judge(self.client.post(&request, deadline)).map(|_| ())
    }

    fn split(&mut self, whole: &Upload) -> Vec<Upload> {
        headed::split(whole, |_| (), pprof::encode)
    }
}

fn path(profile: &Profile, labels: &[Label]) -> String {
    let from = profile.meta.start_unix_nanos.unwrap_or(0);
    let until = from.saturating_add(profile.meta.duration.as_nanos() as u64);
    let app = application(profile.title());
    let labels =
        labels.iter().filter(|label| !["__name__", "service_name"].contains(&&*label.name));
    let labels: Vec<_> =
        labels.map(|label| format!("{}={}", label.name, value(&label.value))).collect();
    let name = percent_encoded(&format!("{app}{{{}}}", labels.join(",")));
    format!("/ingest?name={name}&from={from}&until={until}&format=pprof&spyName=sondage")
}

/// The characters of an application's name.
fn application(name: &str) -> String {
    let valid = |char: char| char.is_ascii_alphanumeric() || "_./-".contains(char);
    name.chars().map(|char| if valid(char) { char } else { '_' }).collect()
}

fn value(text: &str) -> String {
    text.chars().map(|char| if ",={}".contains(char) { '_' } else { char }).collect()
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ValueType;

    #[test]
    fn labels_cannot_break_out_of_the_query() {
        let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
        profile.meta.labels = vec![
            ("service_name".into(), "my shop{evil=1}".into()),
            ("env".into(), "a,b=c}&name=forged".into()),
        ];
        let (labels, _) = series::labels(&profile, "process_cpu");
        let path = path(&profile, &labels);
        let expected = "/ingest?name=my_shop_evil_1_%7Benv%3Da_b_c_%26name_forged%7D\
                        &from=0&until=0&format=pprof&spyName=sondage";
        assert_eq!(path, expected);
    }
}
