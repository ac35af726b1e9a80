//! Pods, and the tables that find them.

use std::collections::HashMap;
use std::sync::Arc;

use super::wire::{ContainerStatus, MAX_PODS, Names, Owner, WirePod};
use crate::text::{MAX_VALUE, clean};

/// Containers of one pod, and labels and annotations of it that are kept.
const MAX_CONTAINERS: usize = 128;
const MAX_KEPT: usize = 64;

/// A pod by this annotation has the service's name of OpenTelemetry's conventions.
const SERVICE_ANNOTATION: &str = "resource.opentelemetry.io/service.name";

/// The container that tools take when none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The uid of a pod from a file, as the node knows it and its control groups are called; the server
/// has given the pod's image there another one.
const FILE_UID: &str = "kubernetes.io/config.hash";

/// The part of a ReplicaSet's name that its Deployment added.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// What is kept of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The node that it runs on.
    pub node: String,
    /// What made it: a ReplicaSet, a Job, a StatefulSet.
    pub controller: Option<Workload>,
    /// What people made: the Deployment behind a ReplicaSet, the CronJob behind a Job.
    pub workload: Option<Workload>,
    /// The labels that are allowed.
    pub labels: Vec<(String, String)>,
    /// The annotations that are allowed.
    pub annotations: Vec<(String, String)>,
    /// The service's name by annotation.
    pub service_name: Option<String>,
    /// The name of the container that the pod is there for.
    pub main_container: Option<String>,
    /// Those that were started at least once.
    pub containers: Vec<Container>,
    /// See [`FILE_UID`].
    file_uid: Option<String>,
}

/// An object that makes pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id, without the runtime.
    pub id: String,
    /// The runtime, as Kubernetes calls it: `containerd`, `cri-o`, `docker`.
    pub runtime: String,
    /// Its name within the pod.
    pub name: String,
    /// The image that it was started from.
    pub image: String,
}

/// A pod that was asked for.
#[derive(Clone, Debug)]
pub struct Found {
    /// The pod.
    pub pod: Arc<Pod>,
    /// The place of the container in the pod's list, where it is there.
    container: Option<usize>,
}

impl Found {
    /// The container that was asked for.
    pub fn container(&self) -> Option<&Container> {
        self.pod.containers.get(self.container?)
    }
}

impl Pod {
    /// What the allow-lists let through of a pod.
    pub(super) fn new(wire: WirePod, labels: &[String], annotations: &[String]) -> Self {
        let value = |names: &Names, name: &str| {
            let value = names.0.get(name)?;
            (!value.is_empty()).then(|| clean(value.as_bytes(), MAX_VALUE))
        };
        let meta = wire.metadata;
        let hash = value(&meta.labels, TEMPLATE_HASH);
        let owners = meta.owner_references.0;
        let controller = owners.iter().find(|owner| owner.controller == Some(true)).map(owner);
        let first = wire.spec.containers.0.into_iter().next();
        let status = wire.status;
        let lists = [
            status.container_statuses,
            status.init_container_statuses,
            status.ephemeral_container_statuses,
        ];
        let containers = lists.into_iter().flat_map(|list| list.0).filter_map(container);
        let name = |text: &str| clean(text.as_bytes(), 256);
        Self {
            namespace: name(&meta.namespace),
            name: name(&meta.name),
            uid: name(&meta.uid),
            node: name(wire.spec.node_name.as_deref().unwrap_or_default()),
            workload: controller.as_ref().map(|found| workload(found, hash.as_deref())),
            controller,
            service_name: value(&meta.annotations, SERVICE_ANNOTATION),
            main_container: value(&meta.annotations, DEFAULT_CONTAINER)
                .or_else(|| first.map(|first| name(&first.name))),
            file_uid: value(&meta.annotations, FILE_UID),
            labels: kept(&meta.labels, labels),
            annotations: kept(&meta.annotations, annotations),
            containers: containers.take(MAX_CONTAINERS).collect(),
        }
    }
}

