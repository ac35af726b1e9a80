//! Settings of the host agent: one file in YAML, `SONDAGE_*` variables, and flags, where the later
//! wins.
//!
//! YAML, because rules of relabelling are written in it wherever people have them already, and
//! because a `ConfigMap` of Kubernetes holds it best. What the library has a setting for is called
//! the same here and takes the same text, so that `SONDAGE_PUSH` means one thing.

mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sondage::config::{Config, duration, environment_is_trusted, nearest, switch};
use sondage::{Error, ErrorKind};

use crate::identities::Recipe;
use crate::identity::Proc;
use crate::kubernetes::Kubernetes;
use crate::relabel::Rules;
use crate::selection::Selection;

/// Bytes of a settings file; a `ConfigMap` holds as many.
const MAX_FILE: u64 = 1 << 20;

/// The shortest wait that is recorded where off-CPU time is on and says no other.
pub const DEFAULT_OFF_CPU: Duration = Duration::from_millis(1);

/// Settings that the library has too, under the variable `SONDAGE_` and the name in capitals.
const SHARED: [&str; 29] = [
    "basic_auth_file",
    "budget",
    "ca_file",
    "client_cert_file",
    "client_key_file",
    "control",
    "datadog_key_file",
    "exit_timeout",
    "file_age",
    "file_bytes",
    "file_count",
    "hz",
    "inlines",
    "interval",
    "labels",
    "max_depth",
    "memory",
    "otlp_headers_file",
    "proxy",
    "pull_token_file",
    "push",
    "python_internals",
    "spool",
    "spool_bytes",
    "symbol_memory",
    "tenant",
    "token_file",
    "trace_ids",
    "max_label_sets",
];

/// Settings of the host agent alone that are one text, under variables and flags too.
const OWN: [&str; 4] = ["kernel_stacks", "kubernetes", "off_cpu", "read_environment"];

/// Settings that have parts, only in the file.
const SECTIONS: [&str; 4] = ["exclude", "include", "kubernetes", "relabel_configs"];

/// One of them counts, from the door that wins.
const AUTH: [&str; 2] = ["token_file", "basic_auth_file"];

/// What the host agent samples less often than a process itself: every CPU of the machine.
const DEFAULTS: [(&str, &str); 2] = [("hz", "19"), ("memory", "128MiB")];

/// How the host agent works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it shares with the library: rate, interval, targets, credentials, limits. Its service
    /// name means nothing here; its labels are those of everything that is sent.
    pub config: Config,
    /// Whether time off the CPU is recorded: the shortest wait that is.
    pub off_cpu: Option<Duration>,
    /// Whether stacks go on in the kernel.
    pub kernel_stacks: bool,
    /// Whether the variables of processes that name a service are read.
    pub read_environment: bool,
    /// The API server to ask for pods.
    pub kubernetes: Option<Kubernetes>,
    /// What is profiled.
    pub selection: Selection,
    /// Rules for labels.
    pub rules: Rules,
    /// What looked wrong without being an error.
    pub warnings: Vec<String>,
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The settings file; none means all defaults.
    pub file: Option<PathBuf>,
    /// The environment. Only `SONDAGE_*`, `OTEL_*` and what Kubernetes sets is looked at.
    pub environment: BTreeMap<OsString, OsString>,
    /// Flags, by the names of the settings: `("hz", "19")` for `--hz 19`.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// This process' environment, unless it cannot be trusted.
    pub fn process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let trusted = environment_is_trusted();
        let environment = if trusted { std::env::vars_os().collect() } else { BTreeMap::new() };
        Self { file, environment, flags }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = self.environment.get(std::ffi::OsStr::new(name))?.to_str()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }
}

/// A setting's text, and what messages call it.
#[derive(Clone, Debug)]
struct Given {
    shown: String,
    text: String,
}

