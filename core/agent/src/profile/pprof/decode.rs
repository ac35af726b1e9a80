//! From pprof bytes to the model, in bounded memory: limits are checked on the raw bytes first,
//! then messages are read one at a time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use prost::Message;

use super::comment;
use super::message;
use super::message::field;
use super::wire;
use crate::Error;
use crate::profile::Function;
use crate::profile::FunctionId;
use crate::profile::LabelSetId;
use crate::profile::Line;
use crate::profile::Location;
use crate::profile::LocationId;
use crate::profile::Mapping;
use crate::profile::MappingId;
use crate::profile::Profile;
use crate::profile::StringId;
use crate::profile::ValueType;
use crate::profile::limits;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads a pprof file, gzipped or not.
///
/// # Errors
/// `Malformed` if the bytes are no pprof file or point outside their own tables, `TooLarge` if
/// they exceed one of the [`limits`].
pub fn decode(data: &[u8]) -> Result<Profile, Error> {
    let data = match data.starts_with(&GZIP_MAGIC) {
        true => Cow::Owned(gunzip(data)?),
        false => Cow::Borrowed(data),
    };
    if data.len() > limits::MAX_INPUT_BYTES {
        return Err(Error::too_large(format!("more than {} bytes", limits::MAX_INPUT_BYTES)));
    }
    wire::check(&data)?;
    let header: message::Header = parse(&data)?;
    let mut decoder = Decoder::new(&data, &header)?;
    decoder.mappings(&data)?;
    decoder.functions(&data)?;
    decoder.locations(&data)?;
    decoder.samples(&data)?;
    decoder.meta(&header)?;
    Ok(decoder.profile)
}

fn gunzip(data: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let limit = limits::MAX_INPUT_BYTES as u64 + 1;
    let read = MultiGzDecoder::new(data).take(limit).read_to_end(&mut out);
    read.map_err(|error| Error::malformed(format!("damaged gzip data: {error}")))?;
    Ok(out)
}

fn parse<M: Message + Default>(bytes: &[u8]) -> Result<M, Error> {
    M::decode(bytes).map_err(|error| Error::malformed(format!("damaged pprof file: {error}")))
}

/// Ids of the file as ids of the profile.
struct Ids<T> {
    what: &'static str,
    ids: HashMap<u64, T>,
}

impl<T: Copy> Ids<T> {
    fn new(what: &'static str) -> Self {
        Self { what, ids: HashMap::new() }
    }

    fn insert(&mut self, id: u64, value: T) -> Result<(), Error> {
        let known = self.ids.insert(id, value).is_some();
        if id == 0 || known {
            let problem = if known { "is there twice" } else { "is not allowed" };
            return Err(Error::malformed(format!("{} id {id} {problem}", self.what)));
        }
        Ok(())
    }

    fn get(&self, id: u64) -> Result<T, Error> {
        let found = self.ids.get(&id).copied();
        found.ok_or_else(|| Error::malformed(format!("no {} with id {id}", self.what)))
    }
}

/// Counts down from a limit.
struct Budget {
    what: &'static str,
    limit: usize,
    left: usize,
}

impl Budget {
    fn new(what: &'static str, limit: usize) -> Self {
        Self { what, limit, left: limit }
    }

    fn spend(&mut self, amount: usize) -> Result<(), Error> {
        let left = self.left.checked_sub(amount);
        self.left = left
            .ok_or_else(|| Error::too_large(format!("more than {} {}", self.limit, self.what)))?;
        Ok(())
    }
}

struct Decoder<'a> {
    profile: Profile,
    strings: Vec<Cow<'a, str>>,
    text: Budget,
    mappings: Ids<MappingId>,
    functions: Ids<FunctionId>,
    locations: Ids<LocationId>,
}

impl<'a> Decoder<'a> {
    fn new(data: &'a [u8], header: &message::Header) -> Result<Self, Error> {
        let strings = wire::all(data, field::STRING);
        let strings = strings.map(|bytes| bytes.map(String::from_utf8_lossy));
        let mut decoder = Self {
            profile: Profile::new(Vec::new()),
            strings: strings.collect::<Result<_, _>>()?,
            text: Budget::new("bytes of text in use", limits::MAX_TEXT_BYTES),
            mappings: Ids::new("mapping"),
            functions: Ids::new("function"),
            locations: Ids::new("location"),
        };
        if decoder.strings.first().is_some_and(|first| !first.is_empty()) {
            return Err(Error::malformed("the string table does not begin with an empty string"));
        }
        if header.sample_types.is_empty() {
            return Err(Error::malformed("not a pprof file: it has no sample types"));
        }
        let types = header.sample_types.iter().map(|column| decoder.value_type(column));
        decoder.profile = Profile::new(types.collect::<Result<_, _>>()?);
        Ok(decoder)
    }

    fn string(&mut self, index: i64) -> Result<StringId, Error> {
        let text = text(&self.strings, index)?;
        self.text.spend(text.len())?;
        Ok(self.profile.string(text))
    }

    fn value_type(&self, value_type: &message::ValueType) -> Result<ValueType, Error> {
        Ok(ValueType::new(
            text(&self.strings, value_type.kind)?,
            text(&self.strings, value_type.unit)?,
        ))
    }

