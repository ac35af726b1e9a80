//! The agent: watches the machine, and delivers a profile of it every so often.

use crate::identities::Identities;
use crate::identity::Proc;
use crate::machine::{Described, Machine, MachineOptions, MachineStats};
use crate::metrics;
use crate::rights;
use crate::series::BySeries;
use crate::settings::Settings;
use sondage::config::Target;
use sondage::context::ProcessContext;
use sondage::export::{self, ExportStats, Exporter, Sink};
use sondage::profile::Profile;
use sondage::resolve::Budget;
use sondage::{CounterServer, Error, ErrorKind};
use sondage_ebpf::HostOptions;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often records are read when nothing hurries.
const TICK: Duration = Duration::from_millis(100);

/// How long stopping waits for uploads.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The agent of a machine. To be used on one thread.
#[derive(Debug)]
pub struct HostAgent {
    machine: Machine,
    exporter: Exporter,
    interval: Duration,
    next_flush: Instant,
    /// What is told to Prometheus, as of the last profile.
    counters: Arc<Mutex<String>>,
    _servers: Vec<CounterServer>,
    /// What looked wrong without being an error.
    pub warnings: Vec<String>,
    /// Rights that were given up once the programs were loaded.
    pub given_up: Vec<String>,
}

impl HostAgent {
    /// Loads the programs, gives up every right that is no longer needed, and starts watching.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the kernel or the process' rights do not allow it, with what
    /// is missing and how to get it; [`ErrorKind::InvalidInput`] and [`ErrorKind::Io`] as the
    /// settings' targets have them.
    pub fn start(settings: &Settings, proc: Proc) -> Result<Self, Error> {
        let config = &settings.config;
        let mut sinks = export::sinks(config)?;
        let identities = Arc::new(Mutex::new(None));
        let describe = describer(identities.clone());
        let machine = Machine::start(machine_options(settings), describe)
            .map_err(|error| Error::new(ErrorKind::Unsupported, error.to_string()))?;
        let mut warnings = settings.warnings.clone();
        let given_up = rights::give_up_the_rest().unwrap_or_else(|error| {
            warnings.push(format!("rights that are not needed could not be given up: {error}"));
            Vec::new()
        });
        // Threads begin only now: they have the rights of this one.
        *lock(&identities) = Some(Identities::new(settings.recipe(proc)?));
        let keys = machine.series_keys();
        sinks = sinks
            .into_iter()
            .map(|sink| match sink.is_local() {
                true => sink,
                false => Box::new(BySeries::new(sink, keys.clone())) as Box<dyn Sink>,
            })
            .collect();
        let options = export::Options::from_config(config)?;
        let exporter = Exporter::start(sinks, &options, |builder, body| builder.spawn(body))?;
        let counters = Arc::new(Mutex::new(String::new()));
        let servers = serve(settings, &counters)?;
        let interval = config.interval;
        let next_flush = Instant::now() + interval;
        Ok(Self {
            machine,
            exporter,
            interval,
            next_flush,
            counters,
            _servers: servers,
            warnings,
            given_up,
        })
    }

    /// Watches for a moment, and delivers the profile when it is time: then it is returned too.
    pub fn work(&mut self) -> Option<Arc<Profile>> {
        let left = self.next_flush.saturating_duration_since(Instant::now());
        self.machine.wait(left.min(TICK));
        self.machine.work();
        (Instant::now() >= self.next_flush).then(|| self.deliver())
    }

    /// Delivers what has come since the last profile.
    pub fn deliver(&mut self) -> Arc<Profile> {
        self.next_flush = Instant::now() + self.interval;
        let profile = Arc::new(self.machine.flush());
        self.exporter.submit(&profile);
        *lock(&self.counters) = metrics::text(&self.machine.stats(), &self.exporter.stats());
        profile
    }

    /// What has happened so far.
    pub fn stats(&self) -> (MachineStats, Vec<ExportStats>) {
        (self.machine.stats(), self.exporter.stats())
    }

    /// Delivers the last profile and stops; waits 5 s at most for uploads.
    pub fn stop(mut self) -> (Arc<Profile>, MachineStats, Vec<ExportStats>) {
        let last = self.deliver();
        let stats = self.machine.stats();
        drop(self.machine);
        (last, stats, self.exporter.stop(Instant::now() + EXPORT_TIMEOUT))
    }
}

/// Counters for whom the settings let in: `pull+http` is the port that they are fetched from.
fn serve(settings: &Settings, counters: &Arc<Mutex<String>>) -> Result<Vec<CounterServer>, Error> {
    let mut servers = Vec::new();
    for target in &settings.config.targets {
        let Target::Pull(address) = target else { continue };
        let (token, counters) = (settings.config.pull_token_file.clone(), counters.clone());
        let told = move || lock(&counters).clone();
        let server =
            CounterServer::open(*address, token, told, |builder, body| builder.spawn(body));
        servers.push(server.map_err(|error| {
            Error::new(error.kind(), format!("{target}: cannot listen: {error}"))
        })?);
    }
    Ok(servers)
}

fn machine_options(settings: &Settings) -> MachineOptions {
    let config = &settings.config;
    let hertz = NonZeroU32::new(config.hz).unwrap_or(NonZeroU32::MIN);
    let memory = usize::try_from(config.limits.memory_bytes).unwrap_or(usize::MAX);
    let symbols = usize::try_from(config.limits.symbol_bytes).unwrap_or(usize::MAX);
    let sampling = HostOptions {
        hertz,
        max_depth: config.limits.max_depth,
        kernel_stacks: settings.kernel_stacks,
        // The rest is for stacks and for what is known of processes.
        table_bytes: memory / 2,
        off_cpu: settings.off_cpu.is_some(),
        ..HostOptions::default()
    };
    let symbols = Budget { cache_bytes: symbols, ..Budget::default() };
    MachineOptions { sampling, symbols, shortest_wait: settings.off_cpu.unwrap_or_default() }
}

/// Tells the labels of processes, once there are identities; those of a process that is gone already
/// are the name of its thread.
fn describer(
    identities: Arc<Mutex<Option<Identities>>>,
) -> impl FnMut(u32, &str, Option<&ProcessContext>) -> Described + Send + 'static {
    move |pid, comm, context| {
        let mut identities = lock(&identities);
        let by_name = || Some(vec![("service_name".to_owned(), comm.to_owned())]);
        let Some(identities) = identities.as_mut() else { return by_name() };
        let attributes = context.map(|context| context.resource.iter().cloned().collect());
        identities.set_context(pid, attributes.unwrap_or_default());
        match identities.describe(pid) {
            Some(found) => Some(found.labels.clone()),
            None if identities.is_excluded(pid) => None,
            None => by_name(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
