//! What a server got, as the scenarios look at it.

use crate::server::{Request, Server};
use prost::Message;
use sondage::profile::pprof;
use std::io::BufRead;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(bytes = "vec", tag = "1")]
    raw_profile: Vec<u8>,
}

/// One upload.
#[derive(Clone, Debug)]
pub struct Received {
    /// The label `instance`.
    pub instance: String,
    /// When the profile's time ended, in nanoseconds since the Unix epoch.
    pub end: u64,
    /// On which connection it came.
    pub connection: usize,
}

impl Received {
    /// Everything that came, in order.
    pub fn all(server: &Server) -> Vec<Self> {
        server.requests().iter().map(Self::read).collect()
    }

    fn read(request: &Request) -> Self {
        let mut message = PushRequest::decode(request.body.as_slice()).expect("a push request");
        let series = message.series.pop().expect("one series");
        let instance = series.labels.into_iter().find(|label| label.name == "instance");
        let profile = pprof::decode(&series.samples[0].raw_profile).expect("a profile");
        let duration = u64::try_from(profile.meta.duration.as_nanos()).expect("a short time");
        Self {
            instance: instance.map(|label| label.value).unwrap_or_default(),
            connection: request.connection,
            end: profile.meta.start_unix_nanos.unwrap_or(0) + duration,
        }
    }
}

/// The time, in nanoseconds since the Unix epoch.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
    u64::try_from(now.as_nanos()).expect("before 2554")
}

/// Reads until a line that is `wanted`.
pub fn wait_for_line(output: &mut impl BufRead, wanted: &str) {
    let mut lines = output.lines().map_while(Result::ok);
    assert!(lines.any(|line| line == wanted), "the process ended before it was {wanted}");
}
