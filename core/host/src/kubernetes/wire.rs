//! The fields of the API server's answers that are looked at.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Pods of one node; Kubernetes itself is tested with 110.
pub(super) const MAX_PODS: usize = 1024;

/// Containers and owners of one pod.
const MAX_PARTS: usize = 128;

/// Labels or annotations of one pod.
const MAX_NAMES: usize = 256;

/// The first so many of a list. A list of small things takes far more memory than its text.
#[derive(Debug)]
pub(super) struct First<T, const MOST: usize>(pub(super) Vec<T>);

/// The first so many of an object's names.
#[derive(Debug, Default)]
pub(super) struct Names(pub(super) BTreeMap<String, String>);

impl<T, const MOST: usize> Default for First<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for First<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(FirstOf(PhantomData))
    }
}

struct FirstOf<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for FirstOf<T, MOST> {
    type Value = First<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(First::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < MOST {
            match source.next_element()? {
                Some(item) => items.push(item),
                None => return Ok(First(items)),
            }
        }
        while source.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(items))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(NamesOf)
    }
}

struct NamesOf;

impl<'de> Visitor<'de> for NamesOf {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Names::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
        let mut names = BTreeMap::new();
        while names.len() < MAX_NAMES {
            match source.next_entry::<String, Option<String>>()? {
                Some((name, value)) => names.insert(name, value.unwrap_or_default()),
                None => return Ok(Names(names)),
            };
        }
        while source.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Names(names))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PodList {
    #[serde(default)]
    pub(super) metadata: ListMeta,
    #[serde(default)]
    pub(super) items: First<WirePod, MAX_PODS>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
pub(super) enum Change {
    Added(Box<WirePod>),
    Modified(Box<WirePod>),
    Deleted(Box<WirePod>),
    Bookmark(Bookmark),
    Error(Failure),
}

#[derive(Debug, Deserialize)]
pub(super) struct Bookmark {
    pub(super) metadata: ListMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    pub(super) code: u16,
    pub(super) message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct WirePod {
    pub(super) metadata: Meta,
    #[serde(default)]
    pub(super) spec: Spec,
    #[serde(default)]
    pub(super) status: PodStatus,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) uid: String,
    #[serde(default)]
    pub(super) resource_version: String,
    #[serde(default)]
    pub(super) labels: Names,
    #[serde(default)]
    pub(super) annotations: Names,
    #[serde(default)]
    pub(super) owner_references: First<Owner, MAX_PARTS>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) node_name: Option<String>,
    pub(super) containers: First<SpecContainer, MAX_PARTS>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SpecContainer {
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) container_statuses: First<ContainerStatus, MAX_PARTS>,
    pub(super) init_container_statuses: First<ContainerStatus, MAX_PARTS>,
    pub(super) ephemeral_container_statuses: First<ContainerStatus, MAX_PARTS>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) image: Option<String>,
    /// `containerd://…`.
    #[serde(rename = "containerID")]
    pub(super) container_id: Option<String>,
}
