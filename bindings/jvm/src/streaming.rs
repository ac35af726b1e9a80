//! Stacks as JDK Flight Recorder tells them: `sondage.Streaming` hands them over, and how much CPU time
//! they stand for is asked of the threads' own clocks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sondage::hotspot::class_name;
use sondage::{ForeignFrame, ForeignStack, OwnThread};
use sondage_sampler::Clock;

use crate::agent;
use crate::vm::Jni;

/// How these stacks are taken, in profiles and in messages.
pub(crate) const SOURCE: &str = "jfr";

const CLASS: &CStr = c"sondage/Streaming";

/// A class of the jar that every version has.
const ANY: &CStr = c"sondage/Native";

/// Bits of a sample's kind.
const NATIVE: i64 = 1;
const FAILED: i64 = 2;

/// Words of a sample before its frames, and of a frame.
const HEAD: usize = 5;
const FRAME: usize = 3;

/// Something is delivered every second, and now and then nothing right before it: then the clocks
/// must not be looked at. After this long without stacks they are, as there were none.
const DELIVERY: Duration = Duration::from_millis(1500);

/// The clocks of all threads when stacks were last handed over, and when that was.
static LAST: Mutex<Option<(Instant, Clocks)>> = Mutex::new(None);

type Clocks = HashMap<i64, Duration>;

/// Why JDK Flight Recorder cannot tell stacks here.
pub(crate) fn obstacle(jni: Jni) -> Result<(), String> {
    let told = match jni.call_for_text(CLASS, c"obstacle") {
        Some(told) if told.is_empty() => return Ok(()),
        Some(told) => told,
        None if !jni.has_class(ANY) => {
            "with sondage.jar on the class path JDK Flight Recorder would tell them".to_owned()
        }
        None if !jni.has_class(c"jdk/jfr/FlightRecorder") => {
            "this runtime has no JDK Flight Recorder".to_owned()
        }
        None => "JDK Flight Recorder streams from Java 14 on".to_owned(),
    };
    Err(told)
}

/// Begins, at so many samples a second.
pub(crate) fn start(jni: Jni, hz: u32) {
    *last() = Some((Instant::now(), clocks()));
    jni.call_with_long(CLASS, c"start", period(hz.into()));
}

fn last() -> MutexGuard<'static, Option<(Instant, Clocks)>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends what was begun.
pub(crate) fn stop(jni: Jni) {
    jni.call(CLASS, c"stop");
}

/// The calling thread hands over what it was told: see [`Streaming.java`](CLASS). Returns the
/// nanoseconds between two samples that are wanted now, 0 for none.
pub(crate) fn hand_over(texts: &[String], words: &[i64]) -> i64 {
    thread_local! {
        static OWN: RefCell<Option<OwnThread>> = const { RefCell::new(None) };
    }
    OWN.with_borrow_mut(|own| _ = own.get_or_insert_with(sondage::exclude_this_thread));
    let stacks = taken(texts, words);
    let status = agent::ask(|agent| {
        let status = agent.status();
        if status.sampling {
            let _ = agent.add_foreign(stacks);
        }
        status
    });
    status.filter(|status| status.sampling).map_or(0, |status| period(status.current_hz))
}

fn taken(texts: &[String], words: &[i64]) -> Vec<ForeignStack> {
    let mut last = last();
    let is_fresh = |(then, _): &(Instant, _)| then.elapsed() < DELIVERY;
    if words.is_empty() && last.as_ref().is_some_and(is_fresh) {
        return Vec::new();
    }
    let now = clocks();
    let before = last.replace((Instant::now(), now.clone())).map(|(_, clocks)| clocks);
    let used = |thread| {
        let now = *now.get(&thread)?;
        let before = before.as_ref()?.get(&thread).copied().unwrap_or_default();
        // A clock that stood for less before is that of another thread of this number.
        Some(now.checked_sub(before).unwrap_or(now))
    };
    Batch { texts, samples: samples(words) }.stacks(used)
}

fn period(hz: f64) -> i64 {
    (1e9 / hz.max(1.0)) as i64
}

/// The CPU time of every thread of the process.
fn clocks() -> Clocks {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let clock = |entry: std::fs::DirEntry| {
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        Some((number.into(), Clock::Thread(number).now().ok()?))
    };
    threads.filter_map(clock).collect()
}

