//! Messages written byte by byte, so that no mistake in the collector's own is made twice.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The path of Pyroscope's `push.v1`.
pub const PUSH: &str = "/push.v1.PusherService/Push";

pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field that is a number.
pub fn number(tag: u64, value: u64) -> Vec<u8> {
    [varint(tag << 3), varint(value)].concat()
}

/// A field that is text, bytes or a message.
pub fn bytes(tag: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [varint(tag << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// A field that is a number of eight bytes.
pub fn fixed(tag: u64, value: u64) -> Vec<u8> {
    [varint(tag << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A pprof file with one sample of `leaf` in `a.rs:42`, of 7 units, with these labels.
pub fn pprof(kind: &str, start: u64, labels: &[Vec<u8>]) -> Vec<u8> {
    let value_type = [number(1, 1), number(2, 2)].concat();
    let labels: Vec<u8> = labels.iter().flat_map(|label| bytes(3, label)).collect();
    let sample = [bytes(1, [1]), bytes(2, [7]), labels].concat();
    let location = [number(1, 1), bytes(4, [number(1, 1), number(2, 42)].concat())].concat();
    let function = [number(1, 1), number(2, 3), number(4, 4)].concat();
    let strings = ["", kind, "nanoseconds", "leaf", "a.rs", "route", "/", "span id"];
    [
        bytes(1, &value_type),
        bytes(2, sample),
        bytes(4, location),
        bytes(5, function),
        strings.into_iter().flat_map(|text| bytes(6, text)).collect(),
        number(9, start),
        number(10, 10),
        bytes(11, value_type),
        number(12, 100),
    ]
    .concat()
}

/// The label `route=/` of that file.
pub fn route() -> Vec<u8> {
    [number(1, 5), number(2, 6)].concat()
}

/// A request of `push.v1` with one series.
pub fn push(start: u64) -> Vec<u8> {
    let pair = |name: &str, value: &str| bytes(1, [bytes(1, name), bytes(2, value)].concat());
    let labels = [pair("__name__", "process_cpu"), pair("service_name", "shop")].concat();
    let sample = bytes(2, bytes(1, gzip(&pprof("cpu", start, &[route()]))));
    bytes(1, [labels, sample].concat())
}

/// A request of Parca's `WriteRaw` with one series.
pub fn write_raw(start: u64) -> Vec<u8> {
    let pair = |name: &str, value: &str| bytes(1, [bytes(1, name), bytes(2, value)].concat());
    let labels = bytes(1, [pair("__name__", "process_cpu"), pair("zone", "a")].concat());
    bytes(2, [labels, bytes(2, bytes(1, pprof("cpu", start, &[])))].concat())
}

/// A request of OTLP with one sample of `leaf`, of 7 units, with `route=/`.
pub fn export(start: u64) -> Vec<u8> {
    let text = |text: &str| bytes(2, bytes(1, text));
    let resource = bytes(1, bytes(1, [bytes(1, "service.name"), text("shop")].concat()));
    let sample = [number(1, 1), bytes(2, [1]), bytes(4, [7])].concat();
    let profile = [
        bytes(1, [number(1, 1), number(2, 2)].concat()),
        bytes(2, sample),
        fixed(3, start),
        number(4, 10),
        bytes(5, [number(1, 1), number(2, 2)].concat()),
        number(6, 100),
        bytes(7, [5; 16]),
    ]
    .concat();
    let scope = bytes(2, [bytes(1, bytes(1, "process_cpu")), bytes(2, profile)].concat());
    let line = bytes(3, [number(1, 1), number(2, 42)].concat());
    let strings = ["", "cpu", "nanoseconds", "leaf", "a.rs", "route"];
    let dictionary = [
        bytes(1, ""),
        [bytes(2, ""), bytes(2, line)].concat(),
        [bytes(3, ""), bytes(3, [number(1, 3), number(3, 4)].concat())].concat(),
        bytes(4, ""),
        strings.into_iter().flat_map(|text| bytes(5, text)).collect(),
        [bytes(6, ""), bytes(6, [number(1, 5), text("/")].concat())].concat(),
        [bytes(7, ""), bytes(7, bytes(1, [1]))].concat(),
    ]
    .concat();
    [bytes(1, [resource, scope].concat()), bytes(2, dictionary)].concat()
}
