//! The way from signals to eBPF and back: five causes, forced and lifted.
//!
//! What is claimed of each: samples come from eBPF while the cause lasts and from timers again
//! after it; the CPU time that samples stand for is what the process used, so that none counts
//! twice and a move costs no thread more than one interval; labels are the same from both.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the scenarios are the host's own system calls"
)]

use crate::child::{PATIENCE, isolated};
use crate::gate;
use crate::notified::Filter;
use crate::sys;
use crate::workload::burn;
use sondage::config::{EnginePolicy, SignalPolicy};
use sondage::context::ProcessContext;
use sondage::profile::Profile;
use sondage::{Agent, Config, Stats};
use std::ffi::{c_int, c_void};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const HZ: u32 = 100;
const INTERVAL: u64 = 10_000_000;

pub fn config() -> Config {
    Config {
        hz: HZ,
        service_name: "shop".to_owned(),
        labels: vec![("region".to_owned(), "eu".to_owned())],
        interval: Duration::from_secs(3600),
        targets: Vec::new(),
        control: false,
        // Moves are what is looked at, not what the builds of tests cost.
        budget: 1.0,
        ..Config::default()
    }
}

/// An agent and what it has told so far.
struct Watched {
    agent: Agent,
    start: Stats,
    last: Stats,
}

/// What one flush has told.
struct Period {
    profile: Arc<Profile>,
    sampled: u64,
    host: u64,
}

impl Watched {
    fn start(config: Config) -> Self {
        let agent = Agent::start(config).expect("an agent starts");
        agent.flush().unwrap();
        let start = agent.stats();
        Self { agent, last: start.clone(), start }
    }

    /// Burns CPU time under a label, and flushes.
    fn period(&mut self, millis: u64) -> Period {
        sondage::labels([("part", "main")]).scope(|| burn(Duration::from_millis(millis)));
        let profile = self.agent.flush().unwrap();
        let now = self.agent.stats();
        assert_eq!(now.failure, None);
        let period = Period {
            profile,
            sampled: now.sampled_cpu - self.last.sampled_cpu,
            host: now.host_cpu - self.last.host_cpu,
        };
        println!(
            "{}: {} of {} ms sampled, sources {:?}; {}",
            now.engine,
            period.sampled / 1_000_000,
            period.host / 1_000_000,
            period.profile.meta.sources,
            now.engine_reason.as_deref().unwrap_or("")
        );
        self.last = now;
        period
    }

    fn engine(&self) -> String {
        self.agent.status().stats.engine
    }

    /// Burns until this engine takes the samples.
    fn until(&mut self, engine: &str) {
        for _ in 0..12 {
            if self.engine() == engine {
                return;
            }
            self.period(300);
        }
        panic!("{} instead of {engine}: {:?}", self.last.engine, self.last.engine_reason);
    }

    /// The main thread is sampled by this engine alone, as much as it runs, with its label.
    fn is_sampled_by(&mut self, engine: &str) {
        // On a busy machine the agent may find the thread somewhat later.
        let mut period = self.period(2_000);
        for _ in 0..4 {
            if is_close(period.sampled, period.host) {
                break;
            }
            period = self.period(2_000);
        }
        let Period { profile, sampled, host } = period;
        assert_eq!(profile.meta.sources, [engine]);
        assert_close(sampled, host);
        let labelled = by_label(&profile, "part", "main");
        assert!(labelled * 10 > 2_000_000_000 * 7, "{labelled} ns are labelled");
    }

    /// From the start to now, with every move: no sample counted twice.
    fn never_counted_twice(&self) {
        let sampled = self.last.sampled_cpu - self.start.sampled_cpu;
        let host = self.last.host_cpu - self.start.host_cpu;
        let slack = noise(host);
        println!("in all {} of {} ms", sampled / 1_000_000, host / 1_000_000);
        assert!(sampled <= host + slack, "{sampled} of {host}");
    }

    fn stop(self) {
        self.agent.stop().unwrap();
        assert!(sys::timers().is_empty());
    }
}

/// Four standard deviations of what a clock of every processor counts for a thread that is moved
/// and preempted, and two intervals.
fn noise(cpu: u64) -> u64 {
    let samples = cpu as f64 / INTERVAL as f64;
    ((4.0 * samples.sqrt() + 2.0) * INTERVAL as f64) as u64
}

fn is_close(sampled: u64, host: u64) -> bool {
    sampled.abs_diff(host) <= noise(host)
}

fn assert_close(sampled: u64, host: u64) {
    assert!(is_close(sampled, host), "{sampled} of {host}");
}

