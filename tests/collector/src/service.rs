//! One request: its fate, its protocol, its answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Response, Version};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use crate::answer::{self, Act, Body};
use crate::fault::{Fault, Faults, Reply};
use crate::journal::Journal;
use crate::pyroscope::{ingest, push};
use crate::record::Seen;
use crate::request::{MAX_BYTES, Refusal, Request, Verdict, all_headers};
use crate::wire::Wire;
use crate::{datadog, otlp, parca};

/// The most that a body may be sent as.
const MAX_BODY: usize = 4 * MAX_BYTES;

/// What the requests of one connection share.
pub(crate) struct Connection {
    pub(crate) journal: Arc<Journal>,
    pub(crate) requests: AtomicU32,
    pub(crate) take_over: UnboundedSender<Wire>,
}

/// Answers a request, or fails it as planned.
pub(crate) async fn answer(
    connection: Arc<Connection>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let number = connection.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with("/_") {
        return Ok(control(&connection.journal, &parts, body).await);
    }
    let reply = connection.journal.open().faults.draw();
    let is_http2 = parts.version == Version::HTTP_2;
    match decide(&connection.journal, parts, body, &reply).await {
        Some(response) => Ok(response),
        None => match answer::failing(&reply.fault, is_http2, number) {
            Some(Act::Answer(response)) => Ok(response),
            Some(Act::Wire(wire)) => {
                // Fails only where the connection has ended already.
                let _ = connection.take_over.send(wire);
                std::future::pending().await
            }
            Some(Act::Wait) | None => std::future::pending().await,
        },
    }
}

/// Records the request, and takes it unless it is to fail. `None` if the fault is to follow.
async fn decide(
    journal: &Journal,
    parts: Parts,
    body: Incoming,
    reply: &Reply,
) -> Option<Response<Body>> {
    let fails = reply.fault != Fault::None;
    let mut seen = Seen {
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: all_headers(&parts.headers),
        at_millis: journal.millis(),
        size: 0,
        crc32: 0,
        outcome: reply.fault.name(),
    };
    if reply.fault == Fault::Reset && !reply.store {
        journal.open().seen.push(seen);
        return None;
    }
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            seen.outcome = format!("no whole body: {error}");
            journal.open().seen.push(seen);
            return Some(answer::whole(413, "text/plain", "no whole body"));
        }
    };
    (seen.size, seen.crc32) = (body.len(), crc32fast::hash(&body));
    if fails && !reply.store {
        journal.open().seen.push(seen);
        return None;
    }
    let request = request_of(&parts, body);
    let verdict = take(&parts.method, &request).await;
    let taken = match verdict.refused.first() {
        Some(refusal) => format!("refused: {}", refusal.reason),
        None => "stored".to_owned(),
    };
    seen.outcome = if fails { format!("{taken}, then {}", seen.outcome) } else { taken };
    let mut pages = journal.open();
    pages.enter(&request.path, &verdict);
    pages.seen.push(seen);
    drop(pages);
    (!fails).then(|| answer::honest(&request.path, is_grpc(&request), &verdict))
}

fn request_of(parts: &Parts, body: Bytes) -> Request {
    Request {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.clone(),
        is_http2: parts.version == Version::HTTP_2,
        body,
    }
}

fn is_grpc(request: &Request) -> bool {
    request.header("content-type").starts_with("application/grpc")
}

/// Hands the request to the protocol whose path it is.
async fn take(method: &Method, request: &Request) -> Verdict {
    if *method != Method::POST {
        return Err(Refusal::new(405, "not a POST")).into();
    }
    match request.path.as_str() {
        push::PATH => push::take(request),
        path if ingest::PATHS.contains(&path) => ingest::take(request).await,
        otlp::HTTP_PATH => otlp::take_http(request),
        datadog::AGENT_PATH | datadog::INTAKE_PATH => datadog::take(request).await,
        otlp::GRPC_PATH | parca::PATH if !is_grpc(request) => {
            Err(Refusal::new(415, "the content type is not application/grpc")).into()
        }
        otlp::GRPC_PATH => otlp::take_grpc(request),
        parca::PATH => parca::take(request),
        _ if is_grpc(request) => Err(Refusal::new(12, "unknown service or method")).into(),
        _ => Err(Refusal::new(404, "no such path")).into(),
    }
}

/// The collector's own pages. They never fail on demand.
async fn control(journal: &Journal, parts: &Parts, body: Incoming) -> Response<Body> {
    match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/_received") => json(&journal.open().profiles),
        (&Method::GET, "/_refused") => json(&journal.open().refused),
        (&Method::GET, "/_requests") => json(&journal.open().seen),
        (&Method::DELETE, "/_received") => {
            journal.open().clear();
            json(&())
        }
        (&Method::DELETE, "/_faults") => {
            journal.open().faults = Default::default();
            json(&())
        }
        (&Method::POST, "/_faults") => {
            let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            match serde_json::from_slice::<Faults>(&bytes) {
                Ok(faults) => {
                    journal.open().faults.add(faults);
                    json(&())
                }
                Err(error) => answer::whole(400, "text/plain", format!("{error}\n")),
            }
        }
        _ => answer::whole(404, "text/plain", "no such page\n"),
    }
}

fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => answer::whole(200, "application/json", text),
        Err(error) => answer::whole(500, "text/plain", format!("{error}\n")),
    }
}
