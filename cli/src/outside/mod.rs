//! Running processes, looked at from outside: `dump`, `top` and `record -p`.

mod dump;
mod fetched;
mod frames;
mod record;
mod top;

use std::ffi::OsStr;
use std::path::Path;

use crate::error::Error;
use crate::output;
use sondage_remote::Process;

pub(crate) use dump::run as dump;
pub(crate) use record::run as record;
pub(crate) use top::run as top;

/// Opens a process and says what of it cannot be shown.
fn open(pid: u32) -> Result<Process, Error> {
    let process = Process::open(pid).map_err(failed)?;
    for refusal in process.refusals() {
        output::say(&format!("process {pid}: only native frames are shown; {refusal}"));
    }
    Ok(process)
}

fn failed(error: sondage_remote::Error) -> Error {
    Error::new(error.to_string())
}

/// The name of a process' program: that of its file, or what it calls itself.
fn program(pid: u32) -> String {
    let file = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let name = file.as_deref().and_then(Path::file_name).map(OsStr::to_string_lossy);
    if let Some(name) = name {
        return name.trim_end_matches(" (deleted)").to_owned();
    }
    let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}
