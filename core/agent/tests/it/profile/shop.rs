//! A small profile whose every number is known, shared by the tests of the encodings.

use std::time::Duration;

use sondage::profile::Function;
use sondage::profile::Line;
use sondage::profile::Location;
use sondage::profile::LocationId;
use sondage::profile::LossCause;
use sondage::profile::Mapping;
use sondage::profile::MappingId;
use sondage::profile::Profile;
use sondage::profile::ValueType;

const PERIOD: i64 = 10_000_000;

/// Six samples of 10 ms: `/cart` parses (2, one of them in the inlined `skip_space`) and recurses
/// in `walk` (3 deep, 2 samples), `/pay` hashes in a library without symbols (1), and one sample's
/// worth is `[unsampled]`.
pub fn shop() -> Profile {
    let mut p = empty();
    let exe = mapping(&mut p, "/srv/shop", 0x1000);
    let libc = mapping(&mut p, "/usr/lib/libc.so.6", 0x8000);
    let main = location(&mut p, exe, 0x1010, &[("main", 10)]);
    let handle = location(&mut p, exe, 0x1020, &[("shop::handle", 20)]);
    let parse = location(&mut p, exe, 0x1030, &[("shop::parse", 30)]);
    let skip = location(&mut p, exe, 0x1034, &[("shop::skip_space", 5), ("shop::parse", 31)]);
    let walk = location(&mut p, exe, 0x1040, &[("shop::walk", 40)]);
    let hash = location(&mut p, libc, 0x8123, &[]);
    let unsampled = p.named_location("[unsampled]");
    sample(&mut p, &[parse, handle, main], &[("route", "/cart")], 1);
    sample(&mut p, &[skip, handle, main], &[("route", "/cart")], 1);
    sample(&mut p, &[walk, walk, walk, handle, main], &[("route", "/cart")], 2);
    sample(&mut p, &[hash, handle, main], &[("route", "/pay"), ("tenant", "t1")], 1);
    sample(&mut p, &[unsampled], &[], 1);
    p.add_loss(LossCause::Unsampled, PERIOD as u64);
    p
}

/// The profile without samples.
pub fn empty() -> Profile {
    let cpu = ValueType::new("cpu", "nanoseconds");
    let mut p = Profile::new(vec![ValueType::new("samples", "count"), cpu.clone()]);
    p.meta.start_unix_nanos = Some(1_700_000_000_000_000_000);
    p.meta.duration = Duration::from_secs(10);
    p.meta.period = Some((cpu, PERIOD as u64));
    p.meta.labels = vec![("service_name".into(), "shop".into()), ("pid".into(), "42".into())];
    p.meta.sources = vec!["timer".into()];
    p.meta.cost = Some(Duration::from_micros(600));
    p.meta.comments = vec!["built by make demo".into()];
    p
}

fn mapping(p: &mut Profile, file: &str, start: u64) -> MappingId {
    let (file, build_id) = (p.string(file), p.string("c0ffee"));
    p.mapping(Mapping { start, end: start + 0x1000, file_offset: 0x100, file, build_id })
}

/// A location whose lines (name, line) are given innermost first.
fn location(
    p: &mut Profile,
    mapping: MappingId,
    address: u64,
    lines: &[(&str, u32)],
) -> LocationId {
    let lines = lines.iter().map(|&(name, line)| {
        let (name, file) = (p.string(name), p.string("src/shop.rs"));
        let function = Function { name, system_name: name, file, start_line: 1 };
        Line { function: p.function(function), line }
    });
    let lines = lines.collect();
    p.location(Location { mapping, address, lines })
}

fn sample(p: &mut Profile, leaf_first: &[LocationId], labels: &[(&str, &str)], count: i64) {
    let stack = p.stack(leaf_first);
    let labels = p.label_set(labels.iter().copied());
    p.add(stack, labels, &[count, count * PERIOD]);
}
