//! Where HotSpot keeps things: offsets in its structures, and where its code is.
//!
//! All of it comes from the tables that libjvm exports for debuggers (`gHotSpotVMStructs` and
//! others), so that a new version brings its own. What those leave out stands here as rules by
//! version. The self-check of a binding is what decides whether they fit.

use super::chunk::Continuations;
use super::code_cache::Code;
use super::labels::ThreadLocals;
use super::objects::Objects;
use super::vm_structs::VmStructs;
use crate::memory::MemoryReader;
use crate::walk::number::layout;
use core::ops::Range;

/// Code heaps: one, or three where code is kept apart by how long it lives.
pub(super) const MAX_HEAPS: usize = 4;

/// The versions whose frames are known to be read right. Others are read where their tables have all
/// that these have.
const TRIED: [u32; 4] = [11, 17, 21, 25];

/// Why HotSpot's frames cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// The processor is not x86-64.
    Processor,
    /// There are no tables, or they cannot be read: another virtual machine.
    NoTables,
    /// HotSpot is older than 11, or a version that was never tried and lacks what those have that
    /// were.
    Version(u32),
    /// A field is not in the tables: its type and its name.
    Missing(&'static str, &'static str),
    /// A value is out of all reason.
    Unreasonable(&'static str),
}

impl core::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Processor => f.write_str("frames of HotSpot can be read on x86-64 only"),
            Self::NoTables => f.write_str("the virtual machine has no gHotSpotVMStructs"),
            Self::Version(version) => write!(f, "HotSpot {version} is not known"),
            Self::Missing(of, name) => write!(f, "HotSpot does not export {of}::{name}"),
            Self::Unreasonable(name) => write!(f, "HotSpot's {name} makes no sense"),
        }
    }
}

layout! {
    (
        /// Offsets are in bytes from the start of a structure.
    )

    /// In a blob of code: its name.
    blob_name: u16,
    /// Words of its frames.
    blob_frame_size: u16,
    /// Bytes of code until its frame stands.
    blob_frame_complete: u16,
    /// Where its code begins: a pointer, or before a byte offset in the blob.
    blob_code: u16,
    /// From 25 on: what may change of it, a pointer.
    blob_mutable: u16,
    /// From 25 on: bytes of relocations, with which that begins.
    blob_relocation_size: u16,

    /// Whether tables of compiled code lie apart from it, as from 25 on: the following are byte
    /// offsets where they are pointers before.
    tables_are_apart: bool,
    /// In compiled code: its method.
    compiled_method: u16,
    /// The compiler's level: 1 to 3 are C1, 4 is C2.
    compiled_level: u16,
    /// Where callers enter that have checked the class.
    compiled_entry: u16,
    /// Where returns go after the code was found to be wrong.
    compiled_deopt: u16,
    /// Where in the frame the real return address is then.
    compiled_original_pc: u16,
    /// The table of addresses, whose end is the next number.
    compiled_pcs: u16,
    /// The methods that run at them.
    compiled_scopes: u16,
    /// The metadata that those are numbered by.
    compiled_metadata: u16,
    /// From 25 on: what does not change of it, a pointer.
    compiled_immutable: u16,
    /// What compressed numbers exclude: 1 from 20 on.
    unsigned5_excluded: u16,

    /// In a method: what never changes of it.
    method_constant: u16,
    /// In that: the constants of its class.
    constant_pool: u16,
    /// Its flags, of which bit 0 says that it has lines.
    constant_flags: u16,
    /// Bytes of bytecode.
    constant_code_size: u16,
    /// The number of its name among the constants.
    constant_name: u16,
    /// The number of its signature.
    constant_signature: u16,
    /// Bytes before its bytecode.
    constant_size: u16,
    /// In the constants of a class: the class.
    pool_class: u16,
    /// Bytes before the first of them.
    pool_size: u16,
    /// The number of the source file's name: there, or in the class before 17.
    source_file: u16,
    /// Whether it is in the class.
    source_file_in_class: bool,
    /// In a class: its name.
    class_name: u16,
    /// In a symbol: how many bytes it has.
    symbol_length: u16,
    /// The first of them.
    symbol_body: u16,

    /// In a thread: the note of where it has left Java.
    thread_anchor: u16,
    /// The same in what native code that calls Java knows of the call.
    wrapper_anchor: u16,
    /// In such a note: the stack pointer, or 0.
    anchor_sp: u16,
    /// The address, or 0 where it is on the stack.
    anchor_pc: u16,
    /// The frame pointer.
    anchor_fp: u16,
    /// Frames that are being made into those of the interpreter.
    thread_unpacking: u16,
    /// What the operating system knows of it.
    thread_system: u16,
    /// In that: its number.
    system_number: u16,

    /// In a heap of code: where it begins.
    heap_low: u16,
    /// Where what is used of it ends.
    heap_high: u16,
    /// A byte for each segment: how far back its block begins.
    heap_segments: u16,
    /// A segment's size, as a power of two.
    segment_shift: u16,
    /// In a block: whether it is used.
    block_used: u16,
    /// Bytes before what is in it.
    block_header: u16,
}

