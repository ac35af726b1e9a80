//! Random profiles.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any};
use sondage::profile::Function;
use sondage::profile::FunctionId;
use sondage::profile::Line;
use sondage::profile::Location;
use sondage::profile::LocationId;
use sondage::profile::LossCause;
use sondage::profile::Mapping;
use sondage::profile::MappingId;
use sondage::profile::Meta;
use sondage::profile::Profile;
use sondage::profile::ValueType;

/// A seed for the tables: every number is taken modulo the length of the table it points into.
type Tables = (Vec<[u64; 3]>, Vec<(usize, usize, u32)>, Vec<(usize, u64, Vec<(usize, u32)>)>);
type Samples = Vec<(Vec<usize>, Vec<(usize, usize)>, [i64; 2])>;

/// Profiles with two columns of any values, few distinct names (so that things coincide) and
/// awkward text.
pub fn profiles() -> impl Strategy<Value = Profile> {
    profiles_of(any::<[i64; 2]>())
}

/// Profiles whose values are so small that no sum overflows.
pub fn light_profiles() -> impl Strategy<Value = Profile> {
    profiles_of(any::<[i32; 2]>().prop_map(|values| values.map(i64::from)))
}

fn profiles_of(values: impl Strategy<Value = [i64; 2]>) -> impl Strategy<Value = Profile> {
    let names = vec(text(), 1..6);
    let mappings = vec(any::<[u64; 3]>(), 1..4);
    let functions = vec((0..9usize, 0..9usize, any::<u32>()), 1..6);
    let lines = vec((0..9usize, any::<u32>()), 0..4);
    let locations = vec((0..9usize, any::<u64>(), lines), 1..8);
    let labels = vec((0..9usize, 0..9usize), 0..4);
    let samples = vec((vec(0..9usize, 0..8), labels, values), 0..12);
    let losses = vec((0..6usize, 1..1_000_000u64), 0..3);
    (names, (mappings, functions, locations), samples, losses, metas()).prop_map(
        |(names, tables, samples, losses, meta)| {
            let mut profile = build(&names, &tables, &samples);
            profile.meta = meta;
            for (cause, value) in losses {
                profile.add_loss(LossCause::ALL[cause], value);
            }
            profile
        },
    )
}

fn text() -> impl Strategy<Value = String> {
    proptest::prop_oneof![
        "[a-z]{0,5}",
        "[;<>&%=\\\\x|` \n\r\t\u{1b}\u{85}\u{2028}\u{202e}\"'é]{0,6}",
        "sondage:[a-z]{4,7} [a-z=%]{0,6}",
    ]
}

fn metas() -> impl Strategy<Value = Meta> {
    let labels = vec((text(), text()), 0..4);
    let period = option::of((text(), text(), 0..1u64 << 62));
    let texts = (vec(text(), 0..3), vec(text(), 0..4));
    let start = option::of(1..1u64 << 62);
    let cost = option::of((0..1u64 << 62).prop_map(Duration::from_nanos));
    (start, 0..1u64 << 62, period, labels, texts, cost).prop_map(
        |(start, duration, period, labels, t, cost)| Meta {
            start_unix_nanos: start,
            duration: Duration::from_nanos(duration),
            period: period.map(|(kind, unit, value)| (ValueType::new(&kind, &unit), value)),
            labels,
            sources: t.0,
            comments: t.1,
            cost,
        },
    )
}

fn build(names: &[String], tables: &Tables, samples: &Samples) -> Profile {
    let name = |index: usize| names[index % names.len()].as_str();
    let mut p = Profile::new(vec![
        ValueType::new("samples", "count"),
        ValueType::new("cpu", "nanoseconds"),
    ]);
    let mappings = tables.0.iter().enumerate().map(|(index, &[start, end, file_offset])| {
        // Never one digit: `go tool pprof` (1.26) panics on such a build id.
        let build_id = if start % 3 == 0 { String::new() } else { format!("{start:016x}") };
        let (file, build_id) = (p.string(name(index)), p.string(&build_id));
        p.mapping(Mapping { start, end, file_offset, file, build_id })
    });
    let mut mappings: Vec<MappingId> = mappings.collect();
    mappings.push(MappingId::default());
    let functions = tables.1.iter().map(|&(n, file, start_line)| {
        let (system_name, file) = (p.string(name(n + 1)), p.string(name(file)));
        let name = p.string(name(n));
        p.function(Function { name, system_name, file, start_line })
    });
    let functions: Vec<FunctionId> = functions.collect();
    let locations = tables.2.iter().map(|(mapping, address, lines)| {
        let lines = lines.iter().map(|&(function, line)| Line {
            function: functions[function % functions.len()],
            line,
        });
        let (mapping, lines) = (mappings[mapping % mappings.len()], lines.collect());
        p.location(Location { mapping, address: *address, lines })
    });
    let locations: Vec<LocationId> = locations.collect();
    for (stack, labels, values) in samples {
        let stack: Vec<_> = stack.iter().map(|index| locations[index % locations.len()]).collect();
        let stack = p.stack(&stack);
        let labels = p.label_set(labels.iter().map(|&(key, value)| (name(key), name(value))));
        p.add(stack, labels, values);
    }
    p
}
