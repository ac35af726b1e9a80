//! What the collector keeps of everything that came: plain data, the same for every protocol.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::Serializer;

/// How a profile came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// `push.v1` of Pyroscope.
    PyroscopePush,
    /// Pyroscope's older `/ingest`.
    PyroscopeIngest,
    /// OTLP over HTTP.
    OtlpHttp,
    /// OTLP over gRPC.
    OtlpGrpc,
    /// `WriteRaw` of Parca.
    Parca,
    /// Datadog's agent or intake.
    Datadog,
}

/// One accepted profile.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// How it came.
    pub protocol: Protocol,
    /// Path of the request.
    pub path: String,
    /// Headers of the request that brought it first, secrets included.
    pub headers: Vec<(String, String)>,
    /// Labels of the series, the resource or the tags.
    pub labels: BTreeMap<String, String>,
    /// What the values of samples mean.
    pub sample_types: Vec<ValueType>,
    /// Type and length of the sampling period.
    pub period: Option<(ValueType, i64)>,
    /// Start, in nanoseconds since the Unix epoch. A string in JSON.
    #[serde(serialize_with = "as_text")]
    pub start_unix_nanos: i64,
    /// Length, in nanoseconds.
    pub duration_nanos: u64,
    /// The samples, in the order of the message.
    pub samples: Vec<Sample>,
    /// Comments of a pprof file.
    pub comments: Vec<String>,
    /// Bytes of the uncompressed profile; of OTLP, of the whole message.
    pub raw_bytes: usize,
    /// Bytes of the body that brought it.
    pub wire_bytes: usize,
    /// How often this very profile came: same protocol, start, labels and content.
    pub count: u32,
}

impl Profile {
    /// Whether both are the same profile, sent twice.
    pub fn is_repeated_by(&self, other: &Self) -> bool {
        self.start_unix_nanos == other.start_unix_nanos
            && self.protocol == other.protocol
            && self.duration_nanos == other.duration_nanos
            && self.labels == other.labels
            && self.sample_types == other.sample_types
            && self.period == other.period
            && self.comments == other.comments
            && self.samples == other.samples
    }

    /// The sum of a column's values. Zero for a column that is not there.
    pub fn total(&self, column: usize) -> i64 {
        self.samples.iter().filter_map(|sample| sample.values.get(column)).sum()
    }
}

/// A type with its unit, as `cpu` and `nanoseconds`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ValueType {
    /// What is measured.
    pub kind: String,
    /// In which unit.
    pub unit: String,
}

/// A stack with its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Leaf first, inlined functions before the one that holds them.
    pub stack: Vec<Frame>,
    /// One for each sample type.
    pub values: Vec<i64>,
    /// When it was taken, in nanoseconds since the Unix epoch; only of OTLP.
    pub timestamps: Vec<u64>,
    /// Labels that are text.
    pub labels: BTreeMap<String, String>,
    /// Labels that are numbers. Strings in JSON: ids do not fit a JavaScript number.
    #[serde(serialize_with = "as_texts")]
    pub numbers: BTreeMap<String, i64>,
    /// Trace and span, in hexadecimal digits; only of OTLP.
    pub link: Option<(String, String)>,
}

/// A function in a stack. An address without a function has an empty name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Its name.
    pub function: String,
    /// Its source file.
    pub file: String,
    /// The line in it, 0 if unknown.
    pub line: i64,
    /// The name that Parca 0.28 shows for it, which reads the entry before; only of OTLP.
    pub parca_function: Option<String>,
}

/// A request, or a part of one, that was not stored.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// Path of the request.
    pub path: String,
    /// The status of the answer: of HTTP, or of gRPC on its paths.
    pub status: u16,
    /// Which rule it broke.
    pub reason: String,
}

/// A request, whatever became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// Its path with its query; empty for a connection that ended before HTTP.
    pub path: String,
    /// Its headers, secrets included.
    pub headers: Vec<(String, String)>,
    /// When it came, in milliseconds since the collector started.
    pub at_millis: u128,
    /// Bytes of its body, as sent.
    pub size: usize,
    /// The body's CRC-32.
    pub crc32: u32,
    /// `stored`, `refused: …`, or the fault that it met.
    pub outcome: String,
}

fn as_text<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn as_texts<S: Serializer>(
    numbers: &BTreeMap<String, i64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(numbers.iter().map(|(name, number)| (name, number.to_string())))
}