/// Where the code is that HotSpot makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeCache {
    /// All of it.
    pub range: Range<u64>,
    /// The interpreter.
    pub interpreter: Range<u64>,
    /// Where calls from native code return to.
    pub call_stub_return: u64,
    /// The heaps, 0 for none.
    pub heaps: [u64; MAX_HEAPS],
}

/// A HotSpot whose frames can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The version: 25.
    pub version: u32,
    /// Where things are.
    pub layout: Layout,
    /// Where the code is.
    pub code: CodeCache,
    /// Where virtual threads keep their frames; `None` where they cannot be read.
    pub continuations: Option<Continuations>,
    /// Where they keep what the labels of one are found by; `None` as above.
    pub thread_locals: Option<ThreadLocals>,
    /// How objects lie in memory, for a binding that finds out both; `None` where they cannot be read.
    pub objects: Option<Objects>,
    /// Where stubs begin and end, in order, as the virtual machine tells a binding; those of which
    /// nothing is told are guessed at.
    pub stubs: &'static [Range<u64>],
    /// In a `JavaThread`: where the thread is pointed to that it runs, and that which it is; `None`
    /// before 19.
    pub thread_objects: Option<[u16; 2]>,
}

impl Facts {
    /// What the virtual machine says of itself, in memory: `symbol` finds what libjvm exports.
    ///
    /// # Errors
    /// See [`Unsupported`].
    pub fn read<M: MemoryReader>(
        memory: &mut M,
        symbol: &dyn Fn(&str) -> Option<u64>,
    ) -> Result<Self, Unsupported> {
        if !cfg!(target_arch = "x86_64") {
            return Err(Unsupported::Processor);
        }
        let mut tables = VmStructs::read(memory, symbol).ok_or(Unsupported::NoTables)?;
        let version = tables.static_half("Abstract_VM_Version", "_vm_major_version")?;
        if version < 11 {
            return Err(Unsupported::Version(version));
        }
        let facts = Self::read_version(&mut tables, version);
        match TRIED.contains(&version) {
            true => facts,
            false => facts.map_err(|_| Unsupported::Version(version)),
        }
    }

    fn read_version<M: MemoryReader>(
        tables: &mut VmStructs<'_, M>,
        version: u32,
    ) -> Result<Self, Unsupported> {
        let mut layout =
            Layout { unsigned5_excluded: u16::from(version >= 20), ..Layout::default() };
        layout.take_code(tables)?;
        layout.take_methods(tables)?;
        layout.take_threads(tables)?;
        let code = CodeCache::read(tables, &mut layout)?;
        let object = |name| tables.offset("JavaThread", name).ok();
        let thread_objects = object("_vthread").zip(object("_threadObj")).map(Into::into);
        Ok(Self {
            version,
            layout,
            code,
            continuations: None,
            thread_locals: None,
            stubs: &[],
            objects: Objects::read(tables).ok(),
            thread_objects,
        })
    }
}

