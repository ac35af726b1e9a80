//! The self-test: before frames are read in signal handlers, known ones must be read rightly.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;
use sondage::python::{Expected, ExpectedFrame, Interpreter, announce, announced};

use crate::fence::fenced;
use crate::{interpreter, labels};

/// The interpreter in each layout that it may have, or why there is nothing to check.
static CANDIDATES: PyOnceLock<Result<Vec<Interpreter>, String>> = PyOnceLock::new();

/// Which of them is checked.
static CANDIDATE: AtomicUsize = AtomicUsize::new(0);

fn candidates(py: Python<'_>) -> &Result<Vec<Interpreter>, String> {
    CANDIDATES.get_or_init(py, || {
        let variable = labels::address_and_hash(py).map_err(|error| error.to_string())?;
        interpreter::describe(py, variable)
    })
}

fn candidate(py: Python<'_>) -> Result<Interpreter, String> {
    let candidates = candidates(py).as_ref().map_err(Clone::clone)?;
    let candidate = candidates.get(CANDIDATE.load(Ordering::Relaxed));
    candidate.copied().ok_or_else(|| "no layout".to_owned())
}

/// Lets the core read this interpreter's frames from now on, if the self-test finds that it can.
/// Why not, otherwise.
pub(crate) fn attach(py: Python<'_>) -> Result<(), String> {
    if announced().is_some() {
        return Ok(());
    }
    let candidates = candidates(py).as_ref().map_err(Clone::clone)?;
    let run = || py.import("sondage._selftest")?.call_method0("run")?.extract();
    let mut first_wrong = None;
    for (number, interpreter) in candidates.iter().enumerate() {
        CANDIDATE.store(number, Ordering::Relaxed);
        let wrong: Option<String> = run().map_err(|error: PyErr| error.to_string())?;
        let Some(wrong) = wrong else {
            announce(*interpreter);
            return Ok(());
        };
        first_wrong.get_or_insert(wrong);
    }
    Err(first_wrong.unwrap_or_default())
}

/// Compares what is read of the calling thread with what the interpreter says of its frames: the
/// leaf ones, for each of which `entries` says whether native code called its function. `None` if
/// they agree, else what is read wrongly.
///
/// `changed` puts another offset in place of the one with that name: no such layout may pass.
#[pyfunction]
#[pyo3(signature = (frame, entries, changed = None))]
pub(crate) fn check_layout(
    frame: &Bound<'_, PyAny>,
    entries: Vec<bool>,
    changed: Option<(String, u16)>,
) -> PyResult<Option<String>> {
    let py = frame.py();
    fenced(py, Some("a defect".to_owned()), || {
        let mut interpreter = match candidate(py) {
            Ok(interpreter) => interpreter,
            Err(reason) => return Ok(Some(reason)),
        };
        if let Some((name, offset)) = changed {
            let offsets = interpreter.layout.offsets.each();
            if let Some((_, field)) = offsets.into_iter().find(|(known, _)| *known == name) {
                *field = offset;
            }
        }
        let described = described(frame, &entries)?;
        let frames: Vec<_> = described.iter().map(Described::expected).collect();
        let expected =
            Expected { frames: &frames, depth: depth(frame)?, labels: labels::current(py)? };
        Ok(interpreter.check(&expected).err().map(|mismatch| mismatch.to_string()))
    })
}

/// The offsets that are in use, by name.
#[pyfunction]
pub(crate) fn layout_offsets(py: Python<'_>) -> PyResult<Vec<(&'static str, u16)>> {
    fenced(py, Vec::new(), || {
        let Ok(interpreter) = candidate(py) else { return Ok(Vec::new()) };
        let mut offsets = interpreter.layout.offsets;
        Ok(offsets.each().into_iter().map(|(name, offset)| (name, *offset)).collect())
    })
}

/// A frame as the interpreter describes it.
struct Described {
    name: String,
    file: String,
    first_line: i32,
    line_table: Vec<u8>,
    unit: u32,
    entry: bool,
    generator: bool,
}

impl Described {
    fn new(frame: &Bound<'_, PyAny>, entry: bool) -> PyResult<Self> {
        /// `inspect.CO_GENERATOR`.
        const GENERATOR: u32 = 0x20;
        let code = frame.getattr("f_code")?;
        let either =
            |name: &str, before: &str| code.getattr(name).or_else(|_| code.getattr(before));
        let table = either("co_linetable", "co_lnotab")?;
        let flags: u32 = code.getattr("co_flags")?.extract()?;
        Ok(Self {
            name: either("co_qualname", "co_name")?.extract()?,
            file: code.getattr("co_filename")?.extract()?,
            first_line: code.getattr("co_firstlineno")?.extract()?,
            line_table: table.cast::<PyBytes>()?.as_bytes().to_vec(),
            unit: frame.getattr("f_lasti")?.extract::<u32>()? / 2,
            entry,
            generator: flags & GENERATOR != 0,
        })
    }

    fn expected(&self) -> ExpectedFrame<'_> {
        ExpectedFrame {
            name: &self.name,
            file: &self.file,
            first_line: self.first_line,
            line_table: &self.line_table,
            unit: self.unit,
            entry: self.entry,
            generator: self.generator,
        }
    }
}

fn described(leaf: &Bound<'_, PyAny>, entries: &[bool]) -> PyResult<Vec<Described>> {
    let mut frame = leaf.clone();
    let mut described = Vec::with_capacity(entries.len());
    for entry in entries {
        described.push(Described::new(&frame, *entry)?);
        frame = frame.getattr("f_back")?;
    }
    Ok(described)
}

fn depth(leaf: &Bound<'_, PyAny>) -> PyResult<usize> {
    let mut frame = leaf.clone();
    let mut depth = 0;
    while !frame.is_none() {
        depth += 1;
        frame = frame.getattr("f_back")?;
    }
    Ok(depth)
}
