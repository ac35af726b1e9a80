//! A profile of this process, taken by an agent and written by its file target: what every server
//! must give back.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sondage::export::{self, Exporter, Options};
use sondage::profile::{Profile, pprof};
use sondage::{Agent, Config};

/// The span that half of what is paid belongs to.
pub const SPAN: &str = "00f067aa0ba902b7";
pub const ROUTES: [&str; 2] = ["/browse", "/pay"];

#[inline(never)]
fn pays(time: Duration) -> u64 {
    burn(time) ^ 1
}

#[inline(never)]
fn browses(time: Duration) -> u64 {
    burn(time) ^ 2
}

fn burn(time: Duration) -> u64 {
    let start = Instant::now();
    let mut sum = 0u64;
    while start.elapsed() < time {
        sum = (0..10_000).fold(sum, |sum, i| black_box(sum.wrapping_mul(31).wrapping_add(i)));
    }
    sum
}

/// The profile as the file has it.
pub fn truth() -> &'static Profile {
    static TRUTH: OnceLock<Profile> = OnceLock::new();
    TRUTH.get_or_init(record)
}

fn record() -> Profile {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.join(format!("truth-{}", std::process::id()));
    let target = format!("file:{}", folder.display()).parse().unwrap();
    let config = Config::builder().hz(200).interval(Duration::from_secs(3600)).targets([target]);
    let agent = Agent::start(config.build().unwrap()).unwrap();
    let second = Duration::from_secs(1);
    let work = std::thread::spawn(move || {
        let route = |route, work: fn(Duration) -> u64| {
            sondage::labels([("route", route)]).scope(|| black_box(work(second)))
        };
        route(ROUTES[0], browses);
        route(ROUTES[1], pays);
        let span = sondage::labels([("route", ROUTES[1]), ("span_id", SPAN)]);
        span.scope(|| black_box(pays(second)))
    });
    work.join().unwrap();
    agent.stop().unwrap();
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let profile = pprof::decode(&std::fs::read(file).unwrap()).unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    for function in ["truth::pays", "truth::browses"] {
        assert!(stacks(&profile, None).keys().any(|it| it.contains(function)), "{function}");
    }
    profile
}

/// Sends the truth to a target, under the name of a service of its own.
pub fn push(target: &str, service: &str) {
    let mut profile = truth().clone();
    profile.meta.labels =
        vec![("service_name".into(), service.into()), ("env".into(), "test".into())];
    let config = Config::builder().targets([target.parse().unwrap()]).build().unwrap();
    let sinks = export::sinks(&config).unwrap();
    let spawn = |builder: std::thread::Builder, body: Box<dyn FnOnce() + Send>| builder.spawn(body);
    let exporter = Exporter::start(sinks, &Options::default(), spawn).unwrap();
    exporter.submit(&Arc::new(profile));
    let stats = exporter.stop(Instant::now() + Duration::from_secs(60)).remove(0);
    assert!(stats.lost() == 0 && stats.pushed > 0, "{target}: {stats:?}");
}

/// CPU time by stack, a line for each frame from the leaf on; of one route or of all samples.
pub type Stacks = BTreeMap<String, i64>;

pub fn stacks(profile: &Profile, route: Option<&str>) -> Stacks {
    let column = profile.column("cpu").unwrap_or(0);
    let mut stacks = Stacks::new();
    for sample in profile.samples() {
        let mut labels = profile.labels(sample.labels);
        let matches = |wanted| labels.any(|(key, value)| key == "route" && value == wanted);
        if route.is_none_or(matches) && sample.values[column] != 0 {
            let text = profile.frames(sample.stack).iter().map(|id| frame(profile, id.index()));
            *stacks.entry(text.collect()).or_default() += sample.values[column];
        }
    }
    stacks
}

/// CPU time in the span, in nanoseconds.
pub fn in_span() -> i64 {
    let column = truth().column("cpu").unwrap();
    let samples = truth().samples().iter();
    let ours =
        samples.filter(|it| truth().labels(it.labels).any(|label| label == ("span_id", SPAN)));
    ours.map(|sample| sample.values[column]).sum()
}

/// The functions of a location, innermost first, with file and line.
fn frame(profile: &Profile, location: usize) -> String {
    let location = &profile.locations()[location];
    let lines = location.lines.iter().map(|line| {
        let function = &profile.functions()[line.function.index()];
        let (name, file) = (profile.text(function.name), profile.text(function.file));
        format!("{name} {file}:{}\n", line.line)
    });
    let lines: String = lines.collect();
    if lines.is_empty() { format!("{:#x}\n", location.address) } else { lines }
}

/// Holds what a server gave back against the truth; each stack may differ by `each`, and the sum
/// too.
pub fn compare(found: &Stacks, route: Option<&str>, each: i64, server: &str) {
    let expected = stacks(truth(), route);
    let total = |stacks: &Stacks| stacks.values().sum::<i64>();
    let (got, wanted) = (total(found), total(&expected));
    assert!((got - wanted).abs() <= each, "{server} {route:?}: {got} ns instead of {wanted}");
    for (stack, value) in &expected {
        let got = found.get(stack).copied().unwrap_or(0);
        assert!(
            (got - value).abs() <= each,
            "{server} {route:?}: {got} instead of {value}:\n{stack}"
        );
    }
    let strange = found.keys().find(|stack| !expected.contains_key(*stack));
    assert_eq!(strange, None, "{server} {route:?}: a stack that is not there");
}

/// Asks until the answer is not empty.
pub fn eventually(ask: impl Fn() -> Stacks, what: &str) -> Stacks {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let found = ask();
        if !found.is_empty() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: nothing arrived");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// CPU time between two samples, in nanoseconds: what OTLP rounds to.
pub fn period() -> i64 {
    i64::try_from(truth().meta.period.as_ref().unwrap().1).unwrap()
}
