//! Bytes of a profile.

use crate::engine::PROFILERS;
use crate::spread::Spread;
use crate::{Context, head, row};

/// The same stacks under everyone.
pub fn table(context: &Context) {
    for (stacks, repeat, depth) in [(250, 8, 24), (1000, 2, 24), (1000, 2, 64)] {
        println!("\n{stacks} stacks, {} samples, chain of {depth}:\n", stacks * repeat);
        head(&["", "bytes, gzip", "plain", "samples", "stacks", "locations a stack"]);
        for engine in PROFILERS {
            let mut columns: [Spread; 5] = Default::default();
            for _ in 0..context.rounds(3) {
                let settings = format!("stacks={stacks} repeat={repeat} depth={depth}");
                let figures = engine.figures("payload", &settings, &context.sink);
                for (column, key) in
                    columns.iter_mut().zip(["gz", "plain", "samples", "stacks", "depth"])
                {
                    column.push(figures[key].as_f64().unwrap_or(f64::NAN));
                }
            }
            row(std::iter::once(engine.name.to_owned())
                .chain(columns.iter().map(Spread::to_string)));
        }
    }
}
