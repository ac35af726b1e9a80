//! Datadog: a form with `event.json` and its attachments, to an agent or to the intake.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::form::{self, Part};
use crate::pprof::{self, File};
use crate::record::{Profile, Protocol};
use crate::request::{Refusal, Request, Verdict, is_gzip};

pub(crate) const AGENT_PATH: &str = "/profiling/v1/input";
pub(crate) const INTAKE_PATH: &str = "/api/v2/profile";

const PROFILE: &str = "profile.pprof";
const MAX_STACK: usize = 600;

#[derive(Deserialize)]
struct Event {
    attachments: Vec<String>,
    tags_profiler: String,
    start: String,
    end: String,
    family: String,
    version: String,
}

/// Takes a request.
pub(crate) async fn take(request: &Request) -> Verdict {
    if request.path == INTAKE_PATH && request.header("dd-api-key").is_empty() {
        return Err(Refusal::new(403, "no dd-api-key")).into();
    }
    let parts = match form::parts(request).await {
        Ok(parts) => parts,
        Err(reason) => return Err(Refusal::new(400, reason)).into(),
    };
    match profile(request, &parts) {
        Ok(profile) => Ok(vec![profile]).into(),
        Err(reason) => Err(Refusal::new(400, reason)).into(),
    }
}

fn profile(request: &Request, parts: &[Part]) -> Result<Profile, String> {
    let (first, attachments) = parts.split_first().ok_or("an empty form")?;
    let event = event(first)?;
    let listed: HashSet<_> = event.attachments.iter().map(String::as_str).collect();
    let sent: HashSet<_> = attachments.iter().map(|part| part.file_name.as_str()).collect();
    if listed != sent || sent.len() != attachments.len() {
        return Err(format!("the event lists {listed:?}, the form has {sent:?}"));
    }
    let mut attachments = attachments.iter();
    let raw = attachments.find(|part| part.file_name == PROFILE).ok_or("no profile.pprof")?;
    if !is_gzip(&raw.body) {
        return Err("profile.pprof is not gzipped".into());
    }
    let mut file = pprof::read(&raw.body)?;
    check(&file)?;
    let [start, end] = [&event.start, &event.end].map(|text| nanos(text));
    let (start, end) = (start?, end?);
    let length = end.checked_sub(start).and_then(|it| u64::try_from(it).ok());
    file.duration_nanos = length.ok_or("the end lies before the start")?;
    file.time_nanos = start;
    let mut labels = tags(&event.tags_profiler)?;
    labels.insert("family".into(), event.family);
    Ok(Profile { labels, ..request.profile(Protocol::Datadog, file) })
}

fn event(part: &Part) -> Result<Event, String> {
    if (part.name.as_str(), part.file_name.as_str()) != ("event", "event.json") {
        return Err(format!("the first part is {}, not event.json", part.name));
    }
    if part.content_type != "application/json" {
        return Err(format!("event.json has the content type {:?}", part.content_type));
    }
    let event: Event = serde_json::from_slice(&part.body)
        .map_err(|error| format!("damaged event.json: {error}"))?;
    if event.version != "4" {
        return Err(format!("version {:?} is not \"4\"", event.version));
    }
    if event.family.is_empty() {
        return Err("no family".into());
    }
    Ok(event)
}

fn nanos(text: &str) -> Result<i64, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|error| format!("{text:?} is no time of RFC 3339: {error}"))?;
    i64::try_from(time.unix_timestamp_nanos()).map_err(|_| format!("{text} is out of range"))
}

fn tags(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut tags = BTreeMap::new();
    for tag in text.split(',') {
        let (key, value) = tag.split_once(':').ok_or(format!("the tag {tag:?} has no colon"))?;
        if key.is_empty() || value.is_empty() {
            return Err(format!("the tag {tag:?} lacks a name or a value"));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("the tag {key} is given twice"));
        }
    }
    for needed in ["service", "language", "runtime-id"] {
        if !tags.contains_key(needed) {
            return Err(format!("no tag {needed}"));
        }
    }
    Ok(tags)
}

