//! The code of this process, as the sampler's walker and as framehop see it.

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, Module, MustNotAllocateDuringUnwind, Unwinder};
use sondage::resolve::{Image, OwnedTable};
use sondage_sampler::walk::{Walked, walk};
use sondage_sampler::{End, MemoryReader, ModuleEntry, Registers};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The deepest stack that is compared.
pub const DEPTH: usize = 256;

/// One executable mapping.
#[derive(Debug)]
pub struct Code {
    pub range: Range<u64>,
    pub name: String,
    bias: u64,
    table: Option<OwnedTable>,
    sections: [Option<(Range<u64>, Vec<u8>)>; 2],
    image: Option<Image>,
}

/// Every executable mapping of this process, at the time of the call.
#[derive(Debug)]
pub struct CodeMap {
    pub code: Vec<Code>,
}

impl CodeMap {
    /// Reads `/proc/self/maps` and the files it names.
    pub fn of_this_process() -> Self {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc is mounted");
        Self { code: maps.lines().filter_map(Code::read).collect() }
    }

    /// What the walker needs.
    pub fn entries(&self) -> Vec<ModuleEntry<'_>> {
        let mut entries = Vec::new();
        for code in &self.code {
            let (start, end) = (code.range.start, code.range.end);
            let table = code.table.as_ref().map(OwnedTable::as_table);
            entries.push(ModuleEntry { start, end, bias: code.bias, table });
        }
        entries
    }

    /// What framehop needs.
    pub fn oracle(&self) -> Oracle {
        let mut unwinder = UnwinderX86_64::new();
        for code in &self.code {
            let [text, frames] = code.sections.clone();
            let (eh_frame_svma, eh_frame) = frames.unzip();
            let sections = ExplicitModuleSectionInfo {
                base_svma: 0,
                text_svma: text.as_ref().map(|(range, _)| range.clone()),
                text: text.map(|(_, bytes)| bytes),
                eh_frame_svma,
                eh_frame,
                ..ExplicitModuleSectionInfo::default()
            };
            let module = Module::new(code.name.clone(), code.range.clone(), code.bias, sections);
            unwinder.add_module(module);
        }
        Oracle { unwinder, cache: CacheX86_64::new_in() }
    }

    /// The code that holds an address.
    pub fn find(&self, address: u64) -> Option<&Code> {
        self.code.iter().find(|code| code.range.contains(&address))
    }

    /// The file, without its folder, and the function that hold each address; empty if unknown.
    pub fn places(&self, addresses: &[u64]) -> Vec<(String, String)> {
        let mut places = vec![Default::default(); addresses.len()];
        for code in &self.code {
            let inside = |(_, pc): &(usize, &u64)| code.range.contains(*pc);
            let (at, svmas): (Vec<usize>, Vec<u64>) = addresses
                .iter()
                .enumerate()
                .filter(inside)
                .map(|(index, pc)| (index, pc.wrapping_sub(code.bias)))
                .unzip();
            if at.is_empty() {
                continue;
            }
            let file = code.name.rsplit('/').next().unwrap_or(&code.name);
            for (index, function) in at.into_iter().zip(code.functions(&svmas)) {
                places[index] = (file.to_owned(), function);
            }
        }
        places
    }

    /// `libc.so.6+0x1234 (malloc)`.
    pub fn describe(&self, address: u64) -> String {
        let Some(code) = self.find(address) else { return format!("{address:#x}") };
        let (file, function) = self.places(&[address]).pop().unwrap_or_default();
        format!("{file}+{:#x} ({function})", address.wrapping_sub(code.bias))
    }
}

