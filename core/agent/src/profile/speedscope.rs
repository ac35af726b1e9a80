//! Files for [speedscope](https://www.speedscope.app): one sampled profile for each column.

use std::io;

use serde::Serialize;

use super::Profile;
use super::ValueType;
use super::frame::Detail;
use super::frame::FrameTable;
use super::limits;
use crate::Error;

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: &'static str,
    name: &'a str,
    #[serde(rename = "activeProfileIndex")]
    active: usize,
    shared: Shared<'a>,
    profiles: Vec<Sampled<'a>>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<SharedFrame<'a>>,
}

#[derive(Serialize)]
struct SharedFrame<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
}

#[derive(Serialize)]
struct Sampled<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start: i64,
    #[serde(rename = "endValue")]
    end: i64,
    samples: Vec<&'a [u32]>,
    weights: Vec<i64>,
}

/// Writes a profile as speedscope JSON. Values of at most 0 are left out.
///
/// # Errors
/// `TooLarge` if the text would exceed [`MAX_OUTPUT_BYTES`](limits::MAX_OUTPUT_BYTES).
pub fn encode(profile: &Profile) -> Result<String, Error> {
    let table = FrameTable::new(profile, Detail::Function);
    let frames = table
        .frames()
        .iter()
        .map(|frame| SharedFrame { name: frame.name(profile), file: profile.text(frame.file) });
    let stacks = profile.samples().iter().map(|sample| {
        let mut stack = Vec::new();
        table.stack(profile, sample.stack, &mut stack);
        stack
    });
    let stacks: Vec<Vec<u32>> = stacks.collect();
    let columns = profile.sample_types().iter().enumerate();
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: concat!("sondage ", env!("CARGO_PKG_VERSION")),
        name: profile.title(),
        active: profile.default_column(),
        shared: Shared { frames: frames.collect() },
        profiles: columns.map(|(index, t)| sampled(profile, &stacks, index, t)).collect(),
    };
    let mut out = Capped { text: Vec::new() };
    let too_large = || {
        let limit = limits::MAX_OUTPUT_BYTES;
        Error::too_large(format!("a speedscope file of more than {limit} bytes"))
    };
    serde_json::to_writer(&mut out, &file).map_err(|_| too_large())?;
    String::from_utf8(out.text).map_err(|_| Error::malformed("JSON that is not UTF-8"))
}

fn sampled<'a>(
    profile: &'a Profile,
    stacks: &'a [Vec<u32>],
    column: usize,
    sample_type: &'a ValueType,
) -> Sampled<'a> {
    let values = profile.samples().iter().map(|sample| sample.values[column]);
    let (mut samples, mut weights, mut end) = (Vec::new(), Vec::new(), 0i64);
    for (stack, value) in stacks.iter().zip(values).filter(|(_, value)| *value > 0) {
        samples.push(stack.as_slice());
        weights.push(value);
        end = end.saturating_add(value);
    }
    let unit = match sample_type.unit.as_str() {
        "nanoseconds" => "nanoseconds",
        "microseconds" => "microseconds",
        "milliseconds" => "milliseconds",
        "seconds" => "seconds",
        "bytes" => "bytes",
        _ => "none",
    };
    Sampled { kind: "sampled", name: &sample_type.kind, unit, start: 0, end, samples, weights }
}

/// Memory that refuses to grow beyond the limit.
struct Capped {
    text: Vec<u8>,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > limits::MAX_OUTPUT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
