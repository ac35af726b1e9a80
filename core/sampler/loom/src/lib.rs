//! The sampler's ring and gate, compiled from the very same files, with loom's atomics.
#![cfg(test)]

mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../../src/gate.rs"]
#[allow(dead_code, reason = "the models use a part of it")]
mod gate;
#[path = "../../src/ring.rs"]
#[allow(dead_code, reason = "the models use a part of it")]
mod ring;

use atomic::{AtomicU64, Ordering};
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;

struct OwnedRing {
    head: AtomicU64,
    tail: AtomicU64,
    words: Vec<AtomicU64>,
}

impl OwnedRing {
    fn new(len: usize) -> Self {
        let words = (0..len).map(|_| AtomicU64::new(0)).collect();
        Self { head: AtomicU64::new(0), tail: AtomicU64::new(0), words }
    }

    fn ring(&self) -> ring::Ring<'_> {
        ring::Ring { head: &self.head, tail: &self.tail, words: &self.words }
    }
}

/// Writes up to three records of two words each; returns how many fitted.
fn write_three(ring: ring::Ring<'_>) -> usize {
    let mut written = 0;
    for value in 1..=3u64 {
        let record = ring.begin();
        if record.free() >= 2 {
            record.put(0, value);
            record.put(1, value * 100);
            record.publish(2);
            written += 1;
        }
    }
    written
}

#[test]
fn the_reader_sees_whole_records_in_order_while_the_writer_writes() {
    loom::model(|| {
        let owned = Arc::new(OwnedRing::new(4));
        let writer = {
            let owned = owned.clone();
            loom::thread::spawn(move || write_three(owned.ring()))
        };
        let mut seen = Vec::new();
        owned.ring().drain(|word| seen.push(word));
        let written = writer.join().unwrap();
        owned.ring().drain(|word| seen.push(word));
        assert_eq!(seen.len(), written * 2);
        assert!(seen.chunks(2).all(|pair| pair[1] == pair[0] * 100));
        assert!(seen.chunks(2).zip(seen.chunks(2).skip(1)).all(|(a, b)| a[0] < b[0]));
    });
}

#[test]
fn nobody_reads_what_was_freed_after_the_gate_was_seen_empty() {
    loom::model(|| {
        let gate = Arc::new(gate::Gate { inside: AtomicU64::new(0) });
        let current = Arc::new(AtomicUsize::new(0));
        let buffers = Arc::new([AtomicU64::new(10), AtomicU64::new(11)]);
        let visitors: Vec<_> = (0..2)
            .map(|_| {
                let (gate, current, buffers) = (gate.clone(), current.clone(), buffers.clone());
                loom::thread::spawn(move || {
                    gate.enter();
                    let index = current.load(Ordering::Acquire);
                    let value = buffers[index].load(Ordering::Relaxed);
                    gate.exit();
                    assert!(value == 10 || value == 11, "read freed memory");
                })
            })
            .collect();
        current.store(1, Ordering::Release);
        if gate.is_empty() {
            buffers[0].store(666, Ordering::Relaxed);
        }
        for visitor in visitors {
            visitor.join().unwrap();
        }
    });
}
