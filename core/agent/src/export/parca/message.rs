//! The messages of Parca's `profilestore.v1alpha1`, as far as a client sends them.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRawRequest {
    #[prost(message, repeated, tag = "2")]
    pub series: Vec<Series>,
    /// Whether addresses are those of the file already.
    #[prost(bool, tag = "3")]
    pub normalized: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Series {
    #[prost(message, optional, tag = "1")]
    pub labels: Option<LabelSet>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelSet {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Sample {
    /// A pprof file, gzipped.
    #[prost(bytes = "vec", tag = "1")]
    pub profile: Vec<u8>,
}