/// A sample as it is handed over.
#[derive(Clone, Copy)]
struct Sample<'a> {
    /// The operating system's number; 0 for one that shares its clock with others.
    thread: i64,
    name: i64,
    kind: i64,
    /// Nanoseconds that it stands for, as far as JDK Flight Recorder knows.
    weight: i64,
    /// Number of the class, of the method, and the line, leaf first.
    frames: &'a [i64],
}

fn samples(mut words: &[i64]) -> Vec<Sample<'_>> {
    let mut samples = Vec::new();
    while let Some((&[thread, name, kind, weight, count], rest)) = words.split_first_chunk::<HEAD>()
    {
        let length = usize::try_from(count).unwrap_or(0).saturating_mul(FRAME).min(rest.len());
        let (frames, rest) = rest.split_at(length);
        samples.push(Sample { thread, name, kind, weight, frames });
        words = rest;
    }
    samples
}

/// What one delivery has.
struct Batch<'a> {
    texts: &'a [String],
    samples: Vec<Sample<'a>>,
}

/// The samples of one thread, by sums of their weights and numbers.
#[derive(Default)]
struct Total {
    java: f64,
    native: f64,
}

impl Batch<'_> {
    /// Equal stacks as one, with the CPU time that they stand for. `used` is what a thread's clock
    /// says.
    fn stacks(&self, used: impl Fn(i64) -> Option<Duration>) -> Vec<ForeignStack> {
        let mut totals: HashMap<i64, Total> = HashMap::new();
        for sample in &self.samples {
            let total = totals.entry(sample.thread).or_default();
            match sample.kind & NATIVE {
                0 => total.java += sample.weight as f64,
                _ => total.native += sample.weight as f64,
            }
        }
        let factors: HashMap<_, _> =
            totals.iter().map(|(thread, total)| (*thread, total.factors(used(*thread)))).collect();
        let mut merged: HashMap<(i64, &[i64]), (u32, f64)> = HashMap::new();
        let told = self.samples.iter().filter(|sample| sample.kind & FAILED == 0);
        for sample in told {
            let (java, native) = factors.get(&sample.thread).copied().unwrap_or_default();
            let factor = if sample.kind & NATIVE == 0 { java } else { native };
            let (count, cpu) = merged.entry((sample.name, sample.frames)).or_default();
            *count += 1;
            *cpu += sample.weight as f64 * factor;
        }
        let mut names = HashMap::new();
        let mut stacks = Vec::new();
        for ((thread, frames), (samples, cpu)) in merged {
            let cpu = Duration::from_nanos(cpu as u64);
            if cpu.is_zero() {
                continue;
            }
            let frames = frames.as_chunks::<FRAME>().0;
            let frames = frames.iter().map(|frame| self.frame(&mut names, *frame)).collect();
            let thread = self.text(thread).into();
            let source = SOURCE;
            stacks.push(ForeignStack {
                source,
                frames,
                thread,
                samples,
                cpu,
                ..Default::default()
            });
        }
        stacks
    }

    fn frame(
        &self,
        names: &mut HashMap<(i64, i64), Arc<str>>,
        [class, method, line]: [i64; FRAME],
    ) -> ForeignFrame {
        let name = names.entry((class, method)).or_insert_with(|| {
            format!("{}.{}", class_name(self.text(class)), self.text(method)).into()
        });
        let line = u32::try_from(line).unwrap_or(0);
        ForeignFrame { name: name.clone(), line, ..ForeignFrame::default() }
    }

    fn text(&self, number: i64) -> &str {
        let text = usize::try_from(number).ok().and_then(|number| self.texts.get(number));
        text.map_or("", String::as_str)
    }
}

impl Total {
    /// By how much a weight of each kind is to be multiplied, so that all of them are `used`: what is
    /// known of the thread's clock.
    ///
    /// A thread that is seen in Java runs. One in native code may as well wait there: where more was
    /// seen than the thread has used, native code gets what is left. Without a clock it gets nothing.
    fn factors(&self, used: Option<Duration>) -> (f64, f64) {
        let Some(used) = used.map(|used| used.as_nanos() as f64) else { return (1.0, 0.0) };
        let all = self.java + self.native;
        if self.native == 0.0 || all <= used {
            let factor = used / all.max(1.0);
            return (factor, factor);
        }
        let java = self.java.min(used);
        (java / self.java.max(1.0), (used - java) / self.native)
    }
}
