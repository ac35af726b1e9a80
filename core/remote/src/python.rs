//! CPython in another process.

mod codes;
mod find;

use crate::memory::RemoteMemory;
use crate::runtime::Symbols;
pub use codes::RemoteCodes;
pub use find::PythonInfo;
use find::{RUNTIME_SECTION, SYMBOLS};
use sondage::resolve::{KnownFile, Mappings};
use sondage_sampler::walk::python::Outside;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// An interpreter whose frames can be read.
#[derive(Debug)]
pub(crate) struct Python {
    info: PythonInfo,
    /// States of threads by their identities, `None` for a thread that ran no Python; and when that
    /// was found.
    states: HashMap<u64, (Option<u64>, Instant)>,
}

impl PythonInfo {
    /// Whether a file has the name of an interpreter's. A program that embeds one has it in itself.
    pub fn may_be_in(file: &KnownFile) -> bool {
        let name = file.module.path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libpython3") || name.starts_with("python3")
    }

    /// The interpreter in a file that a process has mapped; `None` if it holds none.
    ///
    /// # Errors
    /// Why it cannot be read, for people.
    pub fn of_file(
        mappings: &Mappings,
        file: &KnownFile,
        memory: &RemoteMemory,
    ) -> Result<Option<Self>, String> {
        let Some(symbols) = Symbols::of(mappings, file, &|name| SYMBOLS.contains(&name)) else {
            return Err("its file cannot be read".to_owned());
        };
        let path = file.module.path.to_string_lossy();
        let section = || {
            let image = file.open().ok()?;
            let section = image.sections().iter().find(|it| it.name == RUNTIME_SECTION)?;
            let bias = mappings.of_file(file.index).next()?.bias;
            Some(section.address.wrapping_add(bias))
        };
        let symbol = |name: &str| match name {
            "_PyRuntime" => symbols.get(name).or_else(section),
            name => symbols.get(name),
        };
        Self::find(&path, &symbol, &mut memory.clone())
    }
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
        let found = PythonInfo::of_file(mappings, file, memory)?;
        Ok(found.map(|info| Self { info, states: HashMap::new() }))
    }

    pub(crate) fn evaluation(&self) -> u64 {
        self.info.outside.evaluation()
    }

    /// The state of a thread, if that runs Python.
    pub(crate) fn of_thread(
        &mut self,
        memory: &RemoteMemory,
        identity: u64,
    ) -> Option<(&Outside, u64)> {
        let outside = &self.info.outside;
        let mut memory = memory.clone();
        let state = match self.states.get(&identity) {
            Some((None, found)) if found.elapsed() < LOOK => None,
            Some((Some(state), _)) if outside.is_state_of(&mut memory, *state, identity) => {
                Some(*state)
            }
            _ => {
                if self.states.len() >= MAX_KNOWN {
                    self.states.clear();
                }
                let state = outside.state_of(&mut memory, &[identity]);
                self.states.insert(identity, (state, Instant::now()));
                state
            }
        };
        Some((outside, state?))
    }
}
