//! OpenTelemetry profiles, over HTTP or gRPC.

mod encode;
mod message;

use std::io::Read;
use std::time::Instant;

use flate2::read::GzDecoder;
use prost::Message;

use super::groups::{Most, encode_pieces};
use super::line::one_line;
use super::net::{Channel, Client, Credentials, Request};
use super::sink::{MAX_TRIES, PushError, Sink, Upload};
use super::verdict::{Dialect, judge_call};
use crate::config::{Endpoint, Http};
use crate::error::Error;
use crate::profile::{Profile, pprof};
use message::{ExportRequest, ExportResponse};

const HTTP_PATH: &str = "/v1development/profiles";
const GRPC_PATH: &str =
    "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

/// Servers in Go take 4 MiB of a gRPC message by default, and Pyroscope 2 MB at once.
const MOST: Most = Most { raw_bytes: 1_500_000, samples: 16_000 };

/// Bytes of a request of ours, unpacked.
const MAX_REQUEST: u64 = 64 << 20;

const DIALECT: Dialect = Dialect {
    server: "an OTLP endpoint",
    // Pyroscope 1.x says 500 of its rate limits too; elsewhere 500 is final.
    tries: |status, text| match status {
        500 if text.contains("resource_exhausted") || text.contains("unavailable:") => MAX_TRIES,
        _ => 0,
    },
    is_size: |text| text.contains("exceeds the size limit"),
    credentials: "SONDAGE_OTLP_HEADERS_FILE, SONDAGE_TOKEN_FILE or SONDAGE_BASIC_AUTH_FILE",
};

#[derive(Debug)]
enum Transport {
    Http(Client),
    Grpc(Channel),
}

/// Sends profiles by OTLP (`v1development`, as of version 1.10) to the OpenTelemetry Collector,
/// Pyroscope, Parca and others.
///
/// CPU time is sent as a number of samples with its period, which is what servers know it by: its
/// total is right to one period. Labels of samples are attributes, `span_id` among them; with trace
/// ids both are a link. A profile of more than 1.5 MB becomes several.
#[derive(Debug)]
pub struct OtlpSink {
    name: String,
    transport: Transport,
    trace_ids: bool,
}

impl OtlpSink {
    /// Sends over HTTP to `/v1development/profiles` below `endpoint`, trace ids of samples only if
    /// `trace_ids`. Nobody is contacted yet.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) in a build without the feature
    /// `push`.
    pub fn over_http(endpoint: &Endpoint, http: &Http, trace_ids: bool) -> Result<Self, Error> {
        let client = Client::new(endpoint, http, Credentials::Otlp)?;
        let name = format!("otlp+{endpoint}");
        Ok(Self { name, transport: Transport::Http(client), trace_ids })
    }

    /// As [`over_http`](Self::over_http), over gRPC.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) in a build without the feature
    /// `grpc`.
    pub fn over_grpc(endpoint: &Endpoint, http: &Http, trace_ids: bool) -> Result<Self, Error> {
        let channel = Channel::new(endpoint, http, Credentials::Otlp)?;
        let name = crate::config::Target::OtlpGrpc(endpoint.clone()).to_string();
        Ok(Self { name, transport: Transport::Grpc(channel), trace_ids })
    }
}

impl Sink for OtlpSink {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let mut uploads = Vec::new();
        let trace_ids = self.trace_ids;
        let mut encode = |part: &Profile| encode::request(part, trace_ids).encode_to_vec();
        encode_pieces(profile, MOST, &mut encode, &mut |part, raw| {
            let start_unix_nanos = part.meta.start_unix_nanos;
            uploads.push(Upload { body: pprof::gzip(raw), start_unix_nanos, note: None });
        });
        Ok(uploads)
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        let request = |path| Request {
            path,
            content_type: "application/x-protobuf",
            gzip: true,
            body: &upload.body,
            reads_reply: true,
        };
        let reply = match &self.transport {
            Transport::Http(client) => {
                DIALECT.judge(client.post(&request(HTTP_PATH), deadline))?.body
            }
            Transport::Grpc(channel) => {
                judge_call(channel.call(&request(GRPC_PATH), deadline))?.reply
            }
        };
        // A reply that cannot be read belongs to a success all the same.
        let reply = ExportResponse::decode(reply.as_slice()).unwrap_or_default();
        match reply.partial_success {
            Some(partial) if partial.rejected_profiles > 0 => {
                let why = one_line(&partial.error_message);
                let count = partial.rejected_profiles;
                Err(PushError::rejected(format!("the server refuses {count} profiles: {why}")))
            }
            _ => Ok(()),
        }
    }

    fn split(&mut self, upload: &Upload) -> Vec<Upload> {
        let mut raw = Vec::new();
        let unpacked =
            GzDecoder::new(upload.body.as_slice()).take(MAX_REQUEST).read_to_end(&mut raw);
        let request = unpacked.ok().and_then(|_| ExportRequest::decode(raw.as_slice()).ok());
        let Some(mut first) = request else { return Vec::new() };
        let mut second = first.clone();
        let (mut left, mut right) = (0, 0);
        for (ours, theirs) in profiles(&mut first).zip(profiles(&mut second)) {
            theirs.samples.drain(..ours.samples.len() / 2);
            ours.samples.truncate(ours.samples.len() / 2);
            theirs.attributes.clear();
            left += ours.samples.len();
            right += theirs.samples.len();
        }
        if left == 0 || right == 0 {
            return Vec::new();
        }
        let half = |request: ExportRequest| {
            let body = pprof::gzip(request.encode_to_vec());
            Upload { body, note: upload.note.clone(), start_unix_nanos: upload.start_unix_nanos }
        };
        vec![half(first), half(second)]
    }
}

fn profiles(request: &mut ExportRequest) -> impl Iterator<Item = &mut message::Profile> {
    let scopes = request.resource_profiles.iter_mut().flat_map(|it| &mut it.scope_profiles);
    scopes.flat_map(|scope| &mut scope.profiles)
}
