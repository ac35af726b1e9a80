//! Secrets of the settings: nothing that the agent writes or tells holds one.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sondage::config::{Auth, Config, Secret, SecretSource};
use sondage::profile::{html, pprof, speedscope};
use sondage::{Agent, profile::folded};
use sondage_collector::{Collector, Fault, Faults, Random};

use crate::labels::{ONE_AGENT, burn};

const CANARY: &str = "canary";

/// Every file below a folder, as text.
fn contents(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => contents(&path, found),
            false => {
                let bytes = std::fs::read(&path).unwrap();
                found.push((path, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
}

#[test]
fn no_secret_is_in_anything_that_the_agent_writes_or_tells() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("secrets");
    let _ = std::fs::remove_dir_all(&folder);
    let collector = Collector::start().unwrap();
    // Servers that say no, send elsewhere and break off: what they say is told, with care.
    let faults = [
        Fault::Status { status: 401, headers: [].into(), body: "who are you?".into() },
        Fault::Redirect { location: "https://u:canary@evil/?key=canary".into() },
        Fault::Status { status: 503, headers: [].into(), body: "later".into() },
        Fault::Close,
    ];
    let random = Random { probability: 1.0, seed: 5, faults: faults.map(Into::into).to_vec() };
    collector.plan(Faults { next: Vec::new(), random: Some(random) });
    let address = collector.address();
    let kinds = ["pyroscope+http", "otlp+http", "otlp+grpc", "parca+http", "datadog-intake+http"];
    let targets = kinds.map(|kind| format!("{kind}://{address}"));
    let targets = targets.into_iter().chain([format!("file:{}", folder.join("files").display())]);
    let secret = |text: &str| SecretSource::Text(Secret::new(text).unwrap());
    let config = Config::builder()
        .hz(250)
        .interval(Duration::from_millis(200))
        .auth(Auth::Token(Secret::new("token-canary").unwrap()))
        .otlp_headers(secret("x-key=otlp-canary"))
        .datadog_key(secret("datadog-canary"))
        .spool(folder.join("spool"))
        .targets(targets.map(|target| target.parse().unwrap()))
        .build()
        .unwrap();
    assert!(!format!("{config:?}").contains(CANARY));
    let agent = Agent::start(config).unwrap();
    let latest = Instant::now() + Duration::from_secs(30);
    // Until every server has been spoken to.
    while agent.stats().exports.iter().filter(|it| it.last_error.is_some()).count() < kinds.len() {
        burn(Duration::from_millis(50));
        assert!(Instant::now() < latest, "{:?}", agent.stats().exports);
    }
    let status = agent.status();
    let told = [
        format!("{status:?}"),
        serde_json::to_string(&status).unwrap(),
        status.stats.to_prometheus(),
    ];
    let profile = agent.stop().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let written = [
        text(pprof::encode(&profile)),
        html::encode(&profile),
        speedscope::encode(&profile).unwrap(),
        folded::encode(&profile, 0).unwrap(),
    ];
    for text in told.iter().chain(&written) {
        assert!(!text.contains(CANARY), "{text}");
    }
    let mut files = Vec::new();
    contents(&folder, &mut files);
    assert!(files.iter().any(|(path, _)| path.starts_with(folder.join("spool"))), "{files:?}");
    for (path, text) in &files {
        assert!(!text.contains(CANARY), "{}", path.display());
    }
    let sent = collector.requests();
    assert!(sent.iter().any(|it| it.headers.iter().any(|(_, value)| value.contains(CANARY))));
    let _ = std::fs::remove_dir_all(&folder);
}