impl Settings {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for the first thing that is wrong: the message says where it is,
    /// what is allowed, and what may have been meant. [`ErrorKind::Io`] for a file that cannot be
    /// read.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        let file = match &sources.file {
            Some(path) => file::File::parse(&read(path)?, &path.display().to_string())?,
            None => file::File::default(),
        };
        let mut given = file.texts;
        let flags = flags(sources)?;
        for name in SHARED.iter().chain(&OWN) {
            // Variables of the library are its own to read, but win over the file here.
            let variable = format!("SONDAGE_{}", name.to_uppercase());
            if let Some(text) = sources.variable(&variable) {
                remove_auth(&mut given, name);
                match SHARED.contains(name) {
                    true => given.remove(*name),
                    false => given.insert((*name).to_owned(), Given { shown: variable, text }),
                };
            }
        }
        flags.iter().for_each(|(name, _)| remove_auth(&mut given, name));
        for (name, flag) in flags {
            given.insert(name, flag);
        }
        let config = shared(sources, &given)?;
        let own = |name: &str| given.get(name);
        let mut settings = Self {
            off_cpu: own("off_cpu").map(off_cpu).transpose()?.flatten(),
            kernel_stacks: own("kernel_stacks").map(on_or_off).transpose()?.unwrap_or(true),
            read_environment: own("read_environment").map(on_or_off).transpose()?.unwrap_or(true),
            kubernetes: None,
            selection: file.selection,
            rules: file.rules,
            warnings: config.warnings.clone(),
            config,
        };
        settings.kubernetes = settings.cluster(sources, own("kubernetes"), file.kubernetes)?;
        Ok(settings)
    }

    /// How labels of processes are made by these settings. Begins to watch the pods of Kubernetes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a node or server that cannot be one, [`ErrorKind::Io`] when
    /// there is no thread.
    pub fn recipe(&self, proc: Proc) -> Result<Recipe, Error> {
        let pods = self.kubernetes.clone().map(Kubernetes::watch).transpose();
        Ok(Recipe {
            proc,
            read_environment: self.read_environment,
            pods: pods.map_err(|message| Error::new(ErrorKind::InvalidInput, message))?,
            labels: self.config.labels.clone(),
            selection: self.selection.clone(),
            rules: self.rules.clone(),
        })
    }

    /// The cluster to ask: where it is wanted, or where this is a pod of one and nobody said no.
    fn cluster(
        &mut self,
        sources: &Sources,
        given: Option<&Given>,
        file: file::Cluster,
    ) -> Result<Option<Kubernetes>, Error> {
        let automatic = given.is_none_or(|given| given.text == "auto");
        let wanted = match given {
            Some(given) if !automatic => {
                on_or_off(given).map_err(|_| refused(given, "auto, on or off"))?
            }
            _ => sources.variable("KUBERNETES_SERVICE_HOST").is_some() || file.server.is_some(),
        };
        if !wanted {
            return Ok(None);
        }
        let variable = |name: &str| match name {
            "NODE_NAME" if file.node.is_some() => file.node.clone(),
            // What the file says about the server replaces it below.
            "KUBERNETES_SERVICE_HOST" if file.server.is_some() => Some("0.0.0.0".to_owned()),
            name => sources.variable(name),
        };
        let mut found = match Kubernetes::from_environment(variable) {
            Ok(found) => found,
            Err(message) if automatic => {
                self.warnings.push(format!("profiles get no labels of Kubernetes: {message}"));
                return Ok(None);
            }
            Err(message) => {
                return Err(Error::new(ErrorKind::InvalidInput, format!("kubernetes: {message}")));
            }
        };
        found.server = file.server.unwrap_or(found.server);
        found.token_file = file.token_file.unwrap_or(found.token_file);
        found.ca_file = file.ca_file.unwrap_or(found.ca_file);
        found.pod_labels = file.pod_labels;
        found.pod_annotations = file.pod_annotations;
        Ok(Some(found))
    }
}

fn flags(sources: &Sources) -> Result<Vec<(String, Given)>, Error> {
    let known = || SHARED.iter().chain(&OWN).copied();
    let flags = sources.flags.iter().map(|(name, text)| {
        let name = name.replace('-', "_");
        let shown = format!("--{}", name.replace('_', "-"));
        if !known().any(|known| known == name) {
            let meant = nearest(&name, known());
            let meant = meant.map(|known| format!("; did you mean --{}?", known.replace('_', "-")));
            let message = format!("{shown} is unknown{}", meant.unwrap_or_default());
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        Ok((name, Given { shown, text: text.clone() }))
    });
    flags.collect()
}

/// Credentials of a stronger door replace those of a weaker one, of whichever kind.
fn remove_auth(given: &mut BTreeMap<String, Given>, name: &str) {
    if AUTH.contains(&name) {
        AUTH.iter().for_each(|name| drop(given.remove(*name)));
    }
}

/// The library's own reading of what both have.
fn shared(sources: &Sources, given: &BTreeMap<String, Given>) -> Result<Config, Error> {
    let own = |name: &&OsString| {
        let name = name.to_string_lossy();
        let short = name.strip_prefix("SONDAGE_").map(str::to_lowercase);
        // The last is what the pods' manifest passes the file's name by.
        short.is_some_and(|short| OWN.contains(&short.as_str()) || short == "config")
    };
    let environment = sources.environment.iter().filter(|(name, _)| !own(name));
    let mut builder = Config::builder().environment(environment);
    for name in SHARED {
        let variable = name.to_uppercase();
        let default = DEFAULTS.iter().find(|(known, _)| *known == name);
        let set = sources.variable(&format!("SONDAGE_{variable}")).is_some();
        match (given.get(name), default) {
            (Some(given), _) => builder = builder.argument(&variable, &given.shown, &given.text),
            (None, Some((_, text))) if !set => builder = builder.argument(&variable, name, text),
            _ => {}
        }
    }
    builder.build()
}

fn refused(given: &Given, allowed: &str) -> Error {
    let shown: String = given.text.chars().take(100).collect();
    let message = format!("{} is {shown:?}; allowed: {allowed}", given.shown);
    Error::new(ErrorKind::InvalidInput, message)
}

fn on_or_off(given: &Given) -> Result<bool, Error> {
    switch(&given.text).map_err(|allowed| refused(given, &allowed))
}

/// A switch, where `on` means the default, or a time.
fn off_cpu(given: &Given) -> Result<Option<Duration>, Error> {
    // `1` and `0` are times in seconds.
    let digit = given.text.starts_with(|char: char| char.is_ascii_digit());
    if !digit && let Ok(on) = switch(&given.text) {
        return Ok(on.then_some(DEFAULT_OFF_CPU));
    }
    match duration(&given.text) {
        Ok(shortest) if !shortest.is_zero() && shortest <= Duration::from_secs(60) => {
            Ok(Some(shortest))
        }
        _ => Err(refused(given, "on, off, or the shortest wait that counts, at most 60s: 1ms")),
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    if let Err(error) = read {
        let message = format!("cannot read the settings in {}: {error}", path.display());
        return Err(Error::new(ErrorKind::Io, message).with_source(error));
    }
    if text.len() as u64 > MAX_FILE {
        let message = format!("{}: more than {} KiB of settings", path.display(), MAX_FILE >> 10);
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
