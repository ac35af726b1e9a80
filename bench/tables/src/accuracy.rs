//! How true the shares of CPU time are.

use crate::engine::{Engine, PROFILERS};
use crate::spread::Spread;
use crate::{Context, head, row};
use serde_json::Value;

/// What one run tells.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// CPU time told, of the true one.
    covered: f64,
    /// Total variation distance between told and true shares, in points.
    error: f64,
    /// The same for as many samples drawn at random by the true shares, on average.
    floor: f64,
    /// Signals, of the rate asked for.
    samples: f64,
    /// CPU time that the load received, of two processors'.
    received: f64,
}

fn vector(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn run(engine: Engine, settings: &str, hz: f64, seconds: f64, context: &Context) -> Run {
    let figures = engine.figures("accuracy", settings, &context.sink);
    let (truth, told) = (vector(&figures["truth"]), vector(&figures["told"]));
    let samples = figures["samples"].as_f64().unwrap_or(f64::NAN);
    let (all_true, all_told) = (truth.iter().sum::<f64>(), told.iter().sum::<f64>());
    let shares = || truth.iter().map(|value| value / all_true);
    let distance = shares().zip(&told).map(|(share, told)| (told / all_told - share).abs());
    let chance = |share: f64| (2.0 * share * (1.0 - share) / std::f64::consts::PI / samples).sqrt();
    Run {
        covered: 100.0 * all_told / all_true,
        error: 50.0 * distance.sum::<f64>(),
        floor: 50.0 * shares().map(chance).sum::<f64>(),
        samples: 100.0 * samples / (hz * all_true / 1e9),
        received: 100.0 * all_true / 1e9 / seconds / 2.0,
    }
}

fn print(name: &str, engine: Engine, runs: &[Run]) {
    let column = |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Spread>().show(1);
    row([
        name.to_owned(),
        engine.name.to_owned(),
        column(|run| run.covered),
        column(|run| run.error),
        column(|run| run.floor),
        column(|run| run.samples),
        column(|run| run.received),
    ]);
}

const HEAD: [&str; 7] = [
    "load",
    "",
    "CPU time told, % of true",
    "error, points",
    "random sampling's",
    "signals, % of rate",
    "CPU received, %",
];

/// Everyone several times over 5 s, then once over 40 s.
pub fn table(context: &Context) {
    let cells = |threads: &'static [u32], rates: &'static [u32]| {
        threads.iter().flat_map(move |threads| rates.iter().map(move |hz| (*threads, *hz)))
    };
    println!();
    head(&HEAD);
    let busy = cells(&[1, 8, 64], &[100, 1000]).map(|(threads, hz)| (0, threads, hz));
    let bursty = cells(&[8, 64], &[100]).map(|(threads, hz)| (1, threads, hz));
    for (kind, threads, hz) in busy.chain(bursty) {
        let settings = format!("kind={kind} threads={threads} hz={hz} seconds=5");
        let mut runs = vec![Vec::new(); PROFILERS.len()];
        for _ in 0..context.rounds(3) {
            for (engine, runs) in PROFILERS.iter().zip(&mut runs) {
                runs.push(run(*engine, &settings, f64::from(hz), 5.0, context));
            }
        }
        let kind = if kind == 0 { "busy" } else { "bursty" };
        for (engine, runs) in PROFILERS.iter().zip(&runs) {
            print(&format!("{threads} {kind}, {hz} Hz"), *engine, runs);
        }
    }
    println!("\nOver 40 s:\n");
    head(&HEAD);
    for (threads, hz) in cells(&[1, 8, 64], &[100, 1000]) {
        let settings = format!("threads={threads} hz={hz} seconds=40");
        for engine in PROFILERS {
            let runs = [run(engine, &settings, f64::from(hz), 40.0, context)];
            print(&format!("{threads} busy, {hz} Hz"), engine, &runs);
        }
    }
}
