//! Finding the interpreter of a process, given where its symbols are.

use sondage_sampler::MemoryReader;
use sondage_sampler::walk::python::{Outside, OutsideSymbols, ThreadSlot};

/// The symbols that are asked for; every build exports them, also one that is stripped.
pub(crate) const SYMBOLS: [&str; 5] =
    ["_PyRuntime", "PyCode_Type", "PyBytes_Type", "_PyEval_EvalFrameDefault", "Py_Version"];

/// The section that holds `_PyRuntime` alone, from 3.13 on.
pub(crate) const RUNTIME_SECTION: &str = ".PyRuntime";

/// `xdebugpy`, with which `_PyRuntime` begins from 3.13 on.
const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");

/// An interpreter of another process.
#[derive(Clone, Copy, Debug)]
pub struct PythonInfo {
    /// The second number of its version: 12 for 3.12.1.
    pub minor: u8,
    /// How it lays things out, and where its threads' states are.
    pub outside: Outside,
    /// Where a thread has its state, for who sees only registers; `None` where that is not known.
    pub slot: Option<ThreadSlot>,
}

impl PythonInfo {
    /// The interpreter in one of the process's files. `symbol` tells where a symbol of that file is
    /// in the process; `path` is the file's. `None` for a file that holds none.
    ///
    /// The process may run meanwhile. One that just begins may be refused and found a moment later.
    ///
    /// # Errors
    /// Why it cannot be read, for people.
    pub fn find<M: MemoryReader>(
        path: &str,
        symbol: &dyn Fn(&str) -> Option<u64>,
        memory: &mut M,
    ) -> Result<Option<Self>, String> {
        // A program that only loads libpython has none of this.
        let Some(runtime) = symbol("_PyRuntime") else { return Ok(None) };
        // `Py_Version` is 0x030b02f0 for 3.11.2.
        let told = symbol("Py_Version").and_then(|at| memory.half(at));
        let minor = told
            .map(|version| (version >> 16) as u8)
            .or_else(|| minor_in_table(memory, runtime))
            .or_else(|| minor_of(path))
            .ok_or("its version is not told")?;
        let address = |name| symbol(name).unwrap_or(0);
        let symbols = OutsideSymbols {
            minor,
            runtime,
            code_type: address("PyCode_Type"),
            bytes_type: address("PyBytes_Type"),
            evaluation: address("_PyEval_EvalFrameDefault"),
        };
        let outside = Outside::find(&symbols, memory).map_err(|reason| reason.to_string())?;
        let slot = outside.thread_slot(memory);
        Ok(Some(Self { minor, outside, slot }))
    }
}

/// The version in the interpreter's own table of offsets.
fn minor_in_table<M: MemoryReader>(memory: &mut M, runtime: u64) -> Option<u8> {
    if memory.word(runtime)? != COOKIE {
        return None;
    }
    let version = memory.word(runtime.wrapping_add(8))?;
    (version >> 24 == 3).then_some((version >> 16) as u8)
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

    /// Memory that is one table.
    struct Table([u64; 2]);

    impl MemoryReader for Table {
        fn word(&mut self, address: u64) -> Option<u64> {
            self.0.get((address.checked_sub(0x1000)? / 8) as usize).copied()
        }
    }

    #[test]
    fn its_own_table_tells_the_version_and_a_file_without_an_interpreter_has_none() {
        let mut memory = Table([COOKIE, 0x030d_00f0]);
        assert_eq!(minor_in_table(&mut memory, 0x1000), Some(13));
        assert_eq!(minor_in_table(&mut memory, 0x1008), None);
        let none = PythonInfo::find("/usr/lib/libc.so.6", &|_| None, &mut memory);
        assert!(none.unwrap().is_none());
        let symbol = |name: &str| (name == "_PyRuntime").then_some(0x1008);
        let refused = PythonInfo::find("/usr/bin/app", &symbol, &mut memory);
        assert_eq!(refused.unwrap_err(), "its version is not told");
    }
}
