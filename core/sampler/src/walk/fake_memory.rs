//! A memory that is a map, for hand-made heaps.

use crate::memory::MemoryReader;
use std::collections::HashMap;

/// Words by address; everything else cannot be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(HashMap<u64, u64>);

impl MemoryReader for Words {
    fn word(&mut self, address: u64) -> Option<u64> {
        if address & 7 == 0 { self.0.get(&address).copied() } else { None }
    }
}

/// Makes a type with a field `words` read and written as those.
macro_rules! wraps_words {
    ($fake:ty) => {
        impl $crate::memory::MemoryReader for $fake {
            fn word(&mut self, address: u64) -> Option<u64> {
                self.words.word(address)
            }
        }

        impl core::ops::Deref for $fake {
            type Target = $crate::walk::fake_memory::Words;

            fn deref(&self) -> &Self::Target {
                &self.words
            }
        }

        impl core::ops::DerefMut for $fake {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.words
            }
        }
    };
}

pub(super) use wraps_words;

impl Words {
    pub(super) fn put(&mut self, address: u64, word: u64) {
        assert_eq!(address & 7, 0);
        self.0.insert(address, word);
    }

    pub(super) fn put_bytes(&mut self, address: u64, bytes: &[u8]) {
        for (address, byte) in (address..).zip(bytes) {
            let word = self.0.entry(address & !7).or_default();
            let shift = (address & 7) * 8;
            *word = *word & !(0xff << shift) | u64::from(*byte) << shift;
        }
    }

    /// Makes a word unreadable.
    pub(super) fn forget(&mut self, address: u64) {
        self.0.remove(&address);
    }
}
