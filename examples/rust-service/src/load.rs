//! `rust-service load`: sends a fixed mix of requests over kept-alive connections and times them.

mod client;
mod latency;
mod mix;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::args::{LoadOptions, Volume};
use crate::cpu;
use crate::error::{Error, Kind, Result};
use client::Client;
use latency::Latencies;
use mix::{Call, Mix, ROUTES};

/// A connection gives up after this many failed requests: the service is not there.
const MOST_ERRORS: u64 = 100;
/// How long to wait after a failed request.
const PAUSE: Duration = Duration::from_millis(10);

/// What the load generator saw.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// How long it sent.
    pub wall: Duration,
    /// The CPU time of the load generator itself.
    pub cpu: Option<Duration>,
    /// One entry a route, in the order of the mix.
    pub routes: Vec<RouteReport>,
    /// What the first failed request of a connection said.
    pub first_error: Option<String>,
}

/// What it saw on one route.
#[derive(Debug, Serialize, Deserialize)]
pub struct RouteReport {
    /// Method and template.
    pub route: String,
    /// Requests that were answered as they should.
    pub answered: u64,
    /// Requests that were not.
    pub errors: u64,
    /// Half of the answers took less, in microseconds.
    pub p50_micros: u32,
    /// One answer in a hundred took more, in microseconds.
    pub p99_micros: u32,
}

/// Sends the load and prints the [`Report`] as JSON.
///
/// # Errors
/// [`Kind::Load`] when a request failed.
pub fn run(options: &LoadOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::during(Kind::Io, "start the runtime"))?;
    let report = runtime.block_on(send(options.addr, options.volume))?;
    let json = serde_json::to_string(&report).map_err(Error::during(Kind::Io, "write JSON"))?;
    println!("{json}");
    report.check()
}

async fn send(addr: SocketAddr, volume: Volume) -> Result<Report> {
    let begin = Instant::now();
    let budget = Arc::new(AtomicU64::new(volume.requests));
    let until = begin + volume.duration;
    let connections: Vec<_> = (0..volume.connections)
        .map(|number| tokio::spawn(connection(addr, number, Arc::clone(&budget), until)))
        .collect();
    let mut tally = Tally::default();
    for connection in connections {
        let one = connection.await.map_err(Error::during(Kind::Load, "join a connection"))?;
        tally.merge(one);
    }
    Ok(tally.report(begin.elapsed()))
}

/// Sends one request after the other until the time or the requests are used up.
async fn connection(
    addr: SocketAddr,
    number: usize,
    budget: Arc<AtomicU64>,
    until: Instant,
) -> Tally {
    let mut client = Client::new(addr);
    let mut mix = Mix::new(number);
    let mut tally = Tally::default();
    while Instant::now() < until && tally.errors() < MOST_ERRORS && take_one(&budget) {
        let call = mix.next();
        let begin = Instant::now();
        match exchange(&mut client, &call).await {
            Ok(()) => tally.answered(call.route, begin.elapsed()),
            Err(error) => {
                tally.failed(call.route, &error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    tally
}

async fn exchange(client: &mut Client, call: &Call) -> Result<()> {
    let answer = client.send(&call.request).await?;
    if answer.status == 200 && call.expected.fits(&answer.body) {
        return Ok(());
    }
    let says = String::from_utf8_lossy(answer.body.get(..120).unwrap_or(&answer.body));
    Err(Error::new(Kind::Load, format!("status {}, body {says:?}", answer.status)))
}

fn take_one(budget: &AtomicU64) -> bool {
    budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Tally {
    latencies: [Latencies; ROUTES.len()],
    errors: [u64; ROUTES.len()],
    first_error: Option<String>,
}

impl Tally {
    fn answered(&mut self, route: usize, took: Duration) {
        self.latencies[route].add(took);
    }

    fn failed(&mut self, route: usize, error: &Error) {
        self.errors[route] += 1;
        self.first_error.get_or_insert_with(|| format!("{}: {error}", ROUTES[route]));
    }

    fn errors(&self) -> u64 {
        self.errors.iter().sum()
    }

    fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.latencies.iter_mut().zip(other.latencies) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.errors.iter_mut().zip(other.errors) {
            *mine += theirs;
        }
        self.first_error = self.first_error.take().or(other.first_error);
    }

    fn report(self, wall: Duration) -> Report {
        let routes = ROUTES.iter().zip(self.latencies).zip(self.errors);
        let routes = routes.map(|((route, latencies), errors)| {
            let sorted = latencies.sorted();
            RouteReport {
                route: (*route).to_owned(),
                answered: sorted.count(),
                errors,
                p50_micros: sorted.quantile(0.50),
                p99_micros: sorted.quantile(0.99),
            }
        });
        let routes = routes.collect();
        Report { wall, cpu: cpu::used(), routes, first_error: self.first_error }
    }
}

impl Report {
    /// Prints a table for people.
    pub fn print(&self) {
        println!("{:<22}{:>10}{:>8}{:>10}{:>10}", "route", "requests", "errors", "p50", "p99");
        for route in &self.routes {
            let RouteReport { route, answered, errors, p50_micros, p99_micros } = route;
            let requests = answered + errors;
            let p50 = format!("{:.2}ms", f64::from(*p50_micros) / 1_000.0);
            let p99 = format!("{:.2}ms", f64::from(*p99_micros) / 1_000.0);
            println!("{route:<22}{requests:>10}{errors:>8}{p50:>10}{p99:>10}");
        }
        let (answered, errors) = self.totals();
        let rate = answered as f64 / self.wall.as_secs_f64();
        println!("{:<22}{:>10}{errors:>8}{rate:>12.0} a second", "all", answered + errors);
    }

    /// Fails when requests failed, or when there was none.
    ///
    /// # Errors
    /// [`Kind::Load`] says how many failed and what the first one said.
    pub fn check(&self) -> Result<()> {
        match (self.totals(), &self.first_error) {
            ((0, 0), _) => Err(Error::new(Kind::Load, "no request was sent")),
            ((_, 0), _) => Ok(()),
            ((_, errors), first) => {
                let first = first.as_deref().unwrap_or("it said nothing");
                Err(Error::new(Kind::Load, format!("{errors} requests failed; first: {first}")))
            }
        }
    }

    fn totals(&self) -> (u64, u64) {
        let answered = self.routes.iter().map(|route| route.answered).sum();
        let errors = self.routes.iter().map(|route| route.errors).sum();
        (answered, errors)
    }
}
