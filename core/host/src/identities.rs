//! Labels of processes, kept as long as they live.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::container::{self, Place};
use crate::identity::{Facts, Proc, StartTime, Stat};
use crate::kubernetes::{Found, Pods};
use crate::relabel::{Labels, Rules};
use crate::selection::Selection;
use crate::service::{self, Source};
use crate::text::{as_name_part, clean};

/// Processes that are kept. With command lines as long as they are read, and all labels at their
/// bounds, one has 40 KiB; commonly it is 2 KiB.
const MAX_PROCESSES: usize = 4096;

/// Names that say where a process runs: its own attributes may not.
pub(crate) const RESERVED: [&str; 6] =
    ["service_name", "namespace", "pod", "container", "node", "container_id"];

/// What profiles of a process carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessLabels {
    /// The process.
    pub pid: u32,
    /// When it started: with the pid, what tells it from all others.
    pub start: StartTime,
    /// The service, never empty.
    pub service_name: String,
    /// Who gave the service its name.
    pub source: Source,
    /// All labels, `service_name` first and the others by name.
    pub labels: Vec<(String, String)>,
    /// Labels that found no room, and values that were cut.
    pub lost: u32,
}

/// What is asked for of processes, and how it becomes labels.
#[derive(Debug, Default)]
pub struct Recipe {
    /// Where processes are seen.
    pub proc: Proc,
    /// Whether the variables that name a service are read.
    pub read_environment: bool,
    /// The pods of this machine, where it is a node.
    pub pods: Option<Pods>,
    /// Labels of everything that this agent sends.
    pub labels: Vec<(String, String)>,
    /// What is profiled.
    pub selection: Selection,
    /// Rules for labels.
    pub rules: Rules,
}

/// Who the processes of this machine are.
#[derive(Debug)]
pub struct Identities {
    recipe: Recipe,
    known: HashMap<u32, Known>,
    clock: u64,
    /// [`MAX_PROCESSES`], but for tests.
    most: usize,
}

/// A process that was described before.
#[derive(Debug)]
struct Known {
    facts: Facts,
    place: Place,
    context: BTreeMap<String, String>,
    /// The pod that the labels were made with, and the state of the table then.
    found: Option<Found>,
    generation: u64,
    /// `None` for one that is not profiled.
    labels: Option<Arc<ProcessLabels>>,
    used: u64,
}

impl Identities {
    /// Knows nobody yet.
    pub fn new(recipe: Recipe) -> Self {
        Self { recipe, known: HashMap::new(), clock: 0, most: MAX_PROCESSES }
    }

    /// The labels of a process; `None` when there is none, or when it is not to be profiled.
    ///
    /// The first time costs some 100 µs, later times 10 µs: one file tells whether it is still the
    /// same process, running the same program. A pod that the API server tells of later is taken
    /// over then.
    pub fn describe(&mut self, pid: u32) -> Option<Arc<ProcessLabels>> {
        let Ok(stat) = self.recipe.proc.stat(pid) else {
            self.known.remove(&pid);
            return None;
        };
        self.clock += 1;
        let generation = self.recipe.pods.as_ref().map_or(0, Pods::generation);
        match self.known.get_mut(&pid) {
            // Another name is another program, mostly.
            Some(known)
                if known.facts.stat.start == stat.start && known.facts.stat.comm == stat.comm =>
            {
                known.used = self.clock;
                if known.generation != generation {
                    known.generation = generation;
                    let found = find(&self.recipe, &known.place);
                    if !is_same(found.as_ref(), known.found.as_ref()) {
                        known.found = found;
                        known.labels = label(&self.recipe, known);
                    }
                }
                known.labels.clone()
            }
            Some(known) if known.facts.stat.start == stat.start => {
                let context = std::mem::take(&mut known.context);
                self.read(pid, stat, context)
            }
            _ => self.read(pid, stat, BTreeMap::new()),
        }
    }

    /// Takes the attributes that a process published, by OpenTelemetry's names: `service.name`.
    pub fn set_context(&mut self, pid: u32, context: BTreeMap<String, String>) {
        self.describe(pid);
        if let Some(known) = self.known.get_mut(&pid)
            && known.context != context
        {
            known.context = context;
            known.labels = label(&self.recipe, known);
        }
    }

