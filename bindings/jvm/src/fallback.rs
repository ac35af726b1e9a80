//! What is done where frames of Java cannot be read: JDK Flight Recorder tells stacks instead, or there
//! are native frames only (`docs/decisions/0018-java-fallback.md`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use sondage::config::{EnginePolicy, JavaPolicy};
use sondage::{Config, hotspot};

use crate::streaming::{self, SOURCE};
use crate::vm::{Jni, Vm};
use crate::{agent, doors, record};

/// Whether JDK Flight Recorder takes the stacks.
static STREAMS: AtomicBool = AtomicBool::new(false);

/// Why it does.
static REASON: OnceLock<String> = OnceLock::new();

/// How frames are got, as it was set.
static POLICY: OnceLock<JavaPolicy> = OnceLock::new();

/// What was found to be wrong while frames were read, and whether somebody acts on it.
static WRONG: OnceLock<String> = OnceLock::new();
static LEARNED: AtomicBool = AtomicBool::new(false);
static ACTS: AtomicBool = AtomicBool::new(false);

/// What the profiler that runs was started with.
static CONFIG: Mutex<Option<Config>> = Mutex::new(None);

/// Decides how frames of Java are got; `learn` makes them readable. Returns what the user is to know.
pub(crate) fn decide(
    policy: JavaPolicy,
    jni: Jni,
    learn: impl FnOnce() -> Result<(), String>,
) -> Option<String> {
    let policy = *POLICY.get_or_init(|| policy);
    match policy {
        JavaPolicy::Native => None,
        // Who has asked for it need not be told.
        JavaPolicy::Jfr => instead(jni, "").filter(|_| !streams()),
        JavaPolicy::Walk | JavaPolicy::Auto => instead(jni, &learned(learn).err()?),
    }
}

fn learned(learn: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    learn()?;
    LEARNED.store(true, Ordering::SeqCst);
    match WRONG.get() {
        Some(what) if !ACTS.swap(true, Ordering::SeqCst) => Err(what.clone()),
        _ => Ok(()),
    }
}

/// Has JDK Flight Recorder tell stacks from the profiler's next start on, if it can and may. Returns
/// the line that says so.
fn instead(jni: Jni, reason: &str) -> Option<String> {
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    if POLICY.get() == Some(&JavaPolicy::Walk) {
        return Some(format!("frames of Java are not read{because}"));
    }
    match streaming::obstacle(jni) {
        Ok(()) => {
            let _ = REASON.set(reason.to_owned());
            STREAMS.store(true, Ordering::Release);
            Some(format!(
                "frames of Java are told by JDK Flight Recorder, without native ones and labels\
                 {because}"
            ))
        }
        Err(obstacle) => Some(format!("frames of Java are not read{because}; {obstacle}")),
    }
}

fn streams() -> bool {
    STREAMS.load(Ordering::Acquire)
}

/// What takes the samples, if nothing of the core's can.
pub(crate) fn engine() -> Option<EnginePolicy> {
    let reason = REASON.get().map_or("", String::as_str);
    let reason = if reason.is_empty() { "it was asked for" } else { reason };
    streams().then_some(EnginePolicy::Handed { source: SOURCE, reason })
}

/// The profiler runs by `config`.
pub(crate) fn started(config: Config) {
    begin(config.hz);
    *CONFIG.lock().unwrap_or_else(PoisonError::into_inner) = Some(config);
}

/// Stacks are wanted.
pub(crate) fn begin(hz: u32) {
    if streams()
        && let Some(jni) = doors::vm().and_then(Vm::jni)
    {
        streaming::start(jni, hz);
    }
}

/// No stacks are wanted any more.
pub(crate) fn stopped() {
    if streams()
        && let Some(jni) = doors::vm().and_then(Vm::jni)
    {
        streaming::stop(jni);
    }
}

/// What is read of compiled code is wrong: it is read no more. A thread of its own sees to what is done
/// instead, as this one is the virtual machine's.
pub(crate) fn is_wrong(what: String, report: fn(&str)) {
    hotspot::stop_reading();
    let _ = WRONG.set(format!("compiled code is not as it is known to be: {what}"));
    if !LEARNED.load(Ordering::SeqCst) || ACTS.swap(true, Ordering::SeqCst) {
        return;
    }
    let body = move || {
        let _own = sondage::exclude_this_thread();
        let Some(vm) = doors::vm() else { return };
        vm.with_jni(c"sondage-java", |jni| {
            let reason = WRONG.get().map_or("", String::as_str);
            if record::is_recorded() {
                // A recording goes on as it has begun.
                report(&format!("frames of Java are read no more: {reason}"));
                return;
            }
            if let Some(line) = instead(jni, reason) {
                report(&line);
            }
            if streams() {
                restart();
            }
        });
    };
    let thread = std::thread::Builder::new().name("sondage-java".to_owned());
    let _ = sondage_sampler::with_signals_blocked(|| thread.spawn(body));
}

/// JDK Flight Recorder tells no more: native frames are sampled from here on.
pub(crate) fn streaming_failed(reason: &str, report: fn(&str)) {
    if STREAMS.swap(false, Ordering::AcqRel) {
        report(&format!("frames of Java are not read; JDK Flight Recorder: {reason}"));
        restart();
    }
}

/// Samples a second until a recording has said how many it wants.
pub(crate) const RECORD_HZ: u32 = 100;

/// Starts a profiler that runs again, as other means take the stacks.
fn restart() {
    let config = CONFIG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(config) = config
        && agent::runs()
    {
        let _ = agent::stop().and_then(|()| agent::start(config));
    }
}
