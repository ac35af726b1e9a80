//! What profiling costs a program: as the agent accounts for it, and as the clock shows.

use crate::engine::{NONE, PROFILERS, SONDAGE};
use crate::spread::Spread;
use crate::{Context, head, row};

/// Both.
pub fn table(context: &Context) {
    accounted(context);
    fixed_work(context);
}

/// Handler time and the agent thread's CPU time, of the CPU time of 8 busy threads.
fn accounted(context: &Context) {
    let mut columns: [Spread; 7] = Default::default();
    for _ in 0..context.rounds(3) {
        let settings = "threads=8 rounds=40000 accounts=1";
        let figures = SONDAGE.figures("fixed", settings, &context.sink);
        let account = |key: &str| figures["accounts"][key].as_f64().unwrap_or(f64::NAN);
        let host = account("host_cpu");
        let handlers = account("handler_p50") * account("samples");
        let values = [
            100.0 * account("handler_time") / host,
            100.0 * handlers / host,
            100.0 * account("agent_cpu") / host,
            100.0 * (account("handler_time") + account("agent_cpu")) / host,
            account("handler_p50") / 1e3,
            host / 1e9,
            account("slowdowns"),
        ];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    println!("\nAccounted, % of the host's CPU time:\n");
    head(&[
        "handlers, upper bound",
        "median handler × samples",
        "agent thread",
        "sum",
        "median handler, µs",
        "host's CPU time, s",
        "slowdowns",
    ]);
    row(columns.iter().map(|column| column.show(3)));
}

/// A fixed amount of work with and without.
fn fixed_work(context: &Context) {
    let mut inside = vec![Vec::new(); PROFILERS.len() + 1];
    let mut whole = inside.clone();
    for _ in 0..context.rounds(12) {
        let engines = [&[NONE], PROFILERS.as_slice()].concat();
        for (index, engine) in engines.iter().enumerate() {
            let figures = engine.figures("fixed", "threads=8 rounds=15000", &context.sink);
            let value = |key: &str| figures[key].as_f64().unwrap_or(f64::NAN);
            inside[index].push(value("cpu"));
            whole[index].push(value("whole"));
        }
    }
    println!("\nCPU time of a fixed amount of work, % more than without a profiler:\n");
    head(&["", "mean", "95 % interval", "with start, stop and one profile", "95 % interval"]);
    for (index, engine) in PROFILERS.iter().enumerate() {
        let more = |values: &[Vec<f64>]| -> Spread {
            let pairs = values[index + 1].iter().zip(&values[0]);
            pairs.map(|(with, without)| 100.0 * (with / without - 1.0)).collect()
        };
        let show = |(low, high): (f64, f64)| format!("{low:.2}…{high:.2}");
        let (inside, whole) = (more(&inside), more(&whole));
        row([
            engine.name.to_owned(),
            format!("{:.2}", inside.mean()),
            show(inside.interval()),
            format!("{:.2}", whole.mean()),
            show(whole.interval()),
        ]);
    }
}
