//! Settings from environment variables.
//!
//! An empty variable counts as one that is not set, as OpenTelemetry asks for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::setting::{Refusal, Setting};
use super::{
    Auth, Config, EnginePolicy, JavaPolicy, ProxyPolicy, Secret, SecretSource, SignalPolicy,
    otlp_variables, suggest, value,
};
use crate::error::{Error, ErrorKind};

const PREFIX: &str = "SONDAGE_";

/// Where OpenTelemetry's service name hides among the resource attributes.
const SERVICE_ATTRIBUTE: &str = "service.name";

/// A variable without its prefix, and how its text becomes a setting.
type Variable = (&'static str, fn(&str) -> Result<Setting, Refusal>);

const VARIABLES: &[Variable] = &[
    ("ENABLED", |text| Ok(Setting::Enabled(value::switch(text)?))),
    ("SERVICE", |text| Ok(Setting::ServiceName(text.to_owned()))),
    ("LABELS", |text| Ok(Setting::Labels(value::pairs(text)?))),
    ("HZ", |text| Ok(Setting::Hz(value::number(text)?))),
    ("WALL", |text| Ok(Setting::Wall(value::switch(text)?))),
    ("SIGNALS", signals),
    ("ENGINE", engine),
    ("INLINES", |text| Ok(Setting::Inlines(value::switch(text)?))),
    ("PYTHON_INTERNALS", |text| Ok(Setting::PythonInternals(value::switch(text)?))),
    ("JAVA", java),
    ("HEAP", heap),
    ("LOCKS", locks),
    ("INTERVAL", |text| Ok(Setting::Interval(value::duration(text)?))),
    (PUSH, targets),
    (TOKEN, |text| Ok(Setting::Auth(Auth::Token(Secret::new(text)?)))),
    ("TOKEN_FILE", |text| Ok(Setting::Auth(Auth::TokenFile(PathBuf::from(text))))),
    ("BASIC_AUTH", |text| Ok(Setting::Auth(Auth::basic(text)?))),
    ("BASIC_AUTH_FILE", |text| Ok(Setting::Auth(Auth::BasicFile(PathBuf::from(text))))),
    ("TENANT", |text| Ok(Setting::Tenant(text.to_owned()))),
    ("OTLP_HEADERS_FILE", |text| Ok(Setting::OtlpHeaders(SecretSource::File(text.into())))),
    ("DATADOG_KEY_FILE", |text| Ok(Setting::DatadogKey(SecretSource::File(text.into())))),
    ("TRACE_IDS", |text| Ok(Setting::TraceIds(value::switch(text)?))),
    ("CLIENT_CERT_FILE", |text| Ok(Setting::ClientCert(PathBuf::from(text)))),
    ("CLIENT_KEY_FILE", |text| Ok(Setting::ClientKey(PathBuf::from(text)))),
    ("CA_FILE", |text| Ok(Setting::CaFile(PathBuf::from(text)))),
    ("PROXY", proxy),
    ("CONTROL", |text| Ok(Setting::Control(value::switch(text)?))),
    ("BUDGET", |text| Ok(Setting::Budget(value::share(text)?))),
    ("PARTICIPATION", |text| Ok(Setting::Participation(value::share(text)?))),
    ("PULL_TOKEN_FILE", |text| Ok(Setting::PullTokenFile(PathBuf::from(text)))),
    ("EXIT_TIMEOUT", |text| Ok(Setting::ExitTimeout(value::duration(text)?))),
    ("SPOOL", |text| Ok(Setting::Spool(PathBuf::from(text)))),
    ("SPOOL_BYTES", |text| Ok(Setting::SpoolBytes(value::bytes(text)?))),
    ("FILE_COUNT", |text| Ok(Setting::FileCount(value::number(text)?))),
    ("FILE_BYTES", |text| Ok(Setting::FileBytes(value::bytes(text)?))),
    ("FILE_AGE", |text| Ok(Setting::FileAge(value::duration(text)?))),
    ("MEMORY", |text| Ok(Setting::MemoryBytes(value::bytes(text)?))),
    ("SYMBOL_MEMORY", |text| Ok(Setting::SymbolBytes(value::bytes(text)?))),
    ("MAX_THREADS", |text| Ok(Setting::MaxThreads(value::number(text)?))),
    ("MAX_DEPTH", |text| Ok(Setting::MaxDepth(value::number(text)?))),
    ("MAX_LABEL_SETS", |text| Ok(Setting::MaxLabelSets(value::number(text)?))),
];

/// Variables of the `sondage` command, which the programs it runs see too.
const OF_COMMAND: [&str; 4] = ["PRELOAD", "RECORD_DIR", "RECORD_NODE", "RECORD_PYTHON"];

/// Variables of a binding, which reads them itself.
const OF_BINDINGS: [&str; 1] = ["COMPAT"];

/// Variables that set credentials: one of them counts.
const AUTH: [&str; 4] = [TOKEN, "TOKEN_FILE", "BASIC_AUTH", "BASIC_AUTH_FILE"];

/// The variable in which `otlp` stands for what OpenTelemetry's variables say.
const PUSH: &str = "PUSH";

/// The variable whose value no message may show.
const TOKEN: &str = "TOKEN";

fn signals(text: &str) -> Result<Setting, Refusal> {
    match text {
        "auto" => Ok(Setting::Signals(SignalPolicy::Auto)),
        "off" => Ok(Setting::Signals(SignalPolicy::Off)),
        _ => Err(Refusal::Allowed("auto or off".to_owned())),
    }
}

fn engine(text: &str) -> Result<Setting, Refusal> {
    match text {
        "auto" => Ok(Setting::Engine(EnginePolicy::Auto)),
        "timer" => Ok(Setting::Engine(EnginePolicy::Timer)),
        "perf" => Ok(Setting::Engine(EnginePolicy::Perf)),
        "process" => Ok(Setting::Engine(EnginePolicy::Process)),
        "ebpf" => Ok(Setting::Engine(EnginePolicy::Ebpf)),
        _ => Err(Refusal::Allowed("auto, timer, perf, process or ebpf".to_owned())),
    }
}

fn java(text: &str) -> Result<Setting, Refusal> {
    match text {
        "auto" => Ok(Setting::Java(JavaPolicy::Auto)),
        "walk" => Ok(Setting::Java(JavaPolicy::Walk)),
        "jfr" => Ok(Setting::Java(JavaPolicy::Jfr)),
        "native" => Ok(Setting::Java(JavaPolicy::Native)),
        _ => Err(Refusal::Allowed("auto, walk, jfr or native".to_owned())),
    }
}

/// A switch, where `on` means the default rate, or a rate. A number is a rate: `1` is every byte.
fn heap(text: &str) -> Result<Setting, Refusal> {
    let rate = match (text, value::switch(text)) {
        ("1", _) | (_, Err(_)) => {
            let rate = value::bytes(text);
            Some(rate.map_err(|_| "on, off, or bytes between two samples: 512KiB".to_owned())?)
        }
        (_, Ok(on)) => on.then_some(crate::heap::DEFAULT_RATE),
    };
    Ok(Setting::Heap(rate))
}

/// A switch, where `on` means the default rate, or a rate.
fn locks(text: &str) -> Result<Setting, Refusal> {
    let rate = match value::switch(text) {
        Ok(on) => on.then_some(crate::contention::DEFAULT_RATE),
        Err(_) => {
            let rate = value::duration(text);
            Some(rate.map_err(|_| "on, off, or time between two samples: 1ms".to_owned())?)
        }
    };
    Ok(Setting::Locks(rate))
}

fn proxy(text: &str) -> Result<Setting, Refusal> {
    match text {
        "off" => Ok(Setting::Proxy(ProxyPolicy::Off)),
        "environment" => Ok(Setting::Proxy(ProxyPolicy::Environment)),
        _ => Err(Refusal::Allowed("off or environment".to_owned())),
    }
}

fn targets(text: &str) -> Result<Setting, Refusal> {
    if text == "none" {
        return Ok(Setting::Targets(Vec::new()));
    }
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let targets = parts.map(str::parse).collect::<Result<_, Error>>()?;
    Ok(Setting::Targets(targets))
}

/// The variables that concern the agent, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    variables: BTreeMap<String, OsString>,
    /// What a program gave in place of variables, and what it calls it.
    arguments: BTreeMap<String, Argument>,
}

