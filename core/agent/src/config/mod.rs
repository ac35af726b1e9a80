//! How the agent is set up: defaults, then OpenTelemetry's variables, then `SONDAGE_*`, then the
//! program, where the later wins.
//!
//! ```
//! use sondage::config::Config;
//!
//! let environment = [("SONDAGE_HZ", "49"), ("OTEL_SERVICE_NAME", "shop")];
//! let config = Config::builder().environment(environment).wall(true).build()?;
//! assert_eq!((config.hz, config.wall), (49, true));
//! assert_eq!(config.service_name, "shop");
//! # Ok::<(), sondage::Error>(())
//! ```

mod builder;
mod endpoint;
mod environment;
mod otlp_variables;
mod secret;
mod setting;
mod suggest;
mod target;
mod trust;
mod value;

use crate::export::FileLimits;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

pub use builder::Builder;
pub use endpoint::Endpoint;
pub use secret::Auth;
pub use secret::Secret;
pub use secret::SecretSource;
pub use suggest::nearest;
pub use target::Target;
pub use trust::environment_is_trusted;
pub use value::bytes;
pub use value::duration;
pub use value::switch;

#[cfg(feature = "push")]
pub(crate) use value::headers;

/// How to profile and where to send it. [`Default`] profiles CPU time at 100 Hz and writes a file
/// every 10 seconds; nothing goes on the network.
///
/// [`Builder`] checks what it is given; a `Config` made by hand is taken as it is. Write
/// `..Config::default()` at its end: fields are added.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whether to profile at all.
    pub enabled: bool,
    /// The service's name, the first label of every profile. By default the name of the program.
    pub service_name: String,
    /// Labels of the whole process, at most 64; `service_name` is not one of them.
    pub labels: Vec<(String, String)>,
    /// Samples a second of CPU time, for each thread; 1 to 5000. CPU timers are clamped to
    /// the kernel's tick, perf events are not; what costs more than the budget is lowered.
    pub hz: u32,
    /// Whether waiting time is recorded too.
    pub wall: bool,
    /// Whether signals may be used.
    pub signals: SignalPolicy,
    /// What takes the samples.
    pub engine: EnginePolicy,
    /// Whether inlined functions are read from debug information.
    pub inlines: bool,
    /// Whether profiles of Python programs show the interpreter's own native frames, which are
    /// hidden otherwise: those of its file except where they are the leaf, then named without a
    /// line, and what started a thread before its first Python function.
    pub python_internals: bool,
    /// Beginnings of file names: Python frames of such files are hidden unless they are the leaf.
    /// By default none. The Python package puts its own folder here, so that its decorators do not
    /// stand in everybody's stacks.
    pub python_hidden: Vec<String>,
    /// How frames of Java are got, in a process with a Java virtual machine.
    pub java: JavaPolicy,
    /// Bytes between two samples of allocated memory, on average: each flush then makes a second
    /// profile, of memory that was allocated and that is in use. 1 (every allocation) to 1 GiB; by
    /// default none are taken. Needs a runtime that tells of its allocations: CPython, by the
    /// package `sondage`.
    pub heap: Option<u64>,
    /// Time of waiting for locks between two samples of that, on average: each flush then makes a
    /// profile of waits. 1 ms to 1 s; by default none are taken. Needs a runtime that tells of its
    /// locks: HotSpot, by `sondage.jar`.
    pub locks: Option<Duration>,
    /// Time between two profiles; 100 ms to 1 hour.
    pub interval: Duration,
    /// Where profiles are sent, at most 8. With none they are only returned by the agent.
    pub targets: Vec<Target>,
    /// How servers are spoken to.
    pub http: Http,
    /// Whether servers get trace ids beside span ids. Some, Pyroscope 1 and Parca among them, then
    /// store a series for each trace.
    pub trace_ids: bool,
    /// Whether the agent can be asked and changed from outside, by the same user or root: through
    /// a socket without a file, see [`control`](crate::control).
    pub control: bool,
    /// The share of the host's CPU time that the profiler may use, by default a hundredth; a tenth
    /// of that share of one core is allowed to a host that idles. The rate is lowered while the
    /// agent and its signal handlers use more for three seconds, and raised again later. With 1 it
    /// never is.
    pub budget: f64,
    /// The share of processes that profile, above 0 and at most 1. Each decides at random when its
    /// agent starts; what one that profiles sees counts for the others too.
    pub participation: f64,
    /// The file with the token that readers of a [`Target::Pull`] must send, as
    /// `Authorization: Bearer`. It is read again for every request. Without one only loopback
    /// addresses may be listened on.
    pub pull_token_file: Option<PathBuf>,
    /// How long the end of the process is held up at most, by `exit` or by a SIGTERM that the host
    /// leaves to its default, so that the last profile is delivered; 0 (not at all) to 30 s, by
    /// default 2 s. Without targets it is not held up.
    pub exit_timeout: Duration,
    /// Directory where uploads to servers wait on disk, so that they survive an outage of the
    /// server and the end of the process; by default none. Files need no such thing. The folder
    /// that is made in it must be this user's; that nobody else can rename it there is for who
    /// chooses the directory to see to.
    pub spool: Option<PathBuf>,
    /// What the agent may use.
    pub limits: Limits,
    /// What looked wrong in the settings without being an error: show these to the user.
    pub warnings: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            service_name: program_name(),
            labels: Vec::new(),
            hz: 100,
            wall: false,
            signals: SignalPolicy::Auto,
            engine: EnginePolicy::Auto,
            inlines: true,
            python_internals: false,
            python_hidden: Vec::new(),
            java: JavaPolicy::Auto,
            heap: None,
            locks: None,
            interval: Duration::from_secs(10),
            targets: vec![Target::File(PathBuf::from("./sondage-profiles"))],
            http: Http::default(),
            trace_ids: false,
            control: true,
            budget: 0.01,
            participation: 1.0,
            pull_token_file: None,
            exit_timeout: Duration::from_secs(2),
            spool: None,
            limits: Limits::default(),
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// The highest [`hz`](Self::hz).
    pub const MAX_HZ: u32 = 5000;

    /// A builder that has nothing set.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The defaults, changed by this process' environment, which is ignored with a warning when
    /// it [cannot be trusted](environment_is_trusted).
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn from_env() -> Result<Self, crate::Error> {
        Self::builder().process_environment().build()
    }

    /// The labels that every profile carries: `service_name` and [`labels`](Self::labels).
    pub fn process_labels(&self) -> Vec<(String, String)> {
        let service = ("service_name".to_owned(), self.service_name.clone());
        std::iter::once(service).chain(self.labels.iter().cloned()).collect()
    }
}

