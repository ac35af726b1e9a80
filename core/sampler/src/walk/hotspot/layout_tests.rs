//! What is read of the tables of libjvm, and what is refused.

use super::fake::{Age, At, CALL_STUB_RETURN, CODE, CODE_END, Fake, INTERPRETER, INTERPRETER_SIZE};
use super::layout::{Facts, Unsupported};
use crate::memory::MemoryReader;

const AGES: [Age; 2] = [Age::Old, Age::New];

#[test]
fn facts_are_what_the_tables_say() {
    let facts = Fake::new(Age::Old).facts().unwrap();
    assert_eq!(facts.version, 17);
    assert_eq!(facts.code.range, CODE..CODE_END);
    assert_eq!(facts.code.interpreter, INTERPRETER..INTERPRETER + INTERPRETER_SIZE);
    assert_eq!(facts.code.call_stub_return, CALL_STUB_RETURN);
    assert_eq!(facts.code.heaps.iter().filter(|heap| **heap != 0).count(), 3);
    assert_eq!(facts.code.heaps[3], 0);
    let layout = facts.layout;
    assert_eq!((layout.thread_anchor, layout.wrapper_anchor), (200, 32));
    assert_eq!((layout.anchor_sp, layout.anchor_pc, layout.anchor_fp), (0, 8, 16));
    assert_eq!((layout.heap_low, layout.heap_high, layout.heap_segments), (24, 32, 136));
    assert_eq!((layout.segment_shift, layout.block_used, layout.block_header), (7, 8, 16));
    assert_eq!((layout.constant_size, layout.pool_size), (48, 72));
    assert_eq!(layout.thread_system, 320);
}

#[test]
fn compiled_code_is_described_by_pointers_before_25() {
    let layout = Fake::new(Age::Old).facts().unwrap().layout;
    assert!(!layout.tables_are_apart && layout.source_file_in_class);
    assert_eq!((layout.blob_code, layout.compiled_entry, layout.compiled_deopt), (16, 168, 176));
    assert_eq!((layout.compiled_scopes, layout.compiled_metadata), (184, 140));
    assert_eq!((layout.source_file, layout.constant_flags), (300, 32));
    assert_eq!((layout.unsigned5_excluded, layout.compiled_immutable), (0, 0));
}

#[test]
fn compiled_code_is_described_by_offsets_from_25_on() {
    let layout = Fake::new(Age::New).facts().unwrap().layout;
    assert!(layout.tables_are_apart && !layout.source_file_in_class);
    assert_eq!((layout.blob_code, layout.compiled_entry, layout.compiled_deopt), (44, 128, 132));
    assert_eq!((layout.compiled_scopes, layout.compiled_metadata), (116, 0));
    assert_eq!((layout.compiled_immutable, layout.blob_mutable), (160, 48));
    assert_eq!((layout.source_file, layout.constant_flags), (34, 28));
    assert_eq!((layout.unsigned5_excluded, layout.blob_relocation_size), (1, 56));
}

/// What is named as missing where a field is: another one, if either will do.
fn named(age: Age, of: &'static str, name: &'static str) -> (&'static str, &'static str) {
    match (of, name) {
        ("ConstMethod", "_flags") => (of, "_flags._flags"),
        ("InstanceKlass", "_source_file_name_index") => ("ConstantPool", name),
        ("Thread", "_osthread") => ("JavaThread", name),
        ("GrowableArrayBase", "_len") => ("GenericGrowableArray", name),
        // Without it, it is taken for an older one.
        ("nmethod", "_immutable_data") => ("CodeBlob", "_code_begin"),
        _ => {
            assert!(age == Age::New || name != "_immutable_data");
            (of, name)
        }
    }
}

