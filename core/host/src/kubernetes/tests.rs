use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::server::{Answer, Server};
use super::*;

const REPLICA_SET: &str = r#"[{"kind":"ReplicaSet","name":"cart-5d9c7b6f4","controller":true}]"#;

fn pod(name: &str, version: &str, container: &str, more: &str) -> String {
    format!(
        r#"{{"kind":"Pod","metadata":{{"name":"{name}","namespace":"shop","uid":"uid-{name}",
        "resourceVersion":"{version}","labels":{{"app":"cart","secret":"canary",
        "app.kubernetes.io/part-of":"shop","pod-template-hash":"5d9c7b6f4"}},
        "annotations":{{"note":"canary"}},"ownerReferences":{REPLICA_SET},"managedFields":[{{}}]}},
        "spec":{{"nodeName":"node-1","containers":[{{"name":"app"}},{{"name":"proxy"}}]}},
        "status":{{"containerStatuses":[
        {{"name":"app","image":"shop/cart:1","containerID":"containerd://{container}"}},
        {{"name":"proxy","image":"proxy:2","containerID":"containerd://{container}p"}},
        {{"name":"waiting"}}]{more}}}}}"#
    )
    .replace('\n', "")
}

fn list(version: &str, pods: &[String]) -> Answer {
    let items = pods.join(",");
    let body = format!(
        r#"{{"kind":"PodList","metadata":{{"resourceVersion":"{version}"}},"items":[{items}]}}"#
    );
    Answer::Whole(200, body)
}

