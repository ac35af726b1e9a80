//! CPython in another process.

use crate::memory::RemoteMemory;
use crate::runtime::Symbols;
use sondage::resolve::{KnownFile, Mappings};
use sondage_sampler::MemoryReader;
use sondage_sampler::walk::python::{Outside, OutsideSymbols};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Symbols that are looked for.
const NAMES: [&str; 5] =
    ["_PyRuntime", "PyCode_Type", "PyBytes_Type", "_PyEval_EvalFrameDefault", "Py_Version"];

/// An interpreter whose frames can be read.
#[derive(Debug)]
pub(crate) struct Python {
    outside: Outside,
    /// States of threads by their identities, `None` for a thread that ran no Python; and when that
    /// was found.
    states: HashMap<u64, (Option<u64>, Instant)>,
}

/// The states are not searched again before, for a thread without one: all that while it is stopped.
const LOOK: Duration = Duration::from_millis(200);

/// Threads whose states are remembered.
const MAX_KNOWN: usize = 16 << 10;

impl Python {
    /// The one that a file holds; `None` if it holds none.
    pub(crate) fn find(
        mappings: &Mappings,
        file: &KnownFile,
        memory: &RemoteMemory,
    ) -> Result<Option<Self>, String> {
        let Some(symbols) = Symbols::of(mappings, file, &|name| NAMES.contains(&name)) else {
            return Err("its file cannot be read".to_owned());
        };
        // A program that only loads libpython has none of this.
        let Some(runtime) = symbols.get("_PyRuntime") else { return Ok(None) };
        let symbol = |name| symbols.get(name).unwrap_or(0);
        let told = symbols.get("Py_Version").and_then(|at| memory.clone().half(at));
        let path = file.module.path.to_string_lossy();
        // `Py_Version` is 0x030b02f0 for 3.11.2.
        let minor = told.map(|version| (version >> 16) as u8).or_else(|| minor_of(&path));
        let minor = minor.ok_or("its version is not told")?;
        let symbols = OutsideSymbols {
            minor,
            runtime,
            code_type: symbol("PyCode_Type"),
            bytes_type: symbol("PyBytes_Type"),
            evaluation: symbol("_PyEval_EvalFrameDefault"),
        };
        let outside = Outside::find(&symbols, &mut memory.clone());
        outside
            .map(|outside| Some(Self { outside, states: HashMap::new() }))
            .map_err(|reason| reason.to_string())
    }

    pub(crate) fn evaluation(&self) -> u64 {
        self.outside.evaluation()
    }

    /// The state of a thread, if that runs Python.
    pub(crate) fn of_thread(
        &mut self,
        memory: &RemoteMemory,
        identity: u64,
    ) -> Option<(&Outside, u64)> {
        let mut memory = memory.clone();
        let state = match self.states.get(&identity) {
            Some((None, found)) if found.elapsed() < LOOK => None,
            Some((Some(state), _)) if self.outside.is_state_of(&mut memory, *state, identity) => {
                Some(*state)
            }
            _ => {
                if self.states.len() >= MAX_KNOWN {
                    self.states.clear();
                }
                let state = self.outside.state_of(&mut memory, &[identity]);
                self.states.insert(identity, (state, Instant::now()));
                state
            }
        };
        Some((&self.outside, state?))
    }
}

/// 11 for `/usr/lib/libpython3.11.so.1.0` and `/usr/bin/python3.11`.
fn minor_of(path: &str) -> Option<u8> {
    let (_, after) = path.rsplit_once("python3.")?;
    let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
    after[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_its_file_tells_the_version() {
        for (path, minor) in [
            ("/usr/lib/x86_64-linux-gnu/libpython3.9.so.1.0", Some(9)),
            ("/usr/bin/python3.11", Some(11)),
            ("/opt/python3.12/bin/python3.13d", Some(13)),
            ("/usr/bin/python3", None),
        ] {
            assert_eq!(minor_of(path), minor, "{path}");
        }
    }
}