    fn mappings(&mut self, data: &[u8]) -> Result<(), Error> {
        for bytes in wire::all(data, field::MAPPING) {
            let message: message::Mapping = parse(bytes?)?;
            let mapping = Mapping {
                start: message.start,
                end: message.limit,
                file_offset: message.offset,
                file: self.string(message.file)?,
                build_id: self.string(message.build_id)?,
            };
            let id = self.profile.mapping(mapping);
            self.mappings.insert(message.id, id)?;
        }
        Ok(())
    }

    fn functions(&mut self, data: &[u8]) -> Result<(), Error> {
        for bytes in wire::all(data, field::FUNCTION) {
            let message: message::Function = parse(bytes?)?;
            let function = Function {
                name: self.string(message.name)?,
                system_name: self.string(message.system_name)?,
                file: self.string(message.file)?,
                start_line: line_number(message.start_line),
            };
            let id = self.profile.function(function);
            self.functions.insert(message.id, id)?;
        }
        Ok(())
    }

    fn locations(&mut self, data: &[u8]) -> Result<(), Error> {
        let mut budget = Budget::new("lines in locations", limits::MAX_FRAMES / 4);
        for bytes in wire::all(data, field::LOCATION) {
            let message: message::Location = parse(bytes?)?;
            budget.spend(message.lines.len())?;
            // Some writers give function 0 to a line they know nothing about.
            let lines = message.lines.iter().filter(|line| line.function_id != 0).map(|line| {
                let function = self.functions.get(line.function_id)?;
                Ok(Line { function, line: line_number(line.line) })
            });
            let lines = lines.collect::<Result<_, Error>>()?;
            let mapping = match message.mapping_id {
                0 => MappingId::default(),
                id => self.mappings.get(id)?,
            };
            let id = self.profile.location(Location { mapping, address: message.address, lines });
            self.locations.insert(message.id, id)?;
        }
        Ok(())
    }

    fn samples(&mut self, data: &[u8]) -> Result<(), Error> {
        let mut frames = Budget::new("frames in all samples", limits::MAX_FRAMES);
        let mut labels = Budget::new("labels in all samples", limits::MAX_LABELS);
        let columns = self.profile.sample_types().len();
        let mut stack = Vec::new();
        for bytes in wire::all(data, field::SAMPLE) {
            let message: message::Sample = parse(bytes?)?;
            if message.values.len() != columns {
                let values = message.values.len();
                let message = format!("a sample has {values} values for {columns} sample types");
                return Err(Error::malformed(message));
            }
            stack.clear();
            let mut depth = Budget::new("frames in one sample", limits::MAX_STACK_FRAMES);
            for &id in &message.location_ids {
                let location = self.locations.get(id)?;
                let known = self.profile.locations().get(location.index());
                depth.spend(known.map_or(1, |location| location.lines.len().max(1)))?;
                stack.push(location);
            }
            frames.spend(depth.limit - depth.left)?;
            labels.spend(message.labels.len())?;
            let set = self.label_set(&message.labels)?;
            let stack = self.profile.stack(&stack);
            self.profile.add(stack, set, &message.values);
        }
        Ok(())
    }

    fn label_set(&mut self, labels: &[message::Label]) -> Result<LabelSetId, Error> {
        let mut texts = Vec::with_capacity(labels.len());
        for label in labels {
            let (key, value) = label_text(&self.strings, label)?;
            self.text.spend(key.len() + value.len())?;
            texts.push((key, value));
        }
        Ok(self.profile.label_set(texts.iter().map(|(key, value)| (*key, value.as_ref()))))
    }

    fn meta(&mut self, header: &message::Header) -> Result<(), Error> {
        if header.comments.len() > limits::MAX_COMMENTS {
            return Err(Error::too_large(format!("more than {} comments", limits::MAX_COMMENTS)));
        }
        let period_type = header.period_type.as_ref().map(|period| self.value_type(period));
        let period = u64::try_from(header.period).unwrap_or(0);
        let start = u64::try_from(header.time_nanos).ok().filter(|&nanos| nanos > 0);
        let duration = u64::try_from(header.duration_nanos).unwrap_or(0);
        let meta = &mut self.profile.meta;
        meta.period = period_type.transpose()?.map(|period_type| (period_type, period));
        meta.start_unix_nanos = start;
        meta.duration = Duration::from_nanos(duration);
        for &index in &header.comments {
            comment::apply(&mut self.profile, text(&self.strings, index)?);
        }
        Ok(())
    }
}

fn text<'a>(strings: &'a [Cow<'_, str>], index: i64) -> Result<&'a str, Error> {
    let found = usize::try_from(index).ok().and_then(|index| strings.get(index));
    match found {
        Some(text) => Ok(text),
        None if index == 0 => Ok(""),
        None => Err(Error::malformed(format!("no string with index {index}"))),
    }
}

/// A label as text; a number is written with its unit, `512 bytes`.
fn label_text<'a>(
    strings: &'a [Cow<'_, str>],
    label: &message::Label,
) -> Result<(&'a str, Cow<'a, str>), Error> {
    let (key, unit) = (text(strings, label.key)?, text(strings, label.unit)?);
    let is_text = label.text != 0 || (label.number == 0 && label.unit == 0);
    let value = match (is_text, unit) {
        (true, _) => Cow::Borrowed(text(strings, label.text)?),
        (false, "") => Cow::Owned(label.number.to_string()),
        (false, unit) => Cow::Owned(format!("{} {unit}", label.number)),
    };
    Ok((key, value))
}

fn line_number(line: i64) -> u32 {
    u32::try_from(line.max(0)).unwrap_or(u32::MAX)
}
