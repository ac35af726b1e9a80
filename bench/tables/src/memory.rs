//! Resident memory.

use crate::engine::{NONE, PROFILERS};
use crate::spread::Spread;
use crate::{Context, head, row};

/// Growth from before the profiler started, less that of the load alone.
pub fn table(context: &Context) {
    let engines = [&[NONE], PROFILERS.as_slice()].concat();
    for threads in [8, 64] {
        let mut after = vec![Vec::new(); engines.len()];
        let mut peak = after.clone();
        for _ in 0..context.rounds(3) {
            for (index, engine) in engines.iter().enumerate() {
                let figures =
                    engine.figures("memory", &format!("threads={threads}"), &context.sink);
                let kilobytes = |key: &str| figures[key].as_f64().unwrap_or(f64::NAN);
                after[index].push((kilobytes("after") - kilobytes("before")) / 1e3);
                peak[index].push((kilobytes("peak") - kilobytes("before")) / 1e3);
            }
        }
        let show = |values: &[f64]| values.iter().copied().collect::<Spread>().show(1);
        let ratio = |values: &[Vec<f64>], index: usize| {
            let ours = values[1].iter().zip(&values[0]).map(|(ours, none)| ours - none);
            let theirs = values[index].iter().zip(&values[0]).map(|(theirs, none)| theirs - none);
            theirs.zip(ours).map(|(theirs, ours)| theirs / ours).collect::<Spread>().show(1)
        };
        println!();
        let title = format!("{threads} threads, growth in MB");
        head(&[&title, "after 12 s", "highest", "× ours, after", "× ours, highest"]);
        for (index, engine) in engines.iter().enumerate() {
            let ratios = match index {
                0 => ["".to_owned(), "".to_owned()],
                _ => [ratio(&after, index), ratio(&peak, index)],
            };
            let [first, second] = ratios;
            row([engine.name.to_owned(), show(&after[index]), show(&peak[index]), first, second]);
        }
    }
}