fn change(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// Waits until it holds, and says what did not.
fn wait(pods: &Pods, what: &str, holds: impl Fn(&Pods) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds(pods) {
        assert!(Instant::now() < end, "{what}: {:?}", pods.status());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn knows(pods: &Pods, container: &str) -> bool {
    pods.find(Some(container), None).is_some()
}

#[test]
fn pods_are_listed_then_watched_with_a_token_that_changes() {
    let (line, lines) = mpsc::channel();
    let (_open, silent) = mpsc::channel();
    let server = Server::start(vec![
        list("100", &[pod("a", "90", "c1", "")]),
        Answer::Lines(lines),
        Answer::Lines(silent),
    ]);
    let pods = server.watch();
    let first = server.next_request();
    assert_eq!(first.path, "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1&resourceVersion=0");
    assert_eq!(first.token, "first");
    wait(&pods, "the list", |pods| knows(pods, "c1"));
    let found = pods.find(Some("c1p"), None).unwrap();
    assert_eq!((found.pod.namespace.as_str(), found.pod.name.as_str()), ("shop", "a"));
    assert_eq!(found.container().unwrap().name, "proxy");
    assert_eq!(found.pod.main_container.as_deref(), Some("app"));
    let workload = found.pod.workload.as_ref().unwrap();
    assert_eq!((workload.kind.as_str(), workload.name.as_str()), ("Deployment", "cart"));
    let expected = [("app", "cart"), ("app.kubernetes.io/part-of", "shop")];
    assert_eq!(found.pod.labels, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert!(!format!("{found:?}").contains("canary"), "what is not allowed is not kept");

    let second = server.next_request();
    assert!(second.path.contains("watch=1") && second.path.ends_with("resourceVersion=100"));
    line.send(change("ADDED", &pod("b", "101", "c2", ""))).unwrap();
    wait(&pods, "an addition", |pods| knows(pods, "c2"));
    let generation = pods.generation();
    line.send(change("MODIFIED", &pod("b", "102", "c3", r#","phase":"Running""#))).unwrap();
    wait(&pods, "a change", |pods| knows(pods, "c3") && !knows(pods, "c2"));
    assert_ne!(pods.generation(), generation);
    line.send(change("DELETED", &pod("a", "103", "c1", ""))).unwrap();
    wait(&pods, "a deletion", |pods| !knows(pods, "c1"));
    line.send(change("BOOKMARK", r#"{"kind":"Pod","metadata":{"resourceVersion":"200"}}"#))
        .unwrap();
    server.files.write("token", b"second\n");
    drop(line);
    let third = server.next_request();
    assert!(third.path.ends_with("resourceVersion=200"), "{third:?}");
    assert_eq!(third.token, "second", "tokens are replaced while it runs");
    let status = pods.status();
    assert_eq!((status.listed, status.pods, status.error.as_str()), (true, 1, ""));
}

#[test]
fn a_version_that_is_gone_is_listed_anew() {
    let (line, lines) = mpsc::channel();
    let gone = r#"{"kind":"Status","code":410,"message":"too old resource version"}"#;
    line.send(change("ERROR", gone)).unwrap();
    drop(line);
    let (_open, silent) = mpsc::channel();
    let server = Server::start(vec![
        list("1", &[pod("a", "1", "c1", "")]),
        Answer::Lines(lines),
        list("5", &[pod("b", "5", "c2", "")]),
        Answer::Whole(410, gone.to_owned()),
        list("9", &[pod("c", "9", "c3", "")]),
        Answer::Lines(silent),
    ]);
    let pods = server.watch();
    wait(&pods, "the third list", |pods| knows(pods, "c3"));
    assert!(!knows(&pods, "c1") && !knows(&pods, "c2"));
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let body =
        r#"{"kind":"Status","message":"pods is forbidden: User \"x\" cannot list\u001b[2J"}"#;
    let server = Server::start(vec![Answer::Whole(403, body.to_owned())]);
    let pods = server.watch();
    wait(&pods, "the refusal", |pods| pods.status().failures == 1);
    let status = pods.status();
    assert!(
        !status.listed && status.error.contains("403: pods is forbidden: User \"x\" cannot list")
    );
    assert!(!status.error.contains('\u{1b}'), "{status:?}");
    assert!(!status.error.contains("first"), "the token stays secret: {status:?}");
}

#[test]
fn garbage_is_survived_and_what_was_known_stays() {
    let (line, lines) = mpsc::channel();
    line.send("not json\n".to_owned()).unwrap();
    drop(line);
    let (line, again) = mpsc::channel();
    let server = Server::start(vec![
        Answer::Whole(200, "<html>".to_owned()),
        list("1", &[pod("a", "1", "c1", "")]),
        Answer::Lines(lines),
        Answer::Whole(500, "no".to_owned()),
        Answer::Lines(again),
    ]);
    let pods = server.watch();
    wait(&pods, "the list after garbage", |pods| knows(pods, "c1"));
    line.send(change("ADDED", &pod("b", "2", "c2", ""))).unwrap();
    wait(&pods, "a change after garbage", |pods| knows(pods, "c2"));
    assert!(knows(&pods, "c1") && pods.status().error.is_empty());
}

#[test]
fn an_endless_answer_ends_at_its_bound() {
    // In a field that is kept, in one that is not, and in pods that never end.
    for (beginning, text) in [
        (r#"{"metadata":{"resourceVersion":""#, "x"),
        (r#"{"kind":""#, "x"),
        (r#"{"items":["#, r#"{"metadata":{"name":"x","uid":"u"}},"#),
    ] {
        let server = Server::start(vec![Answer::Endless(beginning, text)]);
        let pods = server.watch();
        wait(&pods, "the end", |pods| pods.status().error.contains("more than 32 MiB"));
        assert!(server.sent.load(Ordering::Relaxed) < 40 << 20);
    }
    // A change that never ends.
    let (line, lines) = mpsc::channel();
    line.send(format!("{{\"kind\":\"{}", "x".repeat(5 << 20))).unwrap();
    let server = Server::start(vec![list("1", &[]), Answer::Lines(lines)]);
    let pods = server.watch();
    wait(&pods, "the long change", |pods| pods.status().error.contains("more than 4 MiB"));
}

#[test]
fn only_the_clusters_own_authority_is_believed() {
    let server = Server::start(vec![list("1", &[pod("a", "1", "c1", "")])]);
    let other = Server::start(Vec::new());
    let settings = Kubernetes { ca_file: other.settings().ca_file, ..server.settings() };
    let pods = settings.watch().unwrap();
    wait(&pods, "the refusal", |pods| pods.status().failures >= 1);
    assert!(server.seen.try_recv().is_err(), "no token was sent");
    assert!(!pods.status().listed);
}

#[test]
fn a_missing_token_or_authority_is_named() {
    let server = Server::start(Vec::new());
    for name in ["token", "ca.crt"] {
        let mut settings = server.settings();
        let missing = server.files.path().join("missing").join(name);
        match name {
            "token" => settings.token_file = missing,
            _ => settings.ca_file = missing,
        }
        let pods = settings.watch().unwrap();
        wait(&pods, name, |pods| pods.status().error.contains(name));
    }
}

#[test]
fn the_environment_of_a_pod_says_where_the_server_is() {
    let environment = |pairs: &'static [(&str, &str)]| {
        move |name: &str| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    };
    let found = Kubernetes::from_environment(environment(&[
        ("KUBERNETES_SERVICE_HOST", "fd00::1"),
        ("KUBERNETES_SERVICE_PORT", "6443"),
        ("NODE_NAME", "n"),
    ]));
    assert_eq!(found.unwrap().server, "[fd00::1]:6443");
    let missing =
        Kubernetes::from_environment(environment(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]));
    assert!(missing.unwrap_err().contains("spec.nodeName"));
    assert!(Kubernetes::from_environment(environment(&[])).unwrap_err().contains("not a pod"));
    let server = Server::start(Vec::new());
    for node in ["", "a&watch=1", "a/b", "é"] {
        let settings = Kubernetes { node: node.to_owned(), ..server.settings() };
        assert!(settings.watch().is_err(), "{node}");
    }
}

#[test]
fn owners_are_what_people_made() {
    let made = |kind: &str, name: &str, hash: &str| {
        let owners = format!(r#"[{{"kind":"{kind}","name":"{name}","controller":true}}]"#);
        let text = pod("x", "1", "c", "").replace(REPLICA_SET, &owners).replace(
            r#""pod-template-hash":"5d9c7b6f4""#,
            &format!(r#""pod-template-hash":"{hash}""#),
        );
        let wire = serde_json::from_str(&text).unwrap();
        let workload = Pod::new(wire, &[], &[]).workload.unwrap();
        format!("{}/{}", workload.kind, workload.name)
    };
    for (kind, name, hash, expected) in [
        ("ReplicaSet", "cart-5d9c7b6f4", "5d9c7b6f4", "Deployment/cart"),
        ("ReplicaSet", "cart-5d9c7b6f4", "other", "ReplicaSet/cart-5d9c7b6f4"),
        ("ReplicaSet", "-abc", "abc", "ReplicaSet/-abc"),
        ("Job", "backup-28394875", "", "CronJob/backup"),
        ("Job", "migrate-2024", "", "Job/migrate-2024"),
        ("StatefulSet", "db", "", "StatefulSet/db"),
        ("DaemonSet", "logs-1", "", "DaemonSet/logs-1"),
    ] {
        assert_eq!(made(kind, name, hash), expected);
    }
}

#[test]
fn a_pod_from_a_file_is_found_by_the_nodes_own_uid() {
    let text = pod("x", "1", "c", "").replace(
        r#""note":"canary""#,
        r#""kubernetes.io/config.hash":"0f1e2d3c4b5a69788796a5b4c3d2e1f0""#,
    );
    let mut table = Table::default();
    table.insert(Pod::new(serde_json::from_str(&text).unwrap(), &[], &[]));
    let uid = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let found = table.find(Some("the pause container"), Some(uid)).unwrap();
    assert!(found.pod.name == "x" && found.container().is_none());
    table.remove("uid-x");
    assert!(table.find(Some("c"), Some(uid)).is_none());
}

/// A pod of the Deployment `workload`, with the container that has this id, for other tests.
pub(crate) fn test_pod(
    name: &str,
    workload: &str,
    id: &str,
    container: &str,
    annotated: bool,
) -> Pod {
    let note =
        if annotated { r#""resource.opentelemetry.io/service.name":"annotated""# } else { "" };
    let text = pod(name, "1", "unused", "")
        .replace("cart-5d9c7b6f4", &format!("{workload}-5d9c7b6f4"))
        .replace(r#""note":"canary""#, note)
        .replace(
            r#"{"name":"waiting"}"#,
            &format!(r#"{{"name":"{container}","image":"i","containerID":"{id}"}}"#),
        );
    Pod::new(serde_json::from_str(&text).unwrap(), &[], &[])
}

/// That pod, as it is found by the container's id.
pub(crate) fn test_found(pod: Pod, id: &str) -> Found {
    let mut table = Table::default();
    table.insert(pod);
    table.find(Some(id), None).unwrap()
}

/// Pods that no server tells of, but the function does.
pub(crate) fn late_pods() -> (Pods, impl Fn(Pod)) {
    let shared = Arc::new(watch::Shared::default());
    let told = shared.clone();
    (Pods { shared }, move |pod| told.write(|table| table.insert(pod)))
}

#[test]
fn lists_and_objects_are_cut_after_their_first_items() {
    let owners = vec![r#"{"kind":"K","name":"n"}"#; 1000].join(",");
    let names = (0..1000).map(|n| format!(r#""k{n:04}":"v""#)).collect::<Vec<_>>().join(",");
    let one = format!(
        r#"{{"metadata":{{"name":"x","uid":"u","labels":{{{names}}},"annotations":null,
        "ownerReferences":[{owners}]}},"status":{{"containerStatuses":null}}}}"#
    );
    let text = format!(
        r#"{{"items":[{}],"metadata":{{"resourceVersion":"1"}}}}"#,
        vec![one; 1100].join(",")
    );
    let list: super::wire::PodList = serde_json::from_str(&text).unwrap();
    let meta = &list.items.0[0].metadata;
    assert_eq!(
        (list.items.0.len(), meta.labels.0.len(), meta.owner_references.0.len()),
        (1024, 256, 128)
    );
    assert_eq!(list.metadata.resource_version, "1");
}
