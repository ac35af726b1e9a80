//! Objects of V8's heap, read without trusting what is there.

use super::layout::Layout;
use crate::memory::MemoryReader;

/// Memory, and how V8 lays it out.
#[derive(Debug)]
pub(crate) struct Heap<'l, M> {
    pub(crate) memory: M,
    pub(crate) layout: &'l Layout,
    /// Whether garbage is being collected: objects may have been moved.
    pub(crate) moving: bool,
}

/// A word that points to an object has these low bits.
const POINTER: u64 = 1;
const POINTER_MASK: u64 = 3;

/// Addresses beyond cannot be objects.
const END: u64 = 1 << 47;

/// The address of the object that a word points to; 0 if it points to none.
#[inline(always)]
pub(crate) fn untag(word: u64) -> u64 {
    let address = word & !POINTER_MASK;
    if word & POINTER_MASK == POINTER && address < END { address } else { 0 }
}

/// The small integer that a word is, if it is one.
#[inline(always)]
pub(crate) fn small(word: u64) -> Option<i32> {
    (word & 0xffff_ffff == 0).then_some((word >> 32) as u32 as i32)
}

impl<M: MemoryReader> Heap<'_, M> {
    /// The word at an offset of an object; `None` also for no object.
    #[inline(always)]
    pub(crate) fn word(&mut self, object: u64, offset: u16) -> Option<u64> {
        if object == 0 {
            return None;
        }
        self.memory.word(object.wrapping_add(u64::from(offset)))
    }

    /// The object that a field points to, where it is now.
    #[inline(always)]
    pub(crate) fn object(&mut self, object: u64, offset: u16) -> Option<u64> {
        let target = untag(self.word(object, offset)?);
        (target != 0).then(|| self.current(target))
    }

    /// A small integer in a field.
    #[inline(always)]
    pub(crate) fn small(&mut self, object: u64, offset: u16) -> Option<i32> {
        small(self.word(object, offset)?)
    }

    /// The 4 bytes at an offset.
    #[inline(always)]
    pub(crate) fn half(&mut self, object: u64, offset: u16) -> Option<u32> {
        if object == 0 {
            return None;
        }
        self.memory.half(object.wrapping_add(u64::from(offset)))
    }

    /// Where an object is: while garbage is collected, one that was moved has its new address in
    /// place of its map.
    #[inline(always)]
    pub(crate) fn current(&mut self, object: u64) -> u64 {
        if !self.moving {
            return object;
        }
        match self.memory.word(object) {
            Some(moved) if moved & 7 == 0 && moved != 0 && moved < END => moved,
            _ => object,
        }
    }

    /// The type of an object; 0, which is that of a string, for what is none.
    #[inline(always)]
    pub(crate) fn type_of(&mut self, object: u64) -> Option<u16> {
        let map = untag(self.word(object, 0)?);
        self.type_in(map)
    }

    /// The type that a map gives its objects.
    #[inline(always)]
    pub(crate) fn type_in(&mut self, map: u64) -> Option<u16> {
        let at = self.layout.map_instance_type;
        let both = self.half(map, at & !3)?;
        Some((both >> u32::from(at & 2).wrapping_mul(8)) as u16)
    }

    /// Whether an object has a type.
    #[inline(always)]
    pub(crate) fn is(&mut self, object: u64, instance_type: u16) -> bool {
        self.type_of(object) == Some(instance_type)
    }

    /// Whether an object is a function.
    #[inline(always)]
    pub(crate) fn is_function(&mut self, object: u64) -> bool {
        let types = self.layout.type_function_first..=self.layout.type_function_last;
        self.type_of(object).is_some_and(|found| types.contains(&found))
    }

    /// The description that closures of the same function share.
    #[inline(always)]
    pub(crate) fn shared_of(&mut self, function: u64) -> Option<u64> {
        let shared = self.object(function, self.layout.function_shared)?;
        self.is(shared, self.layout.type_shared).then_some(shared)
    }

    /// An element of an array of pointers.
    #[inline(always)]
    pub(crate) fn element(&mut self, array: u64, index: u16) -> Option<u64> {
        self.word(array, self.layout.array_data.wrapping_add(index.wrapping_mul(8)))
    }
}
