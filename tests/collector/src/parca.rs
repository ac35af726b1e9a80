//! Parca's `WriteRaw`. Its fields are numbered unlike Pyroscope's `push.v1`.

use std::collections::BTreeMap;

use prost::Message;

use crate::grpc::{self, INVALID_ARGUMENT, UNKNOWN};
use crate::pprof;
use crate::record::{Profile, Protocol};
use crate::request::{Refusal, Request, Verdict};

pub(crate) const PATH: &str = "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteRawRequest {
    #[prost(message, repeated, tag = "2")]
    pub(crate) series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Series {
    #[prost(message, optional, tag = "1")]
    pub(crate) labels: Option<LabelSet>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LabelSet {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Label {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RawSample {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) raw_profile: Vec<u8>,
}

/// Takes a request: all of it or nothing.
pub(crate) fn take(request: &Request) -> Verdict {
    profiles(request).into()
}

fn profiles(request: &Request) -> Result<Vec<Profile>, Refusal> {
    let message: WriteRawRequest = grpc::message(request)?;
    let mut profiles = Vec::new();
    for series in &message.series {
        let labels = labels(series.labels.as_ref())?;
        for sample in &series.samples {
            profiles.push(profile(request, labels.clone(), &sample.raw_profile)?);
        }
    }
    match profiles.is_empty() {
        true => Err(Refusal::new(INVALID_ARGUMENT, "no profile in the request")),
        false => Ok(profiles),
    }
}

fn labels(set: Option<&LabelSet>) -> Result<BTreeMap<String, String>, Refusal> {
    let invalid = |reason: String| Refusal::new(INVALID_ARGUMENT, reason);
    let mut labels = BTreeMap::new();
    for label in set.map(|set| set.labels.as_slice()).unwrap_or_default() {
        if label.name.is_empty() {
            return Err(invalid("a label without a name".into()));
        }
        if labels.insert(label.name.clone(), label.value.clone()).is_some() {
            return Err(invalid(format!("the label {} is given twice", label.name)));
        }
    }
    let name = labels.get("__name__").ok_or_else(|| invalid("no __name__".into()))?;
    let valid = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    let digit_first = name.starts_with(|char: char| char.is_ascii_digit());
    if name.is_empty() || digit_first || !name.chars().all(valid) {
        return Err(Refusal::new(UNKNOWN, format!("__name__ {name:?} is no name of PromQL")));
    }
    Ok(labels)
}

fn profile(
    request: &Request,
    labels: BTreeMap<String, String>,
    raw: &[u8],
) -> Result<Profile, Refusal> {
    let file = pprof::read(raw).map_err(|reason| {
        let code = if reason.contains("gzip") { UNKNOWN } else { INVALID_ARGUMENT };
        Refusal::new(code, reason)
    })?;
    let invalid = |reason: &str| Err(Refusal::new(INVALID_ARGUMENT, reason));
    if !file.is_sequential {
        return invalid("ids are not 1..n in table order");
    }
    if file.period.is_none() {
        return invalid("no period type, on which the server ends");
    }
    // The server drops them without a word.
    if file.samples.iter().any(|it| !it.labels.is_empty() || !it.numbers.is_empty()) {
        return invalid("labels of samples, which the server drops");
    }
    Ok(Profile { labels, ..request.profile(Protocol::Parca, file) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{
        assert_accepted, assert_refused, grpc_request, gzip, pprof_without_labels,
    };
    use crate::pprof::{Label as SampleLabel, Pprof};

    fn message(pprof: &Pprof) -> WriteRawRequest {
        let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
        let labels = vec![label("__name__", "process_cpu"), label("route", "/")];
        let sample = RawSample { raw_profile: gzip(&pprof.encode_to_vec()) };
        let labels = Some(LabelSet { labels });
        WriteRawRequest { series: vec![Series { labels, samples: vec![sample] }] }
    }

    fn labels(message: &mut WriteRawRequest) -> &mut Vec<Label> {
        &mut message.series[0].labels.as_mut().unwrap().labels
    }

    type BreakSeries = fn(&mut WriteRawRequest);

    const SERIES_RULES: [(u16, &str, BreakSeries); 8] = [
        (3, "no profile in the request", |it| it.series.clear()),
        (3, "no __name__", |it| it.series[0].labels = None),
        (3, "no __name__", |it| drop(labels(it).remove(0))),
        (3, "a label without a name", |it| labels(it)[1].name.clear()),
        (3, "given twice", |it| labels(it)[1].name = "__name__".into()),
        (2, "no name of PromQL", |it| labels(it)[0].value = "process-cpu".into()),
        (2, "no name of PromQL", |it| labels(it)[0].value = "1cpu".into()),
        (2, "damaged gzip", |it| it.series[0].samples[0].raw_profile.truncate(20)),
    ];

    type BreakProfile = fn(&mut Pprof);

    const PROFILE_RULES: [(&str, BreakProfile); 5] = [
        ("string_table[0]", |it| it.strings.clear()),
        ("not 1..n", |it| {
            it.functions[0].id = 2;
            it.locations[0].lines[0].function = 2;
        }),
        ("not 1..n", |it| {
            it.locations[0].id = 2;
            it.samples[0].locations = vec![2];
        }),
        ("no period type", |it| it.period_type = None),
        ("labels of samples", |it| {
            it.samples[0].labels.push(SampleLabel { key: 5, text: 6, ..SampleLabel::default() });
        }),
    ];

    #[test]
    fn each_rule_is_broken_by_one_request() {
        let good = pprof_without_labels();
        assert_accepted(&take(&grpc_request(PATH, &message(&good))));
        for (code, reason, break_it) in SERIES_RULES {
            let mut broken = message(&good);
            break_it(&mut broken);
            assert_refused(&take(&grpc_request(PATH, &broken)), code, reason);
        }
        for (reason, break_it) in PROFILE_RULES {
            let mut broken = good.clone();
            break_it(&mut broken);
            assert_refused(&take(&grpc_request(PATH, &message(&broken))), 3, reason);
        }
    }

    #[test]
    fn the_framing_of_grpc_is_checked() {
        let request = || grpc_request(PATH, &message(&pprof_without_labels()));
        let mut one = request();
        one.is_http2 = false;
        assert_refused(&take(&one), 13, "needs HTTP/2");
        let mut one = request();
        one.headers.remove("te");
        assert_refused(&take(&one), 13, "no te");
        let mut one = request();
        one.body = one.body.slice(..4);
        assert_refused(&take(&one), 13, "shorter than");
        let mut one = request();
        one.body = [&one.body[..], b"x"].concat().into();
        assert_refused(&take(&one), 13, "length");
        let flagged = |flag, encoding: &'static str| {
            let mut one = request();
            let zipped = grpc::framed(&gzip(&one.body[5..]));
            one.body = [&[flag], &zipped[1..]].concat().into();
            one.headers.insert("grpc-encoding", encoding.parse().unwrap());
            take(&one)
        };
        assert_accepted(&flagged(1, "gzip"));
        assert_refused(&flagged(1, "zstd"), 12, "grpc-encoding");
        assert_refused(&flagged(2, "gzip"), 13, "unknown flag");
        assert_refused(&flagged(0, "gzip"), 13, "damaged message");
    }
}
