//! Files made to hurt: each is refused or read in bounded time, none panics.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use sondage::ErrorKind;
use sondage::profile::Profile;
use sondage::profile::folded;
use sondage::profile::limits;
use sondage::profile::pprof;
use sondage::profile::report::Options;
use sondage::profile::report::Report;
use sondage::profile::speedscope;
use sondage::profile::view;

use super::arbitrary::profiles;
use super::pprof::message;
use super::pprof::value_type;

/// Uses all of a profile that was read: what decoding lets through must not panic later.
fn use_all(profile: &Profile) {
    let options = Options { by_label: Some("a".into()), peek: Some("a".into()), column: None };
    let report = Report::new(profile, &options).unwrap();
    let _ = (report.to_json(), report.to_text(9), report.to_markdown(9));
    let _ = (folded::encode(profile, 0), speedscope::encode(profile), view::encode(profile));
    let mut sum = profile.clone();
    sum.merge(profile);
    pprof::decode(&pprof::encode(&sum)).unwrap();
}

fn refused(data: &[u8]) -> ErrorKind {
    let start = Instant::now();
    let error = pprof::decode(data).unwrap_err();
    // A limit that only quadratic work misses: the debug build takes a fraction of it.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(!error.to_string().is_empty());
    error.kind()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(data).unwrap();
    gz.finish().unwrap()
}

/// A file with the given fields after a sample type and the strings "", "cpu", "x".
fn file(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let types = value_type(1, 1);
    let head: [(u8, &[u8]); 4] = [(1, &types), (6, b""), (6, b"cpu"), (6, b"x")];
    message(&head.iter().chain(fields).copied().collect::<Vec<_>>())
}

#[test]
fn a_gzip_bomb_is_refused_at_the_limit() {
    assert_eq!(refused(&gzip(&vec![0; limits::MAX_INPUT_BYTES + 1])), ErrorKind::TooLarge);
}

#[test]
fn ten_million_strings_are_refused() {
    assert_eq!(refused(&[0x32, 0].repeat(10_000_000)), ErrorKind::TooLarge);
}

#[test]
fn more_samples_functions_locations_mappings_or_types_than_allowed_are_refused() {
    for (number, count) in [(2u8, 1 << 20), (3, 1 << 20), (4, 1 << 20), (5, 1 << 20), (1, 64)] {
        let mut data = file(&[]);
        data.extend([number << 3 | 2, 0].repeat(count + 1));
        assert_eq!(refused(&data), ErrorKind::TooLarge, "field {number}");
    }
}

#[test]
fn one_enormous_sample_is_refused() {
    let data = file(&[(2, &vec![0; limits::MAX_MESSAGE_BYTES + 1])]);
    assert_eq!(refused(&data), ErrorKind::TooLarge);
}

#[test]
fn a_location_with_many_lines_used_many_times_is_refused() {
    let mut location = vec![0x08, 1];
    location.extend([0x22, 2, 0x08, 1].repeat(30_000));
    let tables = file(&[(5, &[0x08, 1]), (4, &location)]);
    let three_times = message(&[(2, &[0x0a, 3, 1, 1, 1, 0x10, 1])]);
    assert_eq!(refused(&[tables.clone(), three_times].concat()), ErrorKind::TooLarge);
    let once = message(&[(2, &[0x0a, 1, 1, 0x10, 1])]).repeat(1_000);
    assert_eq!(refused(&[tables, once].concat()), ErrorKind::TooLarge);
}

#[test]
fn a_long_name_shared_by_many_functions_is_refused() {
    let mut data = file(&[(6, &vec![b'n'; 1 << 20])]);
    for id in 1..=1_000u16 {
        let [low, high] = [(id & 0x7f | 0x80) as u8, (id >> 7) as u8];
        data.extend(message(&[(5, &[0x08, low, high, 0x10, 3])]));
    }
    assert_eq!(refused(&data), ErrorKind::TooLarge);
}

#[test]
fn ids_and_indices_must_exist_and_be_unique() {
    let location = [0x08, 1];
    let cases: [(&str, Vec<u8>); 12] = [
        ("no location", file(&[(2, &[0x0a, 1, 1, 0x10, 1])])),
        ("location 0", file(&[(4, &location), (2, &[0x0a, 1, 0, 0x10, 1])])),
        ("location defined twice", file(&[(4, &location), (4, &location)])),
        ("location with id 0", file(&[(4, &[])])),
        ("no function", file(&[(4, &[0x08, 1, 0x22, 2, 0x08, 7])])),
        ("no mapping", file(&[(4, &[0x08, 1, 0x10, 7])])),
        ("string beyond the table", file(&[(5, &[0x08, 1, 0x10, 99])])),
        (
            "negative string",
            file(&[(5, &[8, 1, 16, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1])]),
        ),
        ("too few values", file(&[(2, &[])])),
        ("too many values", file(&[(2, &[0x10, 1, 0x10, 1])])),
        ("label key beyond the table", file(&[(2, &[0x10, 1, 0x1a, 2, 0x08, 99])])),
        ("comment beyond the table", file(&[(13, &[99])])),
    ];
    for (what, data) in cases {
        assert_eq!(refused(&data), ErrorKind::Malformed, "{what}");
    }
}

#[test]
fn what_is_no_pprof_file_is_said_to_be_none() {
    for data in
        [&b""[..], b"main;f 1\n", b"\x7fELF", b"{\"v\":1}", b"\x1f\x8b", b"\x1f\x8b\x08\0\0"]
    {
        assert_eq!(refused(data), ErrorKind::Malformed, "{data:?}");
    }
    let first_string = message(&[(1, &value_type(0, 0)), (6, b"not empty")]);
    assert_eq!(refused(&first_string), ErrorKind::Malformed);
}

#[test]
fn a_gzip_member_after_the_first_is_read_and_a_cut_one_is_refused() {
    let data = file(&[(2, &[0x10, 7])]);
    let (head, tail) = data.split_at(9);
    let two = [gzip(head), gzip(tail)].concat();
    assert_eq!(pprof::decode(&two).unwrap().total(0), 7);
    assert_eq!(refused(&two[..two.len() - 3]), ErrorKind::Malformed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn noise_never_panics(bytes in any::<Vec<u8>>()) {
        if let Ok(profile) = pprof::decode(&bytes) {
            use_all(&profile);
        }
    }

    #[test]
    fn a_cut_file_never_panics(profile in profiles(), cut in any::<proptest::sample::Index>()) {
        for data in [pprof::encode(&profile), pprof::encode_gz(&profile)] {
            if let Ok(profile) = pprof::decode(&data[..cut.index(data.len())]) {
                use_all(&profile);
            }
        }
    }

    #[test]
    fn a_file_with_wrong_bytes_never_panics(
        profile in profiles(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut data = pprof::encode(&profile);
        for (index, byte) in changes {
            let index = index.index(data.len());
            data[index] = byte;
        }
        if let Ok(profile) = pprof::decode(&data) {
            use_all(&profile);
        }
    }

    #[test]
    fn a_damaged_gzip_file_is_refused_or_unharmed(
        profile in profiles(),
        index in any::<proptest::sample::Index>(),
        bit in 0..8u8,
    ) {
        let mut data = pprof::encode_gz(&profile);
        let whole = pprof::decode(&data).unwrap();
        let index = index.index(data.len());
        data[index] ^= 1 << bit;
        // What is not checked (time and system in the header, the last byte's unused bits) has
        // no meaning either.
        if let Ok(read) = pprof::decode(&data) {
            prop_assert_eq!(pprof::encode(&read), pprof::encode(&whole), "byte {}", index);
            use_all(&read);
        }
    }
}
