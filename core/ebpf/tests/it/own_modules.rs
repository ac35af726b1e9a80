//! The modules of the running test, with the unwind tables that the agent builds.

use sondage::resolve::{Image, ModuleFile, Modules, OwnedTable, symbols_at};
use sondage_sampler::ModuleEntry;
use std::fs;
use std::ops::Range;
use std::path::Path;

pub(crate) struct OwnModule {
    range: Range<u64>,
    bias: u64,
    table: Option<OwnedTable>,
}

/// The executable mappings of this process.
pub(crate) fn own_modules() -> Vec<OwnModule> {
    let mut modules = Modules::default();
    assert!(modules.refresh());
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let starts = maps.lines().filter_map(|line| line.split_once('-'));
    let starts = starts.map(|(start, _)| u64::from_str_radix(start, 16).unwrap());
    starts
        .filter_map(|start| modules.find(start))
        .map(|module| OwnModule {
            range: module.range.clone(),
            bias: module.bias,
            table: build_table(modules.file(module.file)),
        })
        .collect()
}

pub(crate) fn entries(modules: &[OwnModule]) -> Vec<ModuleEntry<'_>> {
    modules
        .iter()
        .map(|module| ModuleEntry {
            start: module.range.start,
            end: module.range.end,
            bias: module.bias,
            table: module.table.as_ref().map(OwnedTable::as_table),
        })
        .collect()
}

fn build_table(file: &ModuleFile) -> Option<OwnedTable> {
    let image = match &file.bytes {
        Some(bytes) => Image::from_bytes(bytes.clone()).ok()?,
        None => Image::open(&file.path, file.identity).ok()?,
    };
    OwnedTable::build(&image).ok()?
}

/// The mangled names of these addresses, by the symbol table of the test's own executable; empty
/// for other addresses.
pub(crate) fn names(modules: &[OwnModule], addresses: &[u64]) -> Vec<String> {
    let inside = names as *const () as u64;
    let own = modules.iter().find(|module| module.range.contains(&inside)).unwrap();
    let image = Image::open(Path::new("/proc/self/exe"), None).unwrap();
    let svma = |address: &u64| if own.range.contains(address) { address - own.bias } else { 0 };
    let svmas: Vec<u64> = addresses.iter().map(svma).collect();
    let symbols = symbols_at(&image, &svmas).unwrap();
    symbols
        .into_iter()
        .map(|symbol| symbol.map(|it| it.name.to_string()).unwrap_or_default())
        .collect()
}
