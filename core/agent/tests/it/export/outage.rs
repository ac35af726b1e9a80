//! Half an hour without a server, compressed: 180 profiles of real size. And a server that fails
//! every third time.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use sondage::Error;
use sondage::config::Auth;
use sondage::export::{Exporter, Options, PushError, PyroscopeSink, Sink, SpoolOptions, Upload};
use sondage::profile::{Profile, pprof};

use super::pyroscope::{PushRequest, sink};
use super::{Scratch, profile, quick, soon, start};
use crate::server::{Reply, Server};

const PROFILES: usize = 180;

/// A profile of 300 stacks of 40 frames: 0.4 MB in memory, as a busy service makes them.
fn busy_profile(number: usize) -> Arc<Profile> {
    let mut large = (*profile(&number.to_string())).clone();
    let frames: Vec<_> = (0..400)
        .map(|frame| large.named_location(&format!("service::module_{number}::function_{frame}")))
        .collect();
    for stack in 0..300 {
        let frames: Vec<_> = (0..40).map(|depth| frames[(stack * 7 + depth * 13) % 400]).collect();
        let stack = large.stack(&frames);
        let labels = large.label_set([("route", number.to_string().as_str())]);
        large.add(stack, labels, &[10_000_000]);
    }
    Arc::new(large)
}

/// An address where nobody listens.
fn dead_address() -> SocketAddr {
    // Not 127.0.0.1, where other tests get their ports.
    TcpListener::bind("127.0.43.7:0").unwrap().local_addr().unwrap()
}

/// The numbers of the profiles that arrived.
fn arrived(server: &Server) -> Vec<usize> {
    let number = |body: &[u8]| {
        let message = PushRequest::decode(body).unwrap();
        let profile = pprof::decode(&message.series[0].samples[0].raw_profile).unwrap();
        let labels = profile.labels(profile.samples()[0].labels);
        labels.map(|(_, value)| value).collect::<String>().parse().unwrap()
    };
    server.requests().iter().map(|request| number(&request.body)).collect()
}

/// Submits the profiles, one every 10 ms or, where encoding one takes longer in this build, when
/// `next` lets it; no submission waits.
fn submit_all(exporter: &Exporter, next: impl Fn(u64) -> bool) {
    for number in 0..PROFILES {
        let profile = busy_profile(number);
        let begin = Instant::now();
        exporter.submit(&profile);
        assert!(begin.elapsed() < Duration::from_secs(1), "submitting does not wait");
        drop(profile);
        std::thread::sleep(Duration::from_millis(10));
        let deadline = soon();
        while !next(number as u64) {
            assert!(Instant::now() < deadline, "{:?}", exporter.stats());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn half_an_hour_of_outage_arrives_in_order_from_the_spool() {
    let scratch = Scratch::new();
    let dir = scratch.0.clone();
    let spool = SpoolOptions { dir, max_bytes: 64 << 20, service: "shop".into() };
    // A thousandth of the real times.
    let options = Options {
        spool: Some(spool),
        backoff_base: Duration::from_millis(20),
        backoff_max: Duration::from_millis(60),
        ..quick()
    };
    let address = dead_address();
    let exporter =
        start(vec![Box::new(sink(&format!("pyroscope+http://{address}"), Auth::None))], &options);
    submit_all(&exporter, |number| exporter.stats()[0].spooled + 3 >= number);
    let deadline = soon();
    while exporter.stats()[0].spooled < PROFILES as u64 {
        assert!(Instant::now() < deadline, "{:?}", exporter.stats());
        std::thread::sleep(Duration::from_millis(5));
    }
    let server = Server::start_at(address, vec![Reply::status(200)]);
    assert!(exporter.drain(soon()), "{:?}", exporter.stats());
    let stats = exporter.stop(soon()).remove(0);
    assert_eq!(arrived(&server), (0..PROFILES).collect::<Vec<_>>());
    assert_eq!((stats.pushed, stats.lost(), stats.spooled), (PROFILES as u64, 0, 0), "{stats:?}");
}

#[test]
fn without_a_spool_every_profile_of_the_outage_is_delivered_or_counted() {
    let address = dead_address();
    let target = format!("pyroscope+http://{address}");
    let exporter = start(vec![Box::new(sink(&target, Auth::None))], &quick());
    submit_all(&exporter, |_| true);
    let server = Server::start_at(address, vec![Reply::status(200)]);
    assert!(exporter.drain(soon()), "{:?}", exporter.stats());
    let stats = exporter.stop(soon()).remove(0);
    let arrived = arrived(&server);
    assert!(arrived.is_sorted() && arrived.last() == Some(&(PROFILES - 1)), "{arrived:?}");
    assert_eq!(stats.pushed, arrived.len() as u64);
    assert_eq!(stats.pushed + stats.lost(), PROFILES as u64, "{stats:?}");
    assert_eq!((stats.spooled, stats.dropped_spool), (0, 0));
}

/// A server that knows a profile that it has already.
struct Deduplicating(PyroscopeSink);

impl Sink for Deduplicating {
    fn name(&self) -> String {
        self.0.name()
    }

    fn deduplicates(&self) -> bool {
        true
    }

    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        self.0.encode(profile)
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        self.0.push(upload, deadline)
    }
}

#[test]
fn where_a_third_of_the_requests_fail_in_every_way_all_profiles_arrive_in_order() {
    const PROFILES: usize = 50;
    let interval = Duration::from_millis(100);
    // 503, no answer, silence: a tenth each, by chance, and the same chance every time.
    let chance = |index: u64| {
        let mixed = (index ^ 0x4f8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) % 10
    };
    let reply = |index| match chance(index) {
        0 => Reply::status(503),
        1 => Reply::Close,
        2 => Reply::Silence,
        _ => Reply::status(200),
    };
    let server = Server::start((0..1000).map(reply).collect());
    // The real times by 100, but for the longest try, within which a slow machine must have taken
    // a request: one that it reads later stands out of order. And a queue that it does not fill.
    let options = Options {
        max_profiles: PROFILES,
        push_timeout: 8 * interval,
        backoff_base: 2 * interval,
        backoff_max: 6 * interval,
        ..quick()
    };
    let sink = Deduplicating(sink(&server.target(), Auth::None));
    let exporter = start(vec![Box::new(sink)], &options);
    let begin = Instant::now();
    for number in 0..PROFILES {
        exporter.submit(&profile(&number.to_string()));
        std::thread::sleep(interval);
    }
    assert!(exporter.drain(soon()), "{:?}", exporter.stats());
    let stats = exporter.stop(soon()).remove(0);
    assert_eq!((stats.pushed, stats.lost()), (PROFILES as u64, 0), "{stats:?}");
    assert!(stats.retried >= 15, "{stats:?}");
    let mut arrived = arrived(&server);
    assert!(arrived.is_sorted(), "{arrived:?}");
    let requests = server.requests();
    let late = |number: &usize| {
        let last = arrived.iter().rposition(|other| other == number).unwrap();
        requests[last].at - begin > interval * (*number as u32 + 3)
    };
    println!("{} of {PROFILES} after three intervals", (0..PROFILES).filter(late).count());
    arrived.dedup();
    assert_eq!(arrived, (0..PROFILES).collect::<Vec<_>>());
}
