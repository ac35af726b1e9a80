use super::*;

const A: &str = "3c1b7d9de0d9a7c2b7b3d0d1b7ad1e3ff5bfbf3ab2f0d7a1d35f0a6f4f8a9c01";
const B: &str = "98f1c2e4a6b80d1f3e5c7a9b8d6f4e2c0a1b3c5d7e9f8a6b4c2d0e1f3a5b7c9d";
const POD: &str = "6f2c1a9e-0b3d-4c5e-8f7a-1b2c3d4e5f60";
const HASH: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// Path, id, runtime, pod, quality of service, unit. `A`, `B`, `P` (with hyphens), `U` (with
/// underscores) and `H` stand for ids.
type Row = (
    &'static str,
    Option<&'static str>,
    Option<Runtime>,
    Option<&'static str>,
    Option<Qos>,
    Option<&'static str>,
);

use Qos::{BestEffort, Burstable, Guaranteed};
use Runtime::{Containerd, CriO, Docker, Lxc, Podman, Unknown};

const ROWS: &[Row] = &[
    // Without containers.
    ("/", None, None, None, None, None),
    ("/init.scope", None, None, None, None, Some("init.scope")),
    ("/system.slice/nginx.service", None, None, None, None, Some("nginx.service")),
    (
        "/system.slice/system-getty.slice/getty@tty1.service",
        None,
        None,
        None,
        None,
        Some("getty@tty1.service"),
    ),
    (
        "/system.slice/postgresql@15\\x2dmain.service",
        None,
        None,
        None,
        None,
        Some("postgresql@15-main.service"),
    ),
    (
        "/user.slice/user-1000.slice/session-3.scope",
        None,
        None,
        None,
        None,
        Some("session-3.scope"),
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-shop.service",
        None,
        None,
        None,
        None,
        Some("app-shop.service"),
    ),
    ("/system.slice/containerd.service", None, None, None, None, Some("containerd.service")),
    ("/system.slice", None, None, None, None, None),
    // Docker: both drivers, Docker in Docker, and the daemon itself.
    ("/docker/A", Some("A"), Some(Docker), None, None, None),
    ("/system.slice/docker-A.scope", Some("A"), Some(Docker), None, None, None),
    ("/system.slice/docker.service", None, None, None, None, Some("docker.service")),
    ("/docker/A/docker/B", Some("B"), Some(Docker), None, None, None),
    ("/system.slice/docker-A.scope/docker/B/init", Some("B"), Some(Docker), None, None, None),
    (
        "/system.slice/docker-A.scope/system.slice/nginx.service",
        Some("A"),
        Some(Docker),
        None,
        None,
        Some("nginx.service"),
    ),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-A.scope",
        Some("A"),
        Some(Docker),
        None,
        None,
        None,
    ),
    // containerd without Kubernetes.
    ("/default/A", Some("A"), Some(Containerd), None, None, None),
    ("/system.slice/nerdctl-A.scope", Some("A"), Some(Containerd), None, None, None),
    ("/moby/A", Some("A"), Some(Containerd), None, None, None),
    // Podman: root and not, with its keeper.
    ("/machine.slice/libpod-A.scope", Some("A"), Some(Podman), None, None, None),
    ("/machine.slice/libpod-A.scope/container", Some("A"), Some(Podman), None, None, None),
    ("/machine.slice/libpod-conmon-A.scope", None, None, None, None, Some("libpod-conmon-A.scope")),
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-A.scope/container",
        Some("A"),
        Some(Podman),
        None,
        None,
        None,
    ),
    ("/libpod_parent/libpod-A", Some("A"), Some(Podman), None, None, None),
    (
        "/machine.slice/machine-libpod_pod_B.slice/libpod-A.scope",
        Some("A"),
        Some(Podman),
        None,
        None,
        None,
    ),
    // Kubernetes by cgroupfs.
    ("/kubepods/besteffort/podP/A", Some("A"), Some(Unknown), Some("P"), Some(BestEffort), None),
    ("/kubepods/burstable/podP/A", Some("A"), Some(Unknown), Some("P"), Some(Burstable), None),
    ("/kubepods/podP/A", Some("A"), Some(Unknown), Some("P"), Some(Guaranteed), None),
    ("/kubepods/burstable/podH/A", Some("A"), Some(Unknown), Some("H"), Some(Burstable), None),
    ("/kubepods/burstable/podP", None, None, Some("P"), Some(Burstable), None),
    ("/kubepods/burstable/podP/crio-A", Some("A"), Some(CriO), Some("P"), Some(Burstable), None),
    // Kubernetes by systemd.
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU.slice/cri-containerd-A.scope",
        Some("A"),
        Some(Containerd),
        Some("P"),
        Some(BestEffort),
        None,
    ),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU.slice/crio-A.scope",
        Some("A"),
        Some(CriO),
        Some("P"),
        Some(Burstable),
        None,
    ),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU.slice/crio-A.scope/container",
        Some("A"),
        Some(CriO),
        Some("P"),
        Some(Burstable),
        None,
    ),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU.slice/crio-conmon-A.scope",
        None,
        None,
        Some("P"),
        Some(Burstable),
        Some("crio-conmon-A.scope"),
    ),
    (
        "/kubepods.slice/kubepods-podU.slice/docker-A.scope",
        Some("A"),
        Some(Docker),
        Some("P"),
        Some(Guaranteed),
        None,
    ),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podH.slice/cri-containerd-A.scope",
        Some("A"),
        Some(Containerd),
        Some("H"),
        Some(Burstable),
        None,
    ),
    (
        "/system.slice/containerd.service/kubepods-burstable-podU.slice:cri-containerd:A",
        Some("A"),
        Some(Containerd),
        Some("P"),
        Some(Burstable),
        None,
    ),
    (
        "/kubepods-burstable-podU.slice:cri-containerd:A",
        Some("A"),
        Some(Containerd),
        Some("P"),
        Some(Burstable),
        None,
    ),
    (
        "/kubepods.slice/kubepods-podU.slice/cri-containerd-A.scope/init.scope",
        Some("A"),
        Some(Containerd),
        Some("P"),
        Some(Guaranteed),
        Some("init.scope"),
    ),
    // Nodes that are containers: kind, both drivers, and k3d.
    (
        "/docker/A/kubelet/kubepods/burstable/podP/B",
        Some("B"),
        Some(Unknown),
        Some("P"),
        Some(Burstable),
        None,
    ),
    (
        "/docker/A/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podU.slice/cri-containerd-B.scope",
        Some("B"),
        Some(Containerd),
        Some("P"),
        Some(BestEffort),
        None,
    ),
    (
        "/system.slice/docker-A.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU.slice/cri-containerd-B.scope",
        Some("B"),
        Some(Containerd),
        Some("P"),
        Some(Guaranteed),
        None,
    ),
    (
        "/docker/A/system.slice/containerd.service",
        Some("A"),
        Some(Docker),
        None,
        None,
        Some("containerd.service"),
    ),
    ("/docker/A/k8s.io/B", Some("B"), Some(Containerd), None, None, None),
    ("/docker/A/kubepods/podP", None, None, Some("P"), Some(Guaranteed), None),
    // Seen from a control group namespace of the reader's own.
    ("/../cri-containerd-A.scope", Some("A"), Some(Containerd), None, None, None),
    (
        "/../../kubepods-burstable-podU.slice/cri-containerd-A.scope",
        Some("A"),
        Some(Containerd),
        Some("P"),
        Some(Burstable),
        None,
    ),
    ("/../../podP/A", Some("A"), Some(Unknown), Some("P"), None, None),
    ("/../../../burstable/podP/A", Some("A"), Some(Unknown), Some("P"), Some(Burstable), None),
    ("/../../../../system.slice/sshd.service", None, None, None, None, Some("sshd.service")),
    // Others.
    ("/ecs/H/A", Some("A"), Some(Unknown), None, None, None),
    ("/ecs/cluster/H/A", Some("A"), Some(Unknown), None, None, None),
    ("/ecs/H/H-2531612879", Some("H-2531612879"), Some(Unknown), None, None, None),
    ("/lxc/web", Some("web"), Some(Lxc), None, None, None),
    (
        "/lxc.payload.web/system.slice/nginx.service",
        Some("web"),
        Some(Lxc),
        None,
        None,
        Some("nginx.service"),
    ),
    ("/lxc.monitor.web", None, None, None, None, None),
    (
        "/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service",
        None,
        None,
        None,
        None,
        Some("nginx.service"),
    ),
    // What only looks like it.
    ("/system.slice/podcast.service", None, None, None, None, Some("podcast.service")),
    ("/kubepods/burstable/podinfo", None, None, None, None, None),
    ("/system.slice/my-podP.service", None, None, None, None, Some("my-podP.service")),
    ("/docker/3c1b7d9de0d9", None, None, None, None, None),
    ("/system.slice/shop-A.scope", None, None, None, None, Some("shop-A.scope")),
];

