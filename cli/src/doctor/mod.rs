//! `sondage doctor`: which engine works here, why, and what to do where none does.

mod check;
mod ebpf;
mod engines;
mod preload;
mod probe;
mod push;
mod system;

use serde::Serialize;

use crate::Surroundings;
use crate::args;
use crate::error::Error;
use crate::output;
use check::{Check, Status};

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Diagnosis {
    /// The engine that works with the settings of the environment, such as `timer`; none if it is
    /// null.
    engine: Option<String>,
    why: String,
    checks: Vec<Check>,
}

/// Looks, and prints what was found.
pub(crate) fn run(options: &args::Doctor, surroundings: &Surroundings) -> Result<u8, Error> {
    let mut diagnosis = diagnose(surroundings);
    if let Some(targets) = &options.push {
        diagnosis.checks.extend(push::checks(targets)?);
    }
    let text = match options.json {
        true => serde_json::to_string(&diagnosis).unwrap_or_default() + "\n",
        false => to_text(&diagnosis),
    };
    output::print(&text)?;
    let not_taken = |check: &Check| check.name == push::NAME && check.status == Status::Fail;
    let failed = diagnosis.engine.is_none() || diagnosis.checks.iter().any(not_taken);
    Ok(u8::from(failed))
}

fn diagnose(surroundings: &Surroundings) -> Diagnosis {
    let (sampling, engine) = probe::sampling();
    let works = sampling.status != Status::Fail;
    let why = sampling.found.clone();
    let checks = vec![
        sampling,
        system::signal(),
        system::queued_signals(),
        system::tick(),
        system::proc_files(),
        preload::library(surroundings),
        engines::perf_events(),
        engines::process_timer(),
        ebpf::fallback(),
    ];
    Diagnosis { engine: engine.filter(|_| works), why, checks }
}

fn to_text(diagnosis: &Diagnosis) -> String {
    let engine = diagnosis.engine.as_deref().unwrap_or("none");
    let mut text = format!("engine: {engine} ({})\n\n", diagnosis.why);
    for check in &diagnosis.checks {
        text.push_str(&format!("{:<5} {:<16} {}\n", check.status.name(), check.name, check.found));
        if let Some(remedy) = &check.remedy {
            text.push_str(&format!("{:<22} remedy: {remedy}\n", ""));
        }
    }
    text
}
