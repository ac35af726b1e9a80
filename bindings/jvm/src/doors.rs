//! The ways into the virtual machine, and what is done at its events.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use jni_sys::{jclass, jobject};
use sondage::config::JavaPolicy;
use sondage::hotspot::{self, Announced, Facts, LabelPlace};
use sondage::{Config, Error, ErrorKind};
use sondage_sampler::current_tid;

use crate::fence::silence;
use crate::from_java::{self, LEAST_FRAMES};
use crate::jvmti::{Capability, Event, Frame, Jvmti, Thread};
use crate::native::CALLBACKS;
use crate::selfcheck::{Mismatch, check_code, check_thread};
use crate::vm::{Field, Jni, Vm, exported};
use crate::{agent, fallback, locks, memory, record, settings, stubs, virtual_threads};

/// Methods whose compiled code is checked, and addresses in each.
const CHECKED_CODES: u32 = 64;
const CHECKED_PLACES: usize = 64;

/// What is known once the machine runs.
struct Machine {
    facts: Facts,
    eetop: Field,
}

static MACHINE: OnceLock<Machine> = OnceLock::new();

/// The settings of an agent that starts with the machine, until it has started.
static SETTINGS: Mutex<Option<Result<Config, Error>>> = Mutex::new(None);

/// Set when the first of the ways in has begun.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Set when it has started a profiler, or could not.
static STARTED: AtomicBool = AtomicBool::new(false);

/// What came of comparing frames: the most that one stack had.
static CHECKED: Mutex<Result<usize, Mismatch>> = Mutex::new(Ok(0));

static CODES: AtomicU32 = AtomicU32::new(0);

/// The library was loaded before the machine started.
pub(crate) fn loaded(vm: Vm, options: String) {
    silence();
    let _ = VM.set(vm);
    let config = settings::of_agent(&options);
    if is_off(&config) {
        return;
    }
    *SETTINGS.lock().unwrap_or_else(PoisonError::into_inner) = Some(config);
    let Some(jvmti) = prepare(vm) else { return };
    let _ = jvmti.enable(Event::VmInit, true);
}

/// What an attempt to begin in a machine that runs has come to: what `Agent_OnAttach` returns, which
/// `sondage inject` and `sondage record` know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Attached {
    /// The profiler has begun, unless settings say that none is to.
    Begun = 0,
    /// It cannot; a line has said why.
    Failed = 1,
    /// One runs already.
    Running = 2,
    /// Agents cannot begin yet.
    NotReady = 3,
}

/// The library was loaded into a machine that runs.
pub(crate) fn attached(vm: Vm, options: String) -> Attached {
    silence();
    let _ = VM.set(vm);
    let config = settings::of_agent(&options);
    if BEGUN.load(Ordering::Acquire) {
        let begins = !STARTED.load(Ordering::Acquire);
        return match begins || agent::is_running() || record::is_recorded() {
            true => Attached::Running,
            false => start_by(config),
        };
    }
    if is_off(&config) {
        return Attached::Begun;
    }
    let (Some(jvmti), Some(jni)) = (prepare(vm), vm.jni()) else { return Attached::NotReady };
    if BEGUN.swap(true, Ordering::AcqRel) {
        return Attached::Running;
    }
    get_ready(jvmti, jni, java_policy(&config));
    start_by(config)
}

/// The environment that was prepared.
static JVMTI: OnceLock<Jvmti> = OnceLock::new();

/// Has the virtual machine tell of memory and of locks, as the profiler wants them; see
/// [`memory::sample`] and [`locks::watch`].
pub(crate) fn watch(memory: Option<u64>, locks: bool) {
    let jni = VM.get().and_then(|vm| vm.jni());
    if let (Some(jvmti), Some(jni)) = (JVMTI.get(), jni) {
        memory::sample(*jvmti, memory);
        locks::watch(*jvmti, jni, locks);
    }
}

fn prepare(vm: Vm) -> Option<Jvmti> {
    let jvmti = vm.jvmti()?;
    // With these events compilers write down lines of all instructions, not only of calls.
    let _ = jvmti.add_capability(Capability::CompiledMethodLoadEvents);
    memory::prepare(jvmti);
    locks::prepare(jvmti);
    jvmti.set_callbacks(&CALLBACKS).ok()?;
    let _ = JVMTI.set(jvmti);
    Some(jvmti)
}

