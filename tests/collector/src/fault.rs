//! What can go wrong on demand.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// How a request is failed. In JSON: `{"fault": "slow_body", "interval_millis": 100}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// Nothing goes wrong.
    None,
    /// This answer.
    Status {
        /// The status of HTTP.
        status: u16,
        /// Headers, `retry-after` for example.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// This status of gRPC.
    Grpc {
        /// Its number.
        code: u16,
        /// Its message.
        #[serde(default)]
        message: String,
        /// A `RetryInfo` in the details, with this delay.
        #[serde(default)]
        retry_after_millis: Option<u64>,
    },
    /// A reset of the connection before the body is read.
    Reset,
    /// The end of the connection in place of an answer.
    Close,
    /// A status of 200 and the first bytes of a body, and then the end of it.
    BreakOff,
    /// No answer, on a connection that stays open.
    Silence,
    /// An answer's head, one byte at a time, that never ends.
    SlowHeader {
        /// Milliseconds between two bytes.
        interval_millis: u64,
    },
    /// A body of 1 MB after a status of 200, one byte at a time.
    SlowBody {
        /// Milliseconds between two bytes.
        interval_millis: u64,
    },
    /// A body of this many bytes after a status of 200.
    HugeBody {
        /// How many.
        bytes: u64,
    },
    /// Headers without end, as fast as they are taken.
    EndlessHeaders,
    /// A redirection, 307.
    Redirect {
        /// Where to.
        location: String,
    },
    /// Bytes that are no HTTP.
    Garbage,
    /// A message of gRPC that is shorter than its prefix, then `grpc-status: 0`.
    GrpcFraming,
    /// A message of gRPC and no trailers after it.
    NoTrailers,
    /// A message of gRPC of this many bytes, then `grpc-status: 0`.
    GrpcOversized {
        /// How many.
        bytes: u32,
    },
    /// `GOAWAY` of HTTP/2 that disowns every stream; over HTTP/1 the end of the connection.
    GoAway,
}

/// A fault, and whether the profile is stored all the same: the server that loses its own answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// Whether the request is taken before.
    #[serde(default)]
    pub store: bool,
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        Self { fault, store: false }
    }
}

impl Reply {
    /// The fault, after the request was taken.
    pub fn after_storing(fault: Fault) -> Self {
        Self { fault, store: true }
    }
}

/// Faults to come.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// For the next requests, one each, before any chance.
    #[serde(default)]
    pub next: Vec<Reply>,
    /// For all others.
    #[serde(default)]
    pub random: Option<Random>,
}

/// Faults by chance, the same ones in the same order for the same seed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// Of a fault, from 0 to 1.
    pub probability: f64,
    /// Of the generator.
    pub seed: u64,
    /// One of these, each as likely.
    pub faults: Vec<Reply>,
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    next: VecDeque<Reply>,
    random: Option<(Random, fastrand::Rng)>,
}

impl Schedule {
    /// Adds to the next ones; replaces those by chance if others are given.
    pub(crate) fn add(&mut self, faults: Faults) {
        self.next.extend(faults.next);
        if let Some(random) = faults.random {
            let generator = fastrand::Rng::with_seed(random.seed);
            self.random = Some((random, generator));
        }
    }

    /// The fate of the next request.
    pub(crate) fn draw(&mut self) -> Reply {
        if let Some(reply) = self.next.pop_front() {
            return reply;
        }
        let Some((random, generator)) = &mut self.random else { return Fault::None.into() };
        if generator.f64() >= random.probability {
            return Fault::None.into();
        }
        generator.choice(&random.faults).cloned().unwrap_or_else(|| Fault::None.into())
    }
}

impl Fault {
    /// Its name, as in JSON.
    pub(crate) fn name(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value["fault"].as_str().unwrap_or_default().to_owned()
    }
}