fn by_label(profile: &Profile, key: &str, value: &str) -> u64 {
    let has = |sample: &&sondage::profile::Sample| {
        profile.labels(sample.labels).any(|pair| pair == (key, value))
    };
    let cpu = profile.samples().iter().filter(has).map(|sample| sample.values[1]);
    u64::try_from(cpu.sum::<i64>()).unwrap()
}

fn limit_pending(limit: u64) {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_SIGPENDING, &raw mut now), 0);
        now.rlim_cur = limit.min(now.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_SIGPENDING, &raw const now), 0);
    }
}

/// A thread that burns until it is told to end.
struct Busy {
    ends: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Busy {
    fn start(prepare: impl Fn() + Send + 'static, each: impl Fn() + Send + 'static) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let end = ends.clone();
        let thread = std::thread::spawn(move || {
            prepare();
            while !end.load(Relaxed) {
                each();
                let labels = sondage::labels([("part", "busy")]);
                labels.scope(|| burn(Duration::from_millis(5)));
            }
        });
        Self { ends, thread }
    }

    fn end(self) {
        self.ends.store(true, Relaxed);
        self.thread.join().unwrap();
    }
}

#[test]
fn without_queued_signals_ebpf_takes_the_samples_until_there_are_some() {
    isolated(PATIENCE, || {
        if !gate::has_ebpf("fallback: RLIMIT_SIGPENDING") {
            return;
        }
        limit_pending(0);
        let mut watched = Watched::start(config());
        assert_eq!(watched.engine(), "ebpf");
        let reason = watched.agent.status().stats.engine_reason.unwrap();
        assert!(reason.starts_with("no CPU timers: "), "{reason}");
        watched.is_sampled_by("ebpf");
        limit_pending(u64::MAX);
        watched.until("timer");
        watched.is_sampled_by("timer");
        // And while it runs: threads that begin now are refused.
        limit_pending(0);
        let busy = Busy::start(|| {}, || {});
        watched.until("ebpf");
        let period = watched.period(1_000);
        assert!(by_label(&period.profile, "part", "busy") > 0, "the refused thread is seen");
        busy.end();
        limit_pending(u64::MAX);
        watched.until("timer");
        watched.is_sampled_by("timer");
        watched.never_counted_twice();
        watched.stop();
    });
}

#[test]
fn where_a_filter_refuses_timers_ebpf_takes_the_samples_until_it_allows_them() {
    isolated(PATIENCE, || {
        if !gate::has_ebpf("fallback: seccomp") {
            return;
        }
        let filter = Filter::of(libc::SYS_timer_create);
        // The agent's thread is started by one that is filtered.
        let starter = std::thread::spawn({
            let filter = filter.clone();
            move || {
                filter.apply();
                Watched::start(config())
            }
        });
        let mut watched = starter.join().unwrap();
        assert_eq!(watched.engine(), "ebpf");
        let reason = watched.agent.status().stats.engine_reason.unwrap();
        assert!(reason.contains("EPERM"), "{reason}");
        watched.is_sampled_by("ebpf");
        filter.allow(true);
        watched.until("timer");
        watched.is_sampled_by("timer");
        watched.never_counted_twice();
        watched.stop();
    });
}

unsafe extern "C" fn ignore(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {}

fn candidates() -> Vec<c_int> {
    [libc::SIGURG, libc::SIGPROF].into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).collect()
}