    /// Whether a process was described and is not to be profiled.
    pub fn is_excluded(&self, pid: u32) -> bool {
        self.known.get(&pid).is_some_and(|known| known.labels.is_none())
    }

    /// Forgets a process that ended, or that runs another program now.
    pub fn forget(&mut self, pid: u32) {
        self.known.remove(&pid);
    }

    /// Forgets every process that is not among these, for the case that its end was not told.
    pub fn retain(&mut self, is_running: impl Fn(u32) -> bool) {
        self.known.retain(|pid, _| is_running(*pid));
    }

    /// Processes that are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How the watch of Kubernetes' pods goes, where there is one.
    pub fn kubernetes(&self) -> Option<crate::kubernetes::Status> {
        self.recipe.pods.as_ref().map(Pods::status)
    }

    fn read(
        &mut self,
        pid: u32,
        stat: Stat,
        context: BTreeMap<String, String>,
    ) -> Option<Arc<ProcessLabels>> {
        self.known.remove(&pid);
        // Before the look-up: a pod that comes in between is found again, and not missed.
        let generation = self.recipe.pods.as_ref().map_or(0, Pods::generation);
        let with_environment = self.recipe.read_environment;
        let facts = self.recipe.proc.facts_after(pid, stat, with_environment).ok()?;
        let place = container::place(&facts.cgroups);
        let found = find(&self.recipe, &place);
        let mut known =
            Known { facts, place, context, found, generation, labels: None, used: self.clock };
        known.labels = label(&self.recipe, &known);
        let labels = known.labels.clone();
        if self.known.len() >= self.most {
            self.evict();
        }
        self.known.insert(pid, known);
        labels
    }

    /// Forgets the eighth that was not asked for longest.
    fn evict(&mut self) {
        let mut used: Vec<u64> = self.known.values().map(|known| known.used).collect();
        used.sort_unstable();
        let limit = used.get(self.most / 8).copied().unwrap_or_default();
        self.known.retain(|_, known| known.used > limit);
    }
}

fn find(recipe: &Recipe, place: &Place) -> Option<Found> {
    let pods = recipe.pods.as_ref()?;
    pods.find(place.container.as_deref(), place.pod_uid.as_deref())
}

fn is_same(one: Option<&Found>, other: Option<&Found>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            Arc::ptr_eq(&one.pod, &other.pod) && one.container() == other.container()
        }
        (None, None) => true,
        _ => false,
    }
}

/// Makes the labels; `None` for a process that is not to be profiled.
fn label(recipe: &Recipe, known: &Known) -> Option<Arc<ProcessLabels>> {
    let Known { facts, place, context, found, .. } = known;
    let found = found.as_ref();
    let (given, mut source) = service::name(context, facts, place, found);
    let mut labels = sources(facts, place, found);
    attributes(&mut labels, &facts.environment.attributes);
    attributes(&mut labels, context);
    recipe.labels.iter().for_each(|(name, value)| labels.set(name, value));
    where_it_runs(&mut labels, place, found);
    labels.set("service_name", &given);
    labels.set("__meta_service_name_source", source.name());
    if !recipe.selection.admits(&labels) || !recipe.rules.apply(&mut labels) {
        return None;
    }
    let labels = labels.into_final();
    let service_name = match labels.get("service_name") {
        // A rule took the name away; profiles need one.
        "" => given,
        name => {
            if name != given {
                source = Source::Relabelling;
            }
            name.to_owned()
        }
    };
    let first = ("service_name".to_owned(), service_name.clone());
    let rest = labels.iter().filter(|(name, _)| *name != "service_name");
    let rest = rest.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(Arc::new(ProcessLabels {
        pid: facts.pid,
        start: facts.stat.start,
        service_name,
        source,
        lost: labels.lost(),
        labels: std::iter::once(first).chain(rest).collect(),
    }))
}

