//! The strict reader of pprof files: what any of the servers would trip over is an error.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::Message;

use crate::record::{Frame, Sample, ValueType};
use crate::request::{gunzip, is_gzip};

/// `perftools.profiles.Profile`, field for field.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Pprof {
    #[prost(message, repeated, tag = "1")]
    pub(crate) sample_types: Vec<TypeMessage>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<SampleMessage>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) mappings: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) locations: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) functions: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub(crate) strings: Vec<String>,
    #[prost(int64, tag = "9")]
    pub(crate) time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub(crate) duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    pub(crate) period_type: Option<TypeMessage>,
    #[prost(int64, tag = "12")]
    pub(crate) period: i64,
    #[prost(int64, repeated, tag = "13")]
    pub(crate) comments: Vec<i64>,
    #[prost(int64, tag = "14")]
    pub(crate) default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct TypeMessage {
    #[prost(int64, tag = "1")]
    pub(crate) kind: i64,
    #[prost(int64, tag = "2")]
    pub(crate) unit: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SampleMessage {
    #[prost(uint64, repeated, tag = "1")]
    pub(crate) locations: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(crate) values: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) labels: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Label {
    #[prost(int64, tag = "1")]
    pub(crate) key: i64,
    #[prost(int64, tag = "2")]
    pub(crate) text: i64,
    #[prost(int64, tag = "3")]
    pub(crate) number: i64,
    #[prost(int64, tag = "4")]
    pub(crate) unit: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Mapping {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(int64, tag = "5")]
    pub(crate) file: i64,
    #[prost(int64, tag = "6")]
    pub(crate) build_id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Location {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) mapping: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) lines: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Line {
    #[prost(uint64, tag = "1")]
    pub(crate) function: u64,
    #[prost(int64, tag = "2")]
    pub(crate) line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Function {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(int64, tag = "2")]
    pub(crate) name: i64,
    #[prost(int64, tag = "3")]
    pub(crate) system_name: i64,
    #[prost(int64, tag = "4")]
    pub(crate) file: i64,
}

/// A pprof file with everything looked up.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) sample_types: Vec<ValueType>,
    pub(crate) period: Option<(ValueType, i64)>,
    pub(crate) time_nanos: i64,
    pub(crate) duration_nanos: u64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) comments: Vec<String>,
    pub(crate) raw_bytes: usize,
    /// Whether mappings, locations and functions are numbered 1..n in table order.
    pub(crate) is_sequential: bool,
}

/// Reads a pprof file, gzipped or not.
pub(crate) fn read(bytes: &[u8]) -> Result<File, String> {
    let unpacked = if is_gzip(bytes) { Some(gunzip(bytes)?) } else { None };
    let raw = unpacked.as_deref().unwrap_or(bytes);
    let pprof = Pprof::decode(raw).map_err(|error| format!("damaged pprof file: {error}"))?;
    let file = resolve(&pprof)?;
    Ok(File { raw_bytes: raw.len(), ..file })
}

fn resolve(pprof: &Pprof) -> Result<File, String> {
    if pprof.strings.first().is_none_or(|first| !first.is_empty()) {
        return Err("string_table[0] is not the empty string".into());
    }
    let strings = Strings(&pprof.strings);
    let sample_types = pprof.sample_types.iter().map(|it| strings.value_type(it));
    let sample_types = sample_types.collect::<Result<Vec<_>, _>>()?;
    if sample_types.is_empty() {
        return Err("no sample type".into());
    }
    let default = strings.get(pprof.default_sample_type)?;
    if !default.is_empty() && sample_types.iter().all(|it| it.kind != default) {
        return Err(format!("the default sample type {default} is none of the types"));
    }
    let period = pprof.period_type.as_ref().map(|it| strings.value_type(it)).transpose()?;
    if period.is_some() && pprof.period <= 0 {
        return Err("a period type without a period".into());
    }
    let frames = frames(pprof, strings)?;
    let samples = pprof.samples.iter().map(|it| sample(it, sample_types.len(), &frames, strings));
    Ok(File {
        samples: samples.collect::<Result<_, _>>()?,
        sample_types,
        period: period.map(|it| (it, pprof.period)),
        time_nanos: pprof.time_nanos,
        duration_nanos: u64::try_from(pprof.duration_nanos).map_err(|_| "negative duration")?,
        comments: pprof.comments.iter().map(|&it| strings.get(it)).collect::<Result<_, _>>()?,
        raw_bytes: 0,
        is_sequential: is_sequential(pprof.mappings.iter().map(|it| it.id))
            && is_sequential(pprof.locations.iter().map(|it| it.id))
            && is_sequential(pprof.functions.iter().map(|it| it.id)),
    })
}

