//! The code of this process, as the compact walker and as framehop want it.

use crate::Framehop;
use framehop::{ExplicitModuleSectionInfo, Module, Unwinder};
use sondage::resolve::{Image, OwnedTable, Section};
use sondage_sampler::ModuleEntry;
use std::ops::Range;
use std::path::Path;

/// One executable mapping with a file.
#[derive(Debug)]
struct Code {
    range: Range<u64>,
    bias: u64,
    table: Option<OwnedTable>,
    text: Option<(Range<u64>, Vec<u8>)>,
    eh_frame: Option<(Range<u64>, Vec<u8>)>,
}

/// Every executable mapping with a file, and the main thread's stack.
#[derive(Debug)]
pub struct CodeMap {
    code: Vec<Code>,
    /// The stack.
    pub stack: Range<u64>,
}

impl CodeMap {
    /// Reads `/proc/self/maps` and the files it names.
    pub fn of_this_process() -> Self {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
        let code = maps.lines().filter_map(read).collect();
        let stack = maps.lines().find(|line| line.ends_with("[stack]")).and_then(range_of);
        Self { code, stack: stack.expect("a stack") }
    }

    /// For the compact walker.
    pub fn entries(&self) -> Vec<ModuleEntry<'_>> {
        let entry = |code: &'_ Code| (code.range.clone(), code.bias);
        let tables = self.code.iter().map(|code| code.table.as_ref().map(OwnedTable::as_table));
        let places = self.code.iter().map(entry);
        places
            .zip(tables)
            .map(|((range, bias), table)| ModuleEntry {
                start: range.start,
                end: range.end,
                bias,
                table,
            })
            .collect()
    }

    /// For framehop.
    pub fn framehop(&self) -> Framehop {
        let mut unwinder = Framehop::new();
        for code in &self.code {
            let (text_svma, text) = code.text.clone().unzip();
            let (eh_frame_svma, eh_frame) = code.eh_frame.clone().unzip();
            let sections = ExplicitModuleSectionInfo {
                base_svma: 0,
                text_svma,
                text,
                eh_frame_svma,
                eh_frame,
                ..ExplicitModuleSectionInfo::default()
            };
            let name = format!("{:x}", code.range.start);
            unwinder.add_module(Module::new(name, code.range.clone(), code.bias, sections));
        }
        unwinder
    }
}

fn range_of(line: &str) -> Option<Range<u64>> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
}

fn read(line: &str) -> Option<Code> {
    let range = range_of(line)?;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let path = fields.get(5).filter(|path| path.starts_with('/'))?;
    if fields.get(1)?.as_bytes().get(2) != Some(&b'x') {
        return None;
    }
    let offset = u64::from_str_radix(fields.get(2)?, 16).ok()?;
    let image = Image::open(Path::new(path), None).ok()?;
    let segment =
        image.load_segments().filter(|segment| segment.is_executable()).find(|segment| {
            ((segment.offset & !0xfff)..segment.offset + segment.file_size).contains(&offset)
        })?;
    let bias = range.start.wrapping_sub(segment.address.wrapping_add(offset) - segment.offset);
    let section = |name: &str| {
        let Section { address, size, .. } = *image.section(name)?;
        let bytes = image.section_bytes(name, 1 << 30).ok()??;
        Some((address..address + size, bytes.to_vec()))
    };
    let (text, eh_frame) = (section(".text"), section(".eh_frame"));
    let table = OwnedTable::build(&image).ok()?;
    Some(Code { range, bias, table, text, eh_frame })
}
