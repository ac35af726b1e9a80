//! What is asked, and the answer.

use super::connection::{Behind, Pages};
use crate::agent::{Handle, Window};
use crate::error::{Error, ErrorKind};
use crate::profile::{Profile, pprof};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::http::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub(super) type Body = Full<Bytes>;

/// `None` when the agent ends before it has answered.
pub(super) type Answer = Option<Response<Body>>;

/// The time that a profile may cover, and what it covers if nothing is said, in seconds.
const SECONDS: RangeInclusive<u64> = 1..=300;
const DEFAULT_SECONDS: u64 = 10;

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

const PATHS: &str = "\
/debug/pprof/profile?seconds=N  pprof of the next N seconds (1 to 300)
/metrics                        counters of the profiler, for Prometheus
";

/// A request that may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A profile of so many seconds.
    Profile(u64),
    /// Only the headers of one.
    ProfileHead,
    Metrics,
    Paths,
    /// A page that may take so long to make.
    Page(Duration),
    /// Only the headers of one.
    PageHead,
}

impl Asked {
    /// Reads path and query, or answers what is wrong with them.
    pub(super) fn read<B>(
        request: &Request<B>,
        behind: &Behind,
    ) -> Result<Self, Box<Response<Body>>> {
        let refusal = |status, text: &str| Err(Box::new(plain(status, text)));
        if let Behind::Page(pages) = behind {
            // The gate has let the first part of the path in, which is the token.
            return match request.uri().path().trim_end_matches('/').rfind('/') {
                Some(0) if request.method() == Method::HEAD => Ok(Self::PageHead),
                Some(0) => Ok(Self::Page(pages.patience)),
                _ => refusal(StatusCode::NOT_FOUND, "there is one page, and nothing below it"),
            };
        }
        match request.uri().path() {
            "/debug/pprof/profile" if request.method() == Method::HEAD => Ok(Self::ProfileHead),
            "/debug/pprof/profile" => match seconds(request.uri().query().unwrap_or("")) {
                Some(seconds) => Ok(Self::Profile(seconds)),
                None => refusal(StatusCode::BAD_REQUEST, "seconds must be 1 to 300"),
            },
            "/metrics" => Ok(Self::Metrics),
            "/" | "/debug/pprof" | "/debug/pprof/" => Ok(Self::Paths),
            "/debug/pprof/heap" => {
                refusal(StatusCode::NOT_FOUND, "no heap profile is collected in this process")
            }
            _ => refusal(StatusCode::NOT_FOUND, "see / for what there is"),
        }
    }

    /// How long the answer takes to be ready.
    pub(super) fn time(self) -> Duration {
        match self {
            Self::Profile(seconds) => Duration::from_secs(seconds),
            Self::Page(patience) => patience,
            Self::PageHead | Self::ProfileHead | Self::Metrics | Self::Paths => Duration::ZERO,
        }
    }

    pub(super) async fn answer(self, behind: &Behind) -> Answer {
        Some(match (self, behind) {
            (Self::Profile(seconds), Behind::Agent(handle)) => {
                return profile(seconds, handle).await;
            }
            (Self::ProfileHead, Behind::Agent(_)) => gzipped(Vec::new()),
            (Self::Metrics, Behind::Agent(handle)) => {
                text(PROMETHEUS, handle.status().stats.to_prometheus())
            }
            (Self::Metrics, Behind::Counters(counters)) => text(PROMETHEUS, counters()),
            (Self::Page(_), Behind::Page(pages)) => page(pages).await,
            (Self::PageHead, Behind::Page(_)) => html(String::new()),
            (Self::Page(_) | Self::PageHead, _) | (_, Behind::Page(_)) => {
                plain(StatusCode::NOT_FOUND, "there is no such thing here")
            }
            (Self::Paths, _) => text(TEXT, PATHS.to_owned()),
            (Self::Profile(_) | Self::ProfileHead, Behind::Counters(_)) => {
                plain(StatusCode::NOT_FOUND, "profiles are sent from here, not fetched")
            }
        })
    }
}

fn seconds(query: &str) -> Option<u64> {
    let given = query.split('&').find_map(|part| part.strip_prefix("seconds="));
    let seconds = given.map_or(Some(DEFAULT_SECONDS), |text| text.parse().ok())?;
    SECONDS.contains(&seconds).then_some(seconds)
}

/// The profile of the next seconds. It is given up when the client goes away, for then this future
/// is dropped.
async fn profile(seconds: u64, handle: &Handle) -> Answer {
    let waiting = Arc::new(());
    let (deliver, delivered) = oneshot::channel::<Result<Profile, Error>>();
    handle.watch(Window {
        duration: Duration::from_secs(seconds),
        waiting: Arc::downgrade(&waiting),
        deliver: Box::new(move |profile| drop(deliver.send(profile))),
    });
    let delivered = delivered.await.ok()?;
    drop(waiting);
    Some(match delivered {
        Ok(profile) => gzipped(pprof::encode_gz(&profile)),
        Err(error) if error.kind() == ErrorKind::Busy => {
            let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
            answer
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    })
}

/// A page that a thread of its own makes, so that other clients are served meanwhile.
async fn page(pages: &Pages) -> Response<Body> {
    let make = pages.make.clone();
    let (deliver, delivered) = oneshot::channel();
    let made = std::thread::Builder::new()
        .name("sondage-page".into())
        .spawn(move || drop(deliver.send(make())));
    let made = match made {
        Ok(_) => delivered.await.unwrap_or_else(|_| Err("the page could not be made".to_owned())),
        Err(error) => Err(error.to_string()),
    };
    made.map_or_else(|why| plain(StatusCode::INTERNAL_SERVER_ERROR, &why), html)
}

/// A page that stays in the browser that asked for it: its address is a secret, its data may be.
fn html(page: String) -> Response<Body> {
    let mut answer = with_type("text/html; charset=utf-8", page.into());
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn gzipped(profile: Vec<u8>) -> Response<Body> {
    let mut answer = with_type("application/octet-stream", profile.into());
    let name = HeaderValue::from_static("attachment; filename=\"profile\"");
    answer.headers_mut().insert(CONTENT_DISPOSITION, name);
    answer
}

fn text(kind: &'static str, text: String) -> Response<Body> {
    with_type(kind, text.into())
}

/// One line of text, with the headers that go with its status.
pub(super) fn plain(status: StatusCode, line: &str) -> Response<Body> {
    let mut answer = text(TEXT, format!("{line}\n"));
    *answer.status_mut() = status;
    let extra: Option<(HeaderName, &'static str)> = match status {
        StatusCode::METHOD_NOT_ALLOWED => Some((ALLOW, "GET, HEAD")),
        StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
        _ => None,
    };
    if let Some((name, value)) = extra {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn with_type(kind: &'static str, body: Bytes) -> Response<Body> {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let nosniff = HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    answer
}
