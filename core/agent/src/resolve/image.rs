use std::path::Path;
use std::sync::Arc;

use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use object::LittleEndian;
use object::elf;
use object::read::CompressedData;
use object::read::CompressionFormat;

use super::bytes::Bytes;
use super::elf::Section;
use super::elf::Segment;
use super::elf::Tables;
use super::elf::first;
use super::elf::items;
use super::error::ResolveError;
use super::error::ResolveErrorKind;
use super::source::FileIdentity;
use super::source::Source;

const LE: LittleEndian = LittleEndian;
const MAX_NOTES: u64 = 64 << 10;
const MAX_BUILD_ID: usize = 64;
const MAX_DYNAMIC: u64 = 64 << 10;
const MAX_SONAME: usize = 4096;

/// An ELF file open for reading: an executable, a shared library, a separate debug file, or the
/// vDSO's bytes.
///
/// Only headers are read on opening; everything else is read in ranges when asked for, each
/// bounded. The file is never mapped. Dropping the image closes the file.
#[derive(Debug)]
pub struct Image {
    pub(crate) source: Source,
    tables: Tables,
}

impl Image {
    /// Opens the file at `path`, which must still be the file `expected` (the device and inode of
    /// its mapping), when given.
    ///
    /// The inode decides: on overlayfs and btrfs the device in `/proc/self/maps` differs from
    /// `stat`'s for the same file, and a mapped file's inode cannot be reused on its filesystem.
    ///
    /// # Errors
    /// [`Missing`](ResolveErrorKind::Missing) where no file is, [`Replaced`] where another one
    /// is, [`Unreadable`](ResolveErrorKind::Unreadable) for anything but a readable regular file,
    /// [`Malformed`](ResolveErrorKind::Malformed) for a file that is not a whole 64-bit
    /// little-endian ELF executable or library.
    ///
    /// [`Replaced`]: ResolveErrorKind::Replaced
    pub fn open(path: &Path, expected: Option<FileIdentity>) -> Result<Self, ResolveError> {
        let (source, identity) = Source::open(path)?;
        if expected.is_some_and(|expected| expected.inode != identity.inode) {
            return Err(ResolveError::new(
                ResolveErrorKind::Replaced,
                "the file was replaced since it was mapped",
            ));
        }
        Self::of_mapped(source)
    }

    /// Reads a file that is mapped somewhere.
    pub(crate) fn of_mapped(source: Source) -> Result<Self, ResolveError> {
        let image = Self::new(source)?;
        image.check_segments()?;
        Ok(image)
    }

    /// Opens a separate debug file, whose segments may have no bytes.
    pub(crate) fn open_debug(path: &Path) -> Result<Self, ResolveError> {
        Self::new(Source::open(path)?.0)
    }

    /// Reads an image that has no file, such as the vDSO copied from memory.
    ///
    /// # Errors
    /// [`Malformed`](ResolveErrorKind::Malformed) as for [`open`](Self::open).
    pub fn from_bytes(bytes: Arc<[u8]>) -> Result<Self, ResolveError> {
        Self::new(Source::Memory(bytes))
    }

    fn new(source: Source) -> Result<Self, ResolveError> {
        let tables = Tables::read(&source)?;
        Ok(Self { source, tables })
    }

    fn check_segments(&self) -> Result<(), ResolveError> {
        let len = self.source.len();
        for segment in self.load_segments() {
            if segment.offset.checked_add(segment.file_size).is_none_or(|end| end > len) {
                return Err(ResolveError::malformed(format!(
                    "truncated: a segment has {} bytes at offset {} of a file of {len} bytes",
                    segment.file_size, segment.offset
                )));
            }
        }
        Ok(())
    }

    /// Every program header, in file order.
    pub fn segments(&self) -> &[Segment] {
        &self.tables.segments
    }

    /// The segments the loader maps (`PT_LOAD`), in file order.
    pub fn load_segments(&self) -> impl Iterator<Item = &Segment> {
        self.tables.segments.iter().filter(|segment| segment.is_load())
    }

    /// Every section, by index.
    pub fn sections(&self) -> &[Section] {
        &self.tables.sections
    }

