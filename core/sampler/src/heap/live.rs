//! The sampled blocks that are not freed yet.
//!
//! An address has two buckets of eight places, and a block takes a place in the emptier one. So a
//! look-up reads two cache lines whatever happened before; nothing is probed, moved or left behind,
//! and the table is as quick after years as on the first day. It is some nine tenths full before a
//! block finds both of its buckets taken.
//!
//! Each place is claimed and given back by one atomic operation. Only who is about to free a block
//! looks for its address, and only one thread can be, so a block that is in the table is found.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const BUCKET_BITS: u32 = 14;
const BUCKETS: usize = 1 << BUCKET_BITS;
const PLACES: usize = 8;

/// Most sampled blocks: 64 GiB of memory in use at the default rate.
pub(crate) const MAX_BLOCKS: usize = BUCKETS * PLACES;

/// What an address can't be: a place that is being filled, and the mark of a block that is being
/// resized, which lies beside its address.
const FREE: u64 = 0;
const FILLING: u64 = 2;
const RESIZING: u64 = 1;

/// Addresses whose low bits are not needed for marks.
const ALIGNMENT: u64 = 4;

/// One line of addresses, and beside it what is known of each. All zero is an empty one.
#[derive(Debug)]
#[repr(C, align(64))]
struct Bucket {
    addresses: [AtomicU64; PLACES],
    sizes: [AtomicU64; PLACES],
    stacks: [AtomicU32; PLACES],
}

/// All zero is an empty table.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Live {
    buckets: [Bucket; BUCKETS],
}

/// A block in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) size: u64,
    /// The number of its stack, which means what the owner of the table says.
    pub(crate) stack: u32,
}

/// A place of the table.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    address: &'a AtomicU64,
    size: &'a AtomicU64,
    stack: &'a AtomicU32,
}

/// A block that is being resized: out of everybody's reach, but still alive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resizing<'a> {
    place: &'a AtomicU64,
    address: u64,
}

impl Bucket {
    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let values = self.sizes.iter().zip(&self.stacks);
        let places = self.addresses.iter().zip(values);
        places.map(|(address, (size, stack))| Place { address, size, stack })
    }

    fn free_places(&self) -> usize {
        self.addresses.iter().filter(|it| it.load(Ordering::Relaxed) == FREE).count()
    }

    fn find(&self, address: u64) -> Option<&AtomicU64> {
        self.addresses.iter().find(|it| it.load(Ordering::Relaxed) == address)
    }

    fn claim(&self) -> Option<Place<'_>> {
        self.places().find(|place| {
            let (order, failed) = (Ordering::Acquire, Ordering::Relaxed);
            place.address.compare_exchange(FREE, FILLING, order, failed).is_ok()
        })
    }
}

impl Live {
    /// The buckets of an address.
    fn buckets(&self, address: u64) -> [Option<&Bucket>; 2] {
        // The fraction of the golden ratio (Knuth's multiplicative hashing), whose top bits depend
        // on all others.
        let hash = (address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let first = hash >> (64u32.wrapping_sub(BUCKET_BITS));
        let second =
            hash >> (64u32.wrapping_sub(2 * BUCKET_BITS)) & (BUCKETS as u64).wrapping_sub(1);
        let second = if first == second { second ^ 1 } else { second };
        [self.buckets.get(first as usize), self.buckets.get(second as usize)]
    }

    /// Takes a block in; `false` if there is no room for it.
    pub(crate) fn insert(&self, address: u64, block: Block) -> bool {
        if address & ALIGNMENT.wrapping_sub(1) != 0 || address < 4096 {
            return false;
        }
        let [Some(first), Some(second)] = self.buckets(address) else { return false };
        let (emptier, other) = if second.free_places() > first.free_places() {
            (second, first)
        } else {
            (first, second)
        };
        let Some(place) = emptier.claim().or_else(|| other.claim()) else { return false };
        place.size.store(block.size, Ordering::Relaxed);
        place.stack.store(block.stack, Ordering::Relaxed);
        place.address.store(address, Ordering::Release);
        true
    }

    fn find(&self, address: u64) -> Option<&AtomicU64> {
        if address & ALIGNMENT.wrapping_sub(1) != 0 || address < 4096 {
            return None;
        }
        self.buckets(address).into_iter().flatten().find_map(|bucket| bucket.find(address))
    }

    /// Takes out the block at `address`, which is about to be freed; whether there was one.
    pub(crate) fn remove(&self, address: u64) -> bool {
        self.find(address).is_some_and(|place| exchange(place, address, FREE))
    }

    /// Puts the block at `address`, which is about to be resized, out of reach: it may be freed by
    /// that, and another thread may get its address at once.
    pub(crate) fn begin_resizing(&self, address: u64) -> Option<Resizing<'_>> {
        let place = self.find(address)?;
        exchange(place, address, address | RESIZING).then_some(Resizing { place, address })
    }

