//! `sondage view`.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sondage::PageServer;

use crate::args;
use crate::error::Error;
use crate::file;
use crate::inputs::Inputs;
use crate::output;
use crate::page::{self, Side};
use crate::signals::Signals;

/// What reading files may take, besides the time of profiles that are fetched.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at whether to end.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is shown, and what it is compared with.
struct Sides {
    shown: Inputs,
    base: Option<Inputs>,
}

/// Serves the page, or writes it.
pub(crate) fn run(options: &args::View) -> Result<u8, Error> {
    let inputs = |places: &_| Inputs::new(places, &options.selection, options.kind.as_deref());
    let base = (!options.base.is_empty()).then(|| inputs(&options.base));
    let sides = Sides { shown: inputs(&options.places), base };
    if let Some(path) = &options.export {
        file::write(path, sides.page()?.as_bytes())?;
        output::say(&format!("wrote {}", path.display()));
        return Ok(0);
    }
    serve(sides, options)
}

impl Sides {
    fn has_urls(&self) -> bool {
        !self.patience().saturating_sub(PATIENCE).is_zero()
    }

    fn page(&self) -> Result<String, Error> {
        let shown = Side::read(&self.shown)?;
        let base = self.base.as_ref().map(Side::read).transpose()?;
        Ok(page::of(&shown, base.as_ref()))
    }

    /// The longest that making the page takes.
    fn patience(&self) -> Duration {
        let base = self.base.as_ref().map_or(Duration::ZERO, Inputs::fetching);
        PATIENCE + self.shown.fetching() + base
    }
}

fn serve(sides: Sides, options: &args::View) -> Result<u8, Error> {
    if !sides.has_urls() {
        // What is wrong is said here, and not by a browser.
        sides.page()?;
    }
    // Before any thread begins, so that each has it blocked.
    let interrupt = Signals::take_ending()?;
    let patience = sides.patience();
    // One reading at a time: ten windows need no more memory than one.
    let sides = Mutex::new(sides);
    let make = move || {
        let sides = sides.lock().unwrap_or_else(PoisonError::into_inner);
        sides.page().map_err(|error| error.message)
    };
    let server = PageServer::open(options.port.unwrap_or(0), patience, make);
    let server = server.map_err(|error| Error::new(error.to_string()))?;
    output::print(&format!("{}\n", server.url()))?;
    if options.open {
        open(&server.url());
    }
    let end = options.duration.map(|duration| Instant::now() + duration);
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if interrupt.has_come() || left.is_some_and(|left| left.is_zero()) {
            return Ok(0);
        }
        interrupt.wait(left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY)))?;
    }
}

/// Asks the desktop for a browser and does not wait for it.
fn open(url: &str) {
    let mut command = Command::new("xdg-open");
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        output::say(&format!("no browser was opened: xdg-open: {error}"));
    }
}
