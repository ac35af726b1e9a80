//! `sondage ctl`: the agent of a running process.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use sondage::control::Client;
use sondage::profile::pprof;
use sondage::{Change, Status};

use crate::args;
use crate::error::Error;
use crate::file;
use crate::format::Format;
use crate::output;

/// After a burst has ended, its last profile may take this long: symbols of large binaries.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks or changes what was asked for.
pub(crate) fn run(what: &args::CtlCommand) -> Result<u8, Error> {
    match what {
        args::CtlCommand::Status(options) => status(options),
        args::CtlCommand::Set(options) => set(options),
        args::CtlCommand::Burst(options) => burst(options),
    }
}

fn failed(error: sondage::Error) -> Error {
    Error::new(error.to_string())
}

fn status(options: &args::CtlStatus) -> Result<u8, Error> {
    let status = Client::new(options.pid).status().map_err(failed)?;
    if options.json {
        let json = serde_json::to_string_pretty(&status);
        let json = json.map_err(|error| Error::new(format!("no JSON: {error}")))?;
        return output::print(&(json + "\n"));
    }
    output::print(&text(&status))
}

fn set(options: &args::CtlSet) -> Result<u8, Error> {
    let change = Change {
        enabled: (options.on || options.off).then_some(options.on),
        hz: options.hz,
        wall: options.wall,
        signals: None,
        labels: (!options.labels.is_empty()).then(|| options.labels.clone()),
    };
    Client::new(options.pid).change(change).map_err(failed)?;
    Ok(0)
}

fn burst(options: &args::CtlBurst) -> Result<u8, Error> {
    let format = options.output.as_deref().map(Format::of).transpose()?;
    let client = Client::new(options.pid);
    let number = client.burst(options.hz, options.duration, format.is_some()).map_err(failed)?;
    if let (Some(path), Some(format)) = (&options.output, format) {
        let deadline = Instant::now() + options.duration + PATIENCE;
        let bytes = client.burst_profile(number, deadline).map_err(failed)?;
        write(path, format, bytes)?;
        output::say(&format!("wrote {}", path.display()));
    }
    Ok(0)
}

fn write(path: &Path, format: Format, bytes: Vec<u8>) -> Result<(), Error> {
    if format == Format::PprofGz {
        return file::write(path, &bytes);
    }
    let profile = pprof::decode(&bytes).map_err(failed)?;
    let encoded = format.encode(&profile, profile.default_column());
    file::write(path, &encoded.map_err(|error| Error::of_file(path, error))?)
}

/// The status for people. Text of the other process is escaped: it reaches a terminal.
fn text(status: &Status) -> String {
    let (settings, stats) = (&status.settings, &status.stats);
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let escaped = value.chars().flat_map(|c| match c.is_control() {
            true => c.escape_default().collect::<Vec<_>>(),
            false => vec![c],
        });
        let _ = writeln!(text, "{name:<12} {}", escaped.collect::<String>());
    };
    line("service", format!("{} (Sondage {})", status.service_name, status.version));
    line("profiling", profiling(status));
    let time = if settings.wall { "CPU and waiting time" } else { "CPU time" };
    line("records", time.to_owned());
    let labels = settings.labels.iter().map(|(name, value)| format!("{name}={value}"));
    line("labels", labels.collect::<Vec<_>>().join(", "));
    line("samples", format!("{} in {} profiles", stats.samples, stats.flushes));
    line("threads", format!("{}, and {} refused", stats.threads, stats.refused_threads));
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    let lost = stats.dropped_cpu + stats.missed_cpu + stats.unsampled_cpu;
    line(
        "CPU time",
        format!(
            "{:.2} s, of which no stack has {:.2} s; the profiler took {:.3} s",
            seconds(stats.host_cpu),
            seconds(lost),
            seconds(stats.agent_cpu + stats.handler_time)
        ),
    );
    for export in &stats.exports {
        line("target", format!("{}: {} sent, {} lost", export.sink, export.pushed, export.lost()));
    }
    for address in &status.listening {
        line("target", format!("pull+http://{address}"));
    }
    for warning in stats.failure.iter().chain(&stats.warnings) {
        line("warning", warning.clone());
    }
    text
}

/// Whether and how often samples are taken, and why.
fn profiling(status: &Status) -> String {
    let (settings, share) = (&status.settings, status.stats.participation);
    let mut text = match (status.sampling, status.burst) {
        (true, Some(burst)) => format!(
            "at {:.0} Hz in a burst, for {:.1} s more",
            status.current_hz,
            burst.remaining_ms as f64 / 1e3
        ),
        (true, None) => format!("at {:.0} Hz, {} asked for", status.current_hz, settings.hz),
        (false, _) => "off".to_owned(),
    };
    if let Some(reason) = status.stats.engine_reason.as_ref().filter(|_| status.sampling) {
        let _ = write!(text, ", by {} ({reason})", status.stats.engine);
    }
    if status.lowered {
        text.push_str(", lowered to keep the cost within its budget");
    }
    if share < 1.0 {
        let chosen = if status.participates { "one" } else { "not one" };
        let _ = write!(text, "; {chosen} of the {}% of processes that profile", share * 100.0);
    }
    text
}
