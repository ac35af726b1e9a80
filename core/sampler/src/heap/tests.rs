//! The module as a whole, with blocks that are only numbers.

use super::{Heap, InUse, Named, PARTS, StartError, allocated, freed, resizing};
use crate::{Engine, Options, Sampler};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// There is one heap in a process: its tests take turns. Stacks need a sampler.
fn turn() -> (Sampler, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::new(());
    let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (sampler(), guard)
}

pub(crate) fn sampler() -> Sampler {
    let options = Options {
        engine: Engine::Timer,
        interval: Duration::from_millis(10),
        max_threads: 16,
        table_bytes: 1 << 20,
        max_depth: 64,
        weight_cap: 1,
        main_stack: 0..0,
        avoided_signals: 0,
        python: None,
        v8: None,
        hotspot: None,
    };
    Sampler::start(&options).unwrap()
}

/// A number that can be the address of a block.
fn block(n: usize) -> usize {
    0x7f12_0000_0000 + n * 32
}

/// What an allocator tells when it makes the block at `from` a block of `size` bytes at `to`, or
/// fails to (0).
fn resize(from: usize, to: usize, size: usize) {
    resizing(from).finish(to != 0);
    allocated(to, size);
}

/// Objects and bytes allocated since the last call, of all stacks.
fn allocations(heap: &mut Heap) -> (u64, u64) {
    let mut sum = (0, 0);
    let named = heap.name_stacks(|stack| {
        sum = (sum.0 + stack.objects, sum.1 + stack.bytes);
        7
    });
    assert!(named);
    (sum.0 / PARTS, sum.1 / PARTS)
}

/// Objects and bytes in use.
fn in_use(heap: &Heap) -> (u64, u64) {
    let add = |sum: (u64, u64), it: InUse| (sum.0 + it.objects, sum.1 + it.bytes);
    let sum = heap.in_use().fold((0, 0), add);
    (sum.0 / PARTS, sum.1 / PARTS)
}

#[test]
fn with_a_rate_of_one_every_block_is_counted_until_it_is_freed() {
    let _turn = turn();
    let mut heap = Heap::start(1).unwrap();
    assert_eq!(Heap::start(1).err(), Some(StartError::AlreadyRunning));
    (0..1000).for_each(|n| allocated(block(n), 100));
    allocated(0, 1 << 20);
    assert_eq!(allocations(&mut heap), (1000, 100_000));
    assert_eq!(in_use(&heap), (1000, 100_000));
    assert!(heap.in_use().all(|it| it.stack == Named::Stack(7)));
    (0..500).for_each(|n| freed(block(n)));
    (0..500).for_each(|n| freed(block(n)));
    allocated(block(1), 8);
    assert_eq!(in_use(&heap), (501, 50_008));
    let new = heap.in_use().filter(|it| it.stack == Named::New).count();
    assert_eq!(new, 1);
    assert_eq!(allocations(&mut heap), (1, 8));
    assert_eq!(allocations(&mut heap), (0, 0));
    let beat = heap.beat();
    allocated(block(2000), 16);
    assert_ne!(heap.beat(), beat);
}

#[test]
fn a_resized_block_is_a_new_one_and_a_failed_resize_changes_nothing() {
    let _turn = turn();
    let mut heap = Heap::start(1).unwrap();
    allocated(block(1), 100);
    resize(block(1), 0, 1 << 40);
    assert_eq!(in_use(&heap), (1, 100));
    resize(block(1), block(1), 150);
    assert_eq!(in_use(&heap), (1, 150));
    resize(block(1), block(2), 300);
    freed(block(1));
    assert_eq!(in_use(&heap), (1, 300));
    resize(block(9), block(9), 1);
    assert_eq!(in_use(&heap), (2, 301), "a block from before the start");
    assert_eq!(allocations(&mut heap), (4, 551));
    freed(block(2));
    freed(block(9));
    assert_eq!(in_use(&heap), (0, 0));
}

#[test]
fn names_stay_with_the_blocks_over_many_batches() {
    let _turn = turn();
    let mut heap = Heap::start(1).unwrap();
    for round in 0..100 {
        allocated(block(round), 10);
        assert!(heap.name_stacks(|_| round as u32));
    }
    assert!(heap.name_stacks(|_| unreachable!("nothing was allocated")));
    let stacks = heap.in_use().map(|it| (it.stack, it.bytes / PARTS));
    let stacks: HashMap<Named, u64> = stacks.collect();
    assert!((0..100).all(|n| stacks[&Named::Stack(n)] == 10) && stacks.len() == 100);
    allocated(block(100), 1);
    assert!(heap.name_stacks(|_| u32::MAX));
    assert!(heap.in_use().any(|it| it.stack == Named::Stack(Heap::MAX_NAME)));
}

