//! One setting, wherever it came from: what it may be, and what it changes.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    Auth, Config, EnginePolicy, JavaPolicy, ProxyPolicy, Secret, SecretSource, SignalPolicy,
    Target, value,
};
use crate::error::{Error, ErrorKind};

/// Labels of the whole process.
const MAX_LABELS: usize = 64;
/// Bytes of a label's name, and of its value or a service's name.
const MAX_KEY_BYTES: usize = 128;
const MAX_VALUE_BYTES: usize = 1024;
const MAX_TARGETS: usize = 8;
/// The smallest share of processes that profile: each then stands for ten thousand.
const MIN_SHARE: f64 = 0.0001;

/// Why a setting is not accepted.
pub(super) enum Refusal {
    /// What would be accepted.
    Allowed(String),
    /// An error that says it all.
    Error(Error),
}

impl From<String> for Refusal {
    fn from(allowed: String) -> Self {
        Self::Allowed(allowed)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// A field of [`Config`] and its new value.
#[derive(Clone, Debug)]
pub(super) enum Setting {
    Enabled(bool),
    ServiceName(String),
    Labels(Vec<(String, String)>),
    Hz(u32),
    Wall(bool),
    Signals(SignalPolicy),
    Engine(EnginePolicy),
    Inlines(bool),
    PythonInternals(bool),
    PythonHidden(String),
    Java(JavaPolicy),
    Heap(Option<u64>),
    Locks(Option<Duration>),
    Interval(Duration),
    Targets(Vec<Target>),
    Auth(Auth),
    Tenant(String),
    OtlpHeaders(SecretSource),
    DatadogKey(SecretSource),
    TraceIds(bool),
    CaFile(PathBuf),
    ClientCert(PathBuf),
    ClientKey(PathBuf),
    Proxy(ProxyPolicy),
    Control(bool),
    Budget(f64),
    Participation(f64),
    PullTokenFile(PathBuf),
    ExitTimeout(Duration),
    Spool(PathBuf),
    SpoolBytes(u64),
    FileCount(u32),
    FileBytes(u64),
    FileAge(Duration),
    MemoryBytes(u64),
    SymbolBytes(u64),
    MaxThreads(u32),
    MaxDepth(u32),
    MaxLabelSets(u32),
}

impl Setting {
    /// Checks the value and changes `config`.
    pub(super) fn apply(self, config: &mut Config) -> Result<(), Refusal> {
        let limits = &mut config.limits;
        match self {
            Self::Enabled(enabled) => config.enabled = enabled,
            Self::ServiceName(name) => config.service_name = check_text(name, MAX_VALUE_BYTES)?,
            Self::Labels(labels) => add_labels(&mut config.labels, labels)?,
            Self::Hz(hz) => config.hz = within(hz, 1..=Config::MAX_HZ)?,
            Self::Wall(wall) => config.wall = wall,
            Self::Signals(policy) => config.signals = policy,
            Self::Engine(policy) => config.engine = policy,
            Self::Inlines(inlines) => config.inlines = inlines,
            Self::PythonInternals(shown) => config.python_internals = shown,
            Self::PythonHidden(prefix) => config.python_hidden.push(check_prefix(prefix)?),
            Self::Java(policy) => config.java = policy,
            Self::Heap(rate) => {
                config.heap = rate.map(|rate| within(rate, 1..=1 << 30)).transpose()?;
            }
            Self::Locks(rate) => config.locks = rate.map(check_lock_rate).transpose()?,
            Self::Interval(interval) => config.interval = check_interval(interval)?,
            Self::Targets(targets) => config.targets = check_targets(targets)?,
            Self::Auth(auth) => {
                auth.check()?;
                config.http.auth = auth;
            }
            Self::Tenant(tenant) => config.http.tenant = Some(check_tenant(tenant)?),
            Self::OtlpHeaders(source) => {
                check_headers(&source)?;
                config.http.otlp_headers = Some(source);
            }
            Self::DatadogKey(source) => {
                source.read()?;
                config.http.datadog_key = Some(source);
            }
            Self::TraceIds(sent) => config.trace_ids = sent,
            Self::ClientCert(path) => config.http.client_cert = Some(check_file(path)?),
            Self::ClientKey(path) => config.http.client_key = Some(check_file(path)?),
            Self::CaFile(path) => config.http.ca_file = Some(check_file(path)?),
            Self::Proxy(policy) => config.http.proxy = policy,
            Self::Control(control) => config.control = control,
            Self::Budget(share) => config.budget = check_share(share)?,
            Self::Participation(share) => config.participation = check_share(share)?,
            Self::PullTokenFile(path) => {
                Secret::read(&path)?;
                config.pull_token_file = Some(path);
            }
            Self::ExitTimeout(timeout) => config.exit_timeout = check_exit_timeout(timeout)?,
            Self::Spool(dir) => config.spool = Some(dir),
            Self::SpoolBytes(bytes) => limits.spool_bytes = within(bytes, 4 << 20..=64 << 30)?,
            Self::FileCount(count) => limits.files.count = within(count, 1..=1_000_000)? as usize,
            Self::FileBytes(bytes) => limits.files.bytes = within(bytes, 1 << 20..=1 << 40)?,
            Self::FileAge(age) => limits.files.age = check_file_age(age)?,
            Self::MemoryBytes(bytes) => limits.memory_bytes = within(bytes, 8 << 20..=64 << 30)?,
            Self::SymbolBytes(bytes) => limits.symbol_bytes = within(bytes, 0..=64 << 30)?,
            Self::MaxThreads(threads) => limits.max_threads = within(threads, 1..=65_536)?,
            Self::MaxDepth(depth) => limits.max_depth = within(depth, 1..=512)?,
            Self::MaxLabelSets(sets) => limits.max_label_sets = within(sets, 1..=65_536)?,
        }
        Ok(())
    }

    /// The value for an error message about the builder; secrets are not in it.
    pub(super) fn shown(&self) -> String {
        if let Self::Targets(targets) = self {
            return targets.iter().map(Target::to_string).collect::<Vec<_>>().join(",");
        }
        let debug = format!("{self:?}");
        let value = debug.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        value.map_or(debug.clone(), str::to_owned)
    }

    /// The builder's method that makes this setting.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Enabled(_) => "enabled",
            Self::ServiceName(_) => "service_name",
            Self::Labels(_) => "label",
            Self::Hz(_) => "hz",
            Self::Wall(_) => "wall",
            Self::Signals(_) => "signals",
            Self::Engine(_) => "engine",
            Self::Inlines(_) => "inlines",
            Self::PythonInternals(_) => "python_internals",
            Self::PythonHidden(_) => "python_hidden",
            Self::Java(_) => "java",
            Self::Heap(_) => "heap",
            Self::Locks(_) => "locks",
            Self::Interval(_) => "interval",
            Self::Targets(_) => "targets",
            Self::Auth(_) => "auth",
            Self::Tenant(_) => "tenant",
            Self::OtlpHeaders(_) => "otlp_headers",
            Self::DatadogKey(_) => "datadog_key",
            Self::TraceIds(_) => "trace_ids",
            Self::CaFile(_) => "ca_file",
            Self::ClientCert(_) => "client_cert",
            Self::ClientKey(_) => "client_key",
            Self::Proxy(_) => "proxy",
            Self::Control(_) => "control",
            Self::Budget(_) => "budget",
            Self::Participation(_) => "participation",
            Self::PullTokenFile(_) => "pull_token_file",
            Self::ExitTimeout(_) => "exit_timeout",
            Self::Spool(_) => "spool",
            Self::SpoolBytes(_) => "spool_bytes",
            Self::FileCount(_) => "file_count",
            Self::FileBytes(_) => "file_bytes",
            Self::FileAge(_) => "file_age",
            Self::MemoryBytes(_) => "memory_bytes",
            Self::SymbolBytes(_) => "symbol_bytes",
            Self::MaxThreads(_) => "max_threads",
            Self::MaxDepth(_) => "max_depth",
            Self::MaxLabelSets(_) => "max_label_sets",
        }
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    value: T,
    range: RangeInclusive<T>,
) -> Result<T, Refusal> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(Refusal::Allowed(format!("{} to {}", range.start(), range.end())))
}

