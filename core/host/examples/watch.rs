//! Watches this machine for some seconds and prints its heaviest functions, and what that cost.
//!
//! `cargo run -p sondage-host --example watch -- SECONDS [OUT.html] [off-cpu]`, as root.

use sondage::profile::{Profile, html};
use sondage_host::{Machine, MachineOptions};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut options = MachineOptions::default();
    options.sampling.off_cpu = arguments.iter().any(|argument| argument == "off-cpu");
    let _statistics = aya::sys::enable_stats(aya::sys::Stats::RunTime)?;
    let mut machine = Machine::start(options, |pid, comm, _context| {
        Some(vec![
            ("service_name".to_owned(), comm.to_owned()),
            ("pid".to_owned(), pid.to_string()),
        ])
    })?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(seconds) {
        machine.wait(Duration::from_millis(100));
        machine.work();
    }
    let working = own_cpu();
    let profile: Profile = machine.flush();
    let flushing = own_cpu() - working;
    for (index, column) in profile.sample_types().iter().enumerate() {
        println!("{}: {}", column.kind, profile.total(index));
    }
    let stats = machine.stats();
    println!("{stats:#?}\n{:#?}", machine.host().counters());
    println!(
        "own CPU {working:?} + {flushing:?} for the profile; {:#?}",
        machine.host().footprints()?
    );
    if let Some(path) = arguments.get(1) {
        std::fs::write(path, html::encode(&profile))?;
    }
    Ok(())
}

fn own_cpu() -> Duration {
    sondage_sampler::Clock::Process.now().unwrap_or_default()
}
