//! Where the threads of a process have the pointer to the context that they publish (OTEP 4947): a
//! thread-local variable that its executable or a library exports.
//!
//! In the executable its distance from the thread's pointer follows from the file. In a library the
//! dynamic linker has written down where it is, for the library's own code, in one of three forms.

use sondage::resolve::{FileIndex, Image, KnownFile, Mappings, symbols_matching};
use sondage_ebpf::ContextPlace;
use sondage_remote::RemoteMemory;
use std::collections::HashMap;

const VARIABLE: &str = "otel_thread_ctx_v1";

/// Bytes of a section that is read.
const MAX_SECTION: u64 = 32 << 20;

/// `PT_TLS` of elf.h.
const PT_TLS: u32 = 7;

/// Bytes of an entry of a symbol table, and of one with relocations.
const ENTRY: usize = 24;

/// Modules with thread-local variables that one process can have; what is beyond is no number of
/// one.
const MAX_MODULES: u64 = 4096;

/// How the dynamic linker says where a variable is: relocations of elf.h for x86_64, in the order in
/// which they are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// `R_X86_64_TLSDESC`: a function and its argument, which is a distance or leads to module and
    /// offset.
    Descriptor,
    /// `R_X86_64_TPOFF64`: the distance from the thread's pointer.
    Distance,
    /// `R_X86_64_DTPMOD64`: the module's number.
    Module,
}

impl Form {
    fn of(kind: u32) -> Option<Self> {
        match kind {
            16 => Some(Self::Module),
            18 => Some(Self::Distance),
            36 => Some(Self::Descriptor),
            _ => None,
        }
    }
}

/// What a file says of the variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mention {
    /// Its offset in the file's block of such variables, where the file defines it.
    offset: Option<u64>,
    /// Its distance from the thread's pointer, if the file is an executable.
    distance: Option<i64>,
    /// Where the dynamic linker writes down where it is, as addresses in the file.
    slots: Vec<(Form, u64)>,
}

/// Files that were looked at: many processes have the same ones.
#[derive(Debug, Default)]
pub(crate) struct ContextFiles(HashMap<FileIndex, Option<Mention>>);

impl ContextFiles {
    /// Where a process' threads have the pointer; `None` where it cannot be told, or not yet.
    pub(crate) fn place(
        &mut self,
        mappings: &Mappings,
        memory: &RemoteMemory,
    ) -> Option<ContextPlace> {
        if cfg!(not(target_arch = "x86_64")) {
            return None;
        }
        let executable = mappings.iter().next()?.file;
        let mut mentions = Vec::new();
        for file in mappings.files() {
            let mention = self.of(file, file.index == executable);
            if let Some(mention) = mention
                && let Some(module) = mappings.of_file(file.index).next()
            {
                if file.index == executable && mention.distance.is_some() {
                    return Some(ContextPlace { offset: mention.distance?, module: 0 });
                }
                mentions.push((module.bias, mention));
            }
        }
        let offset = mentions.iter().find_map(|(_, mention)| mention.offset)?;
        let slots = mentions.iter().flat_map(|(bias, mention)| {
            mention.slots.iter().map(|(form, at)| (*form, bias.wrapping_add(*at)))
        });
        let mut slots: Vec<(Form, u64)> = slots.collect();
        slots.sort_unstable();
        let has_vector = !mappings.files().any(|file| is_musl(file));
        let mut places =
            slots.into_iter().filter_map(|(form, at)| read_slot(form, at, offset, memory));
        places.find(|place| place.module == 0 || has_vector)
    }

    fn of(&mut self, file: &KnownFile, is_executable: bool) -> Option<Mention> {
        let read = || mention(&file.open().ok()?, is_executable);
        self.0.entry(file.index).or_insert_with(read).clone()
    }

    /// Forgets files that are gone.
    pub(crate) fn forget(&mut self, is_known: impl Fn(FileIndex) -> bool) {
        self.0.retain(|index, _| is_known(*index));
    }
}

/// Whether it is the dynamic linker of musl, whose vector of blocks is not laid out as glibc's.
fn is_musl(file: &KnownFile) -> bool {
    let name = file.module.path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with("ld-musl-")
}

/// What the dynamic linker has written; `None` where it has not yet.
fn read_slot(form: Form, at: u64, offset: u64, memory: &RemoteMemory) -> Option<ContextPlace> {
    let word = |at| Some(u64::from_ne_bytes(memory.bytes(at, 8)?.try_into().ok()?));
    let by_module = |module: u64, offset: u64| {
        let plausible = (1..=MAX_MODULES).contains(&module) && offset < 1 << 32;
        let (module, offset) = (u32::try_from(module).ok()?, i64::try_from(offset).ok()?);
        plausible.then_some(ContextPlace { offset, module })
    };
    // Blocks at the same distance in all threads lie below the thread's pointer.
    let by_distance = |distance: u64| {
        let offset = distance.cast_signed();
        (i64::from(i32::MIN)..0).contains(&offset).then_some(ContextPlace { offset, module: 0 })
    };
    match form {
        Form::Descriptor => {
            let argument = word(at.wrapping_add(8))?;
            by_distance(argument)
                .or_else(|| by_module(word(argument)?, word(argument.wrapping_add(8))?))
        }
        Form::Distance => by_distance(word(at)?),
        Form::Module => by_module(word(at)?, offset),
    }
}

