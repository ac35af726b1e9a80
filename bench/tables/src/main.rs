//! Runs every engine in turn, round after round, and prints the tables of docs/performance.md.
//!
//! `tables NAME… [rounds=N]`: the names are those of the `bench-NAME` targets of the Makefile.
//! Figures are medians with the lowest and the highest; ratios are taken within a round, so that
//! what else the machine does meets both sides.

mod accuracy;
mod backends;
mod client;
mod cost;
mod engine;
mod memory;
mod overhead;
mod payload;
mod pyroscope;
mod replay;
mod sink;
mod spread;
mod storage;
mod survive;
mod wire;

use sink::Sink;
use std::process::Command;

/// What a table needs to be made.
pub struct Context {
    sink: Sink,
    rounds: Option<u32>,
}

impl Context {
    /// Rounds as asked for, or the table's own number.
    fn rounds(&self, usual: u32) -> u32 {
        self.rounds.unwrap_or(usual)
    }
}

/// Prints a row.
pub fn row<I: IntoIterator<Item = String>>(cells: I) {
    let cells: Vec<String> = cells.into_iter().collect();
    println!("| {} |", cells.join(" | "));
}

/// Prints the head of a table.
pub fn head(cells: &[&str]) {
    row(cells.iter().map(|cell| (*cell).to_owned()));
    row(cells.iter().map(|_| "---".to_owned()));
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

fn date() -> String {
    let output = Command::new("date").args(["-u", "+%F %H:%M UTC"]).output();
    output.map_or_else(|_| String::new(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

fn main() {
    let (settings, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.contains('='));
    let rounds = settings.iter().find_map(|s| s.strip_prefix("rounds=")?.parse().ok());
    let context = Context { sink: Sink::open().expect("a port of this machine"), rounds };
    for name in names {
        println!("\n### {name}\n\n{}; load average {}", date(), load_average());
        match name.as_str() {
            "sample-cost" => cost::samples(&context),
            "memory" => memory::table(&context),
            "accuracy" => accuracy::table(&context),
            "label-change" => cost::labels(&context),
            "overhead" => overhead::table(&context),
            "payload" => payload::table(&context),
            "survive" => survive::table(&context),
            "backends" => backends::table(&context),
            "wire" => wire::table(&context),
            "storage" => storage::table(&context),
            _ => println!("no table {name:?}"),
        }
        println!("\nload average at the end {}", load_average());
    }
}
