//! The tables at the front and back of an ELF file: segments and sections.

use object::LittleEndian;
use object::elf;
use object::pod;
use object::pod::Pod;

use super::bytes::Bytes;
use super::error::ResolveError;
use super::source::Source;

const LE: LittleEndian = LittleEndian;
/// More program headers than any linker writes.
const MAX_SEGMENTS: u64 = 4096;
/// The number that fits in the ELF header.
const MAX_SECTIONS: u64 = 65_535;
const MAX_SECTION_NAMES: u64 = 4 << 20;
const MAX_SECTION_NAME: usize = 256;

/// One program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`, for example 1 for `PT_LOAD`.
    pub kind: u32,
    /// `p_flags`: 1 executable, 2 writable, 4 readable.
    pub flags: u32,
    /// Address in the file's own address space.
    pub address: u64,
    /// Bytes it takes there.
    pub memory_size: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes it takes in the file.
    pub file_size: u64,
    /// What its address is a multiple of, a power of two; 0 for none.
    pub alignment: u64,
}

impl Segment {
    /// Whether the loader maps it (`PT_LOAD`).
    pub fn is_load(&self) -> bool {
        self.kind == elf::PT_LOAD.0
    }

    /// Whether its bytes may be run.
    pub fn is_executable(&self) -> bool {
        self.flags & elf::PF_X.0 != 0
    }
}

/// One section header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, such as `.text`.
    pub name: String,
    /// `sh_type`, for example 8 for `SHT_NOBITS`.
    pub kind: u32,
    /// `sh_flags`.
    pub flags: u64,
    /// Address in the file's own address space; 0 when it is not loaded.
    pub address: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Size in bytes (compressed size for a compressed section).
    pub size: u64,
    /// Index of the section it refers to, such as a symbol table's strings.
    pub link: u32,
}

impl Section {
    /// Whether the file holds its bytes.
    pub fn has_bytes(&self) -> bool {
        self.kind != elf::SHT_NOBITS.0 && self.kind != elf::SHT_NULL.0
    }

    /// Whether `address` lies in it.
    pub fn contains(&self, address: u64) -> bool {
        address >= self.address && address - self.address < self.size
    }
}

/// What the ELF header leads to.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) segments: Vec<Segment>,
    pub(crate) sections: Vec<Section>,
}

impl Tables {
    pub(crate) fn read(source: &Source) -> Result<Self, ResolveError> {
        let bytes =
            source
                .read(0, size_of::<elf::FileHeader64<LittleEndian>>() as u64, u64::MAX)
                .map_err(|_| ResolveError::malformed("not an ELF file: shorter than its header"))?;
        let header = first::<elf::FileHeader64<LittleEndian>>(&bytes)?;
        check(header)?;
        let segments = segments(source, header)?;
        let sections = sections(source, header)?;
        Ok(Self { segments, sections })
    }
}

fn check(header: &elf::FileHeader64<LittleEndian>) -> Result<(), ResolveError> {
    let ident = &header.e_ident;
    if ident.magic != elf::ELFMAG {
        return Err(ResolveError::malformed("not an ELF file"));
    }
    if ident.class != elf::ELFCLASS64 || ident.data != elf::ELFDATA2LSB {
        return Err(ResolveError::malformed("not a 64-bit little-endian ELF file"));
    }
    let kind = header.e_type.get(LE);
    if kind != elf::ET_EXEC && kind != elf::ET_DYN {
        return Err(ResolveError::malformed("neither an executable nor a shared library"));
    }
    Ok(())
}

fn segments(
    source: &Source,
    header: &elf::FileHeader64<LittleEndian>,
) -> Result<Vec<Segment>, ResolveError> {
    type Header = elf::ProgramHeader64<LittleEndian>;
    let count = u64::from(header.e_phnum.get(LE));
    if count == 0 {
        return Ok(Vec::new());
    }
    if usize::from(header.e_phentsize.get(LE)) != size_of::<Header>() || count > MAX_SEGMENTS {
        return Err(ResolveError::malformed("implausible program header table"));
    }
    let size = count * size_of::<Header>() as u64;
    let bytes = source.read(header.e_phoff.get(LE), size, size)?;
    let headers = items::<Header>(&bytes)?;
    Ok(headers
        .iter()
        .map(|header| Segment {
            kind: header.p_type.get(LE).0,
            flags: header.p_flags.get(LE).0,
            address: header.p_vaddr.get(LE),
            memory_size: header.p_memsz.get(LE),
            offset: header.p_offset.get(LE),
            file_size: header.p_filesz.get(LE),
            alignment: header.p_align.get(LE),
        })
        .collect())
}

fn sections(
    source: &Source,
    header: &elf::FileHeader64<LittleEndian>,
) -> Result<Vec<Section>, ResolveError> {
    type Header = elf::SectionHeader64<LittleEndian>;
    let offset = header.e_shoff.get(LE);
    if offset == 0 {
        return Ok(Vec::new());
    }
    let size = size_of::<Header>() as u64;
    if u64::from(header.e_shentsize.get(LE)) != size {
        return Err(ResolveError::malformed("implausible section header table"));
    }
    let mut count = u64::from(header.e_shnum.get(LE));
    let mut names = u32::from(header.e_shstrndx.get(LE).0);
    if count == 0 || names == u32::from(elf::SHN_XINDEX.0) {
        let bytes = source.read(offset, size, size)?;
        let zeroth = first::<Header>(&bytes)?;
        count = if count == 0 { zeroth.sh_size.get(LE) } else { count };
        names = if names == u32::from(elf::SHN_XINDEX.0) { zeroth.sh_link.get(LE) } else { names };
    }
    if count > MAX_SECTIONS {
        return Err(ResolveError::too_large("the section header table", count, MAX_SECTIONS));
    }
    let bytes = source.read(offset, count * size, MAX_SECTIONS * size)?;
    let headers = items::<Header>(&bytes)?;
    let strings = match headers.get(names as usize) {
        Some(table) if names != 0 => {
            source.read(table.sh_offset.get(LE), table.sh_size.get(LE), MAX_SECTION_NAMES)?
        }
        _ => Bytes::default(),
    };
    Ok(headers.iter().map(|header| section(header, &strings)).collect())
}

fn section(header: &elf::SectionHeader64<LittleEndian>, strings: &[u8]) -> Section {
    let name = strings.get(header.sh_name.get(LE) as usize..).unwrap_or_default();
    let name = &name[..name.len().min(MAX_SECTION_NAME)];
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    Section {
        name: String::from_utf8_lossy(name).into_owned(),
        kind: header.sh_type.get(LE).0,
        flags: header.sh_flags.get(LE).0,
        address: header.sh_addr.get(LE),
        offset: header.sh_offset.get(LE),
        size: header.sh_size.get(LE),
        link: header.sh_link.get(LE),
    }
}

/// The first `T` of `bytes`.
pub(crate) fn first<T: Pod>(bytes: &[u8]) -> Result<&T, ResolveError> {
    let short = |()| ResolveError::malformed("truncated: a header is cut short");
    pod::from_bytes(bytes).map(|(item, _)| item).map_err(short)
}

/// `bytes` as whole `T`s; a rest too short for one is left out.
pub(crate) fn items<T: Pod>(bytes: &[u8]) -> Result<&[T], ResolveError> {
    let short = |()| ResolveError::malformed("truncated: a table is cut short");
    pod::slice_from_bytes(bytes, bytes.len() / size_of::<T>())
        .map(|(items, _)| items)
        .map_err(short)
}
