use std::time::Instant;

use super::*;
use crate::relabel::RuleText;
use crate::scratch::Scratch;

const ID: &str = "3c1b7d9de0d9a7c2b7b3d0d1b7ad1e3ff5bfbf3ab2f0d7a1d35f0a6f4f8a9c01";

fn process(root: &Scratch, pid: u32, comm: &str, start: u64) {
    let stat = format!("{pid} ({comm}) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 {start} 1 2 3\n");
    root.write(&format!("{pid}/stat"), stat.as_bytes());
    root.write(&format!("{pid}/status"), b"Uid:\t33\t33\nNSpid:\t7\n");
    root.write(&format!("{pid}/cmdline"), format!("/bin/{comm}\0-x\0").as_bytes());
    root.write(&format!("{pid}/cgroup"), format!("0::/docker/{ID}\n").as_bytes());
    root.write(&format!("{pid}/environ"), b"");
}

fn recipe(root: &Scratch) -> Recipe {
    Recipe { proc: Proc::new(root.path()), read_environment: true, ..Recipe::default() }
}

fn value<'a>(labels: &'a ProcessLabels, name: &str) -> &'a str {
    labels.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

#[test]
fn a_process_is_described_once_and_again_when_it_is_another() {
    let root = Scratch::new("reuse");
    process(&root, 7, "cart", 100);
    let mut all = Identities::new(recipe(&root));
    let first = all.describe(7).unwrap();
    assert_eq!((first.service_name.as_str(), first.source), ("cart", Source::Comm));
    assert_eq!(first.labels[0], ("service_name".to_owned(), "cart".to_owned()));
    assert_eq!(value(&first, "container_id"), &ID[..12]);
    assert!(Arc::ptr_eq(&first, &all.describe(7).unwrap()));
    // The number goes to another process, of the same name.
    root.write("7/environ", b"OTEL_SERVICE_NAME=other\0");
    process_start(&root, 7, "cart", 101);
    assert_eq!(all.describe(7).unwrap().service_name, "other");
    // The same process runs another program.
    root.write("7/environ", b"");
    process_start(&root, 7, "bill", 101);
    assert_eq!(all.describe(7).unwrap().service_name, "bill");
    // It ends.
    std::fs::remove_dir_all(root.path().join("7")).unwrap();
    assert!(all.describe(7).is_none() && all.is_empty());
}

/// Another process in the same place: only its first file changes.
fn process_start(root: &Scratch, pid: u32, comm: &str, start: u64) {
    let stat = format!("{pid} ({comm}) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 {start} 1 2 3\n");
    root.write(&format!("{pid}/stat"), stat.as_bytes());
}

