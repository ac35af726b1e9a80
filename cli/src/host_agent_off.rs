//! `sondage host-agent`, in a command that was built without it.

use crate::args;
use crate::error::Error;

/// Says where it is.
pub(crate) fn run(_options: &args::HostAgent) -> Result<u8, Error> {
    let message = "this package has no host agent: it is in the command by itself (cargo install \
                   sondage-cli)";
    Err(Error::new(message))
}
