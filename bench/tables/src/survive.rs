//! Who lives through panics.

use crate::engine::{Outcome, PROFILERS};
use crate::spread::Spread;
use crate::{Context, head, row};

/// 8 threads that format and panic.
pub fn table(context: &Context) {
    println!();
    head(&[
        "",
        "rate",
        "runs",
        "killed by SIGSEGV",
        "otherwise",
        "hung",
        "CPU time told, % of true",
        "placed in the load, %",
    ]);
    for hz in [100, 999] {
        let mut ended = [[0; 3]; PROFILERS.len()];
        let mut told: [Spread; PROFILERS.len()] = Default::default();
        let mut placed: [Spread; PROFILERS.len()] = Default::default();
        let rounds = context.rounds(5);
        for _ in 0..rounds {
            for (index, engine) in PROFILERS.iter().enumerate() {
                let settings = format!("threads=8 hz={hz} seconds=10");
                match engine.run("survive", &settings, &context.sink) {
                    Outcome::Killed(11) => ended[index][0] += 1,
                    Outcome::Killed(_) => ended[index][1] += 1,
                    Outcome::Hung => ended[index][2] += 1,
                    Outcome::Figures(figures) => {
                        let value = |key: &str| figures[key].as_f64().unwrap_or(f64::NAN);
                        told[index].push(100.0 * value("told") / value("truth"));
                        placed[index].push(100.0 * value("placed") / value("truth"));
                    }
                }
            }
        }
        for (index, engine) in PROFILERS.iter().enumerate() {
            row([
                engine.name.to_owned(),
                format!("{hz} Hz"),
                rounds.to_string(),
                ended[index][0].to_string(),
                ended[index][1].to_string(),
                ended[index][2].to_string(),
                told[index].show(1),
                placed[index].show(1),
            ]);
        }
    }
}