/// The library was loaded by a program, which starts the profiler itself.
pub(crate) fn loaded_by_program(vm: Vm) {
    silence();
    let _ = VM.set(vm);
}

/// The jar was given as an agent.
pub(crate) fn begun_by_jar(options: String) {
    if let Some(vm) = VM.get() {
        let _ = attached(*vm, options);
    }
}

/// Starts the profiler by the program's settings. Returns what is wrong with the environment.
pub(crate) fn start(jni: Jni, settings: &[(String, String)]) -> Result<Vec<String>, Error> {
    let config = settings::config(settings);
    if !BEGUN.swap(true, Ordering::AcqRel)
        && let Some(vm) = VM.get()
        && let Some(jvmti) = prepare(*vm)
    {
        get_ready(jvmti, jni, java_policy(&config));
    }
    config.and_then(agent::start)
}

/// Looks whether frames can be read.
fn get_ready(jvmti: Jvmti, jni: Jni, policy: JavaPolicy) {
    record::take_over();
    if let Some(line) = fallback::decide(policy, jni, || learn(jvmti, jni)) {
        report(&line);
    }
    let _ = jvmti.enable(Event::VmDeath, true);
}

/// The machine runs: starts the profiler by the agent's options.
pub(crate) fn begin(jvmti: Jvmti, jni: Jni) {
    if BEGUN.swap(true, Ordering::AcqRel) {
        return;
    }
    let Some(config) = SETTINGS.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return;
    };
    get_ready(jvmti, jni, java_policy(&config));
    let _ = start_by(config);
}

/// Whether settings say that no profiler is to start. Then the machine is left as it is; the program may
/// start one later.
fn is_off(config: &Result<Config, Error>) -> bool {
    config.as_ref().is_ok_and(|config| !config.enabled) && !record::is_wanted()
}

/// How frames of Java are to be got; what is wrong with the settings, the start tells.
fn java_policy(config: &Result<Config, Error>) -> JavaPolicy {
    config.as_ref().map(|config| config.java).unwrap_or_default()
}

/// Starts the profiler by an agent's settings.
fn start_by(config: Result<Config, Error>) -> Attached {
    let started = config.and_then(agent::start);
    STARTED.store(true, Ordering::Release);
    match started {
        Ok(warnings) => {
            warnings.iter().for_each(|warning| report(warning));
            Attached::Begun
        }
        // Another copy of this library may have started it.
        Err(error) if error.kind() == ErrorKind::Busy => Attached::Running,
        Err(error) => {
            report(&error.to_string());
            Attached::Failed
        }
    }
}

/// JDK Flight Recorder tells no more.
pub(crate) fn streaming_failed(reason: &str) {
    fallback::streaming_failed(reason, report);
}

/// The process' virtual machine.
pub(crate) fn vm() -> Option<Vm> {
    VM.get().copied()
}

/// One line for the program's error output, or for `sondage record`.
fn report(message: &str) {
    use std::io::Write;
    if record::tell(message) {
        return;
    }
    let _ = writeln!(std::io::stderr(), "sondage: {message}");
}

fn learn(jvmti: Jvmti, jni: Jni) -> Result<(), String> {
    let mut facts = hotspot::read_facts(&exported).map_err(|reason| reason.to_string())?;
    virtual_threads::learn(jni, &mut facts);
    let eetop = jni.field(c"java/lang/Thread", c"eetop", c"J").ok_or("Thread has no eetop")?;
    let stubs = stubs::all(jvmti);
    facts.stubs = stubs.iter().map(|stub| stub.range.clone()).collect::<Vec<_>>().leak();
    let inside = exported("JNI_CreateJavaVM").unwrap_or(0);
    let announced = facts.clone();
    let machine = MACHINE.get_or_init(|| Machine { facts, eetop });
    check(jvmti, jni)?;
    // Before the list, so that none is missed.
    let _ = jvmti.enable(Event::ThreadStart, true);
    let _ = jvmti.enable(Event::ThreadEnd, true);
    let mut threads = Vec::new();
    for thread in jvmti.threads().unwrap_or_default() {
        threads.push(jni.java_thread(thread, machine.eetop));
        jni.forget(thread);
    }
    threads.retain(|address| *address != 0);
    for (number, address) in hotspot::thread_numbers(&machine.facts, &threads) {
        tell(number, address);
    }
    hotspot::announce(Announced { facts: announced, inside, stubs });
    let _ = jvmti.enable(Event::CompiledMethodLoad, true);
    let _ = jvmti.tell_again(Event::CompiledMethodLoad);
    Ok(())
}

