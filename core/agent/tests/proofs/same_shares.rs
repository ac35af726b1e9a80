//! The same work under CPU timers and under eBPF: the same shares, whole stacks, the same labels.

use crate::child::{PATIENCE, isolated, size};
use crate::shares::rounds;
use crate::workload::deeper;
use crate::{engines, fallback, gate, sys};
use sondage::config::EnginePolicy;
use sondage::profile::{Line, Profile, Sample};
use sondage::{Agent, Config, Stats};
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// An engine, and how it samples.
struct Engine {
    policy: EnginePolicy,
    name: &'static str,
    hz: u32,
    /// CPU time of one period of the work.
    time: Duration,
}

/// At the kernel's tick, which timers cannot outrun.
const TIMER: Engine = Engine {
    policy: EnginePolicy::Timer,
    name: "timer",
    hz: 250,
    time: Duration::from_millis(1_500),
};

/// Oftener: the samples that chance asks for then take less time.
const EBPF: Engine =
    Engine { policy: EnginePolicy::Ebpf, name: "ebpf", hz: 997, time: Duration::from_millis(700) };

const THREADS: [&str; 2] = ["first", "second"];

/// Calls between a thread's first function and the deep ones.
const CALLS: u32 = 40;

/// What shares may differ by for other reasons than chance, in points: timers look at the kernel's
/// ticks and eBPF between them, so that they need not see the ends of a thread's turns alike. No
/// more was found over 54,000 and 127,000 samples, where a standard deviation is 0.2.
const SYSTEMATIC: f64 = 0.4;

/// A function, the part of its piece that is its own, and that with what it calls.
type Function = (&'static str, f64, f64);

/// A piece of work, under a label with its name.
struct Piece {
    kind: &'static str,
    run: fn(u64) -> u64,
    is_deep: bool,
    functions: &'static [Function],
}

const PIECES: [Piece; 5] = [
    Piece {
        kind: "parse",
        run: parse,
        is_deep: false,
        functions: &[("parse", 0.5, 1.0), ("decode", 0.5, 0.5)],
    },
    Piece {
        kind: "render",
        run: render,
        is_deep: false,
        functions: &[("render", 0.25, 1.0), ("escape", 0.75, 0.75)],
    },
    Piece { kind: "search", run: search, is_deep: true, functions: &[("search", 1.0, 1.0)] },
    Piece { kind: "sort", run: sort, is_deep: true, functions: &[("sort", 1.0, 1.0)] },
    Piece { kind: "pack", run: pack, is_deep: false, functions: &[("pack", 1.0, 1.0)] },
];

/// How often each piece is chosen, in percent.
type Mix = [u64; PIECES.len()];

const MIX: Mix = [20, 22, 22, 20, 16];

/// One with a part of the searches packed instead.
const OTHER_MIX: Mix = [20, 22, 4, 20, 34];

/// How much of each piece was done.
type Done = [AtomicU64; PIECES.len()];

/// The one loop of all: in one of its own a round would take up to a tenth longer in one function
/// than in another, by where the loop lies.
#[inline(never)]
fn turn(n: u64, constant: u64) -> u64 {
    rounds(n, constant)
}

#[inline(never)]
fn parse(n: u64) -> u64 {
    turn(n / 2, 0x5851_f42d_4c95_7f2d).wrapping_add(decode(n / 2))
}

#[inline(never)]
fn decode(n: u64) -> u64 {
    black_box(turn(n, 0x9e37_79b9_7f4a_7c15))
}

#[inline(never)]
fn render(n: u64) -> u64 {
    turn(n / 4, 0xbf58_476d_1ce4_e5b9).wrapping_add(escape(n / 4 * 3))
}

#[inline(never)]
fn escape(n: u64) -> u64 {
    black_box(turn(n, 0x94d0_49bb_1331_11eb))
}

#[inline(never)]
fn search(n: u64) -> u64 {
    black_box(turn(n, 0xd134_2543_de82_ef95))
}

#[inline(never)]
fn sort(n: u64) -> u64 {
    black_box(turn(n, 0xaf25_1af3_b0f0_25b5))
}

#[inline(never)]
fn pack(n: u64) -> u64 {
    black_box(turn(n, 0xb564_ef22_ec7a_ece5))
}

/// Chooses a piece at random, again and again. Each takes 0.06 to 0.2 ms: less than from one sample
/// to the next, so that one says nothing about the other.
#[inline(never)]
fn serve(mix: Mix, mut random: u64, stop: &AtomicBool, done: &Done) {
    sondage::register_thread();
    let labels = PIECES.map(|piece| sondage::labels([("kind", piece.kind)]));
    while !stop.load(Relaxed) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let percent = (random >> 33) % 100;
        let up_to = |piece: &usize| mix[..=*piece].iter().sum::<u64>();
        let chosen = (0..PIECES.len()).find(|piece| percent < up_to(piece)).unwrap();
        let n = (50_000 + (random >> 13) % 100_000) / 4 * 4;
        let Piece { run, is_deep, .. } = PIECES[chosen];
        let mut work = || _ = black_box(run(n));
        labels[chosen].scope(|| if is_deep { deeper(CALLS, &mut work) } else { work() });
        done[chosen].fetch_add(n, Relaxed);
    }
}