#[test]
fn each_field_that_is_left_out_is_named() {
    for age in AGES {
        for left_out in 0..Fake::new(age).fields.len() {
            let mut fake = Fake::new(age);
            let (of, name, _) = fake.fields.remove(left_out);
            let (of, name) = named(age, of, name);
            assert_eq!(fake.facts(), Err(Unsupported::Missing(of, name)), "{age:?}");
        }
        for left_out in 0..Fake::new(age).sizes.len() {
            let mut fake = Fake::new(age);
            let (of, _) = fake.sizes.remove(left_out);
            assert_eq!(fake.facts(), Err(Unsupported::Missing(of, "size")), "{age:?}");
        }
    }
}

#[test]
fn each_offset_that_is_none_is_refused() {
    for age in AGES {
        for wrong in 0..Fake::new(age).fields.len() {
            let mut fake = Fake::new(age);
            let (of, name, at) = fake.fields[wrong];
            let At::Offset(_) = at else { continue };
            // As a table has it where the field is not in the structure.
            fake.fields[wrong].2 = At::Offset(u64::MAX);
            assert!(fake.facts().is_err(), "{of}::{name} at -1");
            let mut fake = Fake::new(age);
            fake.fields[wrong].2 = At::Static(CODE);
            assert!(fake.facts().is_err(), "{of}::{name} is static");
        }
    }
}

#[test]
fn a_static_field_is_wanted_where_its_address_is_used() {
    for wrong in 0..Fake::new(Age::New).fields.len() {
        let mut fake = Fake::new(Age::New);
        let (of, name, at) = fake.fields[wrong];
        let At::Static(_) = at else { continue };
        fake.fields[wrong].2 = At::Offset(8);
        assert_eq!(fake.facts(), Err(Unsupported::Missing(of, name)));
        let mut fake = Fake::new(Age::New);
        // Nothing is there.
        fake.fields[wrong].2 = At::Static(0x6666_0000);
        assert_eq!(fake.facts(), Err(Unsupported::Unreasonable(name)));
    }
}

#[test]
fn a_version_that_was_never_tried_is_refused_as_such_where_it_lacks_something() {
    for (version, refused) in
        [(25, Unsupported::Missing("CodeBlob", "_name")), (23, Unsupported::Version(23))]
    {
        let mut fake = Fake::new(Age::New);
        let address = fake.address("Abstract_VM_Version", "_vm_major_version");
        fake.put(address, version);
        fake.fields.retain(|(of, name, _)| (*of, *name) != ("CodeBlob", "_name"));
        assert_eq!(fake.facts().unwrap_err(), refused);
    }
}

/// The answer where one word of the virtual machine is another.
fn with(at: impl FnOnce(&mut Fake) -> u64, word: u64) -> Result<Facts, Unsupported> {
    let mut fake = Fake::new(Age::New);
    let address = at(&mut fake);
    fake.put(address, word);
    fake.facts()
}

#[test]
fn values_out_of_all_reason_are_refused() {
    let version = |fake: &mut Fake| fake.address("Abstract_VM_Version", "_vm_major_version");
    assert_eq!(with(version, 10).unwrap_err(), Unsupported::Version(10));
    assert_eq!(with(version, 11).unwrap().layout.unsigned5_excluded, 0);
    assert_eq!(with(version, 19).unwrap().layout.unsigned5_excluded, 0);
    assert_eq!(with(version, 20).unwrap().layout.unsigned5_excluded, 1);
    let heaps = |fake: &mut Fake| {
        let list = fake.address("CodeCache", "_heaps");
        fake.word(list).unwrap()
    };
    let refused = Err(Unsupported::Unreasonable("CodeCache::_heaps"));
    for count in [0, 5, 0x8000_0000] {
        assert_eq!(with(heaps, count), refused, "{count} heaps");
    }
    let first = |fake: &mut Fake| {
        let list = heaps(fake);
        let list = fake.word(list + 8).unwrap();
        fake.word(list).unwrap()
    };
    for shift in [0, 2, 20, 64] {
        assert_eq!(with(|fake| first(fake) + 240, shift), refused, "a shift of {shift}");
    }
    let refused = Err(Unsupported::Unreasonable("AbstractInterpreter::_code"));
    let queue = |fake: &mut Fake| {
        let queue = fake.address("AbstractInterpreter", "_code");
        fake.word(queue).unwrap()
    };
    for start in [0, CODE - 8, CODE_END, CODE_END - 8] {
        assert_eq!(with(|fake| queue(fake) + 8, start), refused, "it begins at {start:#x}");
    }
    assert_eq!(with(|fake| queue(fake) + 16, 0), refused, "it has no bytes");
}

