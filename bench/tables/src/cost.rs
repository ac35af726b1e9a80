//! What a sample and a change of labels cost.

use crate::engine::{Engine, NONE, PROFILERS, PYROSCOPE, SONDAGE};
use crate::spread::Spread;
use crate::{Context, head, row};
use serde_json::Value;

fn numbers(value: &Value) -> Spread {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// One engine's figures of one round, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// Delivery and handler, at 32 and 64 frames.
    warm: [f64; 2],
    /// The same with cold caches.
    cold: [f64; 2],
    /// Everything else in 10 s, without samples and with.
    quiet: f64,
    rest: f64,
    samples: f64,
}

impl Round {
    fn of(engine: Engine, context: &Context) -> Self {
        let mut round = Self::default();
        for (index, depth) in [32, 64].into_iter().enumerate() {
            let settings = format!("depth={depth} batches=10");
            let signal = engine.figures("signal", &settings, &context.sink);
            round.warm[index] = numbers(&signal["warm"]).median();
            round.cold[index] = numbers(&signal["cold"]).median();
        }
        if engine != NONE {
            let run = |settings: &str| engine.figures("background", settings, &context.sink);
            let value = |figures: &Value, key: &str| figures[key].as_f64().unwrap_or(f64::NAN);
            round.quiet = value(&run("threads=8 quiet=1"), "background");
            let busy = run("threads=8 depth=24");
            (round.rest, round.samples) = (value(&busy, "background"), value(&busy, "samples"));
        }
        round
    }

    fn whole(&self, depth: usize) -> f64 {
        self.warm[depth] + self.rest / self.samples
    }

    fn whole_cold(&self, depth: usize) -> f64 {
        self.cold[depth] + self.rest / self.samples
    }
}

/// The whole cost of a sample.
pub fn samples(context: &Context) {
    let engines = [&[NONE], PROFILERS.as_slice()].concat();
    let mut rounds = vec![Vec::new(); engines.len()];
    for _ in 0..context.rounds(5) {
        for (engine, rounds) in engines.iter().zip(&mut rounds) {
            rounds.push(Round::of(*engine, context));
        }
    }
    parts(&engines, &rounds);
    ratios(&engines, &rounds);
}

fn parts(engines: &[Engine], rounds: &[Vec<Round>]) {
    println!("\nµs a sample:\n");
    head(&[
        "",
        "signal + handler, 32 frames",
        "64 frames",
        "cold, 32 frames",
        "cold, 64 frames",
        "rest",
        "whole, 32 frames",
        "whole, 64 frames",
        "whole, cold, 32 frames",
    ]);
    for (engine, rounds) in engines.iter().zip(rounds) {
        let cell = |value: fn(&Round) -> f64| {
            let values = rounds.iter().map(|round| value(round) / 1e3);
            values.filter(|value| value.is_finite()).collect::<Spread>().show(2)
        };
        row([
            engine.name.to_owned(),
            cell(|round| round.warm[0]),
            cell(|round| round.warm[1]),
            cell(|round| round.cold[0]),
            cell(|round| round.cold[1]),
            cell(|round| round.rest / round.samples),
            cell(|round| round.whole(0)),
            cell(|round| round.whole(1)),
            cell(|round| round.whole_cold(0)),
        ]);
    }
    println!("\nThe rest, ms in 10 s:\n");
    head(&["", "without samples", "with", "samples"]);
    for (engine, rounds) in engines.iter().zip(rounds).skip(1) {
        let cell = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Spread>();
        row([
            engine.name.to_owned(),
            cell(|round| round.quiet / 1e6).show(1),
            cell(|round| round.rest / 1e6).show(1),
            cell(|round| round.samples).show(0),
        ]);
    }
}

fn ratios(engines: &[Engine], rounds: &[Vec<Round>]) {
    println!("\nWhole cost, of ours:\n");
    head(&["", "32 frames", "64 frames", "32 frames, cold", "64 frames, cold"]);
    let ours = &rounds[1];
    for (engine, rounds) in engines.iter().zip(rounds).skip(2) {
        let ratio = |value: &dyn Fn(&Round) -> f64| {
            let pairs = rounds.iter().zip(ours);
            pairs.map(|(theirs, ours)| value(theirs) / value(ours)).collect::<Spread>().show(1)
        };
        row([
            engine.name.to_owned(),
            ratio(&|round| round.whole(0)),
            ratio(&|round| round.whole(1)),
            ratio(&|round| round.whole_cold(0)),
            ratio(&|round| round.whole_cold(1)),
        ]);
    }
}

/// Setting a label and removing it.
pub fn labels(context: &Context) {
    head(&["ns to set a label and remove it again", ""]);
    for (engine, rounds) in [(SONDAGE, 1_000_000), (PYROSCOPE, 20)] {
        let settings = format!("rounds={rounds}");
        let medians: Spread = (0..context.rounds(5))
            .map(|_| numbers(&engine.figures("labels", &settings, &context.sink)["times"]).median())
            .collect();
        row([engine.name.to_owned(), medians.show(1)]);
    }
}
