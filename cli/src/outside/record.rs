//! `sondage record -p`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sondage::profile::Profile;
use sondage::profile::report::{Options, Report};
use sondage_remote::Recorder;

use crate::args;
use crate::deliver::Push;
use crate::error::Error;
use crate::file;
use crate::format::Format;
use crate::output;
use crate::signals::Signals;

/// Functions in the printed table.
const TOP: usize = 10;

/// Longer than any recording.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Samples a running process until the time is over, it ends, or Ctrl-C.
pub(crate) fn run(options: &args::Record, pid: u32) -> Result<u8, Error> {
    if options.wall {
        return Err(Error::usage(
            "--wall needs a program to run: threads that wait are left alone",
        ));
    }
    let format = options.output.as_deref().map_or(Ok(Format::PprofGz), Format::of)?;
    let push = Push::to(&options.push, "--push")?;
    let process = super::open(pid)?;
    let program = super::program(pid);
    let mut recorder = Recorder::new(process, options.hz, false);
    let interrupt = Signals::take_ending()?;
    if output::is_watched() && options.duration.is_none() {
        output::say("recording; Ctrl-C ends it");
    }
    let until = Instant::now() + options.duration.unwrap_or(FOR_EVER);
    let goes_on = recorder.run(until, &|| interrupt.has_come()).map_err(super::failed)?;
    if !goes_on {
        output::say(&format!("process {pid} has ended, or has become another program"));
    }
    let mut profile = recorder.finish();
    if recorder.stops.count() == 0 {
        return Err(Error::new(format!(
            "nothing was recorded and no file was written: process {pid} used no CPU time, or less \
             than one sample stands for"
        )));
    }
    label(&mut profile, &program, pid, &options.labels);
    let path = options.output.clone().unwrap_or_else(|| default_path(&program, pid));
    let bytes = format.encode(&profile, profile.default_column());
    let bytes = bytes.map_err(|error| Error::of_file(&path, error))?;
    file::write(&path, &bytes)?;
    output::show(&table(&profile, TOP));
    output::say(&stops(&recorder));
    output::say(&format!("wrote {}", path.display()));
    let sent = push.send(&profile)?;
    sent.lines.iter().for_each(|line| output::say(line));
    sent.failure.map_or(Ok(0), Err)
}

/// The heaviest functions.
pub(super) fn table(profile: &Profile, top: usize) -> String {
    let report = Report::new(profile, &Options::default());
    report.map_or_else(|error| format!("{error}\n"), |report| report.to_text(top))
}

fn stops(recorder: &Recorder) -> String {
    let stops = &recorder.stops;
    let micros = |percent| stops.percentile(percent).as_micros();
    format!(
        "{} samples; a thread was stopped for {} µs each (median), {} µs (99 %), {} µs at most",
        stops.count(),
        micros(50),
        micros(99),
        micros(100)
    )
}

fn label(profile: &mut Profile, program: &str, pid: u32, labels: &[(String, String)]) {
    let own =
        [("service_name".to_owned(), program.to_owned()), ("pid".to_owned(), pid.to_string())];
    for (key, value) in own.iter().chain(labels) {
        let known = &mut profile.meta.labels;
        known.retain(|(known, _)| known != key);
        known.push((key.clone(), value.clone()));
    }
}

fn default_path(program: &str, pid: u32) -> PathBuf {
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || "._+-".contains(*letter);
    let name: String = program.chars().filter(plain).collect();
    PathBuf::from(format!("sondage-{name}-{pid}.pb.gz"))
}