fn program_name() -> String {
    let path = std::env::current_exe().ok();
    let name = path.as_deref().and_then(|path| path.file_name()?.to_str());
    name.map_or_else(|| "unknown_service".to_owned(), str::to_owned)
}

/// Whether signals may be used to take samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalPolicy {
    /// The engine that works here, which may be one with signals.
    #[default]
    Auto,
    /// Never: only engines without signals.
    Off,
}

/// What takes the samples. Where what is asked for cannot be had, CPU timers do it, and
/// [`Stats::engine_reason`](crate::Stats::engine_reason) says why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnginePolicy {
    /// CPU timers; for a program with an interpreter perf events, where they count time in the
    /// kernel too and cost at most 0.5 % at the set rate. Where signals do not do, and for as long as
    /// they do not, [`Ebpf`](Self::Ebpf), if it can be had (`docs/decisions/0019-fallback.md`).
    #[default]
    Auto,
    /// A CPU timer for each thread: exact sums, at the kernel's tick.
    Timer,
    /// A perf event for each thread: not bound to the tick, so that threads which hand a lock to
    /// each other are told apart. Three to ten times dearer, above all in virtual machines, and in
    /// most containers forbidden.
    Perf,
    /// An eBPF program, which needs no signal and no timer: sees threads that block signals, and
    /// costs the host nothing but the kernel's own interrupts. Needs the feature `ebpf`, and
    /// CAP_BPF and CAP_PERFMON; frames of Python, JavaScript and Java are not read.
    Ebpf,
    /// One CPU timer for the process: sees threads that live for milliseconds without being told
    /// of them. The CPU time of Sondage itself falls on threads of the host, at most 1 %.
    Process,
    /// Nothing here does: no signal is taken and no timer made. A binding to a runtime whose frames
    /// cannot be read from outside takes the stacks itself, by
    /// [`Agent::add_foreign`](crate::Agent::add_foreign), at
    /// [`Status::current_hz`](crate::Status::current_hz); CPU time that they do not stand for is
    /// shown as unsampled. Only a program sets this: the environment has no word for it.
    Handed {
        /// How stacks are taken, as [`ForeignStack::source`](crate::ForeignStack::source).
        source: &'static str,
        /// Why so, for [`Stats::engine_reason`](crate::Stats::engine_reason).
        reason: &'static str,
    },
}