impl Facts {
    /// The operating system's number of a `JavaThread`.
    pub fn thread_number<M: MemoryReader>(&self, memory: &mut M, thread: u64) -> Option<i32> {
        let system = memory.word(thread.wrapping_add(self.layout.thread_system.into()))?;
        let number = memory.half(system.wrapping_add(self.layout.system_number.into()))?;
        i32::try_from(number).ok()
    }

    /// Bytes of the objects of a class, given the object that stands for it; `None` if that is not the
    /// class of this name.
    pub fn object_bytes<M: MemoryReader>(
        &self,
        memory: M,
        class_object: u64,
        name: &str,
    ) -> Option<u16> {
        let objects = self.objects?;
        let mut code = Code { memory, layout: &self.layout, cache: &self.code };
        let class = code.pointer(class_object, objects.class)?;
        let symbol = code.pointer(class, self.layout.class_name)?;
        let length = code.short(symbol, self.layout.symbol_length)?;
        let text = symbol.wrapping_add(u64::from(self.layout.symbol_body));
        if usize::from(length) != name.len() || !code.is_text(text, name.as_bytes()) {
            return None;
        }
        // The lowest bits say how objects are made.
        let bytes = code.half(class, objects.class_layout)? & !7;
        u16::try_from(bytes).ok()
    }
}

impl Layout {
    fn take_code<M: MemoryReader>(&mut self, tables: &VmStructs<'_, M>) -> Result<(), Unsupported> {
        let blob = |name| tables.offset("CodeBlob", name);
        self.blob_name = blob("_name")?;
        self.blob_frame_size = blob("_frame_size")?;
        self.blob_frame_complete = blob("_frame_complete_offset")?;
        self.compiled_level = tables.offset("nmethod", "_comp_level")?;
        self.compiled_original_pc = tables.offset("nmethod", "_orig_pc_offset")?;
        self.compiled_pcs = tables.offset("nmethod", "_scopes_pcs_offset")?;
        let old = |name| tables.offset("CompiledMethod", name);
        let new = |name| tables.offset("nmethod", name);
        self.tables_are_apart = new("_immutable_data").is_ok();
        if self.tables_are_apart {
            self.blob_code = blob("_code_offset")?;
            self.blob_mutable = blob("_mutable_data")?;
            self.blob_relocation_size = blob("_relocation_size")?;
            self.compiled_immutable = new("_immutable_data")?;
            self.compiled_method = new("_method")?;
            self.compiled_entry = new("_verified_entry_offset")?;
            self.compiled_deopt = new("_deopt_handler_offset")?;
            self.compiled_scopes = new("_scopes_data_offset")?;
        } else {
            self.blob_code = blob("_code_begin")?;
            self.compiled_method = old("_method")?;
            self.compiled_entry = new("_verified_entry_point")?;
            self.compiled_deopt = old("_deopt_handler_begin")?;
            self.compiled_scopes = old("_scopes_data_begin")?;
            self.compiled_metadata = new("_metadata_offset")?;
        }
        Ok(())
    }

    fn take_methods<M: MemoryReader>(
        &mut self,
        tables: &VmStructs<'_, M>,
    ) -> Result<(), Unsupported> {
        let constant = |name| tables.offset("ConstMethod", name);
        self.method_constant = tables.offset("Method", "_constMethod")?;
        self.constant_pool = constant("_constants")?;
        self.constant_flags = constant("_flags").or_else(|_| constant("_flags._flags"))?;
        self.constant_code_size = constant("_code_size")?;
        self.constant_name = constant("_name_index")?;
        self.constant_signature = constant("_signature_index")?;
        self.constant_size = tables.size("ConstMethod")?;
        self.pool_class = tables.offset("ConstantPool", "_pool_holder")?;
        self.pool_size = tables.size("ConstantPool")?;
        let in_class = tables.offset("InstanceKlass", "_source_file_name_index");
        self.source_file_in_class = in_class.is_ok();
        self.source_file =
            in_class.or_else(|_| tables.offset("ConstantPool", "_source_file_name_index"))?;
        self.class_name = tables.offset("Klass", "_name")?;
        self.symbol_length = tables.offset("Symbol", "_length")?;
        self.symbol_body = tables.offset("Symbol", "_body")?;
        Ok(())
    }