#[test]
fn what_has_no_tables_is_another_virtual_machine() {
    let read = |fake: &mut Fake, without: &str| {
        let symbols = fake.symbols.clone();
        let symbol = |name: &str| symbols.get(name).filter(|_| name != without).copied();
        Facts::read(&mut **fake, &symbol)
    };
    let mut fake = Fake::new(Age::New);
    fake.write_tables();
    assert!(read(&mut fake, "").is_ok());
    let names: std::vec::Vec<_> = fake.symbols.keys().copied().collect();
    assert_eq!(names.len(), 11);
    for name in names {
        assert_eq!(read(&mut fake, name), Err(Unsupported::NoTables), "{name}");
    }
    let stride = fake.symbols["gHotSpotVMStructEntryArrayStride"];
    for wrong in [0, 40, 4097, u64::MAX] {
        fake.put(stride, wrong);
        assert_eq!(read(&mut fake, ""), Err(Unsupported::NoTables), "entries of {wrong} bytes");
    }
}

/// A table in which one entry follows the other for ever.
struct Endless<'f> {
    fake: &'f mut Fake,
    table: u64,
    loads: u64,
}

impl MemoryReader for Endless<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        self.loads += 1;
        match address.checked_sub(self.table) {
            Some(behind) if behind < 1 << 40 => self.fake.word(self.table + behind % 48),
            _ => self.fake.word(address),
        }
    }
}

#[test]
fn a_table_without_an_end_is_given_up() {
    let mut fake = Fake::new(Age::New);
    fake.write_tables();
    let symbols = fake.symbols.clone();
    let table = 1 << 41;
    // One entry, of a field that nobody asks for.
    let name = fake.text("Unknown");
    [name, name, 0, 0, 8, 0].into_iter().zip(0..).for_each(|(word, at)| {
        fake.put(table + at * 8, word);
    });
    fake.put(symbols["gHotSpotVMStructs"], table);
    let mut memory = Endless { fake: &mut fake, table, loads: 0 };
    let facts = Facts::read(&mut memory, &|name| symbols.get(name).copied());
    assert_eq!(facts, Err(Unsupported::Missing("Abstract_VM_Version", "_vm_major_version")));
    assert!(memory.loads < 8 * 8192, "{} loads", memory.loads);
}

#[test]
fn a_name_at_the_very_end_of_memory_is_only_not_the_one() {
    let mut fake = Fake::new(Age::New);
    fake.write_tables();
    let table = fake.word(fake.symbols["gHotSpotVMStructs"]).unwrap();
    fake.put(table, u64::MAX);
    fake.put(u64::MAX - 7, u64::from_le_bytes(*b"_______C"));
    let symbols = fake.symbols.clone();
    let facts = Facts::read(&mut *fake, &|name| symbols.get(name).copied());
    assert_eq!(facts, Err(Unsupported::Missing("CodeBlob", "_name")));
}

#[test]
fn the_number_of_a_thread_is_the_operating_systems() {
    let mut fake = Fake::new(Age::New);
    let facts = fake.facts().unwrap();
    let (thread, system) = (fake.object(400), fake.object(32));
    fake.put(thread + 320, system);
    fake.put_half(system + 16, 4711);
    assert_eq!(facts.thread_number(&mut *fake, thread), Some(4711));
    fake.put_half(system + 16, 0x8000_0000);
    assert_eq!(facts.thread_number(&mut *fake, thread), None);
    assert_eq!(facts.thread_number(&mut *fake, 0x6666_0000), None);
}
