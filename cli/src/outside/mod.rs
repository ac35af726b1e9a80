//! Running processes, looked at from outside: `dump`, `top` and `record -p`.

mod dump;
mod frames;
mod interrupt;
mod record;
mod top;

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

/// The name of a process' program; it may have changed it.
fn program(pid: u32) -> String {
    let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}
