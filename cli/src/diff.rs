//! `sondage diff`.

use sondage::profile::diff::{Diff, Options};
use sondage::profile::html;

use crate::args;
use crate::error::Error;
use crate::file;
use crate::format::{self, Format};
use crate::output;

/// The exit code for a change that a condition forbids.
const FORBIDDEN: u8 = 3;

/// Prints what changed, and tells whether that may be.
pub(crate) fn run(options: &args::Diff) -> Result<u8, Error> {
    let (before, after) = (format::read(&options.before)?, format::read(&options.after)?);
    let asked = Options { kind: options.kind.clone(), by_label: options.by.clone() };
    let diff = Diff::new(&before, &after, &asked);
    let diff = diff.map_err(|error| Error::usage(error.to_string()))?;
    let violations: Vec<_> = options.fail_if.iter().flat_map(|gate| gate.check(&diff)).collect();
    if let Some(path) = &options.output {
        if Format::of(path)? != Format::Html {
            return Err(Error::usage(format!(
                "{}: allowed: a name that ends in .html",
                path.display()
            )));
        }
        file::write(path, html::encode_all(&[&after], &[&before]).as_bytes())?;
    }
    let text = match (options.json, options.md) {
        (true, _) => diff.to_json(&violations) + "\n",
        (_, true) => diff.to_markdown(options.top, options.all, &violations),
        _ => diff.to_text(options.top, options.all, &violations),
    };
    output::print(&text)?;
    Ok(if violations.is_empty() { 0 } else { FORBIDDEN })
}
