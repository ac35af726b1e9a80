//! Bytes on the wire: what each kind of backend is sent for the same profile, beside its pprof
//! file. `make bench-wire` has the figures of recorded profiles.

use std::sync::Arc;
use std::time::Duration;

use sondage::export::Options;
use sondage::profile::{Function, Line, Location, Mapping, Profile, StackId, ValueType, pprof};
use sondage_collector::Collector;

use super::profile;
use super::protocols::{KINDS, deliver, settings, sink_of};

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

const SAMPLES: i64 = 2000;
const STACKS: usize = 400;

/// Ten seconds of two busy processors: 2,000 samples on 400 stacks of 30 frames, under 5 routes.
/// Stacks share their first frames, as those of a service do.
fn busy() -> Profile {
    let mut numbers = Numbers(7);
    let mut busy = Profile::new(vec![
        ValueType::new("cpu", "nanoseconds"),
        ValueType::new("samples", "count"),
    ]);
    // Servers, and so the exporter, take nothing that is old.
    busy.meta.start_unix_nanos = profile("/").meta.start_unix_nanos;
    busy.meta.duration = Duration::from_secs(10);
    busy.meta.period = Some((ValueType::new("cpu", "nanoseconds"), 10_000_000));
    busy.meta.labels = vec![("service_name".into(), "shop".into())];
    let stacks = stacks(&mut busy, &mut numbers);
    for _ in 0..SAMPLES {
        let route = format!("/orders/{{id}}/{}", numbers.below(5));
        let labels = busy.label_set([("route", route.as_str()), ("thread", "tokio-rt-worker")]);
        let stack = stacks[numbers.below(stacks.len() as u64) as usize];
        busy.add(stack, labels, &[10_000_000, 1]);
    }
    busy
}

fn stacks(busy: &mut Profile, numbers: &mut Numbers) -> Vec<StackId> {
    let (file, build_id) = (busy.string("/usr/bin/shop"), busy.string("0123456789abcdef0123"));
    let start = 0x55d0_c000_0000;
    let mapping = Mapping { start, end: start + (8 << 20), file_offset: 0, file, build_id };
    let mapping = busy.mapping(mapping);
    let mut functions = Vec::new();
    for number in 0..300u64 {
        let module = ["catalogue", "pricing", "ledger", "search_index", "signature"];
        let module = module[numbers.below(5) as usize];
        let name =
            busy.string(&format!("shop::{module}::{:x}::step_{number}", numbers.below(1 << 32)));
        let file = busy.string(&format!("src/shop/{module}.rs"));
        let start_line = numbers.below(400) as u32;
        functions.push(busy.function(Function { name, system_name: name, file, start_line }));
    }
    let mut locations = Vec::new();
    for number in 0..600usize {
        let function = functions[number % functions.len()];
        let lines = vec![Line { function, line: numbers.below(400) as u32 }];
        let address = start + numbers.below(8 << 20);
        locations.push(busy.location(Location { mapping, address, lines }));
    }
    let stack = |_| {
        let own = (0..12).map(|_| locations[numbers.below(600) as usize]);
        let own: Vec<_> = own.collect();
        busy.stack(&[own.as_slice(), &locations[..18]].concat())
    };
    (0..STACKS).map(stack).collect()
}

/// The most bytes that a kind of backend is sent, of those of the pprof file. Parca gets a series
/// for each of the five label sets, with tables of its own.
fn most(kind: &str) -> f64 {
    match kind {
        "otlp+http://" | "otlp+grpc://" => 0.9,
        "parca+http://" => 3.2,
        _ => 1.05,
    }
}

#[test]
fn no_backend_is_sent_much_more_than_the_pprof_file() {
    let busy = Arc::new(busy());
    let file = pprof::encode_gz(&busy).len() as f64;
    println!("pprof, gzip: {file} bytes, {:.2} a sample", file / SAMPLES as f64);
    // A file like those of services: the bounds mean nothing beside one that is large itself.
    assert!(file / SAMPLES as f64 <= 20.0);
    for (kind, _) in KINDS {
        let collector = Collector::start().unwrap();
        let target = format!("{kind}{}", collector.address());
        let stats = deliver(sink_of(&target, settings()), &busy, &Options::default());
        assert_eq!((stats.lost(), collector.refused().len()), (0, 0), "{target}: {stats:?}");
        let told: i64 =
            collector.profiles().iter().map(|profile| profile.samples.len() as i64).sum();
        assert!(told >= STACKS as i64, "{target}: {told} stacks arrived");
        let bytes = collector.requests().iter().map(|request| request.size).sum::<usize>() as f64;
        println!(
            "{kind} {bytes} bytes, {:.2} a sample, {:.2} × pprof",
            bytes / SAMPLES as f64,
            bytes / file
        );
        assert!(bytes <= file * most(kind), "{kind} {bytes} bytes, pprof {file}");
    }
}
