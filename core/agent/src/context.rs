//! What a process says of itself to observers: OpenTelemetry's process context (OTEP 4719).
//!
//! A process shows its resource attributes in a small named mapping, which an observer finds in
//! `/proc/PID/maps` and reads from the process' memory: it then knows the service's name without
//! asking anybody. An agent publishes one where it cannot take samples itself, so that
//! `sondage host-agent` does it, under the same name and labels.
//!
//! ```
//! use sondage::context::ProcessContext;
//!
//! let context = ProcessContext {
//!     resource: vec![("service.name".into(), "shop".into())],
//!     attributes: vec![("sondage.engine".into(), "none".into())],
//!     thread_keys: None,
//! };
//! let read = ProcessContext::decode(&context.encode()).unwrap();
//! assert_eq!(read.service_name(), Some("shop"));
//! ```

use crate::error::{Error, ErrorKind};
use crate::resolve::MapLine;
use prost::Message;
use sondage_sampler::{CONTEXT_HEADER_BYTES, CONTEXT_SIGNATURE, CONTEXT_VERSION, ContextPage};

/// The attribute that says what takes samples in the process: `none`, or an engine's name, in which
/// case CPU time that an observer samples too counts twice.
pub const ENGINE_KEY: &str = "sondage.engine";

/// The attributes that say that threads publish contexts too (OTEP 4947), and how: the form, and the
/// keys to which their attributes' numbers lead.
const SCHEMA_KEY: &str = "threadlocal.schema_version";
const KEYS_KEY: &str = "threadlocal.attribute_key_map";

/// The form that is known, by the name that it has while it is tried out and by the one for good.
const SCHEMAS: [&str; 2] = ["tlsdesc_v1_dev", "tls_v1"];

/// A key's number has one byte.
const MAX_THREAD_KEYS: usize = 256;

const SERVICE_NAME: &str = "service.name";

/// How the mapping is named, by what made it: a file in memory, a named mapping, a shared one.
const NAMES: [&str; 3] = ["/memfd:OTEL_CTX", "[anon:OTEL_CTX]", "[anon_shmem:OTEL_CTX]"];

/// Bounds on what another process may say.
const MAX_PAYLOAD: usize = 64 << 10;
const MAX_MAPPINGS: usize = 16;
const MAX_ATTRIBUTES: usize = 128;
const MAX_KEY_BYTES: usize = 256;
const MAX_VALUE_BYTES: usize = 4096;

/// A context that is just being changed is read again so often.
const TRIES: usize = 3;

/// What a process says of itself, as pairs of texts. Numbers and truth values are read as their
/// texts; lists and the like are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessContext {
    /// The attributes of its resource, such as `service.name`.
    pub resource: Vec<(String, String)>,
    /// Others.
    pub attributes: Vec<(String, String)>,
    /// Where threads publish contexts by OTEP 4947: the keys of their attributes, by number. What is
    /// no text is an empty one.
    pub thread_keys: Option<Vec<String>>,
}

impl ProcessContext {
    /// The context of a process with these labels, of which `service_name` is spelled as
    /// OpenTelemetry does.
    pub(crate) fn of_labels(labels: &[(String, String)], engine: &str) -> Self {
        let spelled = |(key, value): &(String, String)| {
            let key = if key == "service_name" { SERVICE_NAME } else { key };
            (key.to_owned(), value.clone())
        };
        Self {
            resource: labels.iter().map(spelled).collect(),
            attributes: vec![(ENGINE_KEY.to_owned(), engine.to_owned())],
            thread_keys: None,
        }
    }

    /// The service's name, if it says one.
    pub fn service_name(&self) -> Option<&str> {
        let mut pairs = self.resource.iter();
        pairs.find(|(key, _)| key == SERVICE_NAME).map(|(_, name)| name.as_str())
    }

    /// What takes samples in the process, if an agent of Sondage says so: see [`ENGINE_KEY`].
    pub fn engine(&self) -> Option<&str> {
        let mut pairs = self.attributes.iter();
        pairs.find(|(key, _)| key == ENGINE_KEY).map(|(_, name)| name.as_str())
    }

    /// The message `ProcessContext` of OpenTelemetry's protocol.
    pub fn encode(&self) -> Vec<u8> {
        let resource = Resource { attributes: to_message(&self.resource) };
        let mut attributes = to_message(&self.attributes);
        if let Some(keys) = &self.thread_keys {
            attributes.extend(to_message(&[(SCHEMA_KEY.to_owned(), SCHEMAS[0].to_owned())]));
            let text = |key: &String| AnyValue { value: Some(Value::Text(key.clone())) };
            let values = keys.iter().map(text).collect();
            let value = Some(AnyValue { value: Some(Value::List(List { values })) });
            attributes.push(KeyValue { key: KEYS_KEY.to_owned(), value });
        }
        Context { resource: Some(resource), attributes }.encode_to_vec()
    }