/// How frames of Java are got. The binding acts on it; to the core it means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JavaPolicy {
    /// From the virtual machine's own structures, where they are as they are known to be; otherwise by
    /// JDK Flight Recorder, where the runtime has it; otherwise none.
    #[default]
    Auto,
    /// From the virtual machine's own structures or not at all.
    Walk,
    /// By JDK Flight Recorder or not at all.
    Jfr,
    /// Not at all: native frames only.
    Native,
}

/// How servers are spoken to. Every one gets the same, but for the headers that OTLP has of its own
/// and Datadog, which gets neither credentials nor tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// Credentials sent with every upload.
    pub auth: Auth,
    /// Value of the `X-Scope-OrgID` header, by which Pyroscope tells tenants apart.
    pub tenant: Option<String>,
    /// Headers of uploads by OTLP, which win over the two above: `name=value,name=value`, with
    /// `%` and two hexadecimal digits for what may not stand there.
    pub otlp_headers: Option<SecretSource>,
    /// The API key for Datadog without an agent.
    pub datadog_key: Option<SecretSource>,
    /// PEM file of the certificate authorities to trust instead of Mozilla's, which are built in.
    /// It is read again for every upload.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the certificate, with its chain, and of its private key, by which uploads
    /// prove who they are. They are read again for every upload.
    pub client_cert: Option<PathBuf>,
    /// See [`client_cert`](Self::client_cert); in PKCS #8, PKCS #1 or SEC 1 form.
    pub client_key: Option<PathBuf>,
    /// Whether a proxy is used.
    pub proxy: ProxyPolicy,
}

/// Whether uploads go through a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyPolicy {
    /// Directly to the server, whatever the environment says.
    #[default]
    Off,
    /// As `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    Environment,
}

/// What the agent may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory in all; 8 MiB to 64 GiB, by default 64 MiB.
    pub memory_bytes: u64,
    /// Bytes of it that symbol caches may hold, by default 24 MiB; 0 turns names from debug
    /// information off.
    pub symbol_bytes: u64,
    /// Bytes of disk that the spool of one target may hold, for all processes of the service
    /// together; 4 MiB to 64 GiB, by default 64 MiB. The oldest uploads go.
    pub spool_bytes: u64,
    /// What the directory of a [`Target::File`] keeps: 1 to 1,000,000 files, 1 MiB to 1 TiB, a minute
    /// to 10 years. The oldest files go.
    pub files: FileLimits,
    /// Threads sampled at once; 1 to 65,536, by default 1024.
    pub max_threads: u32,
    /// Frames of one stack; 1 to 512, by default 128.
    pub max_depth: u32,
    /// Distinct label sets of one process; 1 to 65,536, by default 16,384. A further one becomes
    /// `__overflow__`.
    pub max_label_sets: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            symbol_bytes: 24 << 20,
            spool_bytes: 64 << 20,
            files: FileLimits::default(),
            max_threads: 1024,
            max_depth: 128,
            max_label_sets: 16_384,
        }
    }
}
