//! Which container a process is in, by the path of its control group.
//!
//! Runtimes name the groups; a process can neither choose the name of the group that it was put
//! into nor leave it, but it may make groups below its own where it was given that right. The
//! innermost name that looks like a container's counts: so a container in a node that is itself a
//! container (kind, Docker in Docker) is found, and a process that makes such a group below its own
//! moves itself into a container that no API server knows (see `docs/security.md`).

use crate::identity::Cgroup;

/// What made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// containerd, by Kubernetes, nerdctl or Docker.
    Containerd,
    /// CRI-O.
    CriO,
    /// Docker.
    Docker,
    /// LXC, LXD or Incus, which give names and no ids.
    Lxc,
    /// Podman.
    Podman,
    /// The path does not tell: Kubernetes with the cgroupfs driver, Amazon ECS.
    Unknown,
}

impl Runtime {
    /// As in container ids of Kubernetes: `cri-o`, `containerd`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Docker => "docker",
            Self::Lxc => "lxc",
            Self::Podman => "podman",
            Self::Unknown => "unknown",
        }
    }
}

/// The quality of service of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// Neither requests nor limits.
    BestEffort,
    /// Requests below the limits.
    Burstable,
    /// Requests as the limits. Its groups have no name for it, so it is only told where the whole
    /// path is seen.
    Guaranteed,
}

impl Qos {
    /// As Kubernetes writes it, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::BestEffort => "besteffort",
            Self::Burstable => "burstable",
            Self::Guaranteed => "guaranteed",
        }
    }
}

/// Where the control groups put a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The path that told, or that of version 2, or of systemd's hierarchy.
    pub path: String,
    /// The container's id, or its name where the runtime gives no ids.
    pub container: Option<String>,
    /// What made it.
    pub runtime: Option<Runtime>,
    /// The pod's uid, as Kubernetes writes it.
    pub pod_uid: Option<String>,
    /// The pod's quality of service.
    pub qos: Option<Qos>,
    /// The systemd unit, within the container where there is one: `nginx.service`.
    pub unit: Option<String>,
}

/// Reads the groups of a process. Version 2 is asked first, then systemd's own hierarchy, then the
/// others: in hybrid set-ups version 2 has no controllers and mostly no containers.
pub fn place(cgroups: &[Cgroup]) -> Place {
    let rank = |group: &Cgroup| match group.controllers.as_str() {
        "" => 0,
        "name=systemd" => 1,
        _ => 2,
    };
    let mut ranked: Vec<&Cgroup> = cgroups.iter().collect();
    ranked.sort_by_key(|group| rank(group));
    let places = || ranked.iter().map(|group| of_path(&group.path));
    places()
        .find(|place| place.container.is_some() || place.pod_uid.is_some())
        .or_else(|| places().find(|place| place.unit.is_some()))
        .or_else(|| places().next())
        .unwrap_or_default()
}

/// Reads one path.
pub fn of_path(path: &str) -> Place {
    let mut found = Place { path: path.to_owned(), ..Place::default() };
    let mut parent = "";
    let mut grandparent = "";
    let mut in_pods = false;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        in_pods |= is_pods(part);
        if let Some((uid, qos)) = pod(part, in_pods) {
            // Another pod: what was found around it is the node's.
            let qos = qos.or_else(|| qos_of_name(parent)).or(in_pods.then_some(Qos::Guaranteed));
            found = Place { path: found.path, pod_uid: Some(uid), qos, ..Place::default() };
        }
        if let Some((id, runtime)) = container(part, parent, grandparent) {
            found.container = Some(id);
            found.runtime = Some(runtime);
            found.unit = None;
        } else if is_unit(part) {
            found.unit = Some(unescaped(part));
        }
        (grandparent, parent) = (parent, part);
    }
    found
}

/// Whether the part is above all pods: `kubepods`, `kubelet-kubepods.slice`, `kubepods-burstable.slice`.
fn is_pods(part: &str) -> bool {
    part.split(['-', '.', ':']).any(|word| word == "kubepods")
}

