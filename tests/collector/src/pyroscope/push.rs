//! `POST /push.v1.PusherService/Push`: a unary call of Connect.

use prost::Message;

use super::{check_labels, check_profile};
use crate::pprof;
use crate::record::{Profile, Protocol};
use crate::request::{Refusal, Request, Verdict, gunzip};

pub(crate) const PATH: &str = "/push.v1.PusherService/Push";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Series {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<LabelPair>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LabelPair {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RawSample {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) raw_profile: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
}

/// Takes a request. As the server does, it stores the good series of a bad request.
pub(crate) fn take(request: &Request) -> Verdict {
    let message = match message(request) {
        Ok(message) => message,
        Err(refusal) => return Err(refusal).into(),
    };
    let mut verdict = Verdict::default();
    for series in &message.series {
        let pairs = series.labels.iter().map(|it| (it.name.clone(), it.value.clone()));
        let labels = check_labels(&pairs.collect::<Vec<_>>());
        for sample in &series.samples {
            let labels = labels.clone().map_err(|reason| Refusal::new(400, reason));
            verdict.add(labels.and_then(|labels| profile(request, labels, sample)));
        }
    }
    if verdict.accepted.is_empty() && verdict.refused.is_empty() {
        verdict.refused.push(Refusal::new(400, "no profile in the request"));
    }
    verdict
}

fn message(request: &Request) -> Result<PushRequest, Refusal> {
    if request.header("content-type") != "application/proto" {
        return Err(Refusal::new(415, "the content type is not application/proto"));
    }
    let body = match request.header("content-encoding") {
        "" | "identity" => request.body.to_vec(),
        "gzip" => gunzip(&request.body).map_err(|reason| Refusal::new(400, reason))?,
        other => return Err(Refusal::new(501, format!("unknown compression \"{other}\""))),
    };
    PushRequest::decode(body.as_slice())
        .map_err(|error| Refusal::new(400, format!("unmarshal message: {error}")))
}

fn profile(
    request: &Request,
    labels: std::collections::BTreeMap<String, String>,
    sample: &RawSample,
) -> Result<Profile, Refusal> {
    // The server answers 500 here, though no retry can help.
    let file = pprof::read(&sample.raw_profile).map_err(|reason| Refusal::new(500, reason))?;
    check_profile(&labels, &file).map_err(|reason| Refusal::new(400, reason))?;
    Ok(Profile { labels, ..request.profile(Protocol::PyroscopePush, file) })
}

/// The name that Connect has for a status, for the answer's `code`.
pub(crate) fn connect_code(status: u16) -> &'static str {
    match status {
        400 => "invalid_argument",
        501 => "unimplemented",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{assert_accepted, assert_refused, gzip, pprof, request};
    use crate::pprof::{Label, Pprof, SampleMessage};

    const HEADERS: [(&str, &str); 1] = [("content-type", "application/proto")];

    fn pair(name: &str, value: &str) -> LabelPair {
        LabelPair { name: name.into(), value: value.into() }
    }

    fn message(pprof: &Pprof) -> PushRequest {
        let labels = vec![pair("__name__", "process_cpu"), pair("service_name", "shop")];
        let sample = RawSample { raw_profile: gzip(&pprof.encode_to_vec()), id: String::new() };
        PushRequest { series: vec![Series { labels, samples: vec![sample] }] }
    }

    fn verdict(message: &PushRequest) -> Verdict {
        take(&request(PATH, &HEADERS, message.encode_to_vec()))
    }

    fn add(message: &mut PushRequest, name: &str, value: &str) {
        message.series[0].labels.push(pair(name, value));
    }

    type BreakSeries = fn(&mut PushRequest);

    const SERIES_RULES: [(u16, &str, BreakSeries); 12] = [
        (400, "no profile in the request", |it| it.series.clear()),
        (400, "at least one label pair", |it| it.series[0].labels.clear()),
        (400, "no metric name", |it| drop(it.series[0].labels.remove(0))),
        (400, "no metric name", |it| it.series[0].labels[0].value.clear()),
        (400, "duplicate label name: 'service_name'", |it| add(it, "service_name", "shop")),
        (400, "invalid label name 'a-b'", |it| add(it, "a-b", "")),
        (400, "invalid label name '1a'", |it| add(it, "1a", "")),
        (400, "invalid label name ''", |it| add(it, "", "")),
        (400, "name without dots", |it| add(it, "service.name", "other")),
        (400, "label name too long", |it| add(it, &"n".repeat(1025), "")),
        (400, "label value too long", |it| add(it, "v", &"v".repeat(2049))),
        (400, "has 31 label names; limit 30", |it| {
            (0..22).for_each(|number| add(it, &format!("l{number}"), ""));
        }),
    ];

    type BreakProfile = fn(&mut Pprof);

    const PROFILE_RULES: [(u16, &str, BreakProfile); 8] = [
        (500, "string_table[0]", |it| it.strings.clear()),
        (400, "contains '-'", |it| it.sample_types[0].kind = 7),
        (400, "outside of ingestion window", |it| it.time_nanos -= 3_601_000_000_000),
        (400, "outside of ingestion window", |it| it.time_nanos += 660_000_000_000),
        (
            400,
            "the profile with labels '{__name__=\"process_cpu\", service_name=\"shop\"}' exceeds \
               the size limit (max_profile_size_byte, actual: 4",
            |it| {
                it.strings.push("x".repeat(4 << 20));
            },
        ),
        (
            400,
            "samples count limit (max_profile_stacktrace_samples, actual: 16001, limit: 16000)",
            |it| {
                it.samples =
                    vec![SampleMessage { labels: Vec::new(), ..it.samples[0].clone() }; 16_001]
            },
        ),
        (400, "sample labels limit", |it| {
            for number in 0..101 {
                let key = i64::try_from(it.strings.len()).unwrap();
                it.strings.push(format!("n{number}"));
                it.samples[0].labels.push(Label { key, number: 1, ..Label::default() });
            }
        }),
        (400, "invalid label name 'bad-name'", |it| it.samples[0].labels[0].key = 10),
    ];

    #[test]
    fn each_rule_is_broken_by_one_request() {
        assert_accepted(&verdict(&message(&pprof())));
        for (status, reason, break_it) in SERIES_RULES {
            let mut broken = message(&pprof());
            break_it(&mut broken);
            assert_refused(&verdict(&broken), status, reason);
        }
        for (status, reason, break_it) in PROFILE_RULES {
            let mut broken = pprof();
            break_it(&mut broken);
            assert_refused(&verdict(&message(&broken)), status, reason);
        }
    }

    #[test]
    fn only_the_servers_content_type_and_compression_are_taken() {
        let body = message(&pprof()).encode_to_vec();
        let with =
            |headers: &[(&str, &str)], body: &[u8]| take(&request(PATH, headers, body.to_vec()));
        for kind in ["application/x-protobuf", "application/json", ""] {
            assert_refused(&with(&[("content-type", kind)], &body), 415, "content type");
        }
        let encoded = |encoding| [HEADERS[0], ("content-encoding", encoding)];
        assert_accepted(&with(&encoded("gzip"), &gzip(&body)));
        assert_refused(&with(&encoded("gzip"), &body), 400, "damaged gzip");
        assert_refused(&with(&encoded("zstd"), &body), 501, "unknown compression \"zstd\"");
        assert_refused(&with(&HEADERS, &[0xff; 9]), 400, "unmarshal");
    }

    #[test]
    fn the_good_series_of_a_bad_request_are_stored() {
        let mut request = message(&pprof());
        let mut bad = request.series[0].clone();
        bad.labels.remove(0);
        request.series.push(bad);
        let verdict = verdict(&request);
        assert_eq!((verdict.accepted.len(), verdict.refused.len()), (1, 1));
    }

    #[test]
    fn limits_themselves_are_allowed_and_dots_are_stored_as_underscores() {
        let mut request = message(&pprof());
        add(&mut request, "k8s.pod.name", "p");
        (0..20).for_each(|number| add(&mut request, &format!("l{number}"), &"v".repeat(2048)));
        let verdict = verdict(&request);
        assert_accepted(&verdict);
        assert_eq!(verdict.accepted[0].labels["k8s_pod_name"], "p");
        let mut full = pprof();
        full.samples = vec![full.samples[0].clone(); 16_000];
        full.time_nanos -= 3_500_000_000_000;
        assert_accepted(&super::take(&request_of(&full)));
    }

    fn request_of(pprof: &Pprof) -> crate::request::Request {
        request(PATH, &HEADERS, message(pprof).encode_to_vec())
    }
}
