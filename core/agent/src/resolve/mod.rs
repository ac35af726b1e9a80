//! From addresses to functions: object files, symbol tables, debug information, demangling.
//!
//! Everything here runs on the agent's thread and treats files as hostile: ranges are checked,
//! sizes and times bounded, nothing is mapped into memory, nothing recurses over what a file
//! says. A file that cannot be read costs its names and is counted; it never fails a profile.

mod array;
mod bytes;
mod cache;
mod clock;
mod debug_file;
mod dwarf;
mod elf;
mod error;
mod files;
mod functions;
mod go;
mod hotspot;
mod image;
mod inlines;
mod jitdump;
mod kernel;
mod lines;
mod mappings;
mod maps;
mod module_file;
mod modules;
mod names;
mod origins;
mod own_memory;
mod owner;
mod paged;
mod percent;
mod perf_map;
mod python;
mod reach;
mod source;
#[cfg(feature = "node")]
mod source_maps;
mod strings;
mod stubs;
mod symbols;
mod symtab;
mod tables;
mod units;
mod v8;

pub use bytes::Bytes;
pub use dwarf::DebugFrame;
pub use dwarf::DebugFrames;
pub use dwarf::DebugFunction;
pub use dwarf::DebugInfo;
pub use dwarf::SourceLine;
pub use elf::Section;
pub use elf::Segment;
pub use error::ResolveError;
pub use error::ResolveErrorKind;
pub use files::ANONYMOUS;
pub use files::FileIndex;
pub use files::Files;
pub use files::KnownFile;
pub(crate) use files::is_anonymous;
pub(crate) use functions::all_ranges;
pub(crate) use functions::ranges_of;
pub(crate) use functions::variable;
pub use go::GoLabels;
pub use go::GoRuntime;
pub use hotspot::JavaMethod;
pub use hotspot::Methods;
pub use hotspot::class as java_class;
pub(crate) use hotspot::line_of;
pub use image::Image;
pub use mappings::Mappings;
pub use mappings::Module;
pub(crate) use maps::MapLine;
pub use module_file::ModuleFile;
pub use modules::Modules;
pub use names::MAX_NAME;
pub use names::demangle;
pub use own_memory::OwnPages;
pub use perf_map::PerfMap;
pub use perf_map::PerfNames;
pub use python::CodeSource;
pub use python::Codes;
pub use python::LineRange;
pub use python::LineRanges;
pub use python::PythonFunction;
pub use python::line_at;
pub use python::read_text;
pub use reach::Reach;
pub use source::FileIdentity;
#[cfg(feature = "node")]
pub(crate) use source_maps::ScriptText;
#[cfg(feature = "node")]
pub(crate) use source_maps::SourceMaps;
pub use symbols::Budget;
pub(crate) use symbols::Detail;
pub use symbols::Resolved;
pub use symbols::SymbolCounters;
pub use symbols::SymbolFrame;
pub use symbols::Symbols;
pub use symtab::Symbol;
pub use symtab::symbols_at;
pub use symtab::symbols_matching;
pub use tables::OwnedTable;
pub use v8::JavaScript;
pub use v8::JavaScriptFrame;
