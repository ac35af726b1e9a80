//! What is said after a recording.

use std::time::Duration;

use sondage::profile::Profile;
use sondage::profile::report::{Options, Report};

use super::collect::Collected;
use super::program::Program;

/// A share of CPU time without samples that needs an explanation.
const NOTABLE: f64 = 0.05;

/// The heaviest functions.
pub(crate) fn table(profile: &Profile, top: usize) -> String {
    let report = Report::new(profile, &Options::default());
    report.map_or_else(|error| format!("{error}\n"), |report| report.to_text(top))
}

/// What a reader of the profile should know.
pub(crate) fn notes(collected: &Collected) -> Vec<String> {
    let cpu = &collected.cpu;
    let share = |part: Duration| part.as_secs_f64() / cpu.total.as_secs_f64().max(1e-9);
    let mut notes = collected.failures.clone();
    if share(cpu.unseen) > NOTABLE {
        notes.push(format!(
            "{:.0} % of the CPU time is [unsampled]: processes that lived less than 20 ms, the \
             start of every process, and programs that nothing can be preloaded into",
            share(cpu.unseen) * 100.0
        ));
    }
    if !cpu.total.is_zero() {
        notes.push(format!(
            "{}, {} of CPU time; the profiler used {:.1} % more",
            plural(collected.processes),
            seconds(cpu.total.saturating_sub(cpu.agent)),
            cpu.agent.as_secs_f64() * 100.0
                / cpu.total.saturating_sub(cpu.agent).as_secs_f64().max(1e-9)
        ));
    }
    notes
}

/// Why nothing was recorded.
pub(crate) fn nothing(collected: &Collected, program: &Program, hz: u32) -> String {
    let period = Duration::from_secs(1) / hz.max(1);
    let used = collected.cpu.total.saturating_sub(collected.cpu.agent);
    let reason = if let Some(failure) = collected.failures.first() {
        failure.clone()
    } else if let Some(obstacle) = program.obstacle() {
        obstacle
    } else if collected.processes > 0 {
        format!(
            "{} did not use the CPU time of one sample ({})",
            plural(collected.processes),
            seconds(period)
        )
    } else if used < period * 3 {
        format!(
            "the program and its children used {} of CPU time; one sample stands for {}, and \
             processes that live less than 20 ms are not recorded",
            seconds(used),
            seconds(period)
        )
    } else {
        "no process loaded the library; statically linked programs, programs with file \
         capabilities and those that clear LD_PRELOAD cannot be recorded"
            .to_owned()
    };
    format!("nothing was recorded and no file was written: {reason}")
}

fn plural(processes: usize) -> String {
    if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") }
}

fn seconds(time: Duration) -> String {
    match time.as_millis() {
        0..1000 => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}
