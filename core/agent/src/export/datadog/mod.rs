//! Datadog, through its agent or without.

mod event;
mod multipart;
mod spelling;

use std::time::Instant;

use super::groups::{Most, encode_pieces};
use super::headed;
use super::net::{Client, Credentials, Request};
use super::sink::{PushError, Sink, Upload};
use super::verdict::{Dialect, FEW_TRIES};
use crate::config::{Endpoint, Http};
use crate::error::Error;
use crate::profile::{Profile, pprof};
use event::Identity;

const AGENT_PATH: &str = "/profiling/v1/input";
const INTAKE_PATH: &str = "/api/v2/profile";

/// The intake takes far more; this bounds what one upload costs in memory.
const MOST: Most = Most { raw_bytes: 8 << 20, samples: 100_000 };

const DIALECT: Dialect = Dialect {
    server: "a Datadog agent",
    tries: |status, _| if status == 500 { FEW_TRIES } else { 0 },
    is_size: |_| false,
    credentials: "SONDAGE_DATADOG_KEY_FILE",
};

/// Sends profiles to a Datadog agent, or to Datadog's intake with an API key.
///
/// Types, labels and span ids get Datadog's names: `cpu` becomes `cpu-time`, `thread` the label
/// `thread name`, `route` the label `trace endpoint`, `span_id` the number `span id`. Process
/// labels become tags.
#[derive(Debug)]
pub struct DatadogSink {
    name: String,
    path: &'static str,
    client: Client,
    identity: Identity,
}

impl DatadogSink {
    /// Sends to the agent at `endpoint`. Nobody is contacted yet.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) in a build without the feature
    /// `push`.
    pub fn to_agent(endpoint: &Endpoint, http: &Http) -> Result<Self, Error> {
        let client = Client::new(endpoint, http, Credentials::None)?;
        let name = format!("datadog+{endpoint}");
        Ok(Self { name, path: AGENT_PATH, client, identity: Identity::new() })
    }

    /// Sends to the intake at `endpoint`, with the API key of the settings.
    ///
    /// # Errors
    /// As [`to_agent`](Self::to_agent).
    pub fn to_intake(endpoint: &Endpoint, http: &Http) -> Result<Self, Error> {
        let client = Client::new(endpoint, http, Credentials::DatadogKey)?;
        let name = format!("datadog-intake+{endpoint}");
        Ok(Self { name, path: INTAKE_PATH, client, identity: Identity::new() })
    }
}

impl Sink for DatadogSink {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// An upload is the event, a line feed, and the file: they become parts when they are sent.
    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let event = self.identity.event(profile);
        let spelled = spelling::spelled(profile);
        let mut uploads = Vec::new();
        encode_pieces(&spelled, MOST, &mut encode, &mut |part, raw| {
            uploads.push(headed::upload(&event, part, raw));
        });
        Ok(uploads)
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        let Some((event, file)) = headed::parts(upload) else {
            return Err(PushError::rejected("not an upload for Datadog"));
        };
        let (content_type, body) = multipart::message(event, file);
        let request = Request {
            path: self.path,
            content_type: &content_type,
            gzip: false,
            body: &body,
            reads_reply: false,
        };
        DIALECT.judge(self.client.post(&request, deadline)).map(|_| ())
    }

    fn split(&mut self, whole: &Upload) -> Vec<Upload> {
        headed::split(whole, spelling::restore_numbers, encode)
    }
}

fn encode(profile: &Profile) -> Vec<u8> {
    pprof::encode_with(profile, spelling::number)
}
