//! Bytes of one sample on their way to each kind of backend.

use crate::engine::{PROFILERS, SONDAGE};
use crate::replay::{self, KINDS};
use crate::{Context, head, row};
use sondage::profile::{Profile, pprof};
use std::sync::Arc;

/// Stacks and samples of each; the stacks are those of the table `payload`.
const LOADS: [(u32, u32); 2] = [(250, 8), (1000, 2)];

/// The same profiles to everyone, beside the files of peers.
pub fn table(context: &Context) {
    for (stacks, repeat) in LOADS {
        let settings = format!("stacks={stacks} repeat={repeat} depth=24");
        println!("\n{stacks} stacks, {} samples, chain of 24:\n", stacks * repeat);
        let profile = recorded(&settings, context);
        to_each_backend(&profile);
        for engine in PROFILERS.into_iter().filter(|engine| *engine != SONDAGE) {
            let figures = engine.figures("payload", &settings, &context.sink);
            let figure = |key: &str| figures[key].as_f64().unwrap_or(f64::NAN);
            line(
                &format!("{}: pprof, gzip", engine.name),
                figure("gz"),
                figure("samples"),
                &profile,
            );
        }
    }
    let demo = replay::demo();
    println!("\nThe example service, 10 s at 100 Hz:\n");
    to_each_backend(&demo);
}

fn recorded(settings: &str, context: &Context) -> Profile {
    let folder = context.sink.directory.with_extension("wire");
    let targets = format!("pyroscope+{},file:{}", context.sink.url, folder.display());
    let variables = [("BENCH_TARGETS", targets)];
    let outcome = SONDAGE.run_with("payload", settings, &context.sink, &variables);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{outcome:?}: {error}"));
    let profiles = files.flatten().map(|file| replay::read(&file.path()));
    // Of the two files the other is of the moment until the agent's stop.
    let profile = profiles.max_by_key(replay::samples).expect("a profile");
    let _ = std::fs::remove_dir_all(folder);
    profile
}

fn to_each_backend(profile: &Profile) {
    head(&["", "bytes", "a sample", "× pprof, gzip"]);
    let samples = replay::samples(profile) as f64;
    line("pprof, gzip", pprof::encode_gz(profile).len() as f64, samples, profile);
    let shared = Arc::new(profile.clone());
    for (name, kind) in KINDS {
        line(name, replay::bytes(&shared, kind) as f64, samples, profile);
    }
}

fn line(name: &str, bytes: f64, samples: f64, profile: &Profile) {
    let file = pprof::encode_gz(profile).len() as f64;
    row([
        name.to_owned(),
        format!("{bytes:.0}"),
        format!("{:.2}", bytes / samples),
        format!("{:.2}", bytes / file),
    ]);
}
