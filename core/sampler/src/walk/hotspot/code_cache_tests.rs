//! Blobs of code, found by addresses in hand-made heaps.

use super::code_cache::{Code, Kind};
use super::fake::{Age, CODE, CODE_END, HEAPS, SEGMENT_SHIFT};
use super::fake_world::World;
use crate::memory::MemoryReader;
use crate::walk::fake_memory::Words;

fn code(world: &World) -> Code<'_, Words> {
    let memory = (*world.fake).clone();
    Code { memory, layout: &world.facts.layout, cache: &world.facts.code }
}

/// The blob that holds an address.
fn blob(world: &World, pc: u64) -> Option<u64> {
    code(world).blob(pc).map(|blob| blob.address)
}

#[test]
fn each_of_three_heaps_has_its_blobs() {
    for age in [Age::Old, Age::New] {
        let mut world = World::new(age);
        let blobs = [0, 1, 2].map(|heap| world.blob(heap, "nmethod", 5));
        for blob in blobs {
            let found = code(&world).blob(blob.code + 0x3ff).unwrap();
            assert_eq!((found.address, found.code), (blob.address, blob.code), "{age:?}");
            assert_eq!((found.kind, found.frame_words), (Kind::Compiled, 5));
        }
    }
}

#[test]
fn a_long_block_is_found_from_its_last_byte() {
    let mut world = World::new(Age::New);
    // More than 254 segments, of which each says how far back to go.
    let long = world.blob_of(2, "nmethod", 5, 100_000);
    let next = world.blob(2, "nmethod", 5);
    let end = next.address - 16;
    assert!(end - long.address > 700 << SEGMENT_SHIFT);
    for pc in [long.address, long.code, long.address + 32_640, end - 1] {
        assert_eq!(blob(&world, pc), Some(long.address), "{pc:#x}");
    }
    assert_eq!(blob(&world, end), Some(next.address));
}

#[test]
fn in_a_free_segment_or_block_is_nothing() {
    let mut world = World::new(Age::New);
    let blobs = [0, 1].map(|_| world.blob(1, "nmethod", 5));
    assert_eq!(blob(&world, blobs[1].code + 0x1000), None, "behind the last block");
    world.fake.put(blobs[0].address - 8, 0);
    assert_eq!(blob(&world, blobs[0].code), None, "the block is free");
    assert_eq!(blob(&world, blobs[1].code), Some(blobs[1].address));
    for pc in [CODE - 1, CODE_END, HEAPS[2] + 0xff_ffff, 0, u64::MAX] {
        assert_eq!(blob(&world, pc), None, "{pc:#x}");
    }
}

#[test]
fn the_code_is_between_its_bounds() {
    let world = World::new(Age::New);
    let code = code(&world);
    assert!(code.covers(CODE) && code.covers(CODE_END - 1));
    assert!(!code.covers(CODE - 1) && !code.covers(CODE_END));
}

/// A heap whose map of segments says the same everywhere.
struct Everywhere {
    words: Words,
    map: u64,
    step: u8,
    loads: u64,
}

impl MemoryReader for Everywhere {
    fn word(&mut self, address: u64) -> Option<u64> {
        self.loads += 1;
        if (self.map..self.map + 0x2_0000).contains(&address) {
            return Some(u64::from_le_bytes([self.step; 8]));
        }
        self.words.word(address)
    }
}

#[test]
fn a_map_of_segments_that_leads_nowhere_is_left() {
    let mut world = World::new(Age::New);
    let map = world.fake.word(world.facts.code.heaps[2] + 136).unwrap();
    // Before the first block; or back without end.
    for (step, most) in [(200, 0x2_0000 / 200 + 8), (1, 4096 + 8)] {
        let memory = Everywhere { words: (*world.fake).clone(), map, step, loads: 0 };
        let (layout, cache) = (&world.facts.layout, &world.facts.code);
        let mut code = Code { memory, layout, cache };
        assert!(code.blob(HEAPS[2] + 0xff_ff00).is_none());
        assert!(code.memory.loads <= most, "{} loads", code.memory.loads);
    }
    world.fake.forget(map);
    assert_eq!(blob(&world, HEAPS[2]), None, "the map cannot be read");
}

#[test]
fn a_blob_is_what_its_name_says_wherever_that_stands() {
    let mut world = World::new(Age::New);
    let stub = world.blob(0, "?", 5);
    let names: [(&[u8], Kind); 9] = [
        (b"nmethod\0", Kind::Compiled),
        (b"native nmethod\0", Kind::Native),
        (b"StubRoutines (continuation stubs)\0", Kind::Fetching),
        (b"StubRoutines (continuationstubs)\0", Kind::Fetching),
        (b"StubRoutines (compiler stubs)\0", Kind::Other),
        (b"Stub\0", Kind::Other),
        (b"StackWatermark (con\0", Kind::Other),
        (b"RuntimeStub\0", Kind::Other),
        (b"\0", Kind::Other),
    ];
    for offset in 0..8 {
        for (name, kind) in names {
            let at = 0x3000_0000 + offset;
            world.fake.put_bytes(at, name);
            world.fake.put(stub.address + 8, at);
            let found = code(&world).blob(stub.code).unwrap();
            assert_eq!(found.kind, kind, "{} at {at:#x}", name.escape_ascii());
        }
    }
    world.fake.put(stub.address + 8, 0x6666_0000);
    assert!(code(&world).blob(stub.code).is_none(), "its name cannot be read");
    // The last name there can be.
    world.fake.put(u64::MAX - 7, u64::from_le_bytes(*b"_______S"));
    world.fake.put(stub.address + 8, u64::MAX);
    assert_eq!(code(&world).blob(stub.code).unwrap().kind, Kind::Other);
}

#[test]
fn an_address_is_returned_to_where_a_call_stands_before_it() {
    let mut world = World::new(Age::New);
    let stub = world.blob(0, "?", 5);
    let mut follows = |bytes: &[u8]| {
        world.fake.put_bytes(stub.code + 0x40, &[0x90; 8]);
        world.fake.put_bytes(stub.code + 0x48 - bytes.len() as u64, bytes);
        code(&world).follows_call(stub.code + 0x48)
    };
    let calls: [&[u8]; 7] = [
        &[0xe8, 1, 2, 3, 4],
        &[0xff, 0xd0],
        &[0x41, 0xff, 0xd2],
        &[0xff, 0x50, 0x08],
        &[0xff, 0x54, 0x24, 0x08],
        &[0xff, 0x90, 1, 2, 3, 4],
        &[0xff, 0x14, 0x25, 1, 2, 3, 4],
    ];
    for call in calls {
        assert!(follows(call), "{call:x?}");
    }
    let others: [&[u8]; 5] =
        [&[], &[0xff, 0xe0], &[0xff, 0x25, 1, 2, 3, 4], &[0xe9, 1, 2, 3, 4], &[0xe8, 1, 2, 3]];
    for other in others {
        assert!(!follows(other), "{other:x?}");
    }
    assert!(!code(&world).follows_call(0) && !code(&world).follows_call(0x6666_0000));
}
