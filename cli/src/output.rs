//! What the commands say: results on standard output, everything else on standard error.

use std::io::{ErrorKind, IsTerminal, Write};

use crate::error::Error;

/// Prints a result. A reader that has gone away (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<u8, Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(format!("standard output: {error}")))
        }
        _ => Ok(0),
    }
}

/// Says one thing about the command itself.
pub(crate) fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "sondage: {message}");
}

/// Prints several lines that go with what is said.
pub(crate) fn show(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Whether somebody watches.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