/// Amounts by function, of itself (with the loop) and with what it calls, and by label.
#[derive(Debug, Default)]
struct Shares {
    amounts: BTreeMap<String, f64>,
    all: f64,
    /// How many samples they come from; infinitely many where they are known.
    samples: f64,
}

impl Shares {
    fn add(&mut self, name: &str, which: &str, amount: f64) {
        *self.amounts.entry(format!("{name} {which}")).or_default() += amount;
    }

    fn of(&self, what: &str) -> f64 {
        self.amounts.get(what).copied().unwrap_or(0.0) / self.all
    }

    /// The shares of what was done.
    fn known(done: &Done) -> Self {
        let mut shares = Self { samples: f64::INFINITY, ..Self::default() };
        for (piece, done) in PIECES.iter().zip(done) {
            let done = done.load(Relaxed) as f64;
            shares.all += done;
            shares.add(piece.kind, "by label", done);
            for (name, own, total) in piece.functions {
                shares.add(name, "itself", done * own);
                shares.add(name, "in all", done * total);
            }
        }
        shares
    }
}

/// Two shares of one thing, in points.
struct Difference {
    what: String,
    points: f64,
    /// Four standard deviations, and [`SYSTEMATIC`].
    tolerance: f64,
}

/// How two differ, with the noise that samples of the known shares have.
fn differences(one: &Shares, other: &Shares, known: &Shares) -> Vec<Difference> {
    let difference = |what: &String| {
        let share = known.of(what);
        let variance = share * (1.0 - share) * (1.0 / one.samples + 1.0 / other.samples);
        Difference {
            what: what.clone(),
            points: (one.of(what) - other.of(what)) * 100.0,
            tolerance: 4.0 * variance.sqrt() * 100.0 + SYSTEMATIC,
        }
    };
    known.amounts.keys().map(difference).collect()
}

/// What differs by more than its tolerance.
fn told_apart(differences: &[Difference]) -> Vec<&str> {
    let apart = differences.iter().filter(|d| d.points.abs() > d.tolerance);
    apart.map(|d| d.what.as_str()).collect()
}

/// What an engine has seen of the work.
#[derive(Debug, Default)]
struct Seen {
    shares: Shares,
    /// CPU time of stacks that lack frames.
    cut: f64,
    /// The thread and the label of each piece.
    labels: BTreeSet<[String; 3]>,
}

impl Seen {
    /// Adds a period of the work to it.
    fn add(&mut self, engine: &Engine, mix: Mix, seed: u64, done: &Done) {
        let (profile, stats) = sample(engine, mix, seed, done);
        assert_eq!(stats.engine, engine.name);
        assert_eq!(profile.meta.sources, [engine.name]);
        let (mut count, mut cpu) = (0.0, 0.0);
        for sample in profile.samples() {
            if let Some(thread) = label(&profile, sample, "thread")
                && THREADS.contains(&thread)
            {
                self.add_sample(&profile, sample, thread);
                (count, cpu) = (count + sample.values[0] as f64, cpu + sample.values[1] as f64);
            }
        }
        self.shares.all += cpu;
        // Samples that stand for several periods are as noisy as that much fewer of them.
        let periods = cpu / stats.interval.as_nanos() as f64;
        self.shares.samples += count * (count / periods).min(1.0);
    }

    fn add_sample(&mut self, profile: &Profile, sample: &Sample, thread: &str) {
        let (stack, cpu) = (names(profile, sample), sample.values[1] as f64);
        let mut functions: Vec<&str> =
            PIECES.iter().flat_map(|piece| piece.functions).map(|(name, ..)| *name).collect();
        functions.retain(|name| stack.contains(name));
        functions.iter().for_each(|name| self.shares.add(name, "in all", cpu));
        if let Some(name) = stack.iter().find(|name| functions.contains(name)) {
            self.shares.add(name, "itself", cpu);
        }
        let kind = label(profile, sample, "kind").unwrap_or_default();
        self.shares.add(kind, "by label", cpu);
        let piece = PIECES.iter().find(|piece| stack.contains(&piece.kind));
        if let Some(piece) = piece {
            self.labels.insert([thread, piece.kind, kind].map(str::to_owned));
        }
        let calls = stack.iter().filter(|name| **name == "deeper").count();
        let has_calls = calls >= CALLS as usize || !piece.is_some_and(|piece| piece.is_deep);
        if stack.contains(&"[truncated]") || !stack.contains(&"serve") || !has_calls {
            self.cut += cpu;
        }
    }
}