#[test]
fn a_process_cannot_say_where_it_runs() {
    let root = Scratch::new("claims");
    process(&root, 7, "evil", 1);
    let claims = "OTEL_RESOURCE_ATTRIBUTES=namespace=payments,pod=x,node=y,container=z,container.id=w,\
                  __meta_kubernetes_namespace=payments,service_name=a,service.version=2,1st=b,\
                  cluster=mine,evil=%1b[2J%0a\0";
    root.write("7/environ", claims.as_bytes());
    let labels = vec![("cluster".to_owned(), "prod".to_owned())];
    let mut all = Identities::new(Recipe { labels, ..recipe(&root) });
    let described = all.describe(7).unwrap();
    let shown: Vec<(&str, &str)> =
        described.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("service_name", "evil"),
        ("_1st", "b"),
        ("cluster", "prod"),
        ("container_id", &ID[..12]),
        ("evil", "\u{fffd}[2J\u{fffd}"),
        ("service_version", "2"),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn the_environment_is_left_alone_where_that_is_asked_for() {
    let root = Scratch::new("environment");
    process(&root, 7, "cart", 1);
    root.write("7/environ", b"OTEL_SERVICE_NAME=shop\0");
    let mut all = Identities::new(Recipe { read_environment: false, ..recipe(&root) });
    assert_eq!(all.describe(7).unwrap().service_name, "cart");
}

#[test]
fn a_published_context_gives_the_name_and_labels() {
    let root = Scratch::new("context");
    process(&root, 7, "python3", 1);
    let mut all = Identities::new(recipe(&root));
    let pairs = [("service.name", "shop"), ("deployment.environment.name", "prod"), ("pod", "x")];
    let context: BTreeMap<String, String> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    all.set_context(7, context.clone());
    let described = all.describe(7).unwrap();
    assert_eq!(
        (described.service_name.as_str(), described.source),
        ("shop", Source::ProcessContext)
    );
    assert_eq!(value(&described, "deployment_environment_name"), "prod");
    assert_eq!(value(&described, "pod"), "");
    all.set_context(7, context);
    assert!(Arc::ptr_eq(&described, &all.describe(7).unwrap()), "the same context changes nothing");
    // A process of another start has not published it.
    process_start(&root, 7, "python3", 2);
    assert_eq!(all.describe(7).unwrap().service_name, "python3");
    all.set_context(99, BTreeMap::new());
    assert!(all.describe(99).is_none());
}

#[test]
fn rules_have_the_last_word_and_can_leave_a_process_out() {
    let root = Scratch::new("rules");
    process(&root, 7, "cart", 1);
    process(&root, 8, "sleep", 1);
    let text = |text: &str| Some(text.to_owned());
    let drop = RuleText {
        action: text("drop"),
        source_labels: Some(vec!["__meta_process_comm".to_owned()]),
        regex: text("sleep"),
        ..RuleText::default()
    };
    let name = RuleText {
        source_labels: Some(vec!["__meta_process_uid".to_owned(), "service_name".to_owned()]),
        target_label: text("service_name"),
        separator: text("/"),
        ..RuleText::default()
    };
    let rules = Rules::compile(&[drop, name.clone()]).unwrap();
    let mut all = Identities::new(Recipe { rules, ..recipe(&root) });
    let described = all.describe(7).unwrap();
    assert_eq!(
        (described.service_name.as_str(), described.source),
        ("33/cart", Source::Relabelling)
    );
    assert!(described.labels.iter().all(|(name, _)| !name.starts_with("__")));
    assert!(all.describe(8).is_none() && all.is_excluded(8) && !all.is_excluded(7));
    // A name that rules take away stays: profiles need one.
    let empty = RuleText { replacement: text(""), ..name };
    let rules = Rules::compile(&[empty]).unwrap();
    let mut all = Identities::new(Recipe { rules, ..recipe(&root) });
    assert_eq!(all.describe(7).unwrap().service_name, "cart");
}

#[test]
fn a_pod_that_the_server_tells_of_later_is_taken_over() {
    use crate::kubernetes::{late_pods, test_pod};
    let root = Scratch::new("late");
    process(&root, 7, "cart", 1);
    let (pods, tell) = late_pods();
    let mut all = Identities::new(Recipe { pods: Some(pods), ..recipe(&root) });
    let before = all.describe(7).unwrap();
    assert_eq!((before.service_name.as_str(), value(&before, "pod")), ("cart", ""));
    tell(test_pod("shop-1-x", "shop", &format!("containerd://{ID}"), "app", false));
    let after = all.describe(7).unwrap();
    let shown = |name| value(&after, name);
    assert_eq!(
        (shown("service_name"), shown("namespace"), shown("pod")),
        ("shop", "shop", "shop-1-x")
    );
    assert_eq!((shown("container"), shown("node"), shown("container_id")), ("app", "node-1", ""));
    // Pods that are none of this process' change nothing.
    tell(test_pod("other", "other", "containerd://zz", "app", false));
    assert!(Arc::ptr_eq(&after, &all.describe(7).unwrap()));
}

#[test]
fn as_many_processes_are_known_as_are_allowed() {
    let root = Scratch::new("many");
    let mut all = Identities::new(recipe(&root));
    all.most = 64;
    process(&root, 1, "first", 1);
    for pid in 2..=200_u32 {
        process_start(&root, pid, "x", u64::from(pid));
        all.describe(pid);
        if pid % 20 == 0 {
            all.describe(1);
        }
    }
    assert!(all.len() <= 64 && all.len() > 32, "{}", all.len());
    assert!(all.known.contains_key(&1) && !all.known.contains_key(&2));
    all.retain(|pid| pid == 1);
    all.forget(1);
    assert!(all.is_empty());
}

#[test]
fn describing_a_process_is_cheap() {
    let mut all = Identities::new(Recipe { read_environment: true, ..Recipe::default() });
    let pid = std::process::id();
    let mut times = |warm: bool| {
        let mut times: Vec<_> = (0..200)
            .map(|_| {
                if !warm {
                    all.forget(pid);
                }
                let start = Instant::now();
                all.describe(pid).unwrap();
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[100]
    };
    let (cold, warm) = (times(false), times(true));
    println!("describing a process: {cold:?} the first time, {warm:?} later");
    // Five times what it takes on an idle machine.
    assert!(cold.as_micros() < 1000 && warm < cold, "{cold:?} {warm:?}");
}