fn mention(image: &Image, is_executable: bool) -> Option<Mention> {
    let block = image.segments().iter().find(|segment| segment.kind == PT_TLS);
    let inside = |offset: &u64| {
        let size = block.map_or(0, |block| block.memory_size);
        offset.checked_add(8).is_some_and(|end| end <= size)
    };
    let exported = exported(image);
    let mut offset = exported.and_then(|(_, offset)| offset).filter(inside);
    if offset.is_none() && is_executable {
        // Not as the specification has it, and as good.
        let symbols = symbols_matching(image, &|name| name == VARIABLE).ok()?;
        offset = symbols.first().map(|symbol| symbol.address).filter(inside);
    }
    let distance = offset.filter(|_| is_executable).and_then(|offset| {
        let block = block?;
        distance(offset, block.address, block.memory_size, block.alignment)
    });
    let slots = exported.map_or_else(Vec::new, |(index, _)| slots(image, index, offset));
    let mention = Mention { offset, distance, slots };
    (mention != Mention::default()).then_some(mention)
}

/// From the thread's pointer to a variable of the executable: its block ends there, as far below as
/// makes its beginning aligned as in the file.
fn distance(offset: u64, address: u64, size: u64, alignment: u64) -> Option<i64> {
    let alignment = alignment.max(1);
    if !alignment.is_power_of_two() || size >= 1 << 31 || alignment > 1 << 20 {
        return None;
    }
    let padding = address.wrapping_add(size).wrapping_neg() & (alignment - 1);
    Some(i64::try_from(offset).ok()? - i64::try_from(size + padding).ok()?)
}

/// The variable's number in the dynamic symbol table, and its offset where it is defined there.
fn exported(image: &Image) -> Option<(u32, Option<u64>)> {
    let table = image.section_bytes(".dynsym", MAX_SECTION).ok()??;
    let names = image.section_bytes(".dynstr", MAX_SECTION).ok()??;
    let mut entries = table.chunks_exact(ENTRY).zip(0..);
    entries.find_map(|(entry, index)| {
        let name = usize::try_from(half(entry, 0)?).ok()?;
        let name = names.get(name..)?.strip_prefix(VARIABLE.as_bytes())?;
        if name.first() != Some(&0) {
            return None;
        }
        let defined = entry.get(6..8)? != [0, 0];
        Some((index, word(entry, 8).filter(|_| defined)))
    })
}

/// Where relocations for the variable write to: for its symbol, or for its offset where the linker
/// has bound it already.
fn slots(image: &Image, index: u32, offset: Option<u64>) -> Vec<(Form, u64)> {
    let mut slots = Vec::new();
    for section in [".rela.dyn", ".rela.plt"] {
        let Ok(Some(bytes)) = image.section_bytes(section, MAX_SECTION) else { continue };
        slots.extend(bytes.chunks_exact(ENTRY).filter_map(|entry| {
            let form = Form::of(half(entry, 8)?)?;
            let symbol = half(entry, 12)?;
            let bound = symbol == 0 && form != Form::Module && word(entry, 16) == offset;
            (symbol == index || bound).then_some((form, word(entry, 0)?))
        }));
    }
    slots
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_that_of_the_linker() {
        // A block of 16 bytes, aligned to 8: it ends at the thread's pointer.
        assert_eq!(distance(8, 0x3db8, 16, 8), Some(-8));
        // One of 20 bytes that is aligned to 64, and begins 8 bytes after such an address.
        assert_eq!(distance(0, 0x4008, 20, 64), Some(-56));
        assert_eq!(distance(0, 0x4000, 20, 0), Some(-20));
        assert_eq!(distance(0, 0x4000, 20, 3), None);
        assert_eq!(distance(0, 0x4000, u64::MAX, 8), None);
    }

    #[test]
    fn what_the_dynamic_linker_wrote_is_believed_where_it_can_be() {
        let memory = RemoteMemory::new(std::process::id());
        let read = |form, words: &[u64]| read_slot(form, words.as_ptr() as u64, 40, &memory);
        let near = Some(ContextPlace { offset: -80, module: 0 });
        assert_eq!(read(Form::Distance, &[(-80i64).cast_unsigned()]), near);
        assert_eq!(read(Form::Distance, &[0]), None, "not written yet");
        assert_eq!(read(Form::Descriptor, &[0x7f00, (-80i64).cast_unsigned()]), near);
        assert_eq!(read(Form::Module, &[3]), Some(ContextPlace { offset: 40, module: 3 }));
        assert_eq!(read(Form::Module, &[5000]), None);
        let index = [2u64, 24];
        let far = Some(ContextPlace { offset: 24, module: 2 });
        assert_eq!(read(Form::Descriptor, &[0x7f00, index.as_ptr() as u64]), far);
        // The argument of one that is not resolved: a relocation, which begins with an address.
        let relocation = [0x4fe0u64, 36];
        assert_eq!(read(Form::Descriptor, &[0x7f00, relocation.as_ptr() as u64]), None);
    }
}