#[test]
fn estimates_are_right_on_average() {
    let _turn = turn();
    let mut heap = Heap::start(10_000).unwrap();
    (0..400_000).for_each(|n| allocated(block(n), 32 + n % 64));
    (0..200_000).for_each(|n| freed(block(n)));
    let bytes = 400_000.0 * 63.5;
    let (_, seen) = allocations(&mut heap);
    // 2,540 samples, of which the spread is 2 %.
    assert!((seen as f64 / bytes - 1.0).abs() < 0.08, "{seen} of {bytes}");
    let (_, kept) = in_use(&heap);
    assert!((kept as f64 / bytes * 2.0 - 1.0).abs() < 0.12, "{kept} of {}", bytes / 2.0);
    assert_eq!(heap.counters().untracked, 0);
}

#[test]
fn after_a_stop_nothing_is_sampled_and_the_next_start_begins_with_nothing() {
    let _turn = turn();
    for _ in 0..100 {
        let mut heap = Heap::start(1).unwrap();
        (0..10).for_each(|n| allocated(block(n), 10));
        assert_eq!(in_use(&heap), (10, 100));
        assert_eq!(allocations(&mut heap), (10, 100));
        (0..10).for_each(|n| allocated(block(n + 20), 10));
        let samples = heap.counters().samples;
        let resized = resizing(block(3));
        drop(heap);
        allocated(block(11), 10);
        freed(block(4));
        resized.finish(true);
        allocated(block(3), 20);
        let mut heap = Heap::start(1).unwrap();
        assert_eq!((in_use(&heap), allocations(&mut heap)), ((0, 0), (0, 0)));
        assert_eq!(heap.counters().samples, samples);
        freed(block(1));
        assert_eq!(in_use(&heap), (0, 0));
    }
}

#[test]
fn more_blocks_than_there_is_room_for_are_counted_and_not_kept() {
    let _turn = turn();
    let mut heap = Heap::start(1).unwrap();
    let before = heap.counters();
    let all = super::live::MAX_BLOCKS * 2;
    (0..all).for_each(|n| allocated(block(n), 16));
    let after = heap.counters();
    let (kept, _) = in_use(&heap);
    assert_eq!(after.samples - before.samples, all as u64);
    assert_eq!(kept + after.untracked - before.untracked, all as u64);
    assert_eq!(allocations(&mut heap), (all as u64, 16 * all as u64));
    (0..all).for_each(|n| freed(block(n)));
    assert_eq!(in_use(&heap), (0, 0));
}

#[test]
fn threads_at_once_and_an_agent_that_looks_lose_nothing_that_they_can_count() {
    const THREADS: usize = 4;
    const EACH: usize = 100_000;
    let _turn = turn();
    let mut heap = Heap::start(1).unwrap();
    let before = heap.counters();
    let work = |thread: usize| {
        for n in 0..EACH {
            let own = block(thread * EACH + n % 1000);
            allocated(own, 16);
            if n % 7 != 0 {
                freed(own);
            } else {
                resize(own, own, 32);
                freed(own);
            }
        }
    };
    let mut seen = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|it| scope.spawn(move || work(it))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            seen += allocations(&mut heap).0;
            assert!(in_use(&heap).0 <= THREADS as u64);
        }
    });
    seen += allocations(&mut heap).0;
    assert_eq!(in_use(&heap), (0, 0));
    let after = heap.counters();
    let all = (THREADS * EACH + THREADS * EACH.div_ceil(7)) as u64;
    let missed = after.contended - before.contended;
    assert_eq!(seen, after.samples - before.samples);
    // Where the countdown was changed by two threads at once, one change can be lost.
    assert!(seen + missed <= all && seen > all / 20, "{seen} + {missed} of {all}");
}

#[test]
fn a_forked_child_goes_on_with_what_its_parent_had() {
    let _turn = turn();
    let mut heap = Heap::start(1).unwrap();
    (0..10).for_each(|n| allocated(block(n), 10));
    allocations(&mut heap);
    (10..20).for_each(|n| allocated(block(n), 10));
    // SAFETY: the child uses atomics and its copy of the mapping, and leaves at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let right = std::panic::catch_unwind(|| {
            crate::after_fork_in_child();
            allocated(block(30), 10);
            freed(block(0));
            freed(block(10));
            let _sampler = sampler();
            let mut heap = Heap::start(1).unwrap();
            allocated(block(40), 5);
            freed(block(1));
            assert!(heap.name_stacks(|_| 3));
            let inherited = heap.in_use().filter(|it| it.stack == Named::Inherited).count();
            assert_eq!((inherited, in_use(&heap)), (17, (18, 175)));
            drop(heap);
        });
        // SAFETY: ends the child without running what the test's process registered.
        unsafe { libc::_exit(i32::from(right.is_err())) };
    }
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "{status:#x}");
    assert_eq!(in_use(&heap), (20, 200), "the parent's are as they were");
}