    /// The first section with this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.tables.sections.iter().find(|section| section.name == name)
    }

    /// The bytes of the section with this name, decompressed, or `None` when the file has no such
    /// section or only its size. `.debug_*` sections are also found under their old compressed
    /// name `.zdebug_*`.
    ///
    /// # Errors
    /// [`TooLarge`](ResolveErrorKind::TooLarge) when it takes more than `limit` bytes, compressed
    /// or not; [`Malformed`](ResolveErrorKind::Malformed) when it lies outside the file or does
    /// not decompress to its declared size.
    pub fn section_bytes(&self, name: &str, limit: u64) -> Result<Option<Bytes>, ResolveError> {
        let Some((section, layout)) = self.layout(name)? else { return Ok(None) };
        if layout.size > limit {
            return Err(ResolveError::too_large(name, layout.size, limit));
        }
        let offset = section.offset.saturating_add(layout.header);
        let bytes = self.source.read(offset, section.size - layout.header, limit)?;
        if layout.format == CompressionFormat::None {
            return Ok(Some(bytes));
        }
        let unpacked = match layout.format {
            CompressionFormat::Zlib => inflate(&bytes, layout.size)?,
            format => {
                let packed =
                    CompressedData { format, data: &bytes, uncompressed_size: layout.size };
                packed.decompress().ok().map(|unpacked| Bytes::from(unpacked.into_owned()))
            }
        };
        match unpacked {
            Some(unpacked) => Ok(Some(unpacked)),
            None => Err(ResolveError::malformed(format!("cannot decompress {name}"))),
        }
    }

    /// The bytes this section takes once decompressed, 0 when the file has none of it.
    pub(crate) fn section_size(&self, name: &str) -> Result<u64, ResolveError> {
        Ok(self.layout(name)?.map_or(0, |(_, layout)| layout.size))
    }

    /// Offset and size of a section that lies in the file as it is, whole.
    pub(crate) fn plain_section(&self, name: &str) -> Result<Option<(u64, u64)>, ResolveError> {
        let Some((section, layout)) = self.layout(name)? else { return Ok(None) };
        let inside =
            section.offset.checked_add(section.size).is_some_and(|end| end <= self.source.len());
        let plain = layout.format == CompressionFormat::None && inside;
        Ok(plain.then_some((section.offset, section.size)))
    }

    fn layout(&self, name: &str) -> Result<Option<(&Section, Layout)>, ResolveError> {
        if let Some(section) = self.section(name).filter(|section| section.has_bytes()) {
            let packed = section.flags & elf::SHF_COMPRESSED.0 != 0;
            let layout = if packed { self.packed(section)? } else { Layout::plain(section) };
            return Ok(Some((section, layout)));
        }
        let Some(rest) = name.strip_prefix(".debug_") else { return Ok(None) };
        match self.section(&format!(".zdebug_{rest}")).filter(|section| section.has_bytes()) {
            Some(section) => Ok(Some((section, self.old_packed(section)?))),
            None => Ok(None),
        }
    }

    /// A section with `SHF_COMPRESSED`: a header tells format and size.
    fn packed(&self, section: &Section) -> Result<Layout, ResolveError> {
        type Header = elf::CompressionHeader64<LittleEndian>;
        let header = size_of::<Header>() as u64;
        if section.size < header {
            return Err(ResolveError::malformed("a compressed section is cut short"));
        }
        let bytes = self.source.read(section.offset, header, header)?;
        let parsed = first::<Header>(&bytes)?;
        let format = match parsed.ch_type.get(LE) {
            elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
            elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
            other => {
                let message = format!("{}: unknown compression {}", section.name, other.0);
                return Err(ResolveError::malformed(message));
            }
        };
        Ok(Layout { format, header, size: parsed.ch_size.get(LE) })
    }

    /// A `.zdebug_*` section: `ZLIB` and a big-endian size come first.
    fn old_packed(&self, section: &Section) -> Result<Layout, ResolveError> {
        const HEADER: usize = 12;
        let bytes = self.source.read(section.offset, section.size.min(12), 12)?;
        match bytes.first_chunk::<HEADER>() {
            Some([b'Z', b'L', b'I', b'B', size @ ..]) => Ok(Layout {
                format: CompressionFormat::Zlib,
                header: HEADER as u64,
                size: u64::from_be_bytes(*size),
            }),
            _ => Err(ResolveError::malformed(format!("{}: no ZLIB header", section.name))),
        }
    }

    /// The GNU build id in lower-case hex, when the file has one of at most 64 bytes.
    pub fn build_id(&self) -> Option<String> {
        let segments = self.tables.segments.iter().filter(|s| s.kind == elf::PT_NOTE.0);
        let sections = self.tables.sections.iter().filter(|s| s.kind == elf::SHT_NOTE.0);
        segments
            .map(|segment| (segment.offset, segment.file_size))
            .chain(sections.map(|section| (section.offset, section.size)))
            .filter_map(|(offset, size)| self.source.read(offset, size, MAX_NOTES).ok())
            .find_map(|notes| build_id(&notes))
    }

    /// The name a library gives itself (`DT_SONAME`).
    pub fn soname(&self) -> Option<String> {
        let dynamic = self.tables.sections.iter().find(|s| s.kind == elf::SHT_DYNAMIC.0)?;
        let strings = self.tables.sections.get(dynamic.link as usize)?;
        let size = dynamic.size.min(MAX_DYNAMIC);
        let bytes = self.source.read(dynamic.offset, size, MAX_DYNAMIC).ok()?;
        let entries = items::<elf::Dyn64<LittleEndian>>(&bytes).ok()?;
        let name = entries.iter().find(|entry| entry.d_tag.get(LE) == elf::DT_SONAME)?;
        let name = name.d_val.get(LE);
        if !strings.has_bytes() || name >= strings.size {
            return None;
        }
        let end = strings.offset.checked_add(strings.size)?;
        let text = self.source.read_string(strings.offset + name, end, MAX_SONAME).ok()?;
        String::from_utf8(text).ok().filter(|text| !text.is_empty())
    }
}

