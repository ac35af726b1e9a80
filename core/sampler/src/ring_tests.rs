//! The ring used by one thread; every interleaving of two is checked in `core/sampler/loom`.

use crate::atomic::AtomicU64;
use crate::ring::Ring;

struct Owned {
    head: AtomicU64,
    tail: AtomicU64,
    words: Vec<AtomicU64>,
}

impl Owned {
    fn new(len: usize) -> Self {
        let words = (0..len).map(|_| AtomicU64::new(0)).collect();
        Self { head: AtomicU64::new(0), tail: AtomicU64::new(0), words }
    }
    fn ring(&self) -> Ring<'_> {
        Ring { head: &self.head, tail: &self.tail, words: &self.words }
    }
}

#[test]
fn records_come_out_in_order_across_the_end_of_the_ring() {
    let owned = Owned::new(8);
    let ring = owned.ring();
    let mut expected = 0;
    for round in 0..50 {
        let record = ring.begin();
        assert_eq!(record.free(), 8);
        for index in 0..5 {
            record.put(index, round * 5 + index as u64);
        }
        record.publish(5);
        ring.drain(|word| {
            assert_eq!(word, expected);
            expected += 1;
        });
    }
    assert_eq!(expected, 250);
}

#[test]
fn a_full_ring_offers_no_room_and_keeps_what_it_has() {
    let owned = Owned::new(4);
    let ring = owned.ring();
    let record = ring.begin();
    (0..4).for_each(|index| record.put(index, 10 + index as u64));
    record.publish(4);
    let full = ring.begin();
    assert_eq!(full.free(), 0);
    full.put(0, 99);
    full.publish(1);
    let mut seen = Vec::new();
    ring.drain(|word| seen.push(word));
    assert_eq!(seen, [10, 11, 12, 13]);
}