#[test]
fn where_the_host_takes_every_signal_ebpf_takes_the_samples_until_one_is_free() {
    isolated(PATIENCE, || {
        if !gate::has_ebpf("fallback: signals taken") {
            return;
        }
        let mut watched = Watched::start(config());
        watched.is_sampled_by("timer");
        candidates().into_iter().for_each(|signal| sys::install(signal, ignore, 0));
        watched.until("ebpf");
        watched.is_sampled_by("ebpf");
        assert!(sys::timers().is_empty());
        for signal in candidates() {
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        watched.until("timer");
        watched.is_sampled_by("timer");
        watched.never_counted_twice();
        watched.stop();
    });
}

#[test]
fn where_signals_are_forbidden_ebpf_takes_the_samples_until_they_are_allowed() {
    isolated(PATIENCE, || {
        if !gate::has_ebpf("fallback: policy") {
            return;
        }
        let before = sys::dispositions();
        let mut watched = Watched::start(Config { signals: SignalPolicy::Off, ..config() });
        assert_eq!(watched.engine(), "ebpf");
        assert_eq!(sys::dispositions(), before, "no signal is taken");
        watched.is_sampled_by("ebpf");
        watched.agent.set_signals(SignalPolicy::Auto).unwrap();
        watched.until("timer");
        watched.is_sampled_by("timer");
        watched.agent.set_signals(SignalPolicy::Off).unwrap();
        assert_eq!(watched.engine(), "ebpf", "at once");
        assert!(sys::timers().is_empty());
        watched.period(100);
        watched.is_sampled_by("ebpf");
        watched.never_counted_twice();
        watched.stop();
    });
}

#[test]
fn where_threads_block_signals_ebpf_takes_the_samples_until_they_do_not() {
    isolated(PATIENCE, || {
        if !gate::has_ebpf("fallback: blocked signals") {
            return;
        }
        let mut watched = Watched::start(config());
        watched.is_sampled_by("timer");
        let deaf = Arc::new(AtomicBool::new(true));
        let is_deaf = deaf.clone();
        let busy = Busy::start(
            || sys::block_all_signals(true),
            move || {
                if !is_deaf.load(Relaxed) {
                    sys::block_all_signals(false);
                }
            },
        );
        // The other thread waits most of the time, so that the deaf one is most of what runs.
        for _ in 0..6 {
            if watched.engine() == "ebpf" {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
            watched.period(50);
        }
        assert_eq!(watched.engine(), "ebpf", "{:?}", watched.last.engine_reason);
        let reason = watched.last.engine_reason.clone().unwrap();
        assert!(reason.contains("signals do not reach"), "{reason}");
        std::thread::sleep(Duration::from_millis(1_500));
        let period = watched.period(50);
        assert_eq!(period.profile.meta.sources, ["ebpf"]);
        assert_close(period.sampled, period.host);
        let seen = by_label(&period.profile, "part", "busy");
        assert!(seen * 2 > period.host, "{seen} of {}", period.host);
        // It stays while the thread does not hear.
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(400));
            watched.period(10);
            assert_eq!(watched.engine(), "ebpf");
        }
        deaf.store(false, Relaxed);
        watched.until("timer");
        watched.period(300);
        let period = watched.period(1_000);
        assert_eq!(period.profile.meta.sources, ["timer"]);
        assert_close(period.sampled, period.host);
        busy.end();
        watched.never_counted_twice();
        watched.stop();
    });
}

#[test]
fn an_engine_that_is_asked_for_stays_and_changes_its_rate() {
    isolated(PATIENCE, || {
        if !gate::has_ebpf("fallback: asked for") {
            return;
        }
        let mut watched = Watched::start(Config { engine: EnginePolicy::Ebpf, ..config() });
        assert_eq!(watched.engine(), "ebpf");
        assert!(sys::timers().is_empty());
        watched.is_sampled_by("ebpf");
        watched.agent.set_hz(200).unwrap();
        let period = watched.period(1_000);
        assert_close(period.sampled, period.host);
        let samples: i64 = period.profile.samples().iter().map(|sample| sample.values[0]).sum();
        assert!(samples > 140, "{samples} samples of 5 ms");
        for _ in 0..10 {
            watched.period(10);
        }
        watched.is_sampled_by("ebpf");
        watched.never_counted_twice();
        watched.stop();
    });
}

/// Gives up every effective capability of the calling thread, and of those that it starts.
fn drop_capabilities() {
    let mut header = [0x2008_0522u32, 0];
    let data = [0u32; 6];
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), data.as_ptr()) };
    assert_eq!(result, 0);
}

#[test]
fn where_ebpf_is_refused_too_the_process_says_what_it_needs_and_who_it_is() {
    isolated(PATIENCE, || {
        drop_capabilities();
        limit_pending(0);
        let mut watched = Watched::start(config());
        let period = watched.period(300);
        assert_eq!((watched.engine(), period.sampled), ("none".to_owned(), 0));
        let stats = watched.agent.stats();
        let [warning] = &stats.warnings[..] else { panic!("{:?}", stats.warnings) };
        for part in ["CAP_BPF is missing", "--cap-add PERFMON", "sondage host-agent"] {
            assert!(warning.contains(part), "{warning}");
        }
        let find = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            let memory = std::fs::File::open("/proc/self/mem").unwrap();
            ProcessContext::find(&maps, |address, buffer| {
                memory.read_exact_at(buffer, address).is_ok()
            })
        };
        let context = find().expect("a context");
        assert_eq!((context.service_name(), context.engine()), (Some("shop"), Some("none")));
        assert!(context.resource.contains(&("region".to_owned(), "eu".to_owned())));
        // What works again is used again, and nothing is handed over any more.
        limit_pending(u64::MAX);
        watched.until("timer");
        assert_eq!(find(), None);
        watched.is_sampled_by("timer");
        watched.stop();
    });
}
