use sondage::config::{Auth, Target};

use super::*;
use crate::relabel::Labels;
use crate::scratch::Scratch;

fn load_with(
    file: &str,
    variables: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Settings, String> {
    let scratch = Scratch::new("settings");
    let path = scratch.write("host-agent.yaml", file.as_bytes());
    let directory = format!("{}/", scratch.path().display());
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let sources = Sources {
        file: Some(path),
        environment: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        flags: flags.iter().map(text).collect(),
    };
    Settings::load(&sources).map_err(|error| error.to_string().replace(&directory, ""))
}

fn load(file: &str) -> Result<Settings, String> {
    load_with(file, &[], &[])
}

#[test]
fn without_a_file_all_is_at_its_default() {
    let settings = Settings::load(&Sources::default()).unwrap();
    assert_eq!((settings.config.hz, settings.config.limits.memory_bytes), (19, 128 << 20));
    assert_eq!((settings.off_cpu, settings.kernel_stacks), (None, true));
    assert!(settings.read_environment && settings.kubernetes.is_none());
    assert_eq!(settings.config, load("").unwrap().config);
}

#[test]
fn the_example_is_right_and_says_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/host-agent.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let settings = load(&text).unwrap();
    assert_eq!(settings.warnings, [] as [&str; 0]);
    // What is commented out must be right, too. Prose has one blank after its sign, settings have
    // none or their indentation.
    let is_prose = |rest: &str| rest.starts_with(' ') && !rest.starts_with("  ");
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| match line.trim_start().strip_prefix('#') {
            Some(rest) if is_prose(rest) => "",
            Some(rest) => rest,
            None => line,
        })
        .collect();
    let environment = [("NODE_NAME", "n"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
    let secrets = Scratch::new("secrets");
    for name in
        ["token", "otlp-headers", "datadog-key", "pull-token", "ca.crt", "client.crt", "client.key"]
    {
        secrets.write(name, b"name=value\n");
    }
    let files = format!("{}/", secrets.path().display());
    let all = uncommented.join("\n").replace("/etc/sondage/", &files);
    let all = load_with(&all, &environment, &[]).unwrap();
    assert!(all.kubernetes.is_some_and(|found| !found.pod_labels.is_empty()));
    for key in SHARED.iter().chain(&OWN).chain(&SECTIONS) {
        let line = |line: &&&str| line.trim_start().starts_with(&format!("{key}:"));
        // Those of the library that hardly anybody sets are in its own documentation.
        let elsewhere =
            ["control", "exit_timeout", "max_label_sets", "python_internals", "basic_auth_file"];
        assert!(uncommented.iter().any(|text| line(&text)) || elsewhere.contains(key), "{key}");
    }
}

#[test]
fn the_file_takes_what_the_library_takes() {
    let settings = load(
        "hz: 49\ninterval: 1m\nmemory: 64MiB\noff_cpu: 5ms\nkernel_stacks: off\n\
         push:\n  - pyroscope+https://p.example\n  - file:/var/lib/profiles\n\
         labels:\n  cluster: prod, eu=1\n  rate: 50%\n",
    )
    .unwrap();
    assert_eq!((settings.config.hz, settings.config.interval), (49, Duration::from_secs(60)));
    assert_eq!((settings.off_cpu, settings.kernel_stacks), (Some(Duration::from_millis(5)), false));
    assert_eq!(settings.config.targets.len(), 2);
    assert!(matches!(settings.config.targets[1], Target::File(_)));
    let expected = [("cluster", "prod, eu=1"), ("rate", "50%")];
    assert_eq!(settings.config.labels, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let secrets = Scratch::new("secrets");
    let secret = |name: &str| secrets.write(name, b"user:password").display().to_string();
    let (of_file, of_variable, of_flag) = (secret("file"), secret("variable"), secret("flag"));
    let file = &format!("hz: 10\ninterval: 20\noff_cpu: on\ntoken_file: {of_file}\n");
    let variables = [("SONDAGE_HZ", "11"), ("SONDAGE_OFF_CPU", "7ms"), ("SONDAGE_CONFIG", "x")];
    let settings = load_with(file, &variables, &[]).unwrap();
    assert_eq!((settings.config.hz, settings.config.interval.as_secs()), (11, 20));
    assert_eq!(settings.off_cpu, Some(Duration::from_millis(7)));
    assert_eq!(settings.warnings, [] as [&str; 0]);
    let settings = load_with(file, &variables, &[("hz", "12"), ("off-cpu", "off")]).unwrap();
    assert_eq!((settings.config.hz, settings.off_cpu), (12, None));
    // Credentials of another kind from a stronger door replace those of the file.
    let variables = [("SONDAGE_BASIC_AUTH_FILE", of_variable.as_str())];
    let auth = load_with(file, &variables, &[]).unwrap().config.http.auth;
    assert_eq!(auth, Auth::BasicFile(of_variable.clone().into()));
    let flags = [("basic-auth-file", of_flag.as_str())];
    let auth =
        load_with(file, &[("SONDAGE_TOKEN_FILE", &of_variable)], &flags).unwrap().config.http.auth;
    assert_eq!(auth, Auth::BasicFile(of_flag.clone().into()));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_was_meant() {
    for (file, expected) in [
        ("intreval: 10\n", "host-agent.yaml:1: \"intreval\" is unknown; did you mean interval?"),
        (
            "hz: 19\n\nrelabel_config: []\n",
            "host-agent.yaml:3: \"relabel_config\" is unknown; did you mean relabel_configs?",
        ),
        ("hz: fast\n", "host-agent.yaml:1: hz is \"fast\"; allowed: a whole number"),
        ("hz: [1]\n", "host-agent.yaml:1: hz: allowed: one value"),
        ("off_cpu: sometimes\n", "host-agent.yaml:1: off_cpu is \"sometimes\"; allowed: on, off"),
        ("off_cpu: 2h\n", "at most 60s"),
        (
            "token: canary\n",
            "host-agent.yaml:1: token: secrets have a file of their own; set token_file",
        ),
        ("push: https://canary@host\n", "host-agent.yaml:1: push"),
        ("- hz\n", "host-agent.yaml:1: settings: allowed: keys"),
        ("exclude:\n  - com: x\n", "host-agent.yaml:2: \"com\" is unknown; did you mean comm?"),
        ("exclude:\n  - {}\n", "host-agent.yaml:2: a selector without a field"),
        ("exclude:\n  - comm: (\n", "host-agent.yaml:2: regex \"(\""),
        (
            "relabel_configs:\n  - action: keep\n  - action: kep\n",
            "host-agent.yaml:3: action \"kep\" is unknown; did you mean keep?",
        ),
        ("relabel_configs:\n  - source_label: [a]\n", "did you mean source_labels?"),
        ("relabel_configs: yes\n", "host-agent.yaml:1: allowed: a list"),
        ("kubernetes:\n  pods: x\n", "host-agent.yaml:2: \"pods\" is unknown"),
        (
            "kubernetes: maybe\n",
            "host-agent.yaml:1: kubernetes is \"maybe\"; allowed: auto, on or off",
        ),
        ("kubernetes: on\n", "KUBERNETES_SERVICE_HOST is not set"),
        ("hz: 1\nhz: 2\n", "host-agent.yaml:2: hz is there twice"),
    ] {
        let message = load(file).unwrap_err();
        assert!(message.contains(expected) && !message.contains("canary"), "{file}: {message}");
    }
    let message = load_with("", &[], &[("intervall", "1")]).unwrap_err();
    assert_eq!(message, "--intervall is unknown; did you mean --interval?");
    let message = load_with("", &[], &[("hz", "x")]).unwrap_err();
    assert_eq!(message, "--hz is \"x\"; allowed: a whole number");
    let message = load(&format!("# {}\n", "x".repeat(1 << 20))).unwrap_err();
    assert!(message.contains("more than 1024 KiB"), "{message}");
    let missing = Sources { file: Some("/missing/x.yaml".into()), ..Sources::default() };
    assert_eq!(Settings::load(&missing).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn a_pod_of_a_cluster_asks_its_server() {
    let environment = [("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("NODE_NAME", "node-1")];
    let found = load_with("kubernetes:\n  pod_labels: [app]\n", &environment, &[]).unwrap();
    let found = found.kubernetes.unwrap();
    assert_eq!((found.server.as_str(), found.node.as_str()), ("10.0.0.1:443", "node-1"));
    assert_eq!(found.pod_labels, ["app"]);
    assert!(load_with("kubernetes: off\n", &environment, &[]).unwrap().kubernetes.is_none());
    assert!(load_with("", &environment, &[("kubernetes", "off")]).unwrap().kubernetes.is_none());
    // A manifest without the node's name is a slip that costs labels and not profiles.
    let without = load_with("", &environment[..1], &[]).unwrap();
    assert!(without.kubernetes.is_none() && without.warnings[0].contains("NODE_NAME"));
    // From outside a cluster everything is said.
    let outside = "kubernetes:\n  enabled: on\n  server: k8s.example:6443\n  node: n\n  token_file: /t\n  ca_file: /c\n";
    let found = load(outside).unwrap().kubernetes.unwrap();
    assert_eq!((found.server.as_str(), found.node.as_str()), ("k8s.example:6443", "n"));
    assert_eq!((found.token_file, found.ca_file), ("/t".into(), "/c".into()));
}

#[test]
fn selectors_say_what_is_profiled() {
    let settings = load(
        "include:\n  - namespace: shop|pay\n    container: app\n  - unit: nginx.service\n\
         exclude:\n  - comm: sleep\n",
    )
    .unwrap();
    let admits = |pairs: &[(&str, &str)]| {
        settings.selection.admits(&pairs.iter().copied().collect::<Labels>())
    };
    let (namespace, container) =
        ("__meta_kubernetes_namespace", "__meta_kubernetes_pod_container_name");
    assert!(admits(&[(namespace, "pay"), (container, "app")]));
    assert!(!admits(&[(namespace, "pay"), (container, "proxy")]));
    assert!(!admits(&[(namespace, "payments"), (container, "app")]));
    assert!(admits(&[("__meta_systemd_unit", "nginx.service")]));
    assert!(!admits(&[("__meta_systemd_unit", "nginx.service"), ("__meta_process_comm", "sleep")]));
    assert!(!admits(&[]));
    assert!(Selection::default().admits(&Labels::default()));
}

/// Rules made at random, with what Prometheus 3.5 (`model/relabel` of its module v0.305.0, legacy names)
/// made of them: labels, `dropped` or `invalid`.
const PROMETHEUS: &str = include_str!("prometheus.jsonl");

#[test]
fn rules_do_what_prometheus_does() {
    for line in PROMETHEUS.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let before = case["labels"].as_object().unwrap().iter();
        let mut labels: Labels = before
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let result = match file::File::parse(&format!("relabel_configs: {}", case["rules"]), "x") {
            Err(_) => serde_json::json!("invalid"),
            Ok(file) if !file.rules.apply(&mut labels) => serde_json::json!("dropped"),
            Ok(_) => labels
                .iter()
                .map(|(name, value)| (name.to_owned(), serde_json::json!(value)))
                .collect(),
        };
        assert_eq!(result, case["result"], "{line}");
    }
    assert_eq!(PROMETHEUS.lines().count(), 200);
}