fn is_sequential(ids: impl Iterator<Item = u64>) -> bool {
    ids.zip(1..).all(|(id, expected)| id == expected)
}

#[derive(Clone, Copy)]
struct Strings<'a>(&'a [String]);

impl Strings<'_> {
    fn get(self, index: i64) -> Result<String, String> {
        let found = usize::try_from(index).ok().and_then(|index| self.0.get(index));
        found.cloned().ok_or_else(|| format!("string {index} is not in the table"))
    }

    fn value_type(self, message: &TypeMessage) -> Result<ValueType, String> {
        let kind = self.get(message.kind)?;
        if kind.is_empty() {
            return Err("a value type without a name".into());
        }
        Ok(ValueType { kind, unit: self.get(message.unit)? })
    }
}

/// Names and files of the functions, by id.
fn functions(
    pprof: &Pprof,
    strings: Strings<'_>,
) -> Result<HashMap<u64, (String, String)>, String> {
    let mut functions = HashMap::new();
    for function in &pprof.functions {
        strings.get(function.system_name)?;
        let names = (strings.get(function.name)?, strings.get(function.file)?);
        if function.id == 0 || functions.insert(function.id, names).is_some() {
            return Err(format!("function id {} is 0 or given twice", function.id));
        }
    }
    Ok(functions)
}

/// The frames of every location, by id.
fn frames(pprof: &Pprof, strings: Strings<'_>) -> Result<HashMap<u64, Vec<Frame>>, String> {
    let mut mappings = HashSet::from([0]);
    for mapping in &pprof.mappings {
        strings.get(mapping.file)?;
        strings.get(mapping.build_id)?;
        if !mappings.insert(mapping.id) {
            return Err(format!("mapping id {} is 0 or given twice", mapping.id));
        }
    }
    let functions = functions(pprof, strings)?;
    let frame = |line: &Line| {
        let names = functions.get(&line.function).cloned();
        let (function, file) =
            names.ok_or_else(|| format!("function {} does not exist", line.function))?;
        Ok(Frame { function, file, line: line.line, parca_function: None })
    };
    let mut frames = HashMap::new();
    for location in &pprof.locations {
        if !mappings.contains(&location.mapping) {
            return Err(format!("mapping {} does not exist", location.mapping));
        }
        let mut lines = location.lines.iter().map(frame).collect::<Result<Vec<_>, String>>()?;
        if lines.is_empty() {
            lines.push(Frame::default());
        }
        if location.id == 0 || frames.insert(location.id, lines).is_some() {
            return Err(format!("location id {} is 0 or given twice", location.id));
        }
    }
    Ok(frames)
}