    /// Reads such a message, or the `Resource` that earlier publishers wrote in its place. `None`
    /// for anything else, and beyond 64 KiB; of more than 128 attributes the first are kept, and
    /// long texts are cut.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_PAYLOAD {
            return None;
        }
        let has_keys = |pairs: &[KeyValue]| pairs.iter().all(|pair| !pair.key.is_empty());
        if let Ok(context) = Context::decode(bytes) {
            let resource = context.resource.unwrap_or_default().attributes;
            if has_keys(&resource) && has_keys(&context.attributes) {
                let thread_keys = thread_keys(&context.attributes);
                let (resource, attributes) = (from_message(resource), context.attributes);
                return Some(Self { resource, attributes: from_message(attributes), thread_keys });
            }
        }
        let resource = Resource::decode(bytes).ok()?.attributes;
        let resource = has_keys(&resource).then(|| from_message(resource))?;
        Some(Self { resource, ..Self::default() })
    }

    /// Finds and reads the context of a process. `maps` is its `/proc/PID/maps`; `read` fills a
    /// buffer with the process' memory from an address on, and tells whether it could.
    ///
    /// The process may be hostile: at most 16 mappings are looked at, and 64 KiB read of each. What
    /// changes while it is read is read again, three times at most. A process that is to be
    /// profiled has none in most cases.
    pub fn find(maps: &str, mut read: impl FnMut(u64, &mut [u8]) -> bool) -> Option<Self> {
        let lines = maps.lines().filter_map(MapLine::parse).filter(|line| is_context(line.name));
        lines.take(MAX_MAPPINGS).find_map(|line| read_at(line.range.start, &mut read))
    }

    /// Shows this context to observers until the returned value is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where the process has a context already, of an OpenTelemetry SDK for
    /// example; [`ErrorKind::Io`] where the kernel refuses the mapping.
    pub fn publish(&self) -> Result<Published, Error> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        if maps.lines().filter_map(MapLine::parse).any(|line| is_context(line.name)) {
            return Err(Error::new(ErrorKind::Busy, "the process has a process context already"));
        }
        let page = ContextPage::publish(&self.encode()).map_err(|errno| {
            Error::new(ErrorKind::Io, format!("no page for the process context: {errno}"))
        })?;
        Ok(Published { _page: page })
    }
}

/// A context that observers see; withdrawn when dropped. Forked children do not have it.
#[derive(Debug)]
pub struct Published {
    _page: ContextPage,
}

fn is_context(name: &str) -> bool {
    NAMES.iter().any(|known| name.starts_with(known))
}

/// A header, as far as it is checked.
struct Header {
    size: usize,
    published: u64,
    payload: u64,
}

fn read_at(address: u64, read: &mut impl FnMut(u64, &mut [u8]) -> bool) -> Option<ProcessContext> {
    for _ in 0..TRIES {
        let header = read_header(address, read)?;
        if header.published == 0 {
            continue;
        }
        let mut payload = vec![0; header.size];
        // A payload that is replaced while it is read may be gone.
        let is_read = read(header.payload, &mut payload);
        let is_same = read_header(address, read)?.published == header.published;
        if is_read && is_same {
            return ProcessContext::decode(&payload);
        }
    }
    None
}

fn read_header(address: u64, read: &mut impl FnMut(u64, &mut [u8]) -> bool) -> Option<Header> {
    let mut bytes = [0; CONTEXT_HEADER_BYTES];
    if !read(address, &mut bytes) || !bytes.starts_with(&CONTEXT_SIGNATURE) {
        return None;
    }
    let half = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let word = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (version, size) = (half(8)?, half(12)? as usize);
    if version != CONTEXT_VERSION || size > MAX_PAYLOAD {
        return None;
    }
    Some(Header { size, published: word(16)?, payload: word(24)? })
}

fn to_message(pairs: &[(String, String)]) -> Vec<KeyValue> {
    let message = |(key, value): &(String, String)| KeyValue {
        key: key.clone(),
        value: Some(AnyValue { value: Some(Value::Text(value.clone())) }),
    };
    pairs.iter().map(message).collect()
}

fn from_message(pairs: Vec<KeyValue>) -> Vec<(String, String)> {
    let text = |pair: KeyValue| {
        let value = match pair.value?.value? {
            Value::Text(text) => text,
            Value::Truth(truth) => truth.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::List(_) => return None,
        };
        Some((cut(pair.key, MAX_KEY_BYTES), cut(value, MAX_VALUE_BYTES)))
    };
    pairs.into_iter().filter_map(text).take(MAX_ATTRIBUTES).collect()
}

/// The keys of threads' attributes, where these are of the form that is known.
fn thread_keys(attributes: &[KeyValue]) -> Option<Vec<String>> {
    let value = |key: &str| {
        let pair = attributes.iter().find(|pair| pair.key == key)?;
        pair.value.as_ref()?.value.as_ref()
    };
    match value(SCHEMA_KEY)? {
        Value::Text(schema) if SCHEMAS.contains(&&**schema) => {}
        _ => return None,
    }
    let Some(Value::List(list)) = value(KEYS_KEY) else { return Some(Vec::new()) };
    let text = |value: &AnyValue| match &value.value {
        Some(Value::Text(text)) => cut(text.clone(), MAX_KEY_BYTES),
        _ => String::new(),
    };
    Some(list.values.iter().map(text).take(MAX_THREAD_KEYS).collect())
}

/// The beginning of a text, of at most so many bytes.
fn cut(mut text: String, limit: usize) -> String {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

/// `opentelemetry.proto.processcontext.v1development.ProcessContext`.
#[derive(Clone, PartialEq, Message)]
struct Context {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    attributes: Vec<KeyValue>,
}

/// `opentelemetry.proto.resource.v1.Resource`.
#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

/// `opentelemetry.proto.common.v1.KeyValue`.
#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

/// `opentelemetry.proto.common.v1.AnyValue`, of which maps and bytes are not read.
#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Truth(bool),
    #[prost(int64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    List(List),
}

/// `opentelemetry.proto.common.v1.ArrayValue`.
#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    values: Vec<AnyValue>,
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
