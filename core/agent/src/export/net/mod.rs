//! One request at a time over the network, with a client of its own that is gone afterwards: no
//! pool, no thread, no connection stays between uploads, and a forked child inherits none.

#[cfg(feature = "push")]
mod credentials;
#[cfg(feature = "grpc")]
mod dial;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(not(feature = "grpc"))]
#[path = "grpc_off.rs"]
mod grpc;
#[cfg(feature = "push")]
mod http;
#[cfg(not(feature = "push"))]
#[path = "http_off.rs"]
mod http;
#[cfg(feature = "push")]
mod http_date;
#[cfg(feature = "push")]
mod names;
#[cfg(feature = "grpc")]
mod status;
#[cfg(feature = "push")]
mod tls;
#[cfg(feature = "grpc")]
mod tunnel;
#[cfg(feature = "push")]
mod unix;

use std::time::Duration;

pub(super) use grpc::Channel;
pub(super) use http::Client;

/// What a server is told of who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// Nothing.
    None,
    /// `Authorization` and the tenant.
    Standard,
    /// The same, where the headers of OTLP do not say otherwise.
    Otlp,
    /// Datadog's API key.
    DatadogKey,
}

/// One message to one path of a server.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "push"), expect(dead_code, reason = "for the clients of other builds"))]
pub(super) struct Request<'a> {
    /// Below the endpoint's prefix; begins with `/`.
    pub(super) path: &'a str,
    /// Of gRPC it is always the same.
    pub(super) content_type: &'a str,
    /// Whether the body is compressed.
    pub(super) gzip: bool,
    pub(super) body: &'a [u8],
    /// Whether what the server answers to a success matters. Where it does not, a server that
    /// answers slowly holds nothing up.
    pub(super) reads_reply: bool,
}

/// An answer over HTTP.
#[derive(Clone, Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// The beginning of the body.
    pub(super) body: Vec<u8>,
}

/// An answer over gRPC.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// The status code, 0 for success.
    pub(super) code: u32,
    /// What the server says about it.
    pub(super) message: String,
    /// How long it asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// The message that it answers with; empty in a failure.
    pub(super) reply: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
#[cfg_attr(not(feature = "push"), expect(dead_code, reason = "for the clients of other builds"))]
pub(super) enum Failure {
    /// The server cannot have got the whole message.
    NotSent(String),
    /// It may have.
    Unanswered(String),
}

impl Response {
    /// The body, as far as it is text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