/// Compares frames of Java with what the machine tells of them.
fn check(jvmti: Jvmti, jni: Jni) -> Result<(), String> {
    let done = from_java::run(jvmti, jni, |jvmti, _| {
        let Some(machine) = MACHINE.get() else { return true };
        let thread = current_java_thread(jvmti, machine);
        let checked = check_thread(jvmti, &machine.facts, thread);
        let done = !matches!(checked, Ok(0..LEAST_FRAMES));
        *CHECKED.lock().unwrap_or_else(PoisonError::into_inner) = checked;
        done
    });
    match &*CHECKED.lock().unwrap_or_else(PoisonError::into_inner) {
        Err(Mismatch(what)) => Err(what.clone()),
        Ok(_) if done => Ok(()),
        Ok(_) => Err("no class was seen to be loaded".to_owned()),
    }
}

fn current_java_thread(jvmti: Jvmti, machine: &Machine) -> u64 {
    let thread = jvmti.current_thread();
    let jni = VM.get().and_then(|vm| vm.jni());
    match (thread, jni) {
        (Ok(thread), Some(jni)) => jni.java_thread(thread, machine.eetop),
        _ => 0,
    }
}

static VM: OnceLock<Vm> = OnceLock::new();

pub(crate) fn thread_starts(jni: Jni, thread: Thread) {
    let Some(machine) = MACHINE.get() else { return };
    tell(current_tid(), jni.java_thread(thread, machine.eetop));
    sondage::register_thread();
}

pub(crate) fn thread_ends() {
    hotspot::thread_ends();
}

#[allow(unsafe_code, reason = "the machine vouches for the thread")]
fn tell(number: i32, thread: u64) {
    // SAFETY: the machine says that it is this thread's.
    unsafe { hotspot::thread_starts(number, thread) };
}

/// Compares what is read of compiled code with what the machine tells of it.
pub(crate) fn code_is_made(jvmti: Jvmti, places: impl Iterator<Item = (u64, Vec<Frame>)>) {
    if CODES.fetch_add(1, Ordering::Relaxed) >= CHECKED_CODES {
        return;
    }
    let Some(machine) = MACHINE.get() else { return };
    if let Err(Mismatch(what)) = check_code(jvmti, &machine.facts, places.take(CHECKED_PLACES)) {
        fallback::is_wrong(what, report);
        CODES.store(CHECKED_CODES, Ordering::Relaxed);
    }
}

/// The machine ends.
pub(crate) fn end() {
    agent::finish();
}

/// Says by which `ThreadLocal` labels are kept, in objects of which class, and of which class the ids
/// of spans are.
pub(crate) fn labels_are_in(jni: Jni, local: jobject, holder: jclass, ids: jclass) {
    let place = || {
        let hash = jni.field(c"java/lang/ThreadLocal", c"threadLocalHashCode", c"I")?;
        Some(LabelPlace {
            hash: jni.int(local, hash) as u32,
            mark: jni.offset_in(holder, c"mark", c"J")?,
            set: jni.offset_in(holder, c"set", c"I")?,
            ids: jni.offset_in(holder, c"ids", c"Lsondage/Labels$Ids;")?,
            span: jni.offset_in(ids, c"span", c"J")?,
            trace_high: jni.offset_in(ids, c"traceHigh", c"J")?,
            trace_low: jni.offset_in(ids, c"traceLow", c"J")?,
        })
    };
    if let Some(place) = place() {
        hotspot::labels_are_at(place);
    }
}
