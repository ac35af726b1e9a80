//! The messages of OTLP profiles (`v1development`, layout of 1.10), field for field.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Export {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resources: Vec<ResourceProfiles>,
    #[prost(message, optional, tag = "2")]
    pub(crate) dictionary: Option<Dictionary>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResourceProfiles {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scopes: Vec<ScopeProfiles>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ScopeProfiles {
    #[prost(message, optional, tag = "1")]
    pub(crate) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) profiles: Vec<ProfileMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Scope {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<AnyValue>,
    #[prost(int32, tag = "3")]
    pub(crate) key_strindex: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub(crate) value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    /// Arrays, lists and bytes are not looked into.
    #[prost(bytes = "vec", tag = "5")]
    Array(Vec<u8>),
    #[prost(bytes = "vec", tag = "6")]
    List(Vec<u8>),
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
    #[prost(int32, tag = "8")]
    TextIndex(i32),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Dictionary {
    #[prost(message, repeated, tag = "1")]
    pub(crate) mappings: Vec<Mapping>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) locations: Vec<Location>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) functions: Vec<Function>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) links: Vec<Link>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) strings: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) attributes: Vec<Attribute>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) stacks: Vec<Stack>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Mapping {
    #[prost(uint64, tag = "1")]
    pub(crate) start: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) limit: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) offset: u64,
    #[prost(int32, tag = "4")]
    pub(crate) file: i32,
    #[prost(int32, repeated, tag = "5")]
    pub(crate) attributes: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Location {
    #[prost(int32, tag = "1")]
    pub(crate) mapping: i32,
    #[prost(uint64, tag = "2")]
    pub(crate) address: u64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) lines: Vec<Line>,
    #[prost(int32, repeated, tag = "4")]
    pub(crate) attributes: Vec<i32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Line {
    #[prost(int32, tag = "1")]
    pub(crate) function: i32,
    #[prost(int64, tag = "2")]
    pub(crate) line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Function {
    #[prost(int32, tag = "1")]
    pub(crate) name: i32,
    #[prost(int32, tag = "2")]
    pub(crate) system_name: i32,
    #[prost(int32, tag = "3")]
    pub(crate) file: i32,
    #[prost(int64, tag = "4")]
    pub(crate) start_line: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Link {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) span_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Attribute {
    #[prost(int32, tag = "1")]
    pub(crate) key: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<AnyValue>,
    #[prost(int32, tag = "3")]
    pub(crate) unit: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stack {
    #[prost(int32, repeated, tag = "1")]
    pub(crate) locations: Vec<i32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct TypeMessage {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(int32, tag = "2")]
    pub(crate) unit: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ProfileMessage {
    #[prost(message, optional, tag = "1")]
    pub(crate) sample_type: Option<TypeMessage>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<SampleMessage>,
    #[prost(fixed64, tag = "3")]
    pub(crate) time_nanos: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) duration_nanos: u64,
    #[prost(message, optional, tag = "5")]
    pub(crate) period_type: Option<TypeMessage>,
    #[prost(int64, tag = "6")]
    pub(crate) period: i64,
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) id: Vec<u8>,
    #[prost(int32, repeated, tag = "11")]
    pub(crate) attributes: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SampleMessage {
    #[prost(int32, tag = "1")]
    pub(crate) stack: i32,
    #[prost(int32, repeated, tag = "2")]
    pub(crate) attributes: Vec<i32>,
    #[prost(int32, tag = "3")]
    pub(crate) link: i32,
    #[prost(int64, repeated, tag = "4")]
    pub(crate) values: Vec<i64>,
    #[prost(fixed64, repeated, tag = "5")]
    pub(crate) timestamps: Vec<u64>,
}