/// Unpacks a zlib stream of `size` bytes, outside the host's allocator; `None` when it is none.
fn inflate(packed: &[u8], size: u64) -> Result<Option<Bytes>, ResolveError> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut unpacked = Bytes::zeroed(size)?;
    let mut stream = Decompress::new(true);
    let status = stream.decompress(packed, unpacked.as_mut_slice(), FlushDecompress::Finish).ok();
    let whole = status == Some(Status::StreamEnd) && stream.total_out() == size as u64;
    Ok(whole.then_some(unpacked))
}

/// How a section's bytes lie in the file.
struct Layout {
    format: CompressionFormat,
    /// Bytes before the data.
    header: u64,
    /// Bytes once decompressed.
    size: u64,
}

impl Layout {
    fn plain(section: &Section) -> Self {
        Self { format: CompressionFormat::None, header: 0, size: section.size }
    }
}

/// Finds `NT_GNU_BUILD_ID` of owner `GNU` in a run of notes padded to 4 bytes (where notes are
/// padded to 8, the GNU property note that comes first has a size that is a multiple of both).
fn build_id(notes: &[u8]) -> Option<String> {
    const HEADER: usize = 12;
    let mut rest = notes;
    while rest.len() >= HEADER {
        let word = |at: usize| -> Option<usize> {
            let bytes = rest.get(at..at + 4)?.first_chunk::<4>()?;
            usize::try_from(u32::from_le_bytes(*bytes)).ok()
        };
        let (name_size, size, kind) = (word(0)?, word(4)?, word(8)?);
        let name = rest.get(HEADER..HEADER.checked_add(name_size)?)?;
        let start = HEADER.checked_add(name_size.checked_next_multiple_of(4)?)?;
        let end = start.checked_add(size)?;
        let value = rest.get(start..end)?;
        if name == b"GNU\0" && kind == elf::NT_GNU_BUILD_ID.0 as usize {
            return (!value.is_empty() && value.len() <= MAX_BUILD_ID)
                .then(|| value.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        rest = rest.get(end.checked_next_multiple_of(4)?..)?;
    }
    None
}