/// The labels that rules can use and nobody else sees.
fn sources(facts: &Facts, place: &Place, found: Option<&Found>) -> Labels {
    let mut labels = Labels::default();
    let mut set = |name: &str, value: &str| labels.set(format!("__meta_{name}"), value);
    set("process_pid", &facts.pid.to_string());
    set("process_ns_pid", &facts.ns_pid.to_string());
    set("process_parent_pid", &facts.stat.parent.to_string());
    set("process_comm", &facts.stat.comm);
    set("process_uid", &facts.uid.to_string());
    set("process_cmdline", &facts.cmdline);
    set("process_cgroup", &place.path);
    set("process_kernel_thread", if facts.stat.kernel_thread { "true" } else { "false" });
    let path = facts.executable.as_deref().unwrap_or_default();
    set("process_executable", path);
    set("process_executable_name", path.rsplit('/').next().unwrap_or_default());
    set("process_executable_deleted", if facts.deleted { "true" } else { "false" });
    set("container_id", place.container.as_deref().unwrap_or_default());
    set("container_runtime", place.runtime.map_or("", |runtime| runtime.name()));
    set("container_pod_uid", place.pod_uid.as_deref().unwrap_or_default());
    set("container_qos", place.qos.map_or("", |qos| qos.name()));
    set("systemd_unit", place.unit.as_deref().unwrap_or_default());
    let Some(found) = found else { return labels };
    let pod = &found.pod;
    set("kubernetes_namespace", &pod.namespace);
    set("kubernetes_pod_name", &pod.name);
    set("kubernetes_pod_uid", &pod.uid);
    set("kubernetes_pod_node_name", &pod.node);
    for (kind, object) in [("controller", &pod.controller), ("workload", &pod.workload)] {
        let Some(object) = object else { continue };
        set(&format!("kubernetes_pod_{kind}_kind"), &object.kind);
        set(&format!("kubernetes_pod_{kind}_name"), &object.name);
    }
    if let Some(container) = found.container() {
        set("kubernetes_pod_container_name", &container.name);
        set("kubernetes_pod_container_image", &container.image);
        set("container_runtime", &container.runtime);
    }
    for (kind, pairs) in [("label", &pod.labels), ("annotation", &pod.annotations)] {
        for (name, value) in pairs {
            let name = as_name_part(name);
            set(&format!("kubernetes_pod_{kind}_{name}"), value);
            set(&format!("kubernetes_pod_{kind}present_{name}"), "true");
        }
    }
    labels
}

/// Attributes of OpenTelemetry, which a process says of itself: they can neither be source labels
/// nor say where it runs.
fn attributes<'a>(labels: &mut Labels, pairs: impl IntoIterator<Item = impl Pair<'a>>) {
    for pair in pairs.into_iter().take(crate::attributes::MAX_ATTRIBUTES) {
        let (name, value) = pair.texts();
        let mut name = as_name_part(name);
        if name.starts_with(|char: char| char.is_ascii_digit()) {
            name.insert(0, '_');
        }
        if !name.is_empty() && !name.starts_with("__") && !RESERVED.contains(&name.as_str()) {
            labels.set(name, clean(value.as_bytes(), crate::text::MAX_VALUE));
        }
    }
}

/// Items of a list and of a map of pairs.
trait Pair<'a> {
    fn texts(self) -> (&'a str, &'a str);
}

impl<'a> Pair<'a> for &'a (String, String) {
    fn texts(self) -> (&'a str, &'a str) {
        (&self.0, &self.1)
    }
}

impl<'a> Pair<'a> for (&'a String, &'a String) {
    fn texts(self) -> (&'a str, &'a str) {
        (self.0, self.1)
    }
}

/// The labels that a process has without any rule.
fn where_it_runs(labels: &mut Labels, place: &Place, found: Option<&Found>) {
    let Some(found) = found else {
        if let Some(id) = &place.container {
            // As `docker ps` shows it.
            let short: String = id.chars().take(12).collect();
            labels.set("container_id", short);
        }
        return;
    };
    labels.set("namespace", &found.pod.namespace);
    labels.set("pod", &found.pod.name);
    labels.set("node", &found.pod.node);
    labels.set("container", found.container().map_or("", |container| &container.name));
}

#[cfg(test)]
#[path = "identities_tests.rs"]
mod tests;
