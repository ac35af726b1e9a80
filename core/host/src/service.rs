//! The name of the service that a process belongs to.
//!
//! Whoever knows more is asked first:
//!
//! 1. The process itself, at run time: its published context. Only the program knows what it was
//!    called by its own code, and it may host several services in one binary.
//! 2. Whoever started it, by its environment: `SONDAGE_SERVICE`, `OTEL_SERVICE_NAME`, then
//!    `service.name` among `OTEL_RESOURCE_ATTRIBUTES`, as the library does in the process. So a
//!    service keeps its name when it moves from the library to the host agent and back.
//! 3. Kubernetes, as OpenTelemetry's conventions have it: the annotation, the workload, the pod. A
//!    container beside the one that the pod is there for gets its own name added, or a proxy's
//!    samples would be added to those of every service that it stands beside.
//! 4. A container's name, where its runtime gives names instead of ids.
//! 5. The systemd unit, when it is a service: what people start, stop and give limits to. Scopes are
//!    log-ins and the like.
//! 6. The program's file, then the name of its main thread. They tell what runs, and not what for.
//!
//! Rules of relabelling see the result as `service_name`, with where it came from in
//! `__meta_service_name_source`, and have the last word: they are the operator's.

use std::collections::BTreeMap;

use crate::container::{Place, Runtime};
use crate::identity::Facts;
use crate::kubernetes::Found;
use crate::text::{MAX_VALUE, clean};

/// Where OpenTelemetry keeps the name.
const ATTRIBUTE: &str = "service.name";

/// What SDKs say when nobody gave a name, by itself or before a colon and the program's.
const UNKNOWN: &str = "unknown_service";

/// Who gave a service its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The context that the process published.
    ProcessContext,
    /// `SONDAGE_SERVICE` or `OTEL_SERVICE_NAME`.
    Environment,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    ResourceAttributes,
    /// The pod's annotation.
    PodAnnotation,
    /// The workload that made the pod, or the pod itself.
    Workload,
    /// The container's name.
    Container,
    /// The systemd unit.
    Unit,
    /// The program's file.
    Executable,
    /// The main thread's name, or that it is the kernel's.
    Comm,
    /// A rule of the host agent's settings.
    Relabelling,
}

impl Source {
    /// As the label `__meta_service_name_source` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProcessContext => "process_context",
            Self::Environment => "environment",
            Self::ResourceAttributes => "resource_attributes",
            Self::PodAnnotation => "pod_annotation",
            Self::Workload => "workload",
            Self::Container => "container",
            Self::Unit => "systemd_unit",
            Self::Executable => "executable",
            Self::Comm => "comm",
            Self::Relabelling => "relabelling",
        }
    }
}

/// The name, and who gave it.
pub fn name(
    context: &BTreeMap<String, String>,
    facts: &Facts,
    place: &Place,
    found: Option<&Found>,
) -> (String, Source) {
    let attribute = |pairs: &[(String, String)]| {
        // The last of a name counts, as for the library.
        let found = pairs.iter().rev().find(|(key, _)| key == ATTRIBUTE);
        found.map(|(_, value)| value.clone())
    };
    let environment = &facts.environment;
    let file = |path: &String| path.rsplit('/').next().map(str::to_owned);
    let by_context = || context.get(ATTRIBUTE).map(|name| clean(name.as_bytes(), MAX_VALUE));
    let candidates: [(&dyn Fn() -> Option<String>, Source); 10] = [
        (&by_context, Source::ProcessContext),
        (&|| environment.sondage_service.clone(), Source::Environment),
        (&|| environment.otel_service_name.clone(), Source::Environment),
        (&|| attribute(&environment.attributes), Source::ResourceAttributes),
        (&|| found?.pod.service_name.clone(), Source::PodAnnotation),
        (&|| workload(found?), Source::Workload),
        (&|| container(place), Source::Container),
        (&|| unit(place), Source::Unit),
        (&|| facts.executable.as_ref().and_then(file), Source::Executable),
        (&|| (!facts.stat.kernel_thread).then(|| facts.stat.comm.clone()), Source::Comm),
    ];
    let mut given = candidates.iter().filter_map(|(name, source)| Some((name()?, *source)));
    let usable = |name: &str| !name.trim().is_empty() && !is_unknown(name);
    given.find(|(name, _)| usable(name)).unwrap_or_else(|| {
        let name = if facts.stat.kernel_thread { "kernel" } else { UNKNOWN };
        (name.to_owned(), Source::Comm)
    })
}

fn is_unknown(name: &str) -> bool {
    name == UNKNOWN || name.strip_prefix(UNKNOWN).is_some_and(|rest| rest.starts_with(':'))
}

/// The workload's name, with the container's where it is not the main one.
fn workload(found: &Found) -> Option<String> {
    let pod = &found.pod;
    let owner = pod.workload.as_ref().map_or(&pod.name, |workload| &workload.name);
    // A pod from a file is owned by its node, and carries the node's name after its own.
    let owner = match &pod.workload {
        Some(workload) if workload.kind == "Node" => {
            let node = format!("-{}", workload.name);
            pod.name.strip_suffix(node.as_str()).unwrap_or(&pod.name)
        }
        _ => owner.as_str(),
    };
    if owner.is_empty() {
        return found.container().map(|container| container.name.clone());
    }
    match (found.container(), &pod.main_container) {
        (Some(container), Some(main)) if container.name != *main => {
            Some(format!("{owner}/{}", container.name))
        }
        _ => Some(owner.to_owned()),
    }
}

fn container(place: &Place) -> Option<String> {
    (place.runtime == Some(Runtime::Lxc)).then(|| place.container.clone())?
}

fn unit(place: &Place) -> Option<String> {
    let name = place.unit.as_deref()?.strip_suffix(".service")?;
    // The manager of one user's units; what it starts has units of its own.
    (!name.starts_with("user@")).then(|| name.to_owned())
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