    /// The blocks, as they are while this goes on. A block that is freed and handed out again and
    /// sampled meanwhile, within nanoseconds, could be seen with its old size and its new stack.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Block> {
        self.places().map(|place| Block {
            size: place.size.load(Ordering::Relaxed),
            stack: place.stack.load(Ordering::Relaxed),
        })
    }

    /// Replaces the numbers of stacks by what `renumber` says.
    pub(crate) fn renumber(&self, renumber: impl Fn(u32) -> Option<u32>) {
        for place in self.places() {
            let before = place.stack.load(Ordering::Relaxed);
            if let Some(after) = renumber(before) {
                let order = Ordering::Relaxed;
                // Where it is another number by now, that one is new and means itself.
                let _ = place.stack.compare_exchange(before, after, order, order);
            }
        }
    }

    /// In a forked child: gives back the places that threads were filling which do not exist here,
    /// and lets blocks be what they were before such threads were resizing them.
    pub(crate) fn forget_unfinished(&self) {
        for address in self.buckets.iter().flat_map(|bucket| &bucket.addresses) {
            exchange(address, FILLING, FREE);
            let now = address.load(Ordering::Relaxed);
            if now > FILLING && now & RESIZING != 0 {
                exchange(address, now, now & !RESIZING);
            }
        }
    }

    fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let places = self.buckets.iter().flat_map(Bucket::places);
        places.filter(|place| !matches!(place.address.load(Ordering::Acquire), FREE | FILLING))
    }
}

impl Resizing<'_> {
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// The block is no more, or no more what it was.
    pub(crate) fn free(self) -> bool {
        exchange(self.place, self.address | RESIZING, FREE)
    }

    /// The block stays what it was.
    pub(crate) fn keep(self) {
        exchange(self.place, self.address | RESIZING, self.address);
    }
}

