//! `sondage report`.

use std::path::PathBuf;

use sondage::profile::Profile;
use sondage::profile::report::{Options, Report};

use crate::args;
use crate::error::Error;
use crate::format;
use crate::output;

/// Prints what was asked for.
pub(crate) fn run(options: &args::Report) -> Result<u8, Error> {
    let profile = read_all(&options.files)?;
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

fn read_all(files: &[PathBuf]) -> Result<Profile, Error> {
    let mut sum: Option<Profile> = None;
    for file in files {
        let profile = format::read(file)?;
        match &mut sum {
            Some(sum) => sum.merge(&profile),
            None => sum = Some(profile),
        }
    }
    sum.ok_or_else(|| Error::usage("no file is given"))
}