fn owner(owner: &Owner) -> Workload {
    let name = |text: &str| clean(text.as_bytes(), 256);
    Workload { kind: name(&owner.kind), name: name(&owner.name) }
}

/// A ReplicaSet of a Deployment carries its name and the hash of the pod's template, which is a
/// label of the pod; a Job of a CronJob its name and the time in minutes.
fn workload(controller: &Workload, hash: Option<&str>) -> Workload {
    let of = |kind: &str, name: &str| Workload { kind: kind.to_owned(), name: name.to_owned() };
    let (kind, name) = (controller.kind.as_str(), controller.name.as_str());
    let cut = name.rsplit_once('-').filter(|(before, _)| !before.is_empty());
    match (kind, cut) {
        ("ReplicaSet", Some((before, last))) if Some(last) == hash => of("Deployment", before),
        ("Job", Some((before, last)))
            if last.len() >= 8 && last.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            of("CronJob", before)
        }
        _ => controller.clone(),
    }
}

fn container(status: ContainerStatus) -> Option<Container> {
    let text = |text: &str| clean(text.as_bytes(), 512);
    let full = status.container_id?;
    let (runtime, id) = full.split_once("://")?;
    let image = status.image.unwrap_or_default();
    (!id.is_empty()).then(|| Container {
        id: text(id),
        runtime: text(runtime),
        name: text(&status.name),
        image: text(&image),
    })
}

fn kept(names: &Names, allowed: &[String]) -> Vec<(String, String)> {
    let is_allowed = |name: &str| {
        allowed.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        })
    };
    let all = names.0.iter().filter(|(name, _)| is_allowed(name)).take(MAX_KEPT);
    all.map(|(name, value)| (clean(name.as_bytes(), 320), clean(value.as_bytes(), MAX_VALUE)))
        .collect()
}

/// All pods of the node, by uid and by the ids of their containers.
#[derive(Debug, Default)]
pub(super) struct Table {
    pods: HashMap<String, Arc<Pod>>,
    containers: HashMap<String, (Arc<Pod>, usize)>,
    files: HashMap<String, Arc<Pod>>,
    generation: u64,
}

impl Table {
    /// Takes these pods in place of all.
    pub(super) fn replace(&mut self, pods: Vec<Pod>) {
        let generation = self.generation;
        *self = Self::default();
        pods.into_iter().for_each(|pod| self.insert(pod));
        self.generation = generation + 1;
    }

    /// Adds a pod, or takes it in place of what was known of it.
    pub(super) fn insert(&mut self, pod: Pod) {
        self.remove(&pod.uid);
        if self.pods.len() >= MAX_PODS {
            return;
        }
        let pod = Arc::new(pod);
        for (at, container) in pod.containers.iter().enumerate() {
            self.containers.insert(container.id.clone(), (pod.clone(), at));
        }
        if let Some(uid) = &pod.file_uid {
            self.files.insert(uid.clone(), pod.clone());
        }
        self.pods.insert(pod.uid.clone(), pod);
    }

    /// Forgets a pod.
    pub(super) fn remove(&mut self, uid: &str) {
        self.generation += 1;
        let Some(pod) = self.pods.remove(uid) else { return };
        for container in &pod.containers {
            if self.containers.get(&container.id).is_some_and(|(owner, _)| owner.uid == uid) {
                self.containers.remove(&container.id);
            }
        }
        if let Some(uid) = &pod.file_uid {
            self.files.remove(uid);
        }
    }

    pub(super) fn find(&self, container: Option<&str>, pod_uid: Option<&str>) -> Option<Found> {
        if let Some((pod, at)) = container.and_then(|id| self.containers.get(id)) {
            return Some(Found { pod: pod.clone(), container: Some(*at) });
        }
        let uid = pod_uid?;
        let pod = self.pods.get(uid).or_else(|| self.files.get(uid))?;
        Some(Found { pod: pod.clone(), container: None })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }
}
