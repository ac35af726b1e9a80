//! OTLP profiles over HTTP and gRPC: what the specification, Pyroscope and Parca need together.

mod dictionary;
mod message;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use prost::Message;

use self::dictionary::{Tables, text};
use self::message::{Export, KeyValue, ProfileMessage, ResourceProfiles, Scope, ScopeProfiles};
use crate::grpc::{self, INVALID_ARGUMENT};
use crate::pprof::File;
use crate::record::{Profile, Protocol, Sample};
use crate::request::{Refusal, Request, Verdict, gunzip};

pub(crate) const HTTP_PATH: &str = "/v1development/profiles";
pub(crate) const GRPC_PATH: &str =
    "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

/// Takes a request over HTTP.
pub(crate) fn take_http(request: &Request) -> Verdict {
    let profiles = http_message(request).and_then(|export| {
        profiles(request, Protocol::OtlpHttp, &export).map_err(|it| Refusal::new(400, it))
    });
    profiles.into()
}

/// Takes a request over gRPC.
pub(crate) fn take_grpc(request: &Request) -> Verdict {
    let profiles = grpc::message(request).and_then(|export| {
        let profiles = profiles(request, Protocol::OtlpGrpc, &export);
        profiles.map_err(|reason| Refusal::new(INVALID_ARGUMENT, reason))
    });
    profiles.into()
}

fn http_message(request: &Request) -> Result<Export, Refusal> {
    if request.header("content-type") != "application/x-protobuf" {
        return Err(Refusal::new(415, "the content type is not application/x-protobuf"));
    }
    let body = match request.header("content-encoding") {
        "" | "identity" => request.body.to_vec(),
        "gzip" => gunzip(&request.body).map_err(|reason| Refusal::new(400, reason))?,
        other => return Err(Refusal::new(415, format!("{other:?} is not decoded by servers"))),
    };
    Export::decode(body.as_slice())
        .map_err(|error| Refusal::new(400, format!("damaged message: {error}")))
}

fn profiles(
    request: &Request,
    protocol: Protocol,
    export: &Export,
) -> Result<Vec<Profile>, String> {
    let tables = Tables::new(export.dictionary.as_ref().ok_or("no dictionary")?)?;
    let mut ids = HashSet::new();
    let mut profiles = Vec::new();
    for resource in &export.resources {
        for scope in &resource.scopes {
            let labels = labels(resource, scope)?;
            for message in &scope.profiles {
                check_id(message, &mut ids)?;
                let mut labels = labels.clone();
                labels.extend(tables.labels(&message.attributes)?);
                // The dictionary is shared, so that each profile counts as the whole message.
                let raw_bytes = export.encoded_len();
                let file = File { raw_bytes, ..file(message, &tables)? };
                profiles.push(Profile { labels, ..request.profile(protocol, file) });
            }
        }
    }
    if profiles.is_empty() {
        return Err("no profile in the request".into());
    }
    Ok(profiles)
}

/// Attributes of the resource and of the scope, and the name that Parca makes of the scope.
fn labels(
    resource: &ResourceProfiles,
    scope: &ScopeProfiles,
) -> Result<BTreeMap<String, String>, String> {
    let resource = resource.resource.as_ref().ok_or("no resource, on which Parca ends")?;
    let scope: &Scope = scope.scope.as_ref().ok_or("no scope, on which Parca ends")?;
    if scope.name.is_empty() {
        return Err("a scope without a name, of which Parca makes the profile's".into());
    }
    let valid = |char: char| char.is_ascii_alphanumeric() || char == ':';
    let name = scope.name.chars().map(|char| if valid(char) { char } else { '_' }).collect();
    let mut labels = BTreeMap::from([("__name__".to_owned(), name)]);
    labels.extend(plain(&resource.attributes)?);
    labels.extend(plain(&scope.attributes)?);
    Ok(labels)
}

fn plain(attributes: &[KeyValue]) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for attribute in attributes {
        let key = &attribute.key;
        if attribute.key_strindex != 0 {
            return Err("key_strindex outside the dictionary, which servers lose".into());
        }
        if key.is_empty() {
            return Err("an attribute without a name".into());
        }
        let value = text(attribute.value.as_ref()).map_err(|it| format!("{key}: {it}"))?;
        if labels.insert(key.clone(), value).is_some() {
            return Err(format!("the attribute {key} is given twice"));
        }
    }
    Ok(labels)
}

fn check_id<'a>(message: &'a ProfileMessage, ids: &mut HashSet<&'a [u8]>) -> Result<(), String> {
    let id = message.id.as_slice();
    if id.is_empty() {
        return Ok(());
    }
    if id.len() != 16 || id.iter().all(|byte| *byte == 0) {
        return Err("a profile id is not 16 bytes, or all zero".into());
    }
    match ids.insert(id) {
        true => Ok(()),
        false => Err("two profiles have the same id".into()),
    }
}

fn file(message: &ProfileMessage, tables: &Tables<'_>) -> Result<File, String> {
    let kind = message.sample_type.ok_or("no sample type")?;
    let period = message.period_type.ok_or("no period type, which Pyroscope and Parca need")?;
    if message.period <= 0 {
        return Err("a period type without a period".into());
    }
    if message.time_nanos == 0 {
        return Err("no start".into());
    }
    let samples = message.samples.iter().map(|sample| {
        if sample.values.is_empty() {
            return Err("a sample without values".to_owned());
        }
        let times = sample.timestamps.len();
        if times == 0 && sample.values.len() != 1 || times != 0 && sample.values.len() != times {
            return Err(format!("{} values for {times} timestamps", sample.values.len()));
        }
        Ok(Sample {
            stack: tables.stack(sample.stack)?,
            values: sample.values.clone(),
            timestamps: sample.timestamps.clone(),
            labels: tables.labels(&sample.attributes)?,
            link: tables.link(sample.link)?,
            ..Sample::default()
        })
    });
    Ok(File {
        sample_types: vec![tables.value_type(kind.kind, kind.unit)?],
        period: Some((tables.value_type(period.kind, period.unit)?, message.period)),
        time_nanos: i64::try_from(message.time_nanos).map_err(|_| "a start far in the future")?,
        duration_nanos: message.duration_nanos,
        samples: samples.collect::<Result<_, _>>()?,
        comments: Vec::new(),
        raw_bytes: 0,
        is_sequential: true,
    })
}