/// Fails only where the table was emptied meanwhile.
fn exchange(place: &AtomicU64, before: u64, after: u64) -> bool {
    place.compare_exchange(before, after, Ordering::Release, Ordering::Relaxed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn address(n: u64) -> u64 {
        0x7f12_0000_0000 + n * 48 / 16 * 16
    }

    fn block(n: u64) -> Block {
        Block { size: n + 1, stack: n as u32 }
    }

    #[test]
    fn blocks_are_found_until_they_are_removed() {
        let live: Box<Live> = super::super::zeroed();
        assert!(!live.remove(address(1)));
        for n in 0..10_000 {
            assert!(live.insert(address(n), block(n)));
        }
        for n in (0..10_000).step_by(2) {
            assert!(live.remove(address(n)), "{n}");
            assert!(!live.remove(address(n)), "{n}");
        }
        let sum: u64 = live.blocks().map(|block| block.size).sum();
        assert_eq!((live.blocks().count(), sum), (5_000, (1..5_001).map(|n| 2 * n).sum()));
    }

    #[test]
    fn the_table_holds_nine_tenths_of_its_places_and_is_as_good_after_much_use() {
        let live: Box<Live> = super::super::zeroed();
        let nine_tenths = MAX_BLOCKS as u64 * 9 / 10;
        let mut refused = 0;
        for round in 0..5u64 {
            for n in 0..nine_tenths {
                refused += u64::from(!live.insert(address(n + round * nine_tenths), block(n)));
            }
            for n in 0..nine_tenths {
                live.remove(address(n + round * nine_tenths));
            }
            assert_eq!(live.blocks().count(), 0);
        }
        assert!(refused < 5 * nine_tenths / 500, "{refused} of {}", 5 * nine_tenths);
    }

    #[test]
    fn a_full_table_refuses_and_takes_again_when_there_is_room() {
        let live: Box<Live> = super::super::zeroed();
        let all = MAX_BLOCKS as u64 * 4;
        let taken: Vec<u64> = (0..all).filter(|n| live.insert(address(*n), block(*n))).collect();
        assert!(taken.len() > MAX_BLOCKS * 99 / 100, "{}", taken.len());
        assert!(taken.iter().all(|n| live.remove(address(*n))));
        assert_eq!(live.blocks().count(), 0);
        assert!(live.insert(address(all), block(1)));
    }

    #[test]
    fn a_block_that_is_resized_stays_alive_and_out_of_reach() {
        let live: Box<Live> = super::super::zeroed();
        live.insert(address(1), block(1));
        let resizing = live.begin_resizing(address(1)).unwrap();
        assert_eq!(live.blocks().collect::<Vec<_>>(), [block(1)]);
        assert!(!live.remove(address(1)), "its address may be another block's by now");
        assert!(live.insert(address(1), block(2)), "which can be sampled too");
        assert!(live.remove(address(1)));
        resizing.keep();
        assert_eq!(live.blocks().collect::<Vec<_>>(), [block(1)]);
        let resizing = live.begin_resizing(address(1)).unwrap();
        assert!(resizing.free());
        assert_eq!(live.blocks().count(), 0);
        assert!(live.begin_resizing(address(1)).is_none());
    }

    #[test]
    fn what_is_no_address_of_a_block_is_refused() {
        let live: Box<Live> = super::super::zeroed();
        for address in [0, 1, 2, 8, 0x7f00_0000_0001, 0x7f00_0000_0002] {
            assert!(!live.insert(address, block(1)), "{address:#x}");
            assert!(!live.remove(address) && live.begin_resizing(address).is_none());
        }
    }

    #[test]
    fn stacks_are_renumbered_only_where_they_have_the_old_number() {
        let live: Box<Live> = super::super::zeroed();
        (0..10).for_each(|n| assert!(live.insert(address(n), block(n))));
        live.renumber(|stack| (stack < 5).then_some(stack + 100));
        let stacks = live.blocks().map(|block| (block.stack, block.size));
        let stacks: HashMap<u32, u64> = stacks.collect();
        assert!(
            (0..10u32).all(|n| { stacks[&if n < 5 { n + 100 } else { n }] == u64::from(n) + 1 })
        );
    }

    #[test]
    fn threads_that_allocate_and_free_at_once_lose_no_block() {
        let live: Box<Live> = super::super::zeroed();
        let work = |thread: u64| {
            for round in 0..200 {
                let own = |n: u64| address(thread * 1_000_000 + (round * 37 + n) % 5_000);
                for n in 0..100 {
                    assert!(live.insert(own(n), block(n)));
                }
                for n in 0..100 {
                    assert!(live.remove(own(n)), "{thread} {round} {n}");
                }
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|thread| _ = scope.spawn(move || work(thread)));
            (0..20).for_each(|_| assert!(live.blocks().count() <= 400));
        });
        assert_eq!(live.blocks().count(), 0);
    }
}
