//! Profiles, and what each kind of backend is sent of them.

use sondage::Config;
use sondage::export::{self, Exporter, Options};
use sondage::profile::{Profile, pprof};
use sondage_collector::Collector;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Every way to send a profile, and how its target begins.
pub const KINDS: [(&str, &str); 6] = [
    ("Pyroscope, push", "pyroscope+http"),
    ("Pyroscope, /ingest", "pyroscope-ingest+http"),
    ("OTLP over HTTP", "otlp+http"),
    ("OTLP over gRPC", "otlp+grpc"),
    ("Parca", "parca+http"),
    ("Datadog", "datadog+http"),
];

/// Reads a pprof file.
pub fn read(path: &Path) -> Profile {
    let data = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    pprof::decode(&data).expect("a pprof file")
}

/// Ten seconds of the example service under its load, at 100 Hz: one profile at defaults.
pub fn demo() -> Profile {
    let folder = std::env::temp_dir().join(format!("bench-demo-{}", std::process::id()));
    let status = Command::new(service())
        .args(["demo", "--seconds", "10", "--out"])
        .arg(&folder)
        .stdout(Stdio::null())
        .status()
        .expect("run make bench-build");
    assert!(status.success(), "the example service: {status}");
    let profile = read(&folder.join("profile.pb.gz"));
    let _ = std::fs::remove_dir_all(folder);
    profile
}

/// Built in the main workspace.
fn service() -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let root = own.ancestors().nth(4).expect("bench/target/release/tables");
    root.join("target/release/rust-service")
}

/// Samples of a profile.
pub fn samples(profile: &Profile) -> i64 {
    profile.column("samples").map_or(0, |column| profile.total(column))
}

/// The bytes of all bodies that one profile makes for a kind of backend, headers apart.
pub fn bytes(profile: &Arc<Profile>, kind: &str) -> usize {
    let collector = Collector::start().expect("a port of this machine");
    send(std::slice::from_ref(profile), &format!("{kind}://{}", collector.address()));
    let requests = collector.requests();
    assert!(requests.iter().all(|request| request.outcome == "stored"), "{requests:?}");
    requests.iter().map(|request| request.size).sum()
}

/// Sends profiles to a target, one after the other, and waits for their arrival.
pub fn send(profiles: &[Arc<Profile>], target: &str) {
    let targets = [target.parse().expect("a target")];
    let config = Config::builder().targets(targets).build().expect("settings");
    let sinks = export::sinks(&config).expect("a sink");
    let spawn = |builder: std::thread::Builder, body: Box<dyn FnOnce() + Send>| builder.spawn(body);
    let exporter = Exporter::start(sinks, &Options::default(), spawn).expect("a thread");
    for profile in profiles {
        exporter.submit(profile);
        assert!(exporter.drain(soon()), "{target}: {:?}", exporter.stats());
    }
    let stats = exporter.stop(soon());
    assert!(stats.iter().all(|sink| sink.lost() == 0), "{stats:?}");
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}
