//! `POST /ingest`: Pyroscope's older endpoint, of which the pprof forms are taken.

use std::collections::BTreeMap;

use super::{check_labels, check_profile};
use crate::form;
use crate::pprof::{self, File};
use crate::record::{Profile, Protocol};
use crate::request::{Refusal, Request, Verdict};

pub(crate) const PATHS: [&str; 2] = ["/ingest", "/pyroscope/ingest"];

/// Takes a request. An empty body is fine and stores nothing, as on the server.
pub(crate) async fn take(request: &Request) -> Verdict {
    if request.body.is_empty() {
        return Verdict::default();
    }
    match raw_profile(request).await {
        Ok(raw) => profile(request, &raw).map(|profile| vec![profile]).into(),
        Err(refusal) => Err(refusal).into(),
    }
}

/// The pprof bytes: the body itself, or the `profile` of a form.
async fn raw_profile(request: &Request) -> Result<Vec<u8>, Refusal> {
    let is_form = request.header("content-type").starts_with("multipart/form-data");
    match request.parameter("format").as_deref() {
        // A form is then read as a pprof file as well, and fails.
        Some("pprof") => Ok(request.body.to_vec()),
        None | Some("") if is_form => {
            let parts = form::parts(request).await.map_err(|reason| Refusal::new(422, reason))?;
            if parts.iter().any(|part| part.name == "prev_profile") {
                return Err(Refusal::new(422, "prev_profile is not taken"));
            }
            let profile = parts.into_iter().find(|part| part.name == "profile");
            let profile = profile.ok_or_else(|| Refusal::new(422, "no profile in the form"))?;
            Ok(profile.body.to_vec())
        }
        other => Err(Refusal::new(400, format!("this collector takes pprof, not {other:?}"))),
    }
}

fn profile(request: &Request, raw: &[u8]) -> Result<Profile, Refusal> {
    let name = request.parameter("name").unwrap_or_default();
    let (app, mut pairs) = parse_name(&name).map_err(|reason| Refusal::new(400, reason))?;
    let refuse = |reason: String| Refusal::new(422, reason);
    let mut file = pprof::read(raw).map_err(refuse)?;
    if file.time_nanos == 0 {
        let from = request.parameter("from").and_then(|from| from.parse().ok());
        file.time_nanos = from.map_or(0, as_nanos);
    }
    pairs.retain(|name, _| !name.starts_with("__") || name == "__session_id__");
    let spy = request.parameter("spyName").unwrap_or_else(|| "unknown".into());
    pairs.insert("__name__".into(), type_name(&file));
    pairs.insert("__delta__".into(), "false".into());
    pairs.insert("pyroscope_spy".into(), spy);
    pairs.entry("service_name".into()).or_insert(app);
    let labels = check_labels(&pairs.into_iter().collect::<Vec<_>>()).map_err(refuse)?;
    check_profile(&labels, &file).map_err(refuse)?;
    Ok(Profile { labels, ..request.profile(Protocol::PyroscopeIngest, file) })
}

/// `app{k=v,k2=v2}`. There is no quoting: a comma or a brace ends a value.
pub(crate) fn parse_name(name: &str) -> Result<(String, BTreeMap<String, String>), String> {
    let (app, rest) = match name.split_once('{') {
        Some((app, rest)) => (app, Some(rest)),
        None => (name, None),
    };
    let valid = |char: char| char.is_ascii_alphanumeric() || "_./-".contains(char);
    if app.is_empty() || !app.chars().all(valid) {
        return Err(format!("invalid application name {app:?}"));
    }
    let mut labels = BTreeMap::new();
    let Some(rest) = rest else { return Ok((app.into(), labels)) };
    let (inner, after) = rest.split_once('}').ok_or("the labels have no end")?;
    if !after.is_empty() {
        return Err(format!("{after:?} follows the labels"));
    }
    for pair in inner.split(',').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(format!("{pair:?} has no value"))?;
        let valid = |char: char| char.is_ascii_alphanumeric() || "_.".contains(char);
        if key.is_empty() || !key.chars().all(valid) {
            return Err(format!("invalid label name {key:?}"));
        }
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("the label {key} is given twice"));
        }
    }
    Ok((app.into(), labels))
}

/// Seconds, milliseconds, microseconds or nanoseconds, told apart by their number of digits.
fn as_nanos(number: i64) -> i64 {
    let scale = match number.checked_ilog10().unwrap_or(0) {
        0..=10 => 1_000_000_000,
        11..=13 => 1_000_000,
        14..=16 => 1_000,
        _ => 1,
    };
    number.saturating_mul(scale)
}

