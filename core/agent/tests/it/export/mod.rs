//! Sinks, and the queue before them.

mod answers;
mod collector;
mod faults;
mod file;
mod heap;
mod hostile;
mod outage;
mod protocols;
mod proxy;
mod pyroscope;
mod queue;
mod spool;
mod tls;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use sondage::export::{ExportStats, Exporter, Options, Sink};
use sondage::profile::{Profile, ValueType};

/// A profile that began now, with one sample under this label.
pub fn profile(label: &str) -> Arc<Profile> {
    let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    profile.meta.start_unix_nanos = Some(now.as_nanos() as u64);
    profile.meta.duration = Duration::from_secs(10);
    profile.meta.period = Some((ValueType::new("cpu", "nanoseconds"), 10_000_000));
    profile.meta.labels = vec![("service_name".into(), "shop".into())];
    let location = profile.named_location("work");
    let stack = profile.stack(&[location]);
    let labels = profile.label_set([("route", label)]);
    profile.add(stack, labels, &[10_000_000]);
    Arc::new(profile)
}

/// Times so short that a test sees every retry.
pub fn quick() -> Options {
    Options {
        push_timeout: Duration::from_millis(400),
        backoff_base: Duration::from_millis(2),
        backoff_max: Duration::from_millis(10),
        ..Options::default()
    }
}

pub fn start(sinks: Vec<Box<dyn Sink>>, options: &Options) -> Exporter {
    Exporter::start(sinks, options, |builder, body| builder.spawn(body)).unwrap()
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Delivers these profiles to one sink, and says what became of them.
pub fn export(sink: impl Sink + 'static, profiles: &[Arc<Profile>]) -> ExportStats {
    let exporter = start(vec![Box::new(sink)], &quick());
    profiles.iter().for_each(|profile| exporter.submit(profile));
    assert!(exporter.drain(soon()), "{:?}", exporter.stats());
    exporter.stop(soon()).remove(0)
}

/// A directory of this test alone, gone at its end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sondage-export-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
