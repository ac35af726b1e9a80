//! `sondage report`.

use sondage::profile::report::{Options, Report};

use crate::args;
use crate::error::Error;
use crate::format;
use crate::output;

/// Prints what was asked for.
pub(crate) fn run(options: &args::Report) -> Result<u8, Error> {
    let profile = format::read_all(&options.files)?;
    let column = format::column(&profile, options.kind.as_deref())?;
    let (by_label, peek) = (options.by.clone(), options.peek.clone());
    let asked = Options { column: Some(column), by_label, peek };
    let report = Report::new(&profile, &asked).map_err(|error| Error::usage(error.to_string()))?;
    let text = match (options.json, options.md) {
        (true, _) => report.to_json() + "\n",
        (_, true) => report.to_markdown(options.top),
        _ => report.to_text(options.top),
    };
    output::print(&text)
}
