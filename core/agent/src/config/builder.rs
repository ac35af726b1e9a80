//! Settings from the program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::setting::{Refusal, Setting};
use super::{
    Auth, Config, EnginePolicy, JavaPolicy, ProxyPolicy, SecretSource, SignalPolicy, Target,
    environment_is_trusted,
};
use crate::error::Error;

/// Collects settings and checks them. What is set here wins over the environment.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is checked before build"]
pub struct Builder {
    settings: Vec<Setting>,
    environment: Environment,
    distrusted: bool,
}

impl Builder {
    /// Takes variables from here, for example from [`std::env::vars_os`]. Only `SONDAGE_*` and
    /// `OTEL_*` are looked at.
    pub fn environment<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.environment = Environment::new(variables).with_arguments_of(self.environment);
        self
    }

    /// Sets what the variable `SONDAGE_{variable}` sets, by the same text, for programs in other
    /// languages: it wins over the environment, messages call it `name`, and a variable that
    /// there is not is an error.
    ///
    /// ```
    /// let builder = sondage::Config::builder().argument("HZ", "hz", "fast");
    /// let message = builder.build().unwrap_err().to_string();
    /// assert_eq!(message, r#"hz is "fast"; allowed: a whole number"#);
    /// ```
    pub fn argument(mut self, variable: &str, name: &str, text: &str) -> Self {
        self.environment.argument(variable, name, text);
        self
    }

    /// Takes variables from this process' environment, unless it
    /// [cannot be trusted](environment_is_trusted): then it is ignored, with a warning.
    pub fn process_environment(mut self) -> Self {
        if environment_is_trusted() {
            return self.environment(std::env::vars_os());
        }
        self.distrusted = true;
        self
    }

    /// See [`Config::enabled`].
    pub fn enabled(self, enabled: bool) -> Self {
        self.with(Setting::Enabled(enabled))
    }

    /// See [`Config::service_name`]; 1 to 1024 bytes.
    pub fn service_name(self, name: impl Into<String>) -> Self {
        self.with(Setting::ServiceName(name.into()))
    }

    /// Adds a label to [`Config::labels`]; of the same name the last wins. Names have at most 128
    /// bytes and do not begin with `__`, values have at most 1024 bytes.
    pub fn label(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(Setting::Labels(vec![(name.into(), value.into())]))
    }

    /// See [`Config::hz`]; 1 to 5000.
    pub fn hz(self, hz: u32) -> Self {
        self.with(Setting::Hz(hz))
    }

    /// See [`Config::wall`].
    pub fn wall(self, wall: bool) -> Self {
        self.with(Setting::Wall(wall))
    }

    /// See [`Config::signals`].
    pub fn signals(self, policy: SignalPolicy) -> Self {
        self.with(Setting::Signals(policy))
    }

    /// See [`Config::engine`].
    pub fn engine(self, policy: EnginePolicy) -> Self {
        self.with(Setting::Engine(policy))
    }

    /// See [`Config::inlines`].
    pub fn inlines(self, inlines: bool) -> Self {
        self.with(Setting::Inlines(inlines))
    }

    /// See [`Config::java`].
    pub fn java(self, policy: JavaPolicy) -> Self {
        self.with(Setting::Java(policy))
    }

    /// See [`Config::python_internals`].
    pub fn python_internals(self, shown: bool) -> Self {
        self.with(Setting::PythonInternals(shown))
    }

    /// Adds a beginning of file names to [`Config::python_hidden`].
    pub fn python_hidden(self, prefix: impl Into<String>) -> Self {
        self.with(Setting::PythonHidden(prefix.into()))
    }

    /// See [`Config::heap`]; 1 byte to 1 GiB, or `None` for off.
    pub fn heap(self, rate: Option<u64>) -> Self {
        self.with(Setting::Heap(rate))
    }

    /// See [`Config::locks`]; 1 ms to 1 s, or `None` for off.
    pub fn locks(self, rate: Option<Duration>) -> Self {
        self.with(Setting::Locks(rate))
    }

    /// See [`Config::interval`]; 100 ms to 1 hour.
    pub fn interval(self, interval: Duration) -> Self {
        self.with(Setting::Interval(interval))
    }

    /// See [`Config::targets`]; replaces the default and those of the environment.
    pub fn targets(self, targets: impl IntoIterator<Item = Target>) -> Self {
        self.with(Setting::Targets(targets.into_iter().collect()))
    }

    /// See [`Http::auth`](super::Http::auth).
    pub fn auth(self, auth: Auth) -> Self {
        self.with(Setting::Auth(auth))
    }

    /// See [`Http::tenant`](super::Http::tenant); 1 to 150 characters.
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        self.with(Setting::Tenant(tenant.into()))
    }

    /// See [`Http::otlp_headers`](super::Http::otlp_headers).
    pub fn otlp_headers(self, headers: SecretSource) -> Self {
        self.with(Setting::OtlpHeaders(headers))
    }

    /// See [`Http::datadog_key`](super::Http::datadog_key).
    pub fn datadog_key(self, key: SecretSource) -> Self {
        self.with(Setting::DatadogKey(key))
    }

    /// See [`Config::trace_ids`].
    pub fn trace_ids(self, sent: bool) -> Self {
        self.with(Setting::TraceIds(sent))
    }

    /// See [`Http::client_cert`](super::Http::client_cert): both files.
    pub fn client_identity(self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.with(Setting::ClientCert(cert.into())).with(Setting::ClientKey(key.into()))
    }

    /// See [`Http::ca_file`](super::Http::ca_file).
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Self {
        self.with(Setting::CaFile(path.into()))
    }

    /// See [`Http::proxy`](super::Http::proxy).
    pub fn proxy(self, policy: ProxyPolicy) -> Self {
        self.with(Setting::Proxy(policy))
    }

    /// See [`Config::control`].
    pub fn control(self, control: bool) -> Self {
        self.with(Setting::Control(control))
    }

    /// See [`Config::budget`]; 0.0001 to 1.
    pub fn budget(self, share: f64) -> Self {
        self.with(Setting::Budget(share))
    }

    /// See [`Config::participation`]; 0.0001 to 1.
    pub fn participation(self, share: f64) -> Self {
        self.with(Setting::Participation(share))
    }

    /// See [`Config::pull_token_file`].
    pub fn pull_token_file(self, path: impl Into<PathBuf>) -> Self {
        self.with(Setting::PullTokenFile(path.into()))
    }

    /// See [`Config::exit_timeout`]; at most 30 s.
    pub fn exit_timeout(self, timeout: Duration) -> Self {
        self.with(Setting::ExitTimeout(timeout))
    }

    /// See [`Config::spool`].
    pub fn spool(self, dir: impl Into<PathBuf>) -> Self {
        self.with(Setting::Spool(dir.into()))
    }

    /// See [`Limits::spool_bytes`](super::Limits::spool_bytes); 4 MiB to 64 GiB.
    pub fn spool_bytes(self, bytes: u64) -> Self {
        self.with(Setting::SpoolBytes(bytes))
    }

    /// See [`Limits::files`](super::Limits::files); 1 to 1,000,000.
    pub fn file_count(self, files: u32) -> Self {
        self.with(Setting::FileCount(files))
    }

    /// See [`Limits::files`](super::Limits::files); 1 MiB to 1 TiB.
    pub fn file_bytes(self, bytes: u64) -> Self {
        self.with(Setting::FileBytes(bytes))
    }

    /// See [`Limits::files`](super::Limits::files); a minute to 10 years.
    pub fn file_age(self, age: Duration) -> Self {
        self.with(Setting::FileAge(age))
    }

    /// See [`Limits::memory_bytes`](super::Limits::memory_bytes); 8 MiB to 64 GiB.
    pub fn memory_bytes(self, bytes: u64) -> Self {
        self.with(Setting::MemoryBytes(bytes))
    }

    /// See [`Limits::symbol_bytes`](super::Limits::symbol_bytes); at most
    /// [`memory_bytes`](Self::memory_bytes).
    pub fn symbol_bytes(self, bytes: u64) -> Self {
        self.with(Setting::SymbolBytes(bytes))
    }

    /// See [`Limits::max_threads`](super::Limits::max_threads); 1 to 65,536.
    pub fn max_threads(self, threads: u32) -> Self {
        self.with(Setting::MaxThreads(threads))
    }

    /// See [`Limits::max_depth`](super::Limits::max_depth); 1 to 512.
    pub fn max_depth(self, frames: u32) -> Self {
        self.with(Setting::MaxDepth(frames))
    }

    /// See [`Limits::max_label_sets`](super::Limits::max_label_sets); 1 to 65,536.
    pub fn max_label_sets(self, sets: u32) -> Self {
        self.with(Setting::MaxLabelSets(sets))
    }

    /// Checks everything and puts it together: defaults, environment, this builder.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for the first wrong value,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a target of a later version.
    /// The message names the setting, its value unless that is secret, and what is allowed.
    pub fn build(self) -> Result<Config, Error> {
        let mut config = Config::default();
        if self.distrusted {
            let warning = "this process runs with raised privileges: its environment is ignored";
            config.warnings.push(warning.to_owned());
        }
        self.environment.apply(&mut config)?;
        for setting in self.settings {
            let (name, shown) = (setting.name(), setting.shown());
            setting.apply(&mut config).map_err(|refusal| match refusal {
                Refusal::Allowed(allowed) => {
                    Error::invalid(format!("{name} is {shown}; allowed: {allowed}"))
                }
                Refusal::Error(error) => {
                    Error::new(error.kind(), format!("{name}: {error}")).with_source(error)
                }
            })?;
        }
        check_whole(&mut config)?;
        Ok(config)
    }

    fn with(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
    }
}