fn check_share(share: f64) -> Result<f64, Refusal> {
    let valid = (MIN_SHARE..=1.0).contains(&share);
    if valid {
        Ok(share)
    } else {
        Err(Refusal::Allowed("0.01% to 100%, or 0.0001 to 1".to_owned()))
    }
}

fn check_interval(interval: Duration) -> Result<Duration, Refusal> {
    let range = Duration::from_millis(100)..=Duration::from_secs(3600);
    let valid = range.contains(&interval);
    if valid { Ok(interval) } else { Err(Refusal::Allowed("100ms to 1h".to_owned())) }
}

fn check_lock_rate(rate: Duration) -> Result<Duration, Refusal> {
    let valid = (Duration::from_millis(1)..=Duration::from_secs(1)).contains(&rate);
    if valid { Ok(rate) } else { Err(Refusal::Allowed("1ms to 1s".to_owned())) }
}

fn check_exit_timeout(timeout: Duration) -> Result<Duration, Refusal> {
    let valid = timeout <= Duration::from_secs(30);
    if valid { Ok(timeout) } else { Err(Refusal::Allowed("0 (off) to 30s".to_owned())) }
}

fn check_file_age(age: Duration) -> Result<Duration, Refusal> {
    let valid = (Duration::from_secs(60)..=Duration::from_secs(3650 * 24 * 3600)).contains(&age);
    if valid { Ok(age) } else { Err(Refusal::Allowed("1m to 3650d".to_owned())) }
}