impl Code {
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (start, end) = fields.first()?.split_once('-')?;
        let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let (range, offset) = (hex(start)?..hex(end)?, hex(fields.get(2)?)?);
        if fields.get(1)?.as_bytes().get(2) != Some(&b'x') {
            return None;
        }
        let name = (*fields.get(5).unwrap_or(&"")).to_owned();
        let image = match name.as_str() {
            "[vdso]" => Image::from_bytes(own_memory(&range)).ok(),
            path if path.starts_with('/') => Image::open(Path::new(path), None).ok(),
            _ => None,
        };
        let mut code =
            Self { range, name, bias: 0, table: None, sections: [None, None], image: None };
        if let Some(image) = image {
            code.describe_image(&image, offset)?;
            code.image = Some(image);
        }
        Some(code)
    }

    fn describe_image(&mut self, image: &Image, offset: u64) -> Option<()> {
        let executable = || image.load_segments().filter(|segment| segment.is_executable());
        let holds = |start: u64, size: u64| (start & !0xfff..start + size).contains(&offset);
        let segment = executable().find(|s| holds(s.offset, s.file_size))?;
        let svma = segment.address.wrapping_add(offset).wrapping_sub(segment.offset);
        self.bias = self.range.start.wrapping_sub(svma);
        let read = |name: &str| {
            let section = image.section(name)?;
            let bytes = image.section_bytes(name, 1 << 30).ok()??.to_vec();
            Some((section.address..section.address + section.size, bytes))
        };
        self.sections = [read(".text"), read(".eh_frame")];
        self.table = OwnedTable::build(image).ok()?;
        Some(())
    }

    fn functions(&self, svmas: &[u64]) -> Vec<String> {
        let symbols = self.image.as_ref().and_then(|i| sondage::resolve::symbols_at(i, svmas).ok());
        let Some(symbols) = symbols else { return vec![String::new(); svmas.len()] };
        let name = |symbol: sondage::resolve::Symbol| sondage::resolve::demangle(&symbol.name);
        symbols.into_iter().map(|symbol| symbol.map(name).unwrap_or_default()).collect()
    }
}

fn own_memory(range: &Range<u64>) -> Arc<[u8]> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
    let memory = std::fs::File::open("/proc/self/mem").expect("own memory is readable");
    memory.read_exact_at(&mut bytes, range.start).expect("a mapping is readable");
    bytes.into()
}

/// Reads within the running thread's stack and nowhere else.
#[derive(Clone, Debug)]
pub struct Stack(pub Range<u64>);

impl Stack {
    /// The part that is in use: what lies below the stack pointer is no longer anyone's, even
    /// where the value that was popped last still lies there.
    pub fn in_use(&self, registers: Registers) -> Self {
        Self(registers.sp.max(self.0.start)..self.0.end)
    }
}

impl MemoryReader for Stack {
    fn word(&mut self, address: u64) -> Option<u64> {
        let inside = address & 7 == 0 && address >= self.0.start && address + 8 <= self.0.end;
        // SAFETY: an aligned word of the running thread's own stack.
        inside.then(|| unsafe { (address as *const u64).read_volatile() })
    }
}

/// A walked stack, without an allocation.
#[derive(Debug)]
pub struct Frames {
    pub pcs: [u64; DEPTH],
    pub count: usize,
    pub complete: bool,
}

impl Frames {
    pub const EMPTY: Self = Self { pcs: [0; DEPTH], count: 0, complete: false };

    pub fn as_slice(&self) -> &[u64] {
        &self.pcs[..self.count]
    }

    /// Walks by the sampler's walker.
    pub fn walk<M: MemoryReader>(
        &mut self,
        modules: &[ModuleEntry<'_>],
        registers: Registers,
        memory: &mut M,
    ) -> Walked {
        let pcs = &mut self.pcs;
        let walked = walk(modules, registers, memory, DEPTH, |index, pc| pcs[index] = pc);
        self.count = walked.frames;
        self.complete = walked.end == End::Root;
        walked
    }
}

/// framehop, set up not to allocate while it unwinds.
pub struct Oracle {
    unwinder: UnwinderX86_64<Vec<u8>, MustNotAllocateDuringUnwind>,
    cache: CacheX86_64<MustNotAllocateDuringUnwind>,
}

impl Oracle {
    /// Walks by framehop.
    pub fn walk(&mut self, registers: Registers, stack: &Stack, frames: &mut Frames) {
        let Registers { pc, sp, fp, .. } = registers;
        let mut stack = stack.clone();
        let mut read = |address| stack.word(address).ok_or(());
        let start = UnwindRegsX86_64::new(pc, sp, fp);
        let mut iterator = self.unwinder.iter_frames(pc, start, &mut self.cache, &mut read);
        (frames.count, frames.complete) = (0, false);
        while frames.count < DEPTH {
            match iterator.next() {
                Ok(Some(frame)) => frames.pcs[frames.count] = frame.address(),
                Ok(None) => {
                    frames.complete = true;
                    return;
                }
                Err(_) => return,
            }
            frames.count += 1;
        }
    }
}