/// Checks what no setting alone can tell.
fn check_whole(config: &mut Config) -> Result<(), Error> {
    let limits = &config.limits;
    if limits.symbol_bytes > limits.memory_bytes {
        // The user lowered one of them; the other is a default.
        if limits.symbol_bytes != super::Limits::default().symbol_bytes {
            let (symbols, memory) = (limits.symbol_bytes, limits.memory_bytes);
            let allowed = "at most the memory limit";
            let message = format!("symbol_bytes is {symbols}; allowed: {allowed}, {memory}");
            return Err(Error::invalid(message));
        }
        config.limits.symbol_bytes = limits.memory_bytes / 2;
    }
    let http = &config.http;
    if http.client_cert.is_some() != http.client_key.is_some() {
        let message = "a client certificate needs its private key and the reverse: set both \
                       client_cert and client_key";
        return Err(Error::invalid(message));
    }
    let mut warnings = Vec::new();
    for target in &config.targets {
        if let Target::Pull(address) = target
            && !address.ip().is_loopback()
            && config.pull_token_file.is_none()
        {
            let message = format!(
                "{target}: everyone who reaches the address could read the profiles; \
                 set SONDAGE_PULL_TOKEN_FILE, or listen on 127.0.0.1"
            );
            return Err(Error::invalid(message));
        }
        let Some(endpoint) = target.endpoint() else { continue };
        let secret = match target {
            Target::Datadog(_) => false,
            Target::DatadogIntake(_) if http.datadog_key.is_none() => {
                let message = format!("{target} needs an API key: set SONDAGE_DATADOG_KEY_FILE");
                return Err(Error::invalid(message));
            }
            Target::DatadogIntake(_) => true,
            Target::OtlpHttp(_) | Target::OtlpGrpc(_) if http.otlp_headers.is_some() => true,
            _ => http.auth != Auth::None,
        };
        if secret && !endpoint.is_encrypted() && !endpoint.is_loopback() {
            warnings.push(format!("{target}: credentials travel unencrypted; use TLS"));
        }
    }
    config.warnings.append(&mut warnings);
    Ok(())
}
