//! Labels from the sampled thread's own cell.

use crate::gate;
use crate::own_modules::{entries, own_modules};
use sondage_ebpf::{Engine, Options};
use sondage_sampler::{LabelCell, Labels, RawSample, current_tid};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Every shape that labels can have: with and without a span and a trace.
fn shapes() -> [Labels; 6] {
    let labels = |set, span, trace| Labels { set, span, trace };
    [
        Labels::NONE,
        labels(7, 0, 0),
        labels(8, u64::MAX, 0),
        labels(9, 0, 1 << 64 | 2),
        labels(10, 3, 1),
        labels(u32::MAX, 4, u128::MAX),
    ]
}

/// CPU time under some labels.
fn burn(cell: &LabelCell, labels: Labels) {
    cell.replace(labels);
    let end = Instant::now() + Duration::from_millis(20);
    while Instant::now() < end {
        std::hint::black_box(cell.get());
    }
}

#[test]
fn every_sample_has_the_labels_that_were_current_whole() {
    let Some(_turn) = gate::enter("every_sample_has_the_labels_that_were_current_whole") else {
        return;
    };
    let modules = own_modules();
    let options = Options { hertz: 499.try_into().unwrap(), ..Options::own_process() };
    let mut engine = Engine::start(&options, entries(&modules)).unwrap();
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::channel();
        scope.spawn(|| {
            let (send, cell) = (send, LabelCell::new());
            send.send((current_tid(), &raw const cell as u64)).unwrap();
            while !ends.load(Relaxed) {
                shapes().into_iter().for_each(|labels| burn(&cell, labels));
            }
        });
        let (tid, address) = receive.recv().unwrap();
        let tid = u32::try_from(tid).unwrap();
        engine.set_label_cells([(tid, address), (1, 64)]).unwrap();
        let mut seen = [0; 6];
        let deadline = Instant::now() + Duration::from_secs(60);
        while seen.iter().any(|count| *count < 5) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            engine.drain(|from, words| {
                let (sample, used) = RawSample::read(words).expect("a whole sample");
                assert_eq!(used, words.len());
                match shapes().iter().position(|shape| *shape == sample.labels) {
                    Some(shape) if from == tid => seen[shape] += 1,
                    Some(0) => {}
                    _ => panic!("{:?} on thread {from}", sample.labels),
                }
            });
        }
        // Nothing is read of a thread of which no cell is known any more.
        engine.set_label_cells([]).unwrap();
        engine.drain(|_, _| {});
        std::thread::sleep(Duration::from_millis(200));
        engine.drain(|_, words| {
            assert_eq!(RawSample::read(words).unwrap().0.labels, Labels::NONE);
        });
        ends.store(true, Relaxed);
        println!("{seen:?}");
        assert!(seen.iter().all(|count| *count >= 5), "{seen:?}");
    });
}