/// The `__name__` that the server makes of the sample types.
fn type_name(file: &File) -> String {
    let kinds: Vec<_> = file.sample_types.iter().map(|it| it.kind.as_str()).collect();
    let any =
        |pieces: &[&str]| kinds.iter().any(|kind| pieces.iter().any(|piece| kind.contains(piece)));
    let name = match () {
        () if kinds.contains(&"wall") => "wall",
        () if any(&["cpu"]) => "process_cpu",
        () if any(&["alloc_", "inuse_", "space", "objects"]) => "memory",
        () if any(&["mutex_", "contentions", "delay"]) => "mutex",
        () if any(&["block_"]) => "block",
        () if any(&["goroutines"]) => "goroutines",
        () => kinds.first().copied().unwrap_or_default(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::fixture::{assert_accepted, assert_refused, gzip, pprof, request, wait};

    const URL: &str = "/ingest?name=shop{zone%3Da,__secret__%3Dx}&format=pprof&spyName=sondage";

    fn verdict(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Verdict {
        wait(take(&request(url, headers, body.to_vec())))
    }

    fn raw(url: &str) -> Verdict {
        verdict(url, &[], &pprof().encode_to_vec())
    }

    fn form(part: &str, url: &str) -> Verdict {
        let head = format!(
            "--B\r\ncontent-disposition: form-data; name=\"{part}\"; filename=\"p\"\r\n\r\n"
        );
        let body = [head.as_bytes(), &gzip(&pprof().encode_to_vec()), b"\r\n--B--\r\n"].concat();
        verdict(url, &[("content-type", "multipart/form-data; boundary=B")], &body)
    }

    #[test]
    fn a_profile_gets_the_labels_that_the_server_makes() {
        for verdict in [raw(URL), form("profile", &URL.replace("&format=pprof", ""))] {
            assert_accepted(&verdict);
            let labels = verdict.accepted[0].labels.iter();
            let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
            let expected = "__delta__=false __name__=process_cpu pyroscope_spy=sondage \
                            service_name=shop zone=a";
            assert_eq!(labels.join(" "), expected);
        }
    }

    #[test]
    fn each_rule_is_broken_by_one_request() {
        for (status, reason, url) in [
            (400, "invalid application name", "/ingest?format=pprof"),
            (400, "invalid application name", "/ingest?name=a%20b&format=pprof"),
            (400, "the labels have no end", "/ingest?name=a{k%3Dv&format=pprof"),
            (400, "follows the labels", "/ingest?name=a{k%3Dv}w}&format=pprof"),
            (400, "\"w\" has no value", "/ingest?name=a{k%3Dv,w}&format=pprof"),
            (400, "invalid label name \"a-b\"", "/ingest?name=a{a-b%3Dv}&format=pprof"),
            (400, "given twice", "/ingest?name=a{k%3Dv,k%3Dw}&format=pprof"),
            (400, "takes pprof", "/ingest?name=a&format=folded"),
            (400, "takes pprof", "/ingest?name=a"),
        ] {
            assert_refused(&raw(url), status, reason);
        }
        let zipped_twice = gzip(&gzip(&pprof().encode_to_vec()));
        let encoding = [("content-encoding", "gzip")];
        assert_refused(&verdict(URL, &encoding, &zipped_twice), 422, "damaged pprof");
        assert_refused(&form("profile", URL), 422, "damaged pprof");
        let without_format = URL.replace("&format=pprof", "");
        assert_refused(&form("prev_profile", &without_format), 422, "prev_profile");
        assert_refused(&form("other", &without_format), 422, "no profile in the form");
        let mut old = pprof();
        old.time_nanos = 1;
        assert_refused(&verdict(URL, &[], &old.encode_to_vec()), 422, "ingestion window");
    }

    #[test]
    fn an_empty_body_is_fine_and_stores_nothing() {
        let verdict = verdict(URL, &[], &[]);
        assert!(verdict.accepted.is_empty() && verdict.refused.is_empty());
    }

    #[test]
    fn a_profile_without_a_start_takes_the_querys() {
        let mut timeless = pprof();
        let now = timeless.time_nanos;
        timeless.time_nanos = 0;
        for unit in [1_000_000_000, 1_000_000, 1_000, 1] {
            let url = format!("{URL}&from={}", now / unit);
            let verdict = verdict(&url, &[], &timeless.encode_to_vec());
            assert_eq!(verdict.accepted[0].start_unix_nanos, now / unit * unit);
        }
    }
}
