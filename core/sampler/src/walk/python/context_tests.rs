//! Lookups in hand-made contexts.

use super::context::labels;
use super::fake::{BYTES_TYPE, Fake, THREAD, interpreter};
use super::interpreter::Interpreter;
use crate::labels::Labels;
use std::vec::Vec;

const VARIABLE: u64 = 0x50_0000;
const OTHER: u64 = 0x50_1000;

/// Branches of the first four levels: 3, 5, 0, 31.
const HASH: i64 = 3 | 5 << 5 | 31 << 15;

fn python() -> Interpreter {
    interpreter(12).with_labels(VARIABLE, HASH)
}

fn value(memory: &mut Fake, set: u32) -> u64 {
    let mut content = b"SONDAGE1".to_vec();
    content.extend(set.to_ne_bytes());
    content.extend([0; 4]);
    for word in [11u64, 12, 13] {
        content.extend(word.to_ne_bytes());
    }
    memory.bytes(&content)
}

const EXPECTED: Labels = Labels { set: 5, span: 11, trace: 12 << 64 | 13 };

/// A type whose name starts at an odd address, as names in a program's image do.
fn node_type(memory: &mut Fake, name: &str) -> u64 {
    let kind = memory.object(64, 0);
    let text = memory.object(40, 0) + 3;
    memory.put_bytes(text, name.as_bytes());
    memory.put(kind + 24, text);
    kind
}

fn bitmap(memory: &mut Fake, branches: &[(u32, u64, u64)]) -> u64 {
    let kind = node_type(memory, "hamt_bitmap_node");
    let node = memory.object(32 + branches.len() as u64 * 16, kind);
    let bits: u32 = branches.iter().map(|(branch, _, _)| 1 << branch).sum();
    memory.put_bytes(node + 24, &bits.to_le_bytes());
    for (index, (_, first, second)) in (0u64..).zip(branches) {
        memory.put(node + 32 + index * 16, *first);
        memory.put(node + 40 + index * 16, *second);
    }
    node
}

fn array(memory: &mut Fake, branches: &[(u64, u64)]) -> u64 {
    let kind = node_type(memory, "hamt_array_node");
    let node = memory.object(16 + 33 * 8, kind);
    branches.iter().for_each(|(branch, next)| memory.put(node + 16 + branch * 8, *next));
    node
}

fn found(memory: &mut Fake, root: u64) -> Option<Labels> {
    let context = memory.object(48, 0);
    let variables = memory.object(40, 0);
    memory.put(variables + 16, root);
    memory.put(context + 24, variables);
    memory.put(THREAD + u64::from(python().layout.offsets.thread_context), context);
    labels(&python(), memory, THREAD)
}

#[test]
fn a_variable_is_found_at_every_level_and_in_every_kind_of_node() {
    let mut memory = Fake::new();
    let value = value(&mut memory, 5);
    let shallow = bitmap(&mut memory, &[(1, OTHER, 1), (3, VARIABLE, value), (9, OTHER, 2)]);
    assert_eq!(found(&mut memory, shallow), Some(EXPECTED));
    let deep = bitmap(&mut memory, &[(0, VARIABLE, value)]);
    let deep = bitmap(&mut memory, &[(5, 0, deep), (6, OTHER, 1)]);
    let root = array(&mut memory, &[(2, 1), (3, deep), (4, 1)]);
    assert_eq!(found(&mut memory, root), Some(EXPECTED));
    // Another key of the same 32 bits.
    let kind = node_type(&mut memory, "hamt_collision_node");
    let collision = memory.object(64, kind);
    memory.put(collision + 16, 4);
    for (index, word) in [OTHER, 1, VARIABLE, value].into_iter().enumerate() {
        memory.put(collision + 32 + index as u64 * 8, word);
    }
    let root = bitmap(&mut memory, &[(3, 0, collision)]);
    assert_eq!(found(&mut memory, root), Some(EXPECTED));
}

#[test]
fn a_variable_that_is_not_there_or_has_a_value_of_others_gives_no_labels() {
    let mut memory = Fake::new();
    let right = value(&mut memory, 5);
    let longer = memory.bytes(&[0; 41]);
    let no_magic = memory.bytes(&[7; 40]);
    let no_bytes = value(&mut memory, 5);
    memory.put(no_bytes + 8, BYTES_TYPE + 8);
    for value in [longer, no_magic, no_bytes, 0, 0x99_9999] {
        let root = bitmap(&mut memory, &[(3, VARIABLE, value)]);
        assert_eq!(found(&mut memory, root), None);
    }
    let roots = [
        bitmap(&mut memory, &[(4, VARIABLE, right)]),
        bitmap(&mut memory, &[(3, OTHER, right)]),
        array(&mut memory, &[(3, 0)]),
        right,
        0,
    ];
    roots.into_iter().for_each(|root| assert_eq!(found(&mut memory, root), None));
    memory.put(THREAD + u64::from(python().layout.offsets.thread_context), 0);
    assert_eq!(labels(&python(), &mut memory, THREAD), None, "no context was ever entered");
}

#[test]
fn a_tree_in_a_circle_is_left_after_as_many_levels_as_there_can_be() {
    let mut memory = Fake::new();
    let node = array(&mut memory, &[]);
    (0..32).for_each(|branch| memory.put(node + 16 + branch * 8, node));
    assert_eq!(found(&mut memory, node), None);
}

#[test]
fn a_hash_is_folded_as_the_interpreter_folds_it() {
    let folded = |hash| interpreter(12).with_labels(1, hash).labels.unwrap().hash;
    let expected: Vec<u32> = std::vec![0x1234_5678 ^ 0x9abc_def0, u32::MAX - 1, 0];
    let hashes = [0x1234_5678_9abc_def0, 0xffff_ffff, -1];
    assert_eq!(hashes.map(folded).to_vec(), expected);
}