    fn take_threads<M: MemoryReader>(
        &mut self,
        tables: &VmStructs<'_, M>,
    ) -> Result<(), Unsupported> {
        let anchor = |name| tables.offset("JavaFrameAnchor", name);
        self.thread_anchor = tables.offset("JavaThread", "_anchor")?;
        self.wrapper_anchor = tables.offset("JavaCallWrapper", "_anchor")?;
        self.anchor_sp = anchor("_last_Java_sp")?;
        self.anchor_pc = anchor("_last_Java_pc")?;
        self.anchor_fp = anchor("_last_Java_fp")?;
        self.thread_unpacking = tables.offset("JavaThread", "_vframe_array_head")?;
        self.thread_system = tables
            .offset("Thread", "_osthread")
            .or_else(|_| tables.offset("JavaThread", "_osthread"))?;
        self.system_number = tables.offset("OSThread", "_thread_id")?;
        let heap = |name| tables.offset("CodeHeap", name);
        let space = |name| tables.offset("VirtualSpace", name);
        let sum = |a: u16, b: u16| a.checked_add(b).ok_or(Unsupported::Unreasonable("CodeHeap"));
        self.heap_low = sum(heap("_memory")?, space("_low")?)?;
        self.heap_high = sum(heap("_memory")?, space("_high")?)?;
        self.heap_segments = sum(heap("_segmap")?, space("_low")?)?;
        self.block_used = tables.offset("HeapBlock::Header", "_used")?;
        self.block_header = tables.size("HeapBlock")?;
        Ok(())
    }
}

impl CodeCache {
    fn read<M: MemoryReader>(
        tables: &mut VmStructs<'_, M>,
        layout: &mut Layout,
    ) -> Result<Self, Unsupported> {
        const HEAPS: Unsupported = Unsupported::Unreasonable("CodeCache::_heaps");
        const INTERPRETER: Unsupported = Unsupported::Unreasonable("AbstractInterpreter::_code");
        let range = tables.static_word("CodeCache", "_low_bound")?
            ..tables.static_word("CodeCache", "_high_bound")?;
        let list = tables.static_word("CodeCache", "_heaps")?;
        let length = tables
            .offset("GrowableArrayBase", "_len")
            .or_else(|_| tables.offset("GenericGrowableArray", "_len"))?;
        let data = tables.offset("GrowableArray<int>", "_data")?;
        let count = tables.half(list, length).ok_or(HEAPS)? as usize;
        let data = tables.word(list, data).ok_or(HEAPS)?;
        if !(1..=MAX_HEAPS).contains(&count) {
            return Err(HEAPS);
        }
        let mut heaps = [0; MAX_HEAPS];
        for (at, heap) in (0u16..).zip(heaps.iter_mut().take(count)) {
            *heap = tables.word(data, at.wrapping_mul(8)).ok_or(HEAPS)?;
        }
        let shift = tables.offset("CodeHeap", "_log2_segment_size")?;
        let [first, ..] = heaps;
        let shift = tables.half(first, shift).filter(|shift| (3..20).contains(shift));
        layout.segment_shift = shift.ok_or(HEAPS)? as u16;
        let stubs = tables.static_word("AbstractInterpreter", "_code")?;
        let buffer = tables.offset("StubQueue", "_stub_buffer")?;
        let limit = tables.offset("StubQueue", "_buffer_limit")?;
        let start = tables.word(stubs, buffer).ok_or(INTERPRETER)?;
        let size = tables.half(stubs, limit).ok_or(INTERPRETER)?;
        let interpreter = start..start.wrapping_add(u64::from(size));
        if !range.contains(&start) || range.end < interpreter.end || size == 0 {
            return Err(INTERPRETER);
        }
        let call_stub_return = tables.static_word("StubRoutines", "_call_stub_return_address")?;
        Ok(Self { range, interpreter, call_stub_return, heaps })
    }
}
