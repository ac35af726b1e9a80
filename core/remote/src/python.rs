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

/// An interpreter whose frames can be read.
#[derive(Debug)]
pub(crate) struct Python {
    info: PythonInfo,
}

impl PythonInfo {
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

impl Python {
    /// The one that a file holds; `None` if it holds none.
    pub(crate) fn find(
        mappings: &Mappings,
        file: &KnownFile,
        memory: &RemoteMemory,
    ) -> Result<Option<Self>, String> {
        let found = PythonInfo::of_file(mappings, file, memory)?;
        Ok(found.map(|info| Self { info }))
    }

    pub(crate) fn evaluation(&self) -> u64 {
        self.info.outside.evaluation()
    }

    /// The state of a thread, if that runs Python.
    pub(crate) fn of_thread(
        &self,
        memory: &RemoteMemory,
        identity: u64,
    ) -> Option<(&Outside, u64)> {
        let state = self.info.outside.state_of(&mut memory.clone(), &[identity])?;
        Some((&self.info.outside, state))
    }
}
