//! Unwind tables of the files that a process has mapped.

use sondage::resolve::{FileIndex, Mappings, OwnedTable};
use sondage_sampler::ModuleEntry;
use std::collections::HashMap;

/// The tables, built before a thread is stopped; `None` for a file that has none.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    built: HashMap<FileIndex, Option<OwnedTable>>,
    /// What could not be read, for people.
    pub(crate) last_error: Option<String>,
}

impl Tables {
    /// Builds those that are missing: some 10 ms a megabyte of `.eh_frame`.
    pub(crate) fn build(&mut self, mappings: &Mappings) {
        for file in mappings.files().filter(|file| file.may_have_table()) {
            if self.built.contains_key(&file.index) {
                continue;
            }
            let table = file.open().and_then(|image| OwnedTable::build(&image));
            let table = table.unwrap_or_else(|error| {
                self.last_error = Some(format!("{}: {error}", file.module.path.display()));
                None
            });
            self.built.insert(file.index, table);
        }
        self.built.retain(|index, _| mappings.files().any(|file| file.index == *index));
    }

    /// The modules as a walk wants them.
    pub(crate) fn entries(&self, mappings: &Mappings) -> Vec<ModuleEntry<'_>> {
        let entry = |module: &sondage::resolve::Module| ModuleEntry {
            start: module.range.start,
            end: module.range.end,
            bias: module.bias,
            table: self.built.get(&module.file).and_then(|it| Some(it.as_ref()?.as_table())),
        };
        mappings.iter().map(entry).collect()
    }
}
