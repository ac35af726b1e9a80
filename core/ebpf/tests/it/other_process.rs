//! The modules of another process, with the unwind tables that the agent builds, and their names.

use sondage::resolve::{Budget, Image, ModuleFile, OwnedTable, Symbols};
use sondage_sampler::ModuleEntry;
use std::collections::HashMap;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

pub(crate) struct OtherModule {
    range: Range<u64>,
    bias: u64,
    file: ModuleFile,
    table: Option<OwnedTable>,
}

/// The executable mappings of a process.
pub(crate) fn modules_of(pid: u32) -> Vec<OtherModule> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().filter_map(|line| module(pid, line)).collect()
}

fn module(pid: u32, line: &str) -> Option<OtherModule> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let [start, end] = [start, end].map(|it| u64::from_str_radix(it, 16).unwrap());
    let is_code = fields.next()?.as_bytes()[2] == b'x';
    let offset = u64::from_str_radix(fields.next()?, 16).unwrap();
    let path = fields.nth(2).filter(|_| is_code)?;
    let mut file = ModuleFile { path: PathBuf::from(path), ..ModuleFile::default() };
    if path == "[vdso]" {
        let mut bytes = vec![0; (end - start) as usize];
        let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        memory.read_exact_at(&mut bytes, start).unwrap();
        file.bytes = Some(bytes.into());
    }
    let image = match &file.bytes {
        Some(bytes) => Image::from_bytes(bytes.clone()).ok()?,
        None => Image::open(&file.path, None).ok()?,
    };
    let mut segments = image.load_segments().filter(|it| it.is_executable());
    let segment =
        segments.find(|it| (it.offset & !0xfff) <= offset && offset < it.offset + it.file_size)?;
    let bias = start.wrapping_sub(offset).wrapping_sub(segment.address - segment.offset);
    let table = OwnedTable::build(&image).ok()?;
    Some(OtherModule { range: start..end, bias, file, table })
}

pub(crate) fn entries(modules: &[OtherModule]) -> Vec<ModuleEntry<'_>> {
    modules.iter().map(OtherModule::entry).collect()
}

impl OtherModule {
    fn entry(&self) -> ModuleEntry<'_> {
        let table = self.table.as_ref().map(OwnedTable::as_table);
        let Range { start, end } = self.range;
        ModuleEntry { start, end, bias: self.bias, table }
    }
}

/// The names at addresses, innermost first.
pub(crate) fn names(modules: &[OtherModule], addresses: &[u64]) -> HashMap<u64, Vec<String>> {
    let mut symbols = Symbols::new(Budget::default());
    let mut all = HashMap::new();
    for module in modules {
        let own: Vec<u64> =
            addresses.iter().copied().filter(|it| module.range.contains(it)).collect();
        let svmas: Vec<u64> = own.iter().map(|it| it.wrapping_sub(module.bias)).collect();
        for (address, found) in own.iter().zip(symbols.resolve(&module.file, &svmas)) {
            all.insert(*address, found.frames.iter().map(|it| it.name.to_string()).collect());
        }
    }
    all
}