fn filled(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|char: char| !char.is_ascii_alphanumeric()) {
        let end = word.trim_end_matches(|char: char| !char.is_ascii_alphanumeric()).len();
        let (name, rest) = word.split_at(end);
        match name {
            "A" => out.push_str(A),
            "B" => out.push_str(B),
            "H" => out.push_str(HASH),
            "P" => out.push_str(POD),
            "podP" => out.push_str(&format!("pod{POD}")),
            "podH" => out.push_str(&format!("pod{HASH}")),
            "podU" => out.push_str(&format!("pod{}", POD.replace('-', "_"))),
            _ => out.push_str(name),
        }
        out.push_str(rest);
    }
    out
}

#[test]
fn containers_pods_and_units_are_read_from_paths() {
    for (path, id, runtime, pod, qos, unit) in ROWS {
        let path = filled(path).replace("pod_B", &format!("pod_{B}"));
        let found = of_path(&path);
        let expected = Place {
            path: path.clone(),
            container: id.map(filled),
            runtime: *runtime,
            pod_uid: pod.map(filled),
            qos: *qos,
            unit: unit.map(filled),
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn every_set_up_of_hierarchies_is_understood() {
    let group = |controllers: &str, path: &str| Cgroup {
        controllers: controllers.to_owned(),
        path: filled(path),
    };
    let memory = group("memory", "/kubepods/burstable/podP/A");
    // Version 1: the process is in the same place everywhere, but for hierarchies that nobody uses.
    let v1 =
        [group("rdma", "/"), memory.clone(), group("name=systemd", "/kubepods/burstable/podP/A")];
    assert_eq!(place(&v1).container, Some(A.to_owned()));
    // Hybrid: version 2 knows a unit only.
    let hybrid = [
        memory.clone(),
        group("name=systemd", "/system.slice/a.service"),
        group("", "/system.slice/a.service"),
    ];
    assert_eq!(place(&hybrid).container, Some(A.to_owned()));
    let unit = [
        group("memory", "/system.slice"),
        group("name=systemd", "/system.slice/a.service"),
        group("", "/"),
    ];
    assert_eq!(place(&unit).unit.as_deref(), Some("a.service"));
    // Version 2 wins where both tell.
    let both = [group("memory", "/docker/B"), group("", "/docker/A")];
    assert_eq!(place(&both).container, Some(A.to_owned()));
    assert_eq!(place(&[group("", "/")]).path, "/");
    assert_eq!(place(&[]), Place::default());
}

#[test]
fn paths_that_nobody_expects_do_no_harm() {
    let deep = "/a".repeat(2000);
    for path in [
        deep.as_str(),
        "////",
        "/:::::",
        "/pod",
        "/-",
        "/\\x",
        "/\\xzz",
        "/é\\x2",
        "/ecs//",
        "/lxc",
    ] {
        assert_eq!(of_path(path).container, None, "{path:.20}");
    }
}
