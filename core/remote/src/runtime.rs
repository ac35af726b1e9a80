//! Symbols of a runtime in another process, and the runtimes that were found there.

use crate::hotspot::HotSpot;
use crate::memory::RemoteMemory;
use crate::python::{Python, PythonInfo};
use crate::v8::V8;
use sondage::OutsideRuntimes;
use sondage::resolve::{KnownFile, Mappings, symbols_matching};
use sondage_sampler::Runtimes;
use std::collections::HashMap;

/// Where symbols of one file are in the process.
#[derive(Debug)]
pub(crate) struct Symbols(HashMap<String, u64>);

impl Symbols {
    /// Those whose names `matches` takes, without the numbers that compilers put behind them.
    pub(crate) fn of(
        mappings: &Mappings,
        file: &KnownFile,
        matches: &dyn Fn(&str) -> bool,
    ) -> Option<Self> {
        let bias = mappings.of_file(file.index).next()?.bias;
        let matches = |name: &str| matches(as_written(name));
        let found = symbols_matching(&file.open().ok()?, &matches).ok()?;
        let place = |address: u64| address.wrapping_add(bias);
        let named = |name: &str| as_written(name).to_owned();
        Some(Self(found.into_iter().map(|it| (named(&it.name), place(it.address))).collect()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }
}

/// A symbol's name without the number that tells variables of single files apart where a program is
/// optimised as a whole: `blob.0`, `blob.lto_priv.0`, `blob.llvm.123`.
fn as_written(name: &str) -> &str {
    let digits = |tail: &str| !tail.is_empty() && tail.bytes().all(|it| it.is_ascii_digit());
    let Some((before, _)) = name.rsplit_once('.').filter(|(_, tail)| digits(tail)) else {
        return name;
    };
    let marked = before.strip_suffix(".lto_priv").or_else(|| before.strip_suffix(".llvm"));
    marked.unwrap_or(before)
}

/// What runs code of its own in the process.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    pub(crate) python: Option<Python>,
    pub(crate) hotspot: Option<HotSpot>,
    pub(crate) v8: Option<V8>,
    /// Why one that is there cannot be read.
    pub(crate) refusals: Vec<String>,
}

impl Attached {
    /// Looks for runtimes among the files that are mapped.
    pub(crate) fn find(pid: u32, mappings: &Mappings, memory: &RemoteMemory) -> Self {
        let mut attached = Self::default();
        for file in mappings.files() {
            let path = &file.module.path;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if PythonInfo::may_be_in(file) {
                match Python::find(mappings, file, memory) {
                    Ok(Some(python)) => attached.python = Some(python),
                    Ok(None) => {}
                    Err(reason) => attached.refusals.push(format!("Python: {reason}")),
                }
            } else if name == "libjvm.so" {
                match HotSpot::find(mappings, file, memory) {
                    Ok(hotspot) => attached.hotspot = Some(hotspot),
                    Err(reason) => attached.refusals.push(format!("Java: {reason}")),
                }
            } else if name == "node" || name == "nodejs" {
                match V8::find(pid, mappings, file, memory) {
                    Ok(v8) => attached.v8 = v8,
                    Err(reason) => attached.refusals.push(format!("JavaScript: {reason}")),
                }
            }
        }
        attached
    }

    /// What those who name frames need to know.
    pub(crate) fn for_names(&self, internals: bool) -> OutsideRuntimes {
        OutsideRuntimes {
            python: self.python.as_ref().map(Python::evaluation),
            hotspot: self.hotspot.as_ref().map(HotSpot::announced),
            v8: self.v8.as_ref().map(V8::announced),
            internals,
        }
    }

    /// What a walk of one thread needs to know: the thread's number in its namespace, and what
    /// `pthread_self()` is there.
    pub(crate) fn of_thread(
        &mut self,
        memory: &RemoteMemory,
        number: i32,
        identity: u64,
    ) -> Runtimes<'_> {
        let python = self.python.as_mut();
        let (hotspot, v8) = (self.hotspot.as_mut(), self.v8.as_mut());
        Runtimes {
            python: python.and_then(|python| python.of_thread(memory, identity)),
            hotspot: hotspot.map(|hotspot| hotspot.of_thread(memory, number)),
            v8: v8.and_then(|v8| v8.of_thread(memory, identity)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_whatever_number_a_compiler_gave_them() {
        for name in ["blob", "blob.0", "blob.lto_priv.0", "blob.llvm.8231"] {
            assert_eq!(as_written(name), "blob");
        }
        for name in ["blob.cold", "blob.", ".", ""] {
            assert_eq!(as_written(name), name);
        }
    }
}
