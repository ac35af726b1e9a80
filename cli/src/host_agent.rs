//! `sondage host-agent`.

use std::path::Path;
use std::time::Instant;

use sondage::ErrorKind;
use sondage::export::ExportStats;
use sondage::profile::Profile;
use sondage_host::identity::Proc;
use sondage_host::settings::Sources;
use sondage_host::{HostAgent, MachineStats, Settings};

use crate::args;
use crate::error::Error;
use crate::format::Format;
use crate::output;
use crate::signals::Signals;

/// Exit code where the kernel or the rights of the process do not allow it.
const UNAVAILABLE: u8 = 3;

/// Watches the machine until it is told to end.
pub(crate) fn run(options: &args::HostAgent) -> Result<u8, Error> {
    let format = options.output.as_deref().map(Format::of).transpose()?;
    let settings = Settings::load(&sources(options)).map_err(of_settings)?;
    if options.check {
        return check(&settings);
    }
    // Before any thread begins, so that each has it blocked.
    let interrupt = Signals::take_ending()?;
    let mut agent = HostAgent::start(&settings, Proc::default()).map_err(of_settings)?;
    agent.warnings.iter().for_each(|warning| output::say(warning));
    if output::is_watched() {
        output::say("watching every process; Ctrl-C ends");
    }
    let end = options.duration.map(|duration| Instant::now() + duration);
    let mut whole = format.is_some().then(|| Profile::new(Vec::new()));
    while !interrupt.has_come() && end.is_none_or(|end| Instant::now() < end) {
        if let (Some(profile), Some(whole)) = (agent.work(), &mut whole) {
            whole.merge(&profile);
        }
    }
    let (last, stats, exports) = agent.stop();
    if let (Some(mut whole), Some(path), Some(format)) = (whole, &options.output, format) {
        whole.merge(&last);
        write(&whole, path, format)?;
    }
    output::say(&summary(&stats));
    Ok(report(&exports))
}

fn sources(options: &args::HostAgent) -> Sources {
    let push = (!options.push.is_empty()).then(|| ("push".to_owned(), options.push.join(",")));
    // What goes to a file alone needs no other target.
    let alone = options.output.is_some() && options.config.is_none() && push.is_none();
    let nowhere = alone.then(|| ("push".to_owned(), String::new()));
    let flags = options.settings.iter().cloned().chain(push).chain(nowhere).collect();
    Sources::process(options.config.clone(), flags)
}

fn of_settings(error: sondage::Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidInput => Error::usage(error.to_string()),
        ErrorKind::Unsupported => Error { code: UNAVAILABLE, message: error.to_string() },
        _ => Error::new(error.to_string()),
    }
}

fn check(settings: &Settings) -> Result<u8, Error> {
    settings.warnings.iter().for_each(|warning| output::say(warning));
    let missing: Vec<String> = sondage_host::missing().iter().map(ToString::to_string).collect();
    if !missing.is_empty() {
        return Err(Error { code: UNAVAILABLE, message: missing.join("\nsondage: ") });
    }
    output::print("the settings are right, and this machine allows it\n").map(|_| 0)
}

fn write(profile: &Profile, path: &Path, format: Format) -> Result<(), Error> {
    let bytes = format.encode(profile, profile.default_column());
    let bytes = bytes.map_err(|error| Error::of_file(path, error))?;
    crate::file::write(path, &bytes)
}

fn summary(stats: &MachineStats) -> String {
    let complete = 100.0 * stats.complete as f64 / stats.samples.max(1) as f64;
    let lost = stats.losses.ring_full + stats.losses.modules_changed;
    format!(
        "{} samples, {complete:.1} % with whole stacks, {lost} lost; {} unwind tables in {} MiB",
        stats.samples,
        stats.tables,
        stats.table_bytes >> 20
    )
}

/// Says which targets did not get everything, and whether that is a failure.
fn report(exports: &[ExportStats]) -> u8 {
    let failed = exports.iter().filter(|stats| stats.lost() > 0);
    failed
        .map(|stats| {
            let error = stats.last_error.as_deref().unwrap_or("no time was left");
            output::say(&format!("{}: {} uploads were lost: {error}", stats.sink, stats.lost()));
        })
        .count()
        .min(1) as u8
}
