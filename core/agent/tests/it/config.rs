//! Settings: which of several wins, and what is said about wrong ones.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use proptest::prelude::{any, prop, proptest};
use sondage::Error;
use sondage::config::{
    Auth, Config, EnginePolicy, JavaPolicy, Limits, ProxyPolicy, Secret, SignalPolicy, Target,
};
use sondage::export::FileLimits;

fn config(variables: &[(&str, &str)]) -> Result<Config, Error> {
    Config::builder().environment(variables.iter().copied()).build()
}

fn refusal(name: &str, value: &str) -> String {
    let error = config(&[(name, value)]).expect_err(name);
    let message = error.to_string();
    assert!(message.starts_with(name), "{name}={value}: {message}");
    message
}

/// A file in the build's own directory for such things.
fn secret_file(name: &str, text: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path.into_os_string().into_string().unwrap()
}

#[test]
fn by_default_nothing_goes_on_the_network() {
    let config = config(&[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.targets, ["file:./sondage-profiles".parse::<Target>().unwrap()]);
    assert_eq!((config.hz, config.wall, config.limits.max_depth), (100, false, 128));
    assert_eq!(config.interval, Duration::from_secs(10));
    assert!(config.enabled && config.warnings.is_empty() && !config.service_name.is_empty());
}

#[test]
fn the_program_wins_over_our_variables_and_those_over_opentelemetrys() {
    let variables = [
        ("OTEL_SERVICE_NAME", "otel"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=attribute,zone=otel,k8s.pod.name=a%2Cb,x=otel"),
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("SONDAGE_SERVICE", "ours"),
        ("SONDAGE_LABELS", "zone=ours,x=ours"),
        ("SONDAGE_ENABLED", "yes"),
        ("SONDAGE_HZ", "49"),
        ("SONDAGE_WALL", "on"),
    ];
    let built = Config::builder().label("x", "program").hz(7).environment(variables).build();
    let built = built.unwrap();
    assert_eq!(built.service_name, "ours");
    assert_eq!((built.hz, built.wall, built.enabled), (7, true, true));
    let labels =
        [("service_name", "ours"), ("zone", "ours"), ("k8s.pod.name", "a,b"), ("x", "program")];
    assert_eq!(built.process_labels(), labels.map(|(k, v)| (k.to_owned(), v.to_owned())));

    let otel = config(&variables[..3]).unwrap();
    assert_eq!((otel.service_name.as_str(), otel.enabled), ("otel", false));
    assert_eq!(config(&variables[1..2]).unwrap().service_name, "attribute");
}

#[test]
fn every_variable_reaches_its_setting() {
    let (token, basic) = (secret_file("token", "t0ken\n"), secret_file("basic", "user:pass\n"));
    let built = config(&[
        ("SONDAGE_INTERVAL", "500ms"),
        ("SONDAGE_PUSH", "file:/var/a, pyroscope+https://p.example.com/x ,"),
        ("SONDAGE_TOKEN_FILE", &token),
        ("SONDAGE_TENANT", "team-a"),
        ("SONDAGE_CA_FILE", &basic),
        ("SONDAGE_PROXY", "environment"),
        ("SONDAGE_SIGNALS", "off"),
        ("SONDAGE_ENGINE", "process"),
        ("SONDAGE_JAVA", "jfr"),
        ("SONDAGE_INLINES", "false"),
        ("SONDAGE_PYTHON_INTERNALS", "on"),
        ("SONDAGE_MEMORY", "128MiB"),
        ("SONDAGE_SYMBOL_MEMORY", "32MiB"),
        ("SONDAGE_MAX_THREADS", "64"),
        ("SONDAGE_MAX_DEPTH", "512"),
        ("SONDAGE_MAX_LABEL_SETS", "100"),
        ("SONDAGE_CONTROL", "off"),
        ("SONDAGE_BUDGET", "0.5%"),
        ("SONDAGE_PARTICIPATION", "10%"),
        ("SONDAGE_PULL_TOKEN_FILE", &token),
        ("SONDAGE_EXIT_TIMEOUT", "0"),
        ("SONDAGE_SPOOL", "/var/spool/shop"),
        ("SONDAGE_SPOOL_BYTES", "16MiB"),
        ("SONDAGE_FILE_COUNT", "50"),
        ("SONDAGE_FILE_BYTES", "1GiB"),
        ("SONDAGE_FILE_AGE", "3d"),
    ])
    .unwrap();
    let targets = ["file:/var/a", "pyroscope+https://p.example.com/x"];
    assert_eq!(built.targets, targets.map(|text| text.parse::<Target>().unwrap()));
    assert_eq!(built.interval, Duration::from_millis(500));
    assert_eq!(built.http.auth, Auth::TokenFile(token.clone().into()));
    assert_eq!(built.http.tenant.as_deref(), Some("team-a"));
    assert_eq!(built.http.ca_file, Some(basic.clone().into()));
    assert_eq!(built.http.proxy, ProxyPolicy::Environment);
    assert_eq!((built.signals, built.inlines), (SignalPolicy::Off, false));
    assert_eq!((built.engine, built.java), (EnginePolicy::Process, JavaPolicy::Jfr));
    assert!(built.python_internals);
    let limits = Limits {
        memory_bytes: 128 << 20,
        symbol_bytes: 32 << 20,
        max_threads: 64,
        max_depth: 512,
        max_label_sets: 100,
        spool_bytes: 16 << 20,
        files: FileLimits { count: 50, bytes: 1 << 30, age: Duration::from_secs(3 * 24 * 3600) },
    };
    assert_eq!(built.limits, limits);
    assert!((built.budget - 0.005).abs() < 1e-12);
    assert!(!built.control && (built.participation - 0.1).abs() < 1e-12);
    assert_eq!(built.pull_token_file, Some(token.clone().into()));
    assert_eq!(built.exit_timeout, Duration::ZERO);
    assert_eq!(built.spool, Some("/var/spool/shop".into()));
    assert_eq!(built.warnings, Vec::<String>::new());
    let auth = config(&[("SONDAGE_BASIC_AUTH_FILE", &basic)]).unwrap().http.auth;
    assert_eq!(auth, Auth::BasicFile(basic.into()));
    assert!(config(&[("SONDAGE_PUSH", "none")]).unwrap().targets.is_empty());
}

#[test]
fn a_wrong_value_names_variable_value_and_what_is_allowed() {
    for (name, value, allowed) in [
        ("SONDAGE_HZ", "0", "1 to 5000"),
        ("SONDAGE_HZ", "5001", "1 to 5000"),
        ("SONDAGE_EXIT_TIMEOUT", "31", "0 (off) to 30s"),
        ("SONDAGE_SPOOL_BYTES", "1MiB", "4194304 to 68719476736"),
        ("SONDAGE_FILE_AGE", "30s", "1m to 3650d"),
        ("SONDAGE_FILE_BYTES", "1KiB", "1048576 to 1099511627776"),
        ("SONDAGE_FILE_COUNT", "0", "1 to 1000000"),
        ("SONDAGE_HZ", "fast", "a whole number"),
        ("SONDAGE_WALL", "maybe", "true or false"),
        ("SONDAGE_INTERVAL", "99ms", "100ms to 1h"),
        ("SONDAGE_INTERVAL", "2h", "100ms to 1h"),
        ("SONDAGE_INTERVAL", "soon", "500ms"),
        ("SONDAGE_LABELS", "a", "key=value"),
        ("SONDAGE_LABELS", "a=%zz", "hexadecimal"),
        ("SONDAGE_LABELS", "service_name=x", "setting of its own"),
        ("SONDAGE_LABELS", "__name__=x", "begin with __"),
        ("SONDAGE_LABELS", "a b=x", "without spaces"),
        ("SONDAGE_LABELS", "a=%0A", "control characters"),
        ("SONDAGE_SIGNALS", "no", "auto or off"),
        ("SONDAGE_ENGINE", "bpf", "auto, timer, perf, process or ebpf"),
        ("SONDAGE_JAVA", "yes", "auto, walk, jfr or native"),
        ("SONDAGE_PROXY", "http://proxy", "off or environment"),
        ("SONDAGE_CONTROL", "perhaps", "true or false"),
        ("SONDAGE_BUDGET", "0", "0.0001 to 1"),
        ("SONDAGE_PARTICIPATION", "0", "0.0001 to 1"),
        ("SONDAGE_PARTICIPATION", "110%", "0.0001 to 1"),
        ("SONDAGE_PARTICIPATION", "nan", "0.0001 to 1"),
        ("SONDAGE_PARTICIPATION", "some", "10%"),
        ("SONDAGE_HEAP", "some", "on, off, or bytes"),
        ("SONDAGE_HEAP", "2GiB", "1 to 1073741824"),
        ("SONDAGE_MEMORY", "1MiB", "8388608 to"),
        ("SONDAGE_MEMORY", "lots", "64MiB"),
        ("SONDAGE_MAX_DEPTH", "513", "1 to 512"),
        ("SONDAGE_MAX_THREADS", "0", "1 to 65536"),
        ("SONDAGE_MAX_LABEL_SETS", "-1", "a whole number"),
        ("SONDAGE_TENANT", "a|b", "1 to 150"),
        ("SONDAGE_PUSH", "ftp://x", "file:DIR"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a", "key=value"),
    ] {
        let message = refusal(name, value);
        assert!(message.contains(value) || value.contains('%'), "{message}");
        assert!(message.contains(allowed), "{message}");
    }
    let long = "x".repeat(5000);
    assert!(refusal("SONDAGE_WALL", &long).len() < 300, "a message stays short");
    let key = config(&[("SONDAGE_PUSH", "datadog-intake+https://intake.profile.datadoghq.eu")]);
    assert!(key.unwrap_err().to_string().contains("SONDAGE_DATADOG_KEY_FILE"));
    let path = secret_file("a-client-certificate", "x");
    let half = config(&[("SONDAGE_CLIENT_CERT_FILE", &path)]).unwrap_err();
    assert!(half.to_string().contains("client_key"), "{half}");
}

#[test]
fn memory_is_sampled_at_a_rate_or_at_the_default_one_or_not() {
    let rate = |text| config(&[("SONDAGE_HEAP", text)]).unwrap().heap;
    assert_eq!(config(&[]).unwrap().heap, None);
    assert_eq!([rate("off"), rate("0"), rate("false")], [None; 3]);
    assert_eq!([rate("on"), rate("true")], [Some(512 << 10); 2]);
    assert_eq!([rate("1"), rate("4096"), rate("1MiB")], [Some(1), Some(4096), Some(1 << 20)]);
    let builder = Config::builder().environment([("SONDAGE_HEAP", "on")]);
    assert_eq!(builder.heap(None).build().unwrap().heap, None);
}

#[test]
fn the_word_otlp_stands_for_what_opentelemetrys_variables_say() {
    let target = |variables: &[(&str, &str)]| {
        let push = [("SONDAGE_PUSH", "otlp")];
        let all: Vec<_> = push.iter().chain(variables).copied().collect();
        config(&all).map(|config| config.targets[0].to_string())
    };
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const OWN: &str = "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT";
    const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    for (variables, expected) in [
        (&[][..], "otlp+http://localhost:4318"),
        (&[(PROTOCOL, "grpc")], "otlp+grpc://localhost:4317"),
        (&[(ENDPOINT, "https://c/otlp/")], "otlp+https://c/otlp"),
        (&[(ENDPOINT, "https://c:4317"), (PROTOCOL, "grpc")], "otlp+grpcs://c:4317"),
        (&[(ENDPOINT, "https://a"), (OWN, "http://b/v1development/profiles")], "otlp+http://b"),
    ] {
        assert_eq!(target(variables).unwrap(), expected);
    }
    for (variables, part) in [
        (&[(PROTOCOL, "http/json")][..], "http/protobuf or grpc"),
        (&[(OWN, "http://b/v1/profiles")], "v1development"),
        (&[("OTEL_EXPORTER_OTLP_HEADERS", "api-key")], "OTEL_EXPORTER_OTLP_HEADERS"),
    ] {
        let error = target(variables).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let with_headers = [("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary")];
    let elsewhere = config(&with_headers).unwrap();
    assert_eq!(elsewhere.http.otlp_headers, None, "only where the word is used");
    let all = [("SONDAGE_PUSH", "file:./x, otlp"), with_headers[0]];
    let config = config(&all).unwrap();
    assert_eq!(config.targets.len(), 2);
    assert!(config.http.otlp_headers.is_some());
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn secrets_are_never_shown() {
    for (name, value) in [
        ("SONDAGE_TOKEN", "canary\u{e9}"),
        ("SONDAGE_PUSH", "pyroscope+https://u:canary@h"),
        ("SONDAGE_PUSH", "http://u:canary@h"),
    ] {
        assert!(!refusal(name, value).contains("canary"));
    }
    let no_colon = secret_file("no-colon", "canary");
    assert!(!refusal("SONDAGE_BASIC_AUTH_FILE", &no_colon).contains(": canary"));
    let built = config(&[("SONDAGE_TOKEN", "canary")]).unwrap();
    assert!(!format!("{built:?}").contains("canary"));
    let builder = Config::builder().auth(Auth::Token(Secret::new("canary").unwrap())).hz(0);
    assert!(!format!("{builder:?}").contains("canary"));
    assert!(!builder.build().unwrap_err().to_string().contains("canary"));
}

#[test]
fn credentials_are_checked_at_start() {
    assert!(refusal("SONDAGE_TOKEN_FILE", "/no/such/file").contains("/no/such/file"));
    let empty = secret_file("empty", "\n");
    assert!(refusal("SONDAGE_TOKEN_FILE", &empty).contains("empty"));
    assert!(refusal("SONDAGE_CA_FILE", "/no/such/file").contains("/no/such/file"));
    let two = [("SONDAGE_TOKEN", "a"), ("SONDAGE_TOKEN_FILE", empty.as_str())];
    let error = config(&two).unwrap_err().to_string();
    assert!(error.contains("SONDAGE_TOKEN and SONDAGE_TOKEN_FILE"), "{error}");
    let plain = [("SONDAGE_TOKEN", "a"), ("SONDAGE_PUSH", "pyroscope+http://far.example")];
    let warnings = config(&plain).unwrap().warnings;
    assert!(warnings[0].contains("unencrypted"), "{warnings:?}");
    let near = [("SONDAGE_TOKEN", "a"), ("SONDAGE_PUSH", "pyroscope+http://[::1]:4040")];
    assert!(config(&near).unwrap().warnings.is_empty());
}

#[test]
fn an_unknown_variable_is_a_warning_that_knows_what_was_meant() {
    let of_command = ("SONDAGE_RECORD_DIR", "/tmp/x");
    let wrong = [("SONDAGE_LABLES", "a=b"), ("SONDAGE_COLOUR", "red")];
    let variables = [wrong[0], wrong[1], ("OTHER_HZ", "1"), of_command];
    let warnings = config(&variables).unwrap().warnings;
    let expected = [
        "SONDAGE_COLOUR is unknown and has no effect",
        "SONDAGE_LABLES is unknown; did you mean SONDAGE_LABELS?",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let empty = ["SONDAGE_HZ", "SONDAGE_PUSH", "OTEL_SERVICE_NAME"].map(|name| (name, ""));
    assert_eq!(config(&empty).unwrap(), Config::default());
}

#[test]
fn bytes_that_are_no_text_are_an_error_and_not_a_panic() {
    let value = OsString::from_vec(vec![b'4', 0xff]);
    let error = Config::builder().environment([("SONDAGE_HZ", value)]).build().unwrap_err();
    assert_eq!(error.to_string(), "SONDAGE_HZ is not UTF-8 text");
    let name = OsString::from_vec(b"SONDAGE_\xff".to_vec());
    assert!(Config::builder().environment([(name, "x")]).build().is_ok());
}

#[test]
fn the_builder_checks_as_the_environment_does() {
    let hz = Config::builder().hz(50_000).build().unwrap_err().to_string();
    assert_eq!(hz, "hz is 50000; allowed: 1 to 5000");
    let many = (0..65).fold(Config::builder(), |builder, n| builder.label(format!("l{n}"), "v"));
    let many = many.build().unwrap_err().to_string();
    assert!(many.contains("at most 64 labels"), "{many}");
    let everything = Config::builder().python_hidden("").build().unwrap_err().to_string();
    assert!(everything.starts_with("python_hidden is"), "{everything}");
    let symbols = Config::builder().memory_bytes(16 << 20).symbol_bytes(17 << 20);
    assert!(symbols.build().is_err());
    let small = Config::builder().memory_bytes(16 << 20).build().unwrap();
    assert_eq!(small.limits.symbol_bytes, 8 << 20, "the default follows the smaller memory");
}

const VARIABLES: [&str; 31] = [
    "SONDAGE_ENABLED",
    "SONDAGE_SERVICE",
    "SONDAGE_LABELS",
    "SONDAGE_HZ",
    "SONDAGE_WALL",
    "SONDAGE_SIGNALS",
    "SONDAGE_ENGINE",
    "SONDAGE_INLINES",
    "SONDAGE_PYTHON_INTERNALS",
    "SONDAGE_HEAP",
    "SONDAGE_JAVA",
    "SONDAGE_INTERVAL",
    "SONDAGE_PUSH",
    "SONDAGE_TOKEN",
    "SONDAGE_TOKEN_FILE",
    "SONDAGE_BASIC_AUTH_FILE",
    "SONDAGE_TENANT",
    "SONDAGE_CA_FILE",
    "SONDAGE_PROXY",
    "SONDAGE_CONTROL",
    "SONDAGE_BUDGET",
    "SONDAGE_PARTICIPATION",
    "SONDAGE_PULL_TOKEN_FILE",
    "SONDAGE_MEMORY",
    "SONDAGE_SYMBOL_MEMORY",
    "SONDAGE_MAX_THREADS",
    "SONDAGE_MAX_DEPTH",
    "SONDAGE_MAX_LABEL_SETS",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
];

proptest! {
    #[test]
    fn any_bytes_in_any_variable_are_accepted_or_refused_by_name(
        index in 0..VARIABLES.len(),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let name = VARIABLES[index];
        if let Err(error) = Config::builder().environment([(name, OsString::from_vec(bytes))]).build() {
            assert!(error.to_string().starts_with(name), "{error}");
        }
    }

    #[test]
    fn any_url_is_refused_without_its_password_or_has_none(
        scheme in "(pyroscope\\+)?(https?|otlp\\+http|x)",
        user in "[ -~]{0,8}",
        rest in "[ -~]{0,20}",
    ) {
        let text = format!("{scheme}://{user}:canary@{rest}");
        match text.parse::<Target>() {
            Ok(target) => assert!(!target.to_string().contains('@'), "{target}"),
            Err(error) => assert!(!error.to_string().contains("canary"), "{error}"),
        }
    }
}
