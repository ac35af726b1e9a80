//! Profiles of memory, as each kind of server gets them.

use std::sync::Arc;

use sondage::profile::{Profile, ValueType};
use sondage_collector::{Collector, Protocol};

use super::protocols::{KINDS, deliver, settings, sink_of};
use super::{profile, quick};

const COLUMNS: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

fn heap() -> Arc<Profile> {
    let types = COLUMNS.map(|(kind, unit)| ValueType::new(kind, unit));
    let mut heap = Profile::new(types.to_vec());
    heap.meta = profile("/").meta.clone();
    heap.meta.period = Some((ValueType::new("space", "bytes"), 524_288));
    for (name, values) in [("parse", [8, 8_000, 0, 0]), ("cache", [2, 2_000, 1, 1_000])] {
        let location = heap.named_location(name);
        let stack = heap.stack(&[location]);
        let labels = heap.label_set([("route", "/pay")]);
        heap.add(stack, labels, &values);
    }
    Arc::new(heap)
}

/// The types that arrived, with the name and the period's type where there are such, and the sum
/// of each.
fn received(kind: &str) -> Vec<(String, i64)> {
    let collector = Collector::start().unwrap();
    let target = format!("{kind}{}", collector.address());
    let stats = deliver(sink_of(&target, settings()), &heap(), &quick());
    assert_eq!((stats.lost(), stats.last_error), (0, None), "{:?}", collector.refused());
    assert_eq!(collector.refused().len(), 0, "{target}: {:?}", collector.refused());
    let mut types = Vec::new();
    for profile in collector.profiles() {
        let name = profile.labels.get("__name__").cloned().unwrap_or_default();
        let (of, _) = profile.period.clone().unwrap_or_default();
        for (column, kind) in profile.sample_types.iter().enumerate() {
            let sum = profile.samples.iter().map(|sample| sample.values[column]).sum();
            types
                .push((format!("{name}:{}:{}:{}:{}", kind.kind, kind.unit, of.kind, of.unit), sum));
        }
    }
    types.sort();
    types
}

#[test]
fn memory_arrives_by_every_protocol_under_the_names_that_its_pages_show() {
    for (kind, protocol) in KINDS {
        let names = match protocol {
            Protocol::Datadog => [
                ":alloc-samples:count:space:bytes",
                ":alloc-space:bytes:space:bytes",
                ":heap-samples:count:space:bytes",
                ":heap-space:bytes:space:bytes",
            ],
            // By OTLP the name is that of the scope, as Parca takes it.
            _ => [
                "memory:alloc_objects:count:space:bytes",
                "memory:alloc_space:bytes:space:bytes",
                "memory:inuse_objects:count:space:bytes",
                "memory:inuse_space:bytes:space:bytes",
            ],
        };
        let sums = [10, 10_000, 1, 1_000];
        let expected: Vec<_> = names.map(str::to_owned).into_iter().zip(sums).collect();
        assert_eq!(received(kind), expected, "{kind}");
    }
}
