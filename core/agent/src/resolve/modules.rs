//! The executable mappings of this process, with the unwind table of each in the sampler.

use super::files::FileIndex;
use super::files::Files;
use super::files::KnownFile;
use super::mappings::{Mappings, Module};
use super::tables::OwnedTable;
use sondage_sampler::{ModuleEntry, Sampler};
use std::collections::HashMap;
use std::ops::Deref;
use std::ops::DerefMut;

/// `.eh_frame` up to this size is turned into a table when the module appears; a larger one when
/// a sample first meets the module, because building takes 0.1 s a megabyte or more: libpython 3.12
/// has 320 KiB, the extension module of our own Python package 640.
const EAGER_EH_FRAME: u64 = 512 << 10;

/// The modules of this process, as of the last [`Modules::refresh`]. It is a list of
/// [`Mappings`], with the tables that the handlers have of their files.
#[derive(Debug, Default)]
pub struct Modules {
    mappings: Mappings,
    files: Files,
    /// Those that were built: their numbers in the sampler, or `None` where there is none.
    tables: HashMap<FileIndex, Option<u32>>,
}

impl Deref for Modules {
    type Target = Mappings;

    fn deref(&self) -> &Mappings {
        &self.mappings
    }
}

impl DerefMut for Modules {
    fn deref_mut(&mut self) -> &mut Mappings {
        &mut self.mappings
    }
}

impl Modules {
    /// Reads `/proc/self/maps` again. Returns whether the list of modules changed. When it cannot
    /// be read the list stays as it was, and `last_error` tells.
    pub fn refresh(&mut self) -> bool {
        self.mappings.refresh(&mut self.files).unwrap_or_else(|error| {
            self.mappings.last_error = Some(format!("/proc/self/maps: {error}"));
            false
        })
    }

    /// Builds one missing table, the smallest first, and returns whether it did. To be called
    /// between drains until it returns `false`.
    pub fn build_next(&mut self, sampler: &mut Sampler) -> bool {
        let pending = |file: &&std::sync::Arc<KnownFile>| {
            file.eh_frame > 0
                && !self.tables.contains_key(&file.index)
                && (file.eh_frame <= EAGER_EH_FRAME || self.mappings.wants_table(file.index))
        };
        let smallest =
            self.mappings.files().filter(pending).min_by_key(|it| (it.eh_frame, it.index));
        let Some(file) = smallest.cloned() else { return false };
        let built = file.open().and_then(|image| OwnedTable::build(&image));
        let table = match built {
            Ok(Some(table)) => {
                let number = sampler.add_table(&table.as_table());
                if number.is_none() {
                    let error = "the room for unwind tables is used up".to_owned();
                    self.mappings.last_error = Some(error);
                }
                number
            }
            Ok(None) => None,
            Err(error) => {
                let path = file.module.path.display();
                self.mappings.last_error = Some(format!("{path}: {error}"));
                None
            }
        };
        self.tables.insert(file.index, table);
        true
    }

    /// Shows the current list to the handlers; `false` means "try again later".
    pub fn publish(&self, sampler: &mut Sampler) -> bool {
        sampler.publish_modules(
            self.mappings
                .iter()
                .map(|module| (module.range.clone(), module.bias, self.table_number(module))),
        )
    }

    /// The modules with their tables, for an engine outside of the handlers.
    pub fn entries<'s>(&self, sampler: &'s Sampler) -> Vec<ModuleEntry<'s>> {
        let entry = |module: &Module| ModuleEntry {
            start: module.range.start,
            end: module.range.end,
            bias: module.bias,
            table: self.table_number(module).and_then(|number| sampler.table(number)),
        };
        self.mappings.iter().map(entry).collect()
    }

    fn table_number(&self, module: &Module) -> Option<u32> {
        self.tables.get(&module.file).copied().flatten()
    }
}