/// A setting as text, from a program in another language.
#[derive(Clone, Debug)]
struct Argument {
    /// What the program calls it.
    name: String,
    text: String,
}

impl Environment {
    pub(super) fn new<K: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let (name, value) = (name.into().into_string().ok()?, value.into());
            let ours = name.starts_with(PREFIX) || name.starts_with("OTEL_");
            (ours && !value.is_empty()).then_some((name, value))
        });
        Self { variables: ours.collect(), arguments: BTreeMap::new() }
    }

    /// Takes over the arguments of another one.
    pub(super) fn with_arguments_of(mut self, other: Self) -> Self {
        self.arguments = other.arguments;
        self
    }

    /// Sets `text` in place of the variable `SONDAGE_{short}`.
    pub(super) fn argument(&mut self, short: &str, name: &str, text: &str) {
        let argument = Argument { name: name.to_owned(), text: text.to_owned() };
        self.arguments.insert(format!("{PREFIX}{short}"), argument);
    }

    /// An argument that stands for no variable.
    fn unknown_argument(&self) -> Option<Error> {
        let known = |name: &str| {
            VARIABLES.iter().any(|(short, _)| name.strip_prefix(PREFIX) == Some(short))
        };
        let (_, argument) = self.arguments.iter().find(|(variable, _)| !known(variable))?;
        let shown = quoted(&argument.name);
        Some(Error::invalid(format!(
            "{} is not a setting of this version",
            shown.trim_matches('"')
        )))
    }

    /// Changes `config` as the variables say: OpenTelemetry's first, then ours, which win.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), Error> {
        self.apply_otel(config)?;
        if let Some(error) = self.unknown_argument() {
            return Err(error);
        }
        // An argument for credentials replaces those of the environment, of whichever kind.
        let given_auth =
            AUTH.iter().any(|short| self.arguments.contains_key(&format!("{PREFIX}{short}")));
        let mut auth = None;
        for &(short, parse) in VARIABLES {
            let variable = format!("{PREFIX}{short}");
            let (name, text) = match self.arguments.get(&variable) {
                Some(argument) => (argument.name.clone(), argument.text.as_str()),
                None if given_auth && AUTH.contains(&short) => continue,
                None => match self.text(&variable)? {
                    Some(text) => (variable, text),
                    None => continue,
                },
            };
            let refused = |refusal| refused(&name, text, refusal);
            let expanded = match short {
                PUSH => otlp_variables::expand(text, |name| self.text(name), config)?,
                _ => text.into(),
            };
            let setting = parse(&expanded).map_err(refused)?;
            if matches!(setting, Setting::Auth(_))
                && let Some(other) = auth.replace(name.clone())
            {
                let message = format!("{other} and {name} are both set; allowed: one of them");
                return Err(Error::invalid(message));
            }
            setting.apply(config).map_err(refused)?;
        }
        self.warn(config);
        Ok(())
    }

    fn apply_otel(&self, config: &mut Config) -> Result<(), Error> {
        const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
        if let Some(text) = self.text(ATTRIBUTES)? {
            let refused = |refusal| refused(ATTRIBUTES, text, refusal);
            let mut labels = value::pairs(text).map_err(|allowed| refused(allowed.into()))?;
            while let Some(at) = labels.iter().position(|(key, _)| key == SERVICE_ATTRIBUTE) {
                let (_, name) = labels.remove(at);
                Setting::ServiceName(name).apply(config).map_err(refused)?;
            }
            Setting::Labels(labels).apply(config).map_err(refused)?;
        }
        const SERVICE: &str = "OTEL_SERVICE_NAME";
        if let Some(text) = self.text(SERVICE)? {
            let name = Setting::ServiceName(text.to_owned());
            name.apply(config).map_err(|refusal| refused(SERVICE, text, refusal))?;
        }
        const DISABLED: &str = "OTEL_SDK_DISABLED";
        if let Some(text) = self.text(DISABLED)? {
            // The specification: any case of "true" disables, everything else does not.
            config.enabled = !text.eq_ignore_ascii_case("true");
            if config.enabled && !text.eq_ignore_ascii_case("false") {
                let warning = format!("{DISABLED} is {}: only true disables", quoted(text));
                config.warnings.push(warning);
            }
        }
        Ok(())
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.variables.get(name) else { return Ok(None) };
        let text = value.to_str().map(str::trim);
        text.map(Some).ok_or_else(|| Error::invalid(format!("{name} is not UTF-8 text")))
    }

    /// Names every variable of ours that means nothing.
    fn warn(&self, config: &mut Config) {
        let ours = self.variables.keys().filter_map(|name| name.strip_prefix(PREFIX));
        let others = [&OF_COMMAND[..], &OF_BINDINGS].concat();
        let unknown = ours.filter(|short| !others.contains(short));
        for short in unknown.filter(|short| VARIABLES.iter().all(|(known, _)| known != short)) {
            let name = quoted(&format!("{PREFIX}{short}"));
            let name = name.trim_matches('"');
            let known = VARIABLES.iter().map(|(known, _)| *known);
            config.warnings.push(match suggest::nearest(short, known) {
                Some(known) => format!("{name} is unknown; did you mean {PREFIX}{known}?"),
                None => format!("{name} is unknown and has no effect"),
            });
        }
    }
}

fn refused(name: &str, text: &str, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Allowed(allowed) => {
            Error::invalid(format!("{name} is {}; allowed: {allowed}", quoted(text)))
        }
        Refusal::Error(error) => {
            // A wrong value is a wrong setting, also when a file behind it cannot be read.
            let kind = match error.kind() {
                ErrorKind::Io => ErrorKind::InvalidInput,
                kind => kind,
            };
            Error::new(kind, format!("{name}: {error}")).with_source(error)
        }
    }
}

/// The text between quotes, escaped and cut to a length that fits on a line.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
