//! `sondage inject`: loads the profiler into a running virtual machine for Java, by HotSpot's own
//! attach mechanism. `jcmd` and `jattach` use the same.

mod answer;
mod attach;
mod folder;
mod options;
mod place;
mod process;
mod turned_off;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Surroundings;
use crate::args;
use crate::error::Error;
use crate::library::{Library, OF_JVM};
use crate::output;
use answer::Answer;
use process::Process;

/// The longest that a virtual machine is waited for, in all.
const PATIENCE: Duration = Duration::from_secs(9);

/// What `Agent_OnAttach` of the library returns.
const BEGUN: i32 = 0;
const RUNNING: i32 = 2;
const NOT_READY: i32 = 3;

/// Loads the library into the process, and tells what became of it.
pub(crate) fn run(options: &args::Inject, surroundings: &Surroundings) -> Result<u8, Error> {
    let text = options::text(options)?;
    let library = match &options.agent {
        Some(path) => Library::given(path),
        None => Library::find(OF_JVM, surroundings.jvm.as_deref()),
    };
    let library = library.map_err(Error::new)?;
    let process = Arc::new(Process::find(options.pid)?);
    let returned = load(&process, &library, &text)?;
    let failed = |what: &str| Err(Error::new(format!("process {}: {what}", options.pid)));
    match returned {
        BEGUN => {
            output::say(&format!("process {} is profiled", options.pid));
            Ok(0)
        }
        RUNNING => failed("it is profiled already"),
        NOT_READY => failed("its virtual machine has not started yet; try again"),
        _ => failed("the profiler did not start; it has told why in the process' error output"),
    }
}

/// Loads the library from where the process sees it, and returns what it returned.
fn load(process: &Arc<Process>, library: &Library, options: &str) -> Result<i32, Error> {
    let deadline = Instant::now() + PATIENCE;
    process.wait_until_ready(deadline)?;
    let mut refusal = None;
    for place in place::places(library.path(), process) {
        let placed = match place.occupy(library.path(), process) {
            Ok(placed) => placed,
            Err(error) => {
                refusal.get_or_insert(error);
                continue;
            }
        };
        let request = attach::request(placed.path(), options)?;
        let stream = attach::open(process, deadline)?;
        match attach::ask(process, stream, &request, deadline)? {
            Answer::Returned(code) => return Ok(code),
            // A file system that no code may be run from, or folders that are closed to it.
            Answer::Refused(why) => {
                refusal = Some(Error::new(format!("process {}: {why}", process.pid())));
            }
        }
    }
    Err(refusal.unwrap_or_else(|| Error::new("the process has no folder for the library")))
}