fn check(file: &File) -> Result<(), String> {
    if let Some(other) = file.sample_types.iter().find(|it| !it.kind.contains('-')) {
        return Err(format!("sample type {} is none of Datadog's, as cpu-time", other.kind));
    }
    for sample in &file.samples {
        for id in ["span id", "local root span id"] {
            if sample.labels.contains_key(id) {
                return Err(format!("{id} is text, not a number"));
            }
        }
        if sample.stack.len() > MAX_STACK {
            return Err(format!("a stack of more than {MAX_STACK} frames"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{assert_accepted, assert_refused, gzip, pprof, request, wait};
    use crate::pprof::{Label, Pprof};

    struct Sent {
        path: &'static str,
        key: &'static str,
        event: Value,
        event_head: &'static str,
        pprof: Pprof,
        is_gzipped: bool,
    }

    const EVENT: &str = "name=\"event\"; filename=\"event.json\"\r\ncontent-type: application/json";

    fn good() -> Sent {
        let mut pprof = pprof();
        pprof.sample_types[0].kind = 7;
        pprof.samples[0].labels.push(Label { key: 9, number: 255, ..Label::default() });
        let event = json!({
            "attachments": [PROFILE],
            "tags_profiler": "service:shop,language:rust,runtime-id:1,version:1:2",
            "start": "2026-11-23T10:00:00.000000001Z",
            "end": "2026-11-23T10:00:10Z",
            "family": "rust",
            "version": "4",
            "info": {},
        });
        let is_gzipped = true;
        Sent { path: INTAKE_PATH, key: "k", event, event_head: EVENT, pprof, is_gzipped }
    }

    fn verdict(sent: &Sent) -> Verdict {
        let mut body = Vec::new();
        let raw = sent.pprof.encode_to_vec();
        let pprof = if sent.is_gzipped { gzip(&raw) } else { raw };
        let profile = "name=\"profile.pprof\"; filename=\"profile.pprof\"";
        for (head, bytes) in
            [(sent.event_head, sent.event.to_string().into_bytes()), (profile, pprof)]
        {
            let head = format!("--B\r\ncontent-disposition: form-data; {head}\r\n\r\n");
            body.extend([head.as_bytes(), &bytes, b"\r\n"].concat());
        }
        body.extend(b"--B--\r\n");
        let headers =
            [("content-type", "multipart/form-data; boundary=B"), ("dd-api-key", sent.key)];
        wait(take(&request(sent.path, &headers, body)))
    }

    type Break = fn(&mut Sent);

    const RULES: [(&str, Break); 18] = [
        ("the first part is", |it| it.event_head = "name=\"x\"; filename=\"event.json\""),
        ("content type", |it| it.event_head = "name=\"event\"; filename=\"event.json\""),
        ("damaged event.json", |it| it.event["start"] = Value::Null),
        ("is not \"4\"", |it| it.event["version"] = "3".into()),
        ("is not \"4\"", |it| it.event["version"] = "".into()),
        ("no family", |it| it.event["family"] = "".into()),
        ("no time of RFC 3339", |it| it.event["start"] = "2026-11-23 10:00".into()),
        ("no time of RFC 3339", |it| it.event["end"] = "soon".into()),
        ("the end lies before", |it| it.event["end"] = "2026-11-23T09:00:00Z".into()),
        ("the event lists", |it| it.event["attachments"] = json!([])),
        ("the event lists", |it| it.event["attachments"] = json!([PROFILE, "metrics.json"])),
        ("has no colon", |it| it.event["tags_profiler"] = "service".into()),
        ("lacks a name or a value", |it| it.event["tags_profiler"] = "service:".into()),
        ("service is given twice", |it| it.event["tags_profiler"] = "service:a,service:b".into()),
        ("no tag runtime-id", |it| it.event["tags_profiler"] = "service:a,language:rust".into()),
        ("is not gzipped", |it| it.is_gzipped = false),
        ("none of Datadog's", |it| it.pprof.sample_types[0].kind = 1),
        ("span id is text", |it| {
            it.pprof.samples[0].labels[1] = Label { key: 9, text: 6, ..Label::default() };
        }),
    ];

    #[test]
    fn each_rule_is_broken_by_one_request() {
        for (reason, break_it) in RULES {
            let mut broken = good();
            break_it(&mut broken);
            assert_refused(&verdict(&broken), 400, reason);
        }
        assert_refused(&verdict(&Sent { key: "", ..good() }), 403, "no dd-api-key");
        assert_accepted(&verdict(&Sent { key: "", path: AGENT_PATH, ..good() }));
    }

    #[test]
    fn the_event_says_when_and_whose_the_profile_is() {
        let verdict = verdict(&good());
        assert_accepted(&verdict);
        let profile = &verdict.accepted[0];
        assert_eq!(profile.start_unix_nanos, 1_795_428_000_000_000_001);
        assert_eq!(profile.duration_nanos, 9_999_999_999);
        assert_eq!(
            (profile.labels["version"].as_str(), profile.labels["family"].as_str()),
            ("1:2", "rust")
        );
        assert_eq!(profile.samples[0].numbers["span id"], 255);
    }
}
