//! `sondage diff`.

use sondage::profile::Profile;
use sondage::profile::diff::{Diff, Options};

use crate::args;
use crate::error::Error;
use crate::file;
use crate::format::Format;
use crate::inputs::Inputs;
use crate::output;
use crate::page::{self, Side};

/// The exit code for a change that a condition forbids.
const FORBIDDEN: u8 = 3;

/// Prints what changed, and tells whether that may be.
pub(crate) fn run(options: &args::Diff) -> Result<u8, Error> {
    if let Some(path) = &options.output
        && Format::of(path)? != Format::Html
    {
        return Err(Error::usage(format!(
            "{}: allowed: a name that ends in .html",
            path.display()
        )));
    }
    let (before, after) = read(options)?;
    let asked = Options { kind: options.kind.clone(), by_label: options.by.clone() };
    let diff = Diff::new(&before, &after, &asked);
    let diff = diff.map_err(|error| Error::usage(error.to_string()))?;
    let violations = options.fail_if.iter().map(|gate| gate.check(&diff));
    let violations: Vec<Vec<_>> =
        violations.collect::<Result<_, _>>().map_err(|error| Error::new(error.to_string()))?;
    let violations = violations.concat();
    let text = match (options.json, options.md) {
        (true, _) => diff.to_json(&violations) + "\n",
        (_, true) => diff.to_markdown(options.top, options.all, &violations),
        _ => diff.to_text(options.top, options.all, &violations),
    };
    output::print(&text)?;
    Ok(if violations.is_empty() { 0 } else { FORBIDDEN })
}

/// The sums of both sides; their page is written if it is wanted.
fn read(options: &args::Diff) -> Result<(Profile, Profile), Error> {
    let (before, after) = sides(options);
    let Some(path) = &options.output else { return Ok((before.sum()?, after.sum()?)) };
    // Each is read once: what a running process tells is another profile each time.
    let (before, after) = (Side::read(&before)?, Side::read(&after)?);
    file::write(path, page::of(&after, Some(&before)).as_bytes())?;
    let sum = |side: Side| side.into_sum().ok_or_else(|| Error::usage("no file is given"));
    Ok((sum(before)?, sum(after)?))
}

fn sides(options: &args::Diff) -> (Inputs, Inputs) {
    let kind = options.kind.as_deref();
    let mut earlier = options.selection.clone();
    earlier.since = options.before_since.or(earlier.since);
    earlier.until = options.before_until.or(match (&options.after, options.before_since) {
        // Nothing is on both sides.
        (None, Some(_)) => options.selection.since,
        _ => earlier.until,
    });
    if !options.before_labels.is_empty() {
        earlier.labels.clone_from(&options.before_labels);
    }
    let before = std::slice::from_ref(&options.before);
    let after = options.after.as_ref().map_or(before, std::slice::from_ref);
    (Inputs::new(before, &earlier, kind), Inputs::new(after, &options.selection, kind))
}
