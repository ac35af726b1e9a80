//! `sondage report`.

use sondage::profile::Profile;
use sondage::profile::report::{Options, Report};

use crate::args;
use crate::error::Error;
use crate::format;
use crate::history::History;
use crate::inputs::Inputs;
use crate::output;

/// Prints what was asked for.
pub(crate) fn run(options: &args::Report) -> Result<u8, Error> {
    let inputs = Inputs::new(&options.places, &options.selection, options.kind.as_deref());
    if inputs.has_directory() {
        let history = History::read(&inputs)?;
        return output::print(&history.to_text(options)?);
    }
    let report = of(&inputs.sum()?, options)?;
    output::print(&match options.json {
        true => report.to_json() + "\n",
        false => text(&report, options),
    })
}

/// The report of one profile.
pub(crate) fn of(profile: &Profile, options: &args::Report) -> Result<Report, Error> {
    let column = format::column(profile, options.kind.as_deref())?;
    let (by_label, peek) = (options.by.clone(), options.peek.clone());
    let asked = Options { column: Some(column), by_label, peek };
    Report::new(profile, &asked).map_err(|error| Error::usage(error.to_string()))
}

/// A report for people.
pub(crate) fn text(report: &Report, options: &args::Report) -> String {
    match options.md {
        true => report.to_markdown(options.top),
        false => report.to_text(options.top),
    }
}
