//! `sondage convert`.

use crate::args;
use crate::error::Error;
use crate::file;
use crate::format::{self, Format};
use crate::inputs::Inputs;

/// Writes the profile in the format that the output's name asks for.
pub(crate) fn run(options: &args::Convert) -> Result<u8, Error> {
    let format = Format::of(&options.output)?;
    let kind = options.kind.as_deref();
    let profile = Inputs::new(&options.places, &options.selection, kind).sum()?;
    let column = format::column(&profile, kind)?;
    let bytes = format.encode(&profile, column);
    let bytes = bytes.map_err(|error| Error::of_file(&options.output, error))?;
    file::write(&options.output, &bytes)?;
    Ok(0)
}
