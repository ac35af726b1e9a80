//! What every engine is measured with: the same loads, clocks and accounts.
//!
//! An engine is a small program: it implements [`Profiler`] and calls [`main`]. The scenario and
//! its settings come as arguments (`engine-sondage accuracy threads=8 hz=100`); the figures go to
//! standard output as one line of JSON. The program `tables` runs engines in turn and prints
//! tables.

pub mod chain;
pub mod clock;
pub mod load;
pub mod memory;
pub mod pprof;
pub mod scenario;
pub mod signal;
pub mod spin;

mod service;
mod settings;
mod uploads;

pub use settings::Settings;
pub use uploads::Uploads;

use serde_json::{Value, json};
use std::time::Duration;

/// A profiler as an application uses it.
pub trait Profiler: Sized {
    /// Starts it at `hz` samples a second; the profiles are uploaded or encoded every `interval`.
    fn start(hz: u32, interval: Duration) -> Self;

    /// Lets one interval pass and returns the profiles encoded at its end, with the CPU time that
    /// the *calling* thread spent on them.
    fn interval(&mut self, interval: Duration) -> (Vec<Vec<u8>>, Duration);

    /// The same, where nothing has to start again at the interval's end.
    fn report(&mut self, interval: Duration) -> Vec<Vec<u8>> {
        self.interval(interval).0
    }

    /// Stops it and returns the profiles of the time since the last interval.
    fn stop(self) -> Vec<Vec<u8>>;

    /// What it says of itself.
    fn accounts(&self) -> Value {
        Value::Null
    }

    /// Sets a label and removes it `rounds` times; `false` where there are no labels.
    fn change_labels(&self, _rounds: u32) -> bool {
        false
    }
}

/// The program of an engine.
pub fn main<P: Profiler>() {
    let mut arguments = std::env::args().skip(1);
    let scenario = arguments.next().unwrap_or_default();
    let settings = Settings::parse(arguments);
    let figures = match scenario.as_str() {
        "accuracy" => scenario::accuracy::<P>(&settings),
        "background" => scenario::background::<P>(&settings),
        "fixed" => scenario::fixed::<P>(&settings),
        "labels" => scenario::labels::<P>(&settings),
        "memory" => scenario::memory::<P>(&settings),
        "payload" => scenario::payload::<P>(&settings),
        "service" => service::service::<P>(&settings),
        "signal" => scenario::signal::<P>(&settings),
        "survive" => scenario::survive::<P>(&settings),
        _ => json!({ "error": format!("no scenario {scenario:?}") }),
    };
    println!("{figures}");
}
