//! What a service's clients wait for, while its profiles go to backends that work and that do not.

use crate::client;
use crate::engine::{Engine, NONE, SONDAGE, Variable};
use crate::spread::Spread;
use crate::{Context, head, row};
use sondage_collector::{Collector, Fault, Faults, Random};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::Duration;

/// Names and unwind tables are read in this time.
const WARM_UP: Duration = Duration::from_millis(1500);

const MEASURED: Duration = Duration::from_secs(10);

/// Ten times as often as by default.
const INTERVAL_MILLIS: u32 = 1000;

/// A way to run the service.
struct Case {
    name: &'static str,
    engine: Engine,
    /// Where profiles go, and who takes them.
    target: Option<String>,
    collector: Option<Collector>,
    uploads: usize,
    medians: Vec<f64>,
    tails: Vec<f64>,
}

impl Case {
    fn new(name: &'static str, engine: Engine) -> Self {
        let (medians, tails) = (Vec::new(), Vec::new());
        Self { name, engine, target: None, collector: None, uploads: 0, medians, tails }
    }

    /// One whose uploads all meet this fault.
    fn failing(name: &'static str, kind: &str, fault: Fault) -> Self {
        let collector = Collector::start().expect("a port of this machine");
        let target = Some(format!("{kind}://{}", collector.address()));
        let random = Random { probability: 1.0, seed: 1, faults: vec![fault.into()] };
        collector.plan(Faults { next: Vec::new(), random: Some(random) });
        Self { target, collector: Some(collector), ..Self::new(name, SONDAGE) }
    }

    /// Starts the service, and connects to it.
    fn start(&self, context: &Context) -> (Service, TcpStream) {
        let targets = self.target.iter().map(|target| ("BENCH_TARGETS", target.clone()));
        let interval = ("BENCH_INTERVAL", INTERVAL_MILLIS.to_string());
        let variables: Vec<Variable> = targets.chain([interval]).collect();
        let port = free_port();
        let settings = format!("port={port} connections=1");
        let service = Service(self.engine.start("service", &settings, &context.sink, &variables));
        let stream = client::connect(port);
        stream.set_nodelay(true).expect("a socket");
        (service, stream)
    }

    /// Uploads that came so far, counted as they end.
    fn seen(&self) -> usize {
        self.collector.as_ref().map_or(0, |collector| collector.requests().len())
    }
}

/// A service, ended with its measurement: an agent's stop would wait for its backend.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port of this machine");
    listener.local_addr().expect("it has an address").port()
}

fn cases() -> Vec<Case> {
    let down = Some("pyroscope+http://127.0.0.1:1".to_owned());
    let refusal = Fault::Status { status: 503, headers: Default::default(), body: String::new() };
    vec![
        Case::new("no profiler", NONE),
        Case::new("no profiler, again", NONE),
        Case::failing("up", "pyroscope+http", Fault::None),
        Case { target: down, ..Case::new("down", SONDAGE) },
        Case::failing("slow-loris", "pyroscope+http", Fault::SlowHeader { interval_millis: 50 }),
        Case::failing("refusing (503)", "pyroscope+http", refusal),
        Case::failing("gRPC, silent", "parca+http", Fault::Silence),
    ]
}

/// One service for each case, all at the same time: a request to one, then to the next. What else
/// the machine does meets all of them. Every round has processes of its own.
pub fn table(context: &Context) {
    let mut cases = cases();
    for number in 0..context.rounds(28) as usize {
        round(&mut cases, number, context);
    }
    println!("\n100 requests a second of 0.4 ms, a profile every {INTERVAL_MILLIS} ms:\n");
    show(&cases);
}

/// The client begins with another service each time: who is first in its list is not treated quite
/// like the others.
fn round(cases: &mut [Case], number: usize, context: &Context) {
    let first = number % cases.len();
    let order: Vec<usize> = (0..cases.len()).map(|place| (first + place) % cases.len()).collect();
    let started = order.iter().map(|&index| cases[index].start(context));
    let (_services, streams): (Vec<Service>, Vec<TcpStream>) = started.unzip();
    client::latencies(&streams, WARM_UP);
    let before: Vec<usize> = cases.iter().map(Case::seen).collect();
    let latencies = client::latencies(&streams, MEASURED);
    for (&index, latencies) in order.iter().zip(latencies) {
        let case = &mut cases[index];
        case.uploads += case.seen() - before[index];
        let latencies: Spread = latencies.into_iter().collect();
        case.medians.push(latencies.median());
        case.tails.push(latencies.quantile(0.99));
    }
}

fn show(cases: &[Case]) {
    head(&[
        "backend",
        "median, µs",
        "% more",
        "95 % interval",
        "p99, µs",
        "% more",
        "95 % interval",
        "uploads ended",
    ]);
    let none = &cases[0];
    for case in cases {
        let more = |with: &[f64], without: &[f64]| {
            let pairs = with.iter().zip(without);
            let more: Spread =
                pairs.map(|(with, without)| 100.0 * (with / without - 1.0)).collect();
            let (low, high) = more.bootstrap();
            [format!("{:.2}", more.median()), format!("{low:.2}…{high:.2}")]
        };
        let [median, median_interval] = more(&case.medians, &none.medians);
        let [tail, tail_interval] = more(&case.tails, &none.tails);
        let all = |values: &[f64]| values.iter().copied().collect::<Spread>().to_string();
        row([
            case.name.to_owned(),
            all(&case.medians),
            median,
            median_interval,
            all(&case.tails),
            tail,
            tail_interval,
            case.uploads.to_string(),
        ]);
    }
}
