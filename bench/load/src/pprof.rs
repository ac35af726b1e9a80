//! Reads pprof files and Pyroscope pushes with messages of its own, equally for everyone.

use flate2::read::GzDecoder;
use prost::Message;
use std::io::Read;

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "12")]
    period: i64,
}

#[derive(Clone, PartialEq, Message)]
struct RawSample {
    #[prost(bytes, tag = "1")]
    raw_profile: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(message, repeated, tag = "2")]
    samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

/// One stack of a profile.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Functions, innermost first.
    pub frames: Vec<String>,
    /// Locations: frames without what was inlined into them.
    pub depth: usize,
    /// CPU time in nanoseconds.
    pub cpu: i64,
    /// Samples; what the CPU time makes where the file does not say.
    pub samples: i64,
}

/// Everything a profile's samples say. Panics on files that are none: they come from the
/// profilers measured here.
pub fn read(data: &[u8]) -> Vec<Stack> {
    let file = File::decode(gunzip(data).as_slice()).expect("a pprof file");
    let text = |id: i64| file.string_table[id as usize].as_str();
    let column = |kind: &str| file.sample_type.iter().position(|value| text(value.kind) == kind);
    let cpu = column("cpu").expect("a column of CPU time");
    let samples = column("samples");
    let name = |id: u64| {
        let function = file.function.iter().find(|function| function.id == id);
        function.map_or("", |function| text(function.name)).to_owned()
    };
    let locations: std::collections::HashMap<u64, Vec<String>> = file
        .location
        .iter()
        .map(|at| (at.id, at.line.iter().map(|line| name(line.function_id)).collect()))
        .collect();
    file.sample
        .iter()
        .map(|sample| Stack {
            frames: sample.location_id.iter().flat_map(|id| locations[id].clone()).collect(),
            depth: sample.location_id.len(),
            cpu: sample.value[cpu],
            samples: match samples {
                Some(column) => sample.value[column],
                None => sample.value[cpu] / file.period.max(1),
            },
        })
        .collect()
}

/// The profiles inside a body of `push.v1.PusherService/Push`.
pub fn pushed(body: &[u8]) -> Vec<Vec<u8>> {
    let request = PushRequest::decode(gunzip(body).as_slice()).expect("a push");
    request.series.into_iter().flat_map(|s| s.samples).map(|s| s.raw_profile).collect()
}

/// The bytes without compression.
pub fn gunzip(data: &[u8]) -> Vec<u8> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        return data.to_owned();
    }
    let mut plain = Vec::new();
    GzDecoder::new(data).read_to_end(&mut plain).expect("gzip");
    plain
}

/// Compresses at the level that Sondage and pyroscope-rs use.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("memory")
}