fn sample(
    message: &SampleMessage,
    columns: usize,
    frames: &HashMap<u64, Vec<Frame>>,
    strings: Strings<'_>,
) -> Result<Sample, String> {
    if message.values.len() != columns {
        return Err(format!("{} values for {columns} sample types", message.values.len()));
    }
    let mut stack = Vec::new();
    for id in &message.locations {
        let lines = frames.get(id).ok_or_else(|| format!("location {id} does not exist"))?;
        stack.extend_from_slice(lines);
    }
    let (mut labels, mut numbers) = (BTreeMap::new(), BTreeMap::new());
    for label in &message.labels {
        let (key, unit) = (strings.get(label.key)?, strings.get(label.unit)?);
        if key.is_empty() {
            return Err("a label without a name".into());
        }
        if label.text != 0 && (label.number != 0 || !unit.is_empty()) {
            return Err(format!("the label {key} is text and a number"));
        }
        if labels.contains_key(&key) || numbers.contains_key(&key) {
            return Err(format!("the label {key} is given twice"));
        }
        match label.text {
            // The empty string and the number 0 are the same bytes.
            0 => drop(numbers.insert(key, label.number)),
            text => drop(labels.insert(key, strings.get(text)?)),
        }
    }
    Ok(Sample { stack, values: message.values.clone(), labels, numbers, ..Sample::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{gzip, pprof};

    type Break = fn(&mut Pprof);

    const RULES: [(&str, Break); 23] = [
        ("string_table[0]", |it| it.strings[0] = "x".into()),
        ("string_table[0]", |it| it.strings.clear()),
        ("no sample type", |it| it.sample_types.clear()),
        ("a value type without a name", |it| it.sample_types[0].kind = 0),
        ("string 99", |it| it.sample_types[0].unit = 99),
        ("string -1", |it| it.functions[0].name = -1),
        ("string 99", |it| it.functions[0].system_name = 99),
        ("string 99", |it| it.comments.push(99)),
        ("the default sample type work", |it| it.default_sample_type = 3),
        ("without a period", |it| it.period = 0),
        ("negative duration", |it| it.duration_nanos = -1),
        ("mapping id 0", |it| it.mappings.push(Mapping::default())),
        ("mapping 7 does not exist", |it| it.locations[0].mapping = 7),
        ("function id 1 is 0 or given twice", |it| it.functions.push(it.functions[0])),
        ("function 2 does not exist", |it| it.locations[0].lines[0].function = 2),
        ("location id 1 is 0 or given twice", |it| it.locations.push(it.locations[0].clone())),
        ("location 0 does not exist", |it| it.samples[0].locations.push(0)),
        ("2 values for 1", |it| it.samples[0].values.push(1)),
        ("0 values for 1", |it| it.samples[0].values.clear()),
        ("a label without a name", |it| it.samples[0].labels[0].key = 0),
        ("text and a number", |it| it.samples[0].labels[0].number = 1),
        ("text and a number", |it| it.samples[0].labels[0].unit = 2),
        ("the label route is given twice", |it| {
            let label = it.samples[0].labels[0];
            it.samples[0].labels.push(label);
        }),
    ];

    #[test]
    fn each_rule_is_broken_by_one_file() {
        for (reason, break_it) in RULES {
            let mut broken = pprof();
            break_it(&mut broken);
            let error = read(&broken.encode_to_vec()).unwrap_err();
            assert!(error.contains(reason), "{error} instead of {reason}");
        }
        assert!(read(&[0xff; 9]).unwrap_err().contains("damaged pprof"));
        let cut = &gzip(&pprof().encode_to_vec())[..30];
        assert!(read(cut).unwrap_err().contains("damaged gzip"));
        let bomb = gzip(&vec![0; crate::request::MAX_BYTES + 1]);
        assert!(read(&bomb).unwrap_err().contains("unpacks to more"));
    }

    #[test]
    fn what_a_file_means_is_looked_up() {
        let mut pprof = pprof();
        pprof.samples[0].labels.push(Label { key: 9, number: 255, ..Label::default() });
        for bytes in [pprof.encode_to_vec(), gzip(&pprof.encode_to_vec())] {
            let file = read(&bytes).unwrap();
            assert!(file.is_sequential);
            assert_eq!(file.raw_bytes, pprof.encoded_len());
            let sample = &file.samples[0];
            assert_eq!((sample.stack[0].function.as_str(), sample.stack[0].line), ("work", 42));
            assert_eq!((sample.labels["route"].as_str(), sample.numbers["span id"]), ("/", 255));
        }
    }
}
