//! Lines of Python: for every instruction the interpreter's own answer.

use super::child::full;
use sondage::resolve::{LineRanges, line_at};
use sondage_sampler::walk::python::{CodeDefinition, LineTable, Text};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every so many-th file of the standard library, unless all are asked for.
const EVERY: u32 = 40;

const VERSIONS: [(u32, LineTable); 6] = [
    (8, LineTable::Lnotab),
    (9, LineTable::Lnotab),
    (10, LineTable::Ranges),
    (11, LineTable::Locations),
    (12, LineTable::Locations),
    (13, LineTable::Locations),
];

/// The interpreter of a version: from `PATH`, or one that pyenv has built.
fn interpreter(minor: u32) -> Option<PathBuf> {
    let name = format!("python3.{minor}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(&name));
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home);
    let versions = root.and_then(|root| root.join("versions").read_dir().ok());
    let built = versions.into_iter().flatten().flatten();
    let built = built.map(|version| version.path().join("bin").join(&name));
    on_path.chain(built).find(|path| is_of_version(path, minor))
}

/// pyenv's shims have every name and run only what is selected.
fn is_of_version(path: &Path, minor: u32) -> bool {
    let code = format!("import sys, ctypes; sys.exit(sys.version_info[:2] != (3, {minor}))");
    let run = Command::new(path).args(["-c", &code]).stderr(Stdio::null()).status();
    path.is_file() && run.is_ok_and(|status| status.success())
}

/// What the script wrote, read from its start.
struct Answers<'a>(&'a [u8]);

impl<'a> Answers<'a> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*word))
    }

    /// First line, table, and the line of each instruction, -1 for none.
    fn code(&mut self) -> Option<(i32, &'a [u8], Vec<i32>)> {
        let first_line = self.word()?.cast_signed();
        let length = self.word()? as usize;
        let (table, rest) = self.0.split_at(length);
        self.0 = rest;
        let mut lines = Vec::new();
        for _ in 0..self.word()? {
            let (units, line) = (self.word()?, self.word()?.cast_signed());
            lines.extend(std::iter::repeat_n(line, units as usize));
        }
        Some((first_line, table, lines))
    }
}

/// Our line of each of `count` instructions, -1 for none.
fn our_lines(code: &CodeDefinition<'_>, count: usize) -> Vec<i32> {
    let mut lines = vec![-1; count];
    for range in LineRanges::new(code.first_line, code.format, code.line_table) {
        let units = range.bytes.start.div_ceil(2) as usize..range.bytes.end.div_ceil(2) as usize;
        let units = units.start.min(count)..units.end.min(count);
        lines[units].fill(range.line.unwrap_or(-1));
    }
    lines
}

#[test]
fn every_instruction_of_the_standard_library_has_the_line_that_the_interpreter_gives_it() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/code_lines.py");
    let every = if full() { 1 } else { EVERY };
    for (minor, format) in VERSIONS {
        let Some(python) = interpreter(minor) else {
            println!("lines: no Python 3.{minor} here: not compared");
            continue;
        };
        let ran = Command::new(python).args([script, &every.to_string()]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let mut answers = Answers(&ran.stdout);
        let (mut codes, mut instructions, mut without, mut wrong) = (0, 0, 0, 0);
        while let Some((first_line, line_table, lines)) = answers.code() {
            let (name, file) = (Text::default(), Text::default());
            let code = CodeDefinition { first_line, format, name, file, line_table };
            let ours = our_lines(&code, lines.len());
            wrong += ours.iter().zip(&lines).filter(|(ours, theirs)| ours != theirs).count();
            // Finding one line must give what going through all of them does.
            for (unit, line) in lines.iter().enumerate().step_by(lines.len() / 16 + 1) {
                let line = u32::try_from(*line).ok().filter(|line| *line > 0);
                wrong += usize::from(line_at(&code, unit as u32) != line);
            }
            codes += 1;
            instructions += lines.len();
            without += lines.iter().filter(|line| **line < 0).count();
        }
        println!(
            "lines: Python 3.{minor}: {instructions} code units of {codes} code objects, \
             {without} of them without a line, {wrong} wrong"
        );
        assert!(instructions > 10_000, "{instructions}");
        assert_eq!(wrong, 0);
    }
}
