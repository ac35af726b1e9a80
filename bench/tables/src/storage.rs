//! What a cluster's profiles amount to, by what the example service sends, and what Pyroscope makes
//! of it on its disk.

use crate::pyroscope::Pyroscope;
use crate::replay::{self, KINDS};
use crate::spread::Spread;
use crate::{Context, head, row};
use sondage::profile::Profile;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Profiles of a process in an hour, at the default interval.
const PROFILES_AN_HOUR: u32 = 360;

/// The cluster: 50 nodes with 20 processes each.
const PROCESSES: f64 = 50.0 * 20.0;

/// Pyroscope takes no profile that is older than an hour.
const SPREAD_OVER: Duration = Duration::from_secs(50 * 60);

/// Bytes sent by kind of backend, and kept by Pyroscope if it was built.
pub fn table(context: &Context) {
    let demos: Vec<Profile> = (0..context.rounds(10)).map(|_| replay::demo()).collect();
    let samples: Spread = demos.iter().map(|profile| replay::samples(profile) as f64).collect();
    println!("\nSamples of a profile: {samples}\n");
    head(&["", "kB a profile", "bytes a sample", "MB a process-hour", "GB a day, 1,000 processes"]);
    for (name, kind) in KINDS {
        let sent = |profile: &Profile| replay::bytes(&Arc::new(profile.clone()), kind) as f64;
        let bytes: Spread = demos.iter().map(sent).collect();
        let hour = bytes.mean() * f64::from(PROFILES_AN_HOUR) / 1e6;
        row([
            name.to_owned(),
            bytes.iter().map(|bytes| bytes / 1e3).collect::<Spread>().show(1),
            format!("{:.1}", bytes.mean() / samples.mean()),
            format!("{hour:.1}"),
            format!("{:.0}", hour * 24.0 * PROCESSES / 1e3),
        ]);
    }
    stored(&demos);
}

/// Hours of one process, and of four, into a real server.
fn stored(demos: &[Profile]) {
    println!("\nPyroscope's blocks, {PROFILES_AN_HOUR} profiles a process:\n");
    head(&["processes", "MB sent", "MB kept", "kept/sent"]);
    for processes in [1, 4] {
        let Some(server) = Pyroscope::start() else {
            return println!("\nNo target/servers/pyroscope: `make backends` builds it.");
        };
        let mut sent = 0.0;
        for process in 0..processes {
            let hour = hour(demos, process);
            // One turn of the profiles is measured; all turns are alike.
            let turn = hour.iter().take(demos.len());
            let bytes: Spread = turn.map(|it| replay::bytes(it, KINDS[0].1) as f64).collect();
            sent += bytes.mean() * f64::from(PROFILES_AN_HOUR) / 1e6;
            replay::send(&hour, &format!("pyroscope+{}", server.url));
        }
        let kept = server.stop() as f64 / 1e6;
        row([
            processes.to_string(),
            format!("{sent:.2}"),
            format!("{kept:.2}"),
            format!("{:.2}", kept / sent),
        ]);
    }
}

/// The profiles of a process in turn, each changed a little so that no two are the same: a third
/// of its stacks get one sample more.
fn hour(demos: &[Profile], process: u32) -> Vec<Arc<Profile>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let mut state = u64::from(process);
    let profiles = (0..PROFILES_AN_HOUR).zip(demos.iter().cycle()).map(|(number, demo)| {
        let mut profile = demo.clone();
        let age = SPREAD_OVER * (PROFILES_AN_HOUR - number) / PROFILES_AN_HOUR;
        profile.meta.start_unix_nanos = u64::try_from((now - age).as_nanos()).ok();
        profile.meta.labels.push(("pod".to_owned(), format!("shop-{process}")));
        let period = profile.meta.period.as_ref().map_or(0, |(_, period)| *period as i64);
        let more: Vec<i64> = profile
            .sample_types()
            .iter()
            .map(|of| if of.kind == "samples" { 1 } else { period })
            .collect();
        for sample in demo.samples() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (state >> 33) % 3 == 0 {
                profile.add(sample.stack, sample.labels, &more);
            }
        }
        Arc::new(profile)
    });
    profiles.collect()
}
