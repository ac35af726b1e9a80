//! Sinks against the collector, which judges every message and tells what it stored.

use std::sync::Arc;
use std::time::Duration;

use sondage::config::Auth;
use sondage::export::Options;
use sondage::profile::Profile;
use sondage_collector::{Collector, Fault, Faults, Random, Reply};

use super::pyroscope::sink;
use super::{profile, quick, soon, start};

fn status(status: u16) -> Reply {
    Fault::Status { status, headers: [].into(), body: String::new() }.into()
}

/// Profiles that differ in their start alone.
fn profiles(count: u64) -> Vec<Arc<Profile>> {
    let first = profile("/orders");
    let later = |nanos| {
        let mut profile = (*first).clone();
        profile.meta.start_unix_nanos = profile.meta.start_unix_nanos.map(|start| start + nanos);
        Arc::new(profile)
    };
    (0..count).map(later).collect()
}

#[test]
fn among_failures_nothing_is_stored_twice_and_everything_is_counted() {
    let collector = Collector::start().unwrap();
    let faults = vec![
        status(429),
        status(503),
        Fault::Reset.into(),
        Fault::Close.into(),
        Fault::Garbage.into(),
        Reply::after_storing(Fault::Close),
        Reply::after_storing(Fault::BreakOff),
    ];
    let random = Some(Random { probability: 0.2, seed: 8, faults });
    // This one costs all the time that a try has.
    let next = vec![Reply::after_storing(Fault::SlowHeader { interval_millis: 20 })];
    collector.plan(Faults { next, random });
    let target = format!("pyroscope+http://{}", collector.address());
    let options = Options { max_profiles: 500, push_timeout: Duration::from_secs(3), ..quick() };
    let exporter = start(vec![Box::new(sink(&target, Auth::None))], &options);
    profiles(500).iter().for_each(|profile| exporter.submit(profile));
    assert!(exporter.drain(soon() + Duration::from_secs(100)), "{:?}", exporter.stats());
    let stats = exporter.stop(soon()).remove(0);
    let stored = collector.profiles();
    assert!(stored.iter().all(|profile| profile.count == 1), "none twice");
    assert!(stored.iter().all(|profile| profile.samples[0].labels["route"] == "/orders"));
    assert_eq!(stats.pushed + stats.lost(), 500, "{stats:?}");
    // Each that counts as pushed is there, and of those in doubt some.
    let possible = stats.pushed..=stats.pushed + stats.ambiguous;
    assert!(possible.contains(&(stored.len() as u64)), "{} stored: {stats:?}", stored.len());
    assert_eq!(collector.refused().len(), 0, "{:?}", collector.refused());
    let failed = collector.requests().iter().filter(|it| it.outcome != "stored").count();
    assert!(failed >= 50, "only {failed} faults");
    assert!(stats.retried > 0 && stats.ambiguous > 0 && stats.pushed >= 350, "{stats:?}");
}
