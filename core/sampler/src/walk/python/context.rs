//! Labels from the running context: the value of one context variable.
//!
//! A context's variables are a hash array mapped trie (`Python/hamt.c`): nodes of up to 32
//! branches by 5 bits of the key's hash each, which are never changed once they are reachable. A
//! lookup in a handler is therefore consistent, whatever it interrupted.

use super::frames::field;
use super::interpreter::{Interpreter, LabelVariable};
use crate::labels::Labels;
use crate::memory::MemoryReader;

/// Levels of a tree over 32 bits of hash, and one node for keys of the same hash.
const MAX_LEVELS: u32 = 8;

/// Keys of one hash that are looked at.
const MAX_COLLISIONS: u64 = 64;

/// Bytes of the value: magic, set, 0, span, and the two halves of the trace.
const VALUE_BYTES: u64 = 40;

/// The first bytes of the value.
const MAGIC: u64 = u64::from_ne_bytes(*b"SONDAGE1");

/// First bytes of the names of the node types, after `hamt_`: "array_node" and so on.
const ARRAY: u64 = u64::from_ne_bytes(*b"hamt_arr");
const BITMAP: u64 = u64::from_ne_bytes(*b"hamt_bit");
const COLLISION: u64 = u64::from_ne_bytes(*b"hamt_col");

/// The labels of the context in which `thread`, the calling thread's state, runs. `None` where the
/// variable has no value there, or one that is not ours.
#[inline(always)]
pub(crate) fn labels<M: MemoryReader>(
    python: &Interpreter,
    memory: &mut M,
    thread: u64,
) -> Option<Labels> {
    let variable = python.labels?;
    let offsets = python.layout.offsets;
    let context = field(memory, thread, offsets.thread_context).filter(|context| *context != 0)?;
    let variables = field(memory, context, offsets.context_variables)?;
    let root = field(memory, variables, offsets.hamt_root)?;
    let value = find(python, memory, root, variable)?;
    read(python, memory, value)
}

/// The value of a key.
fn find<M: MemoryReader>(
    python: &Interpreter,
    memory: &mut M,
    root: u64,
    key: LabelVariable,
) -> Option<u64> {
    let mut node = root;
    for level in 0..MAX_LEVELS {
        match branch(python, memory, node, key, level.wrapping_mul(5))? {
            Branch::Node(next) => node = next,
            Branch::Value(value) => return Some(value),
        }
    }
    None
}

enum Branch {
    Node(u64),
    Value(u64),
}

/// Where the key's branch of a node leads.
fn branch<M: MemoryReader>(
    python: &Interpreter,
    memory: &mut M,
    node: u64,
    key: LabelVariable,
    shift: u32,
) -> Option<Branch> {
    let offsets = python.layout.offsets;
    let at = |offset: u16| node.wrapping_add(u64::from(offset));
    let bits = key.hash.checked_shr(shift).unwrap_or(0) & 31;
    let kind = memory.word(at(offsets.object_type))?;
    let name = field(memory, kind, offsets.type_name)?;
    match eight_bytes(memory, name)? {
        ARRAY => {
            let next = memory.word(at(offsets.array_nodes).wrapping_add(u64::from(bits) * 8))?;
            (next != 0).then_some(Branch::Node(next))
        }
        BITMAP => {
            let bitmap = memory.half(at(offsets.bitmap_bits))?;
            let bit = 1u32 << bits;
            if bitmap & bit == 0 {
                return None;
            }
            let before = (bitmap & bit.wrapping_sub(1)).count_ones();
            let (first, second) = pair(memory, at(offsets.pairs), u64::from(before))?;
            match first {
                0 => Some(Branch::Node(second)),
                first => (first == key.address).then_some(Branch::Value(second)),
            }
        }
        COLLISION => {
            let words = memory.word(at(offsets.object_size))?;
            let mut pairs = 0..(words / 2).min(MAX_COLLISIONS);
            pairs.find_map(|index| {
                let (first, second) = pair(memory, at(offsets.pairs), index)?;
                (first == key.address).then_some(Branch::Value(second))
            })
        }
        _ => None,
    }
}

fn pair<M: MemoryReader>(memory: &mut M, pairs: u64, index: u64) -> Option<(u64, u64)> {
    let at = pairs.wrapping_add(index.wrapping_mul(16));
    Some((memory.word(at)?, memory.word(at.wrapping_add(8))?))
}

/// 8 bytes at any address, as they would be loaded.
fn eight_bytes<M: MemoryReader>(memory: &mut M, address: u64) -> Option<u64> {
    let skipped = (address & 7) as u32;
    let low = memory.bytes_from(address)?;
    if skipped == 0 {
        return Some(low.to_le());
    }
    let high = u64::from_le(memory.word((address & !7).wrapping_add(8))?);
    let shift = 64u32.wrapping_sub(skipped.wrapping_mul(8));
    Some((low | high << (shift & 63)).to_le())
}

/// What the value says, if it is one of ours.
fn read<M: MemoryReader>(python: &Interpreter, memory: &mut M, value: u64) -> Option<Labels> {
    let offsets = python.layout.offsets;
    let is_bytes = field(memory, value, offsets.object_type)? == python.bytes_type;
    if !is_bytes || field(memory, value, offsets.object_size)? != VALUE_BYTES {
        return None;
    }
    let start = value.wrapping_add(u64::from(offsets.bytes_start));
    let mut word = |index: u64| memory.word(start.wrapping_add(index.wrapping_mul(8)));
    if word(0)? != MAGIC {
        return None;
    }
    let [a, b, c, d, ..] = word(1)?.to_ne_bytes();
    let (high, low) = (word(3)?, word(4)?);
    Some(Labels {
        set: u32::from_ne_bytes([a, b, c, d]),
        span: word(2)?,
        trace: u128::from(high) << 64 | u128::from(low),
    })
}
