//! pprof files, written and read.

use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use sondage::profile::Profile;
use sondage::profile::ValueType;
use sondage::profile::pprof;

use super::arbitrary::profiles;
use super::canonical::canonical;
use super::shop::shop;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_profile_comes_back_from_pprof_with_nothing_lost(profile in profiles()) {
        let raw = pprof::encode(&profile);
        prop_assert_eq!(canonical(&pprof::decode(&raw).unwrap()), canonical(&profile));
        let gz = pprof::encode_gz(&profile);
        prop_assert_eq!(canonical(&pprof::decode(&gz).unwrap()), canonical(&profile));
    }
}

#[test]
fn equal_profiles_give_equal_bytes() {
    assert_eq!(pprof::encode_gz(&shop()), pprof::encode_gz(&shop()));
}

#[test]
fn text_that_is_already_in_the_profile_is_not_written_twice() {
    let raw = pprof::encode(&shop());
    for text in ["src/shop.rs", "shop::handle", "nanoseconds", "/cart"] {
        let found = raw.windows(text.len() + 2).filter(|w| {
            w[0] == 0x32 && usize::from(w[1]) == text.len() && &w[2..] == text.as_bytes()
        });
        assert_eq!(found.count(), 1, "{text}");
    }
}

#[test]
fn facts_without_a_field_are_comments_a_person_can_read() {
    let raw = pprof::encode(&shop());
    let raw = String::from_utf8_lossy(&raw);
    for line in [
        "sondage:label service_name=shop",
        "sondage:source timer",
        "sondage:lost unsampled=10000000 nanoseconds",
        "built by make demo",
    ] {
        assert!(raw.contains(line), "{line}");
    }
}

#[test]
fn numeric_labels_of_other_writers_become_text() {
    let raw = message(&[
        (1, &value_type(1, 2)),
        (2, &[0x10, 7, 0x1a, 7, 0x08, 3, 0x18, 0x80, 0x04, 0x20, 4]),
        (2, &[0x10, 8, 0x1a, 4, 0x08, 3, 0x18, 5]),
        (6, b""),
        (6, b"space"),
        (6, b"bytes"),
        (6, b"size"),
        (6, b"kilobytes"),
    ]);
    let profile = pprof::decode(&raw).unwrap();
    let values: Vec<_> = profile
        .samples()
        .iter()
        .map(|s| (profile.labels(s.labels).collect::<Vec<_>>(), s.values[0]))
        .collect();
    assert_eq!(values, [(vec![("size", "512 kilobytes")], 7), (vec![("size", "5")], 8),]);
}

#[test]
fn a_profile_is_read_whatever_the_order_of_its_fields() {
    let strings: [(u8, &[u8]); 3] = [(6, b""), (6, b"cpu"), (6, b"main")];
    let (types, sample) = (value_type(1, 1), [0x0a, 1, 9, 0x10, 4]);
    let (location, function) = ([0x08, 9, 0x22, 2, 0x08, 77], [0x08, 77, 0x10, 2]);
    let rest: [(u8, &[u8]); 4] = [(2, &sample), (5, &function), (4, &location), (1, &types)];
    let forward: Vec<_> = strings.iter().chain(&rest).copied().collect();
    let backward: Vec<_> = rest.iter().rev().chain(&strings).copied().collect();
    for fields in [forward, backward] {
        let profile = pprof::decode(&message(&fields)).unwrap();
        assert_eq!(profile.sample_types(), [ValueType::new("cpu", "cpu")]);
        assert_eq!(profile.total(0), 4);
        assert_eq!(profile.text(profile.functions()[0].name), "main");
        assert_eq!(profile.frames(profile.samples()[0].stack).len(), 1);
    }
}

#[test]
fn losses_and_labels_that_do_not_parse_stay_comments() {
    let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
    let odd = [
        "sondage:lost gremlins=1 ns",
        "sondage:lost missed=-1 ns",
        "sondage:label x",
        "sondage:label %zz=1",
        "sondage:future fact",
        "sondage:",
    ];
    profile.meta.comments = odd.iter().map(|line| (*line).to_owned()).collect();
    // Written by hand, so that they are not escaped as comments of the user.
    let mut fields: Vec<(u8, &[u8])> = vec![(1, &[0x08, 1]), (6, b""), (6, b"cpu")];
    fields.extend(odd.iter().map(|line| (6, line.as_bytes())));
    let indices: Vec<u8> = (2..2 + odd.len() as u8).collect();
    fields.push((13, &indices));
    let read = pprof::decode(&message(&fields)).unwrap();
    assert_eq!(read.meta.comments, profile.meta.comments);
    assert!(read.losses().is_empty() && read.meta.labels.is_empty());
    let again = pprof::decode(&pprof::encode(&read)).unwrap();
    assert_eq!(again.meta.comments, profile.meta.comments);
}

/// A message of length-delimited fields.
pub fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, bytes) in fields {
        out.push(number << 3 | 2);
        prost::encode_length_delimiter(bytes.len(), &mut out).unwrap();
        out.extend_from_slice(bytes);
    }
    out
}

pub fn value_type(kind: u8, unit: u8) -> [u8; 4] {
    [0x08, kind, 0x10, unit]
}
