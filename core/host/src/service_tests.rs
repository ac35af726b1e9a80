use super::*;
use crate::container::of_path;
use crate::identity::{Environment, Stat};
use crate::kubernetes::Workload;

/// Facts of a process that has everything but a pod.
fn facts() -> Facts {
    let text = |text: &str| Some(text.to_owned());
    Facts {
        pid: 1,
        ns_pid: 1,
        stat: Stat {
            start: crate::identity::start_time(1),
            comm: "worker".into(),
            parent: 0,
            kernel_thread: false,
        },
        uid: 0,
        executable: text("/opt/shop/bin/cart"),
        deleted: false,
        cmdline: String::new(),
        cgroups: Vec::new(),
        environment: Environment {
            sondage_service: text("by-sondage"),
            otel_service_name: text("by-otel"),
            attributes: vec![
                ("service.name".into(), "first".into()),
                ("service.name".into(), "by-attributes".into()),
            ],
            readable: true,
        },
    }
}

fn found(container: &str, annotation: bool) -> Found {
    let pod =
        crate::kubernetes::test_pod("cart-7f-x", "cart", "containerd://abc", container, annotation);
    crate::kubernetes::test_found(pod, "abc")
}

#[test]
fn whoever_knows_more_is_asked_first() {
    let mut facts = facts();
    let mut context = BTreeMap::from([("service.name".to_owned(), "by-context".to_owned())]);
    let mut place = of_path("/lxc/web/system.slice/nginx.service");
    let mut pod = Some(found("app", true));
    let next = |facts: &Facts,
                context: &_,
                place: &Place,
                pod: Option<&Found>,
                expected: &str,
                source: Source| {
        let named = name(context, facts, place, pod);
        assert_eq!(named, (expected.to_owned(), source));
    };
    next(&facts, &context, &place, pod.as_ref(), "by-context", Source::ProcessContext);
    for unknown in ["unknown_service", "unknown_service:node", " "] {
        context.insert("service.name".to_owned(), unknown.to_owned());
        next(&facts, &context, &place, pod.as_ref(), "by-sondage", Source::Environment);
    }
    facts.environment.sondage_service = None;
    next(&facts, &context, &place, pod.as_ref(), "by-otel", Source::Environment);
    facts.environment.otel_service_name = None;
    next(&facts, &context, &place, pod.as_ref(), "by-attributes", Source::ResourceAttributes);
    facts.environment.attributes.clear();
    next(&facts, &context, &place, pod.as_ref(), "annotated", Source::PodAnnotation);
    pod = Some(found("app", false));
    next(&facts, &context, &place, pod.as_ref(), "cart", Source::Workload);
    pod = Some(found("proxy", false));
    next(&facts, &context, &place, pod.as_ref(), "cart/proxy", Source::Workload);
    next(&facts, &context, &place, None, "web", Source::Container);
    place = of_path("/system.slice/nginx.service");
    next(&facts, &context, &place, None, "nginx", Source::Unit);
    for path in ["/user.slice/session-3.scope", "/user.slice/user@1000.service", "/system.slice"] {
        next(&facts, &context, &of_path(path), None, "cart", Source::Executable);
    }
    facts.executable = None;
    next(&facts, &context, &Place::default(), None, "worker", Source::Comm);
    facts.stat.kernel_thread = true;
    next(&facts, &context, &Place::default(), None, "kernel", Source::Comm);
    facts.stat = Stat { comm: String::new(), kernel_thread: false, ..facts.stat };
    next(&facts, &context, &Place::default(), None, "unknown_service", Source::Comm);
}

#[test]
fn a_pod_from_a_file_loses_its_nodes_name() {
    let found = found("app", false);
    let mut pod = crate::kubernetes::Pod::clone(&found.pod);
    pod.name = "kube-apiserver-node-1".to_owned();
    pod.workload = Some(Workload { kind: "Node".into(), name: "node-1".into() });
    assert_eq!(
        workload(&crate::kubernetes::test_found(pod, "abc")).as_deref(),
        Some("kube-apiserver")
    );
}
