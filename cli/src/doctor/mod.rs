//! `sondage doctor`: which engine works here, why, and what to do where none does.

mod check;
mod ebpf;
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
    /// The engine that works, `timer`; none if it is null.
    engine: Option<&'static str>,
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
    let sampling = probe::sampling();
    let works = sampling.status != Status::Fail;
    let why = sampling.found.clone();
    let checks = vec![
        sampling,
        system::signal(),
        system::queued_signals(),
        system::tick(),
        system::proc_files(),
        preload::library(surroundings),
        system::perf_events(),
        ebpf::capabilities(),
    ];
    Diagnosis { engine: works.then_some("timer"), why, checks }
}

fn to_text(diagnosis: &Diagnosis) -> String {
    let engine = diagnosis.engine.unwrap_or("none");
    let mut text = format!("engine: {engine} ({})\n\n", diagnosis.why);
    for check in &diagnosis.checks {
        text.push_str(&format!("{:<5} {:<16} {}\n", check.status.name(), check.name, check.found));
        if let Some(remedy) = &check.remedy {
            text.push_str(&format!("{:<22} remedy: {remedy}\n", ""));
        }
    }
    text
}