fn check_text(text: String, max: usize) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > max || text.chars().any(char::is_control) {
        return Err(Refusal::Allowed(format!("1 to {max} bytes without control characters")));
    }
    Ok(text)
}

/// An empty beginning would be that of every name.
fn check_prefix(prefix: String) -> Result<String, Refusal> {
    if prefix.is_empty() {
        return Err(Refusal::Allowed("a beginning of file names, not empty".to_owned()));
    }
    Ok(prefix)
}

fn check_targets(targets: Vec<Target>) -> Result<Vec<Target>, Refusal> {
    if targets.len() > MAX_TARGETS {
        return Err(Refusal::Allowed(format!("at most {MAX_TARGETS} targets")));
    }
    Ok(targets)
}

/// The rule of Pyroscope and its kin; `|` would name two tenants, which no upload may.
fn check_tenant(tenant: String) -> Result<String, Refusal> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"!._*'()-".contains(&byte);
    if tenant.is_empty() || tenant.len() > 150 || !tenant.bytes().all(valid) {
        let allowed = "1 to 150 letters, digits and characters of !._*'()-";
        return Err(Refusal::Allowed(allowed.to_owned()));
    }
    Ok(tenant)
}

/// The message shows none of them.
fn check_headers(source: &SecretSource) -> Result<(), Refusal> {
    let secret = source.read()?;
    value::headers(secret.expose()).map(|_| ()).map_err(Refusal::Allowed)
}

fn check_file(path: PathBuf) -> Result<PathBuf, Refusal> {
    match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            Err(Refusal::Error(Error::new(ErrorKind::Io, message).with_source(error)))
        }
    }
}

fn add_labels(
    labels: &mut Vec<(String, String)>,
    added: Vec<(String, String)>,
) -> Result<(), Refusal> {
    for (key, value) in added {
        let bad = |char: char| char.is_control() || char.is_whitespace() || "=,".contains(char);
        if key.is_empty() || key.len() > MAX_KEY_BYTES || key.contains(bad) {
            let allowed = "names of 1 to 128 bytes without spaces, control characters, = and ,";
            return Err(Refusal::Allowed(allowed.to_owned()));
        }
        if key.starts_with("__") {
            return Err(Refusal::Allowed("names that do not begin with __".to_owned()));
        }
        if key == "service_name" {
            let allowed = "any label but service_name, which has a setting of its own";
            return Err(Refusal::Allowed(allowed.to_owned()));
        }
        if value.len() > MAX_VALUE_BYTES || value.chars().any(char::is_control) {
            let allowed = "values of at most 1024 bytes without control characters";
            return Err(Refusal::Allowed(allowed.to_owned()));
        }
        match labels.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None => labels.push((key, value)),
        }
    }
    if labels.len() > MAX_LABELS {
        return Err(Refusal::Allowed(format!("at most {MAX_LABELS} labels in all")));
    }
    Ok(())
}