fn label<'p>(profile: &'p Profile, sample: &Sample, wanted: &str) -> Option<&'p str> {
    profile.labels(sample.labels).find(|(key, _)| *key == wanted).map(|(_, value)| value)
}

/// The functions of a stack, the innermost first, those of these tests without their paths.
fn names<'p>(profile: &'p Profile, sample: &Sample) -> Vec<&'p str> {
    let frames = profile.frames(sample.stack).iter();
    let lines = frames.flat_map(|frame| &profile.locations()[frame.index()].lines);
    let name = |line: &Line| {
        let name = profile.text(profile.functions()[line.function.index()].name);
        let paths = ["proofs::same_shares::", "proofs::workload::"];
        paths.iter().find_map(|path| name.strip_prefix(path)).unwrap_or(name)
    };
    lines.map(name).collect()
}

/// Does the work on two threads, and samples a period of it.
fn sample(engine: &Engine, mix: Mix, seed: u64, done: &Done) -> (Arc<Profile>, Stats) {
    let config = Config { hz: engine.hz, engine: engine.policy, ..fallback::config() };
    let agent = Agent::start(config).expect("an agent starts");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (index, name) in (0..).zip(THREADS) {
            let (stop, thread) = (&stop, std::thread::Builder::new().name(name.to_owned()));
            let work = move || serve(mix, 2 * seed + index, stop, done);
            thread.spawn_scoped(scope, work).unwrap();
        }
        // An engine learns of threads, and of where their labels are, within a tenth of a second.
        while !are_labelled(&agent.flush().unwrap()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let end = sys::process_cpu() + engine.time;
        while sys::process_cpu() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        let result = engines::flush(&agent);
        stop.store(true, Relaxed);
        result
    })
}

/// Whether each thread has samples with a piece's label.
fn are_labelled(profile: &Profile) -> bool {
    let labelled = |sample: &&Sample| label(profile, sample, "kind").is_some();
    let samples: Vec<&Sample> = profile.samples().iter().filter(labelled).collect();
    let is_one = |name| samples.iter().any(|sample| label(profile, sample, "thread") == Some(name));
    THREADS.into_iter().all(is_one)
}

fn print(known: &Shares, [timer, ebpf]: [&Seen; 2], differences: &[Difference]) {
    println!(
        "{:>16} {:>6} {:>6} {:>6} {:>10} {:>9}",
        "share of", "done", "timer", "ebpf", "difference", "tolerance"
    );
    for Difference { what, points, tolerance } in differences {
        let [done, timer, ebpf] =
            [known, &timer.shares, &ebpf.shares].map(|shares| shares.of(what) * 100.0);
        println!(
            "{what:>16} {done:>6.1} {timer:>6.1} {ebpf:>6.1} {points:>+10.2} {tolerance:>9.2}"
        );
    }
    for (name, Seen { shares, cut, .. }) in [("timer", timer), ("ebpf", ebpf)] {
        println!("{name}: {:.0} samples, {:.2} % cut", shares.samples, cut / shares.all * 100.0);
    }
}

#[test]
fn timers_and_ebpf_give_the_same_work_the_same_shares_whole_stacks_and_labels() {
    isolated(PATIENCE, || {
        if !gate::has_ebpf("same shares") {
            return;
        }
        let done = Done::default();
        let [mut timer, mut ebpf] = [Seen::default(), Seen::default()];
        let wanted = size(2_300.0, 12_000.0);
        for round in 0.. {
            if timer.shares.samples.min(ebpf.shares.samples / 2.0) >= wanted {
                break;
            }
            timer.add(&TIMER, MIX, round, &done);
            ebpf.add(&EBPF, MIX, round, &done);
        }
        let known = Shares::known(&done);
        let between = differences(&timer.shares, &ebpf.shares, &known);
        print(&known, [&timer, &ebpf], &between);
        assert_eq!(told_apart(&between), [""; 0]);
        let labels =
            |thread: &str| PIECES.map(|piece| [thread, piece.kind, piece.kind].map(str::to_owned));
        let labels: BTreeSet<_> = THREADS.into_iter().flat_map(labels).collect();
        for seen in [&timer, &ebpf] {
            assert_eq!(told_apart(&differences(&seen.shares, &known, &known)), [""; 0]);
            assert!(seen.cut <= seen.shares.all / 100.0, "{}", seen.cut / seen.shares.all);
            assert_eq!(seen.labels, labels);
        }
        // Not so wide that nothing fails: another mix is told apart, by what is other in it alone.
        assert!(between.iter().all(|one| one.tolerance < 5.0));
        let mut other = Seen::default();
        while other.shares.samples < 600.0 {
            other.add(&EBPF, OTHER_MIX, 0, &Done::default());
        }
        let which = [
            "pack by label",
            "pack in all",
            "pack itself",
            "search by label",
            "search in all",
            "search itself",
        ];
        assert_eq!(told_apart(&differences(&timer.shares, &other.shares, &known)), which);
    });
}