/// The uid, and the quality of service where the same part names it: `pod<uid>` with the driver
/// cgroupfs; `kubepods-burstable-pod<uid>.slice`, with underscores in the uid, with systemd's; the
/// same followed by `:cri-containerd:<id>` where the two drivers were mixed up.
fn pod(part: &str, in_pods: bool) -> Option<(String, Option<Qos>)> {
    let name = part.split(':').next()?;
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let (before, uid) = match name.strip_prefix("pod") {
        Some(uid) if in_pods || is_uid(uid) => ("", uid),
        _ => name.rsplit_once("-pod")?,
    };
    let uid = uid.replace('_', "-");
    is_uid(&uid).then(|| (uid, qos_of_name(before)))
}

/// A uid of the API server, or the hash that the node gives to a pod from a file.
fn is_uid(text: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words: Vec<&str> = text.split(['-', '_']).collect();
    let lengths: Vec<usize> = words.iter().map(|word| word.len()).collect();
    words.iter().all(|word| hex(word)) && (lengths == [32] || lengths == [8, 4, 4, 4, 12])
}

fn qos_of_name(name: &str) -> Option<Qos> {
    let name = name.strip_suffix(".slice").unwrap_or(name);
    match name.rsplit('-').next()? {
        "besteffort" => Some(Qos::BestEffort),
        "burstable" => Some(Qos::Burstable),
        _ => None,
    }
}

/// The container whose group this part is.
fn container(part: &str, parent: &str, grandparent: &str) -> Option<(String, Runtime)> {
    // `PARENT:PREFIX:ID`, which runc makes of systemd's notation when it runs by cgroupfs.
    if let [_, prefix, id] = part.split(':').collect::<Vec<_>>()[..]
        && is_id(id)
    {
        return Some((id.to_owned(), runtime_of_prefix(prefix).unwrap_or(Runtime::Unknown)));
    }
    let name = part.strip_suffix(".scope").unwrap_or(part);
    if let Some(lxc) = lxc(name, parent) {
        return Some((unescaped(lxc), Runtime::Lxc));
    }
    // Whole ids first: one of Amazon ECS has a hyphen in it.
    if is_id(name) {
        return Some((name.to_owned(), runtime_of_parent(parent)));
    }
    if grandparent == "ecs" && is_task(parent) && name.strip_prefix(parent)?.starts_with('-') {
        return Some((name.to_owned(), Runtime::Unknown));
    }
    let (prefix, id) = name.rsplit_once('-')?;
    // conmon is a container's keeper, and not in it.
    if !is_id(id) || prefix.ends_with("conmon") {
        return None;
    }
    Some((id.to_owned(), runtime_of_prefix(prefix)?))
}

/// 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A task of Amazon ECS: 32 hexadecimal digits.
fn is_task(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn runtime_of_prefix(prefix: &str) -> Option<Runtime> {
    match prefix {
        "cri-containerd" | "nerdctl" | "containerd" => Some(Runtime::Containerd),
        "crio" => Some(Runtime::CriO),
        "docker" | "cri-dockerd" => Some(Runtime::Docker),
        "libpod" => Some(Runtime::Podman),
        _ => None,
    }
}

/// With the driver cgroupfs the group is named by the id alone, below one for the runtime.
fn runtime_of_parent(parent: &str) -> Runtime {
    match parent {
        "docker" => Runtime::Docker,
        "libpod_parent" | "libpod" => Runtime::Podman,
        // Namespaces of containerd: ctr's and nerdctl's default, Docker's, Kubernetes'.
        "default" | "moby" | "k8s.io" => Runtime::Containerd,
        _ => Runtime::Unknown,
    }
}

/// `lxc.payload.NAME`, or `NAME` below `lxc`.
fn lxc<'a>(name: &'a str, parent: &str) -> Option<&'a str> {
    match name.strip_prefix("lxc.payload.") {
        Some(name) => Some(name),
        None if parent == "lxc" || parent == "lxc.payload" => Some(name),
        None => None,
    }
}

/// A service, or a group of processes that systemd did not start itself.
fn is_unit(part: &str) -> bool {
    (part.ends_with(".service") || part.ends_with(".scope")) && !part.contains(':')
}

/// systemd writes `\x2d` for a hyphen in a name, and so on.
fn unescaped(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if *first == b'\\'
            && rest.first() == Some(&b'x')
            && let (Some(high), Some(low)) = (digit(1), digit(2))
        {
            out.push(u8::try_from(high << 4 | low).unwrap_or(b'?'));
            bytes = &rest[3..];
        } else {
            out.push(*first);
            bytes = rest;
        }
    }
    crate::text::clean(&out, 256)
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
