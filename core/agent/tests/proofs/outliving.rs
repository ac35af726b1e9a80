//! Uploads on disk and processes that are killed, forked, started at once, or out of room.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "fork, kill and limits are called as a host would"
)]

use crate::child::{PATIENCE, again, finish, isolated, role, size};
use crate::received;
use crate::server::{Reply, Server};
use sondage::Error;
use sondage::config::{Config, Target};
use sondage::export::{
    ExportStats, Exporter, Options, PushError, PyroscopeSink, Sink, SpoolOptions, Upload, sinks,
};
use sondage::profile::{Profile, ValueType};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TARGET: &str = "SONDAGE_TEST_TARGET";
const SPOOL: &str = "SONDAGE_TEST_SPOOL";
const FIRST: &str = "SONDAGE_TEST_FIRST";

/// Time between two profiles.
const INTERVAL: Duration = Duration::from_millis(20);

/// A profile that says its number in the label `instance`.
fn profile(number: u64) -> Arc<Profile> {
    let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
    profile.meta.start_unix_nanos = Some(received::now());
    profile.meta.labels =
        vec![("service_name".into(), "shop".into()), ("instance".into(), number.to_string())];
    let location = profile.named_location("work");
    let stack = profile.stack(&[location]);
    profile.add(stack, Default::default(), &[10_000_000]);
    Arc::new(profile)
}

fn options(dir: &Path) -> Options {
    Options {
        backoff_base: INTERVAL * 2,
        backoff_max: INTERVAL * 6,
        push_timeout: Duration::from_secs(10),
        spool: Some(SpoolOptions { dir: dir.into(), max_bytes: 64 << 20, service: "shop".into() }),
        ..Options::default()
    }
}

fn start(sink: Box<dyn Sink>, options: &Options) -> Exporter {
    Exporter::start(vec![sink], options, |builder, body| builder.spawn(body)).unwrap()
}

/// A server with one name wherever it is, or one that is down.
struct Named {
    sink: Option<Box<dyn Sink>>,
    encoder: PyroscopeSink,
}

impl Sink for Named {
    fn name(&self) -> String {
        "proof".to_owned()
    }

    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        self.encoder.encode(profile)
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        let down = || Err(PushError::retry("down"));
        self.sink.as_mut().map_or_else(down, |sink| sink.push(upload, deadline))
    }
}

fn down() -> Named {
    named("pyroscope+http://127.0.0.1:9", true)
}

fn named(target: &str, down: bool) -> Named {
    let target: Target = target.parse().unwrap();
    let config = Config::builder().targets([target]).build().unwrap();
    let Target::Pyroscope(endpoint) = config.targets[0].clone() else { panic!("{config:?}") };
    let encoder = PyroscopeSink::new(endpoint, &config.http, false).unwrap();
    let sink = sinks(&config).unwrap().remove(0);
    Named { sink: (!down).then_some(sink), encoder }
}

/// The exporter that the environment of this process describes.
fn start_here(down: bool) -> Exporter {
    let sink = named(&std::env::var(TARGET).unwrap(), down);
    start(Box::new(sink), &options(Path::new(&std::env::var_os(SPOOL).unwrap())))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

/// What a process does that is ended by others, or that delivers what they left.
fn play(role: &str) {
    let exporter = start_here(role == "leave");
    if role == "deliver" {
        assert!(exporter.drain(soon()), "{:?}", exporter.stats());
        let stats = exporter.stop(soon()).remove(0);
        println!("\ndelivered {} {} {}", stats.replayed, stats.pushed, stats.ambiguous);
        assert_eq!((stats.damaged, stats.spooled), (0, 0), "{stats:?}");
        return;
    }
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let mut output = std::io::stdout();
    for number in first.. {
        if role == "leave" && number == first + 5 {
            let stats = exporter.stop(soon()).remove(0);
            assert_eq!((stats.lost(), stats.pushed), (0, 0), "{stats:?}");
            return;
        }
        // A pipe, and so written even if the process is killed in the next moment.
        writeln!(output, "\nmade {number}").unwrap();
        exporter.submit(&profile(number));
        std::thread::sleep(INTERVAL);
    }
}

/// This scenario's process that plays `role`.
fn command(role: &str, target: &str, spool: &Path, first: u64) -> Command {
    let mut command = again(role);
    command.env(TARGET, target).env(SPOOL, spool).env(FIRST, first.to_string());
    command
}

/// A directory for one scenario, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sondage-proof-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The numbers that a server took, with how often; a refused request counts as not taken.
fn taken(server: &Server, refused: impl Fn(usize) -> bool) -> BTreeMap<u64, u32> {
    let mut taken = BTreeMap::new();
    for upload in received::Received::all(server) {
        if !refused(upload.connection) {
            *taken.entry(upload.instance.parse().unwrap()).or_default() += 1;
        }
    }
    taken
}

/// Starts a process that makes profiles and kills it at some time; returns the numbers it made.
fn made_until_killed(target: &str, spool: &Path, first: u64) -> BTreeSet<u64> {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut command = command("make", target, spool, first);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    received::wait_for_line(&mut output, &format!("made {first}"));
    let phase = RandomState::new().build_hasher().finish() % 300_000;
    std::thread::sleep(Duration::from_micros(phase));
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = output.lines().map_while(Result::ok);
    let made = lines.filter_map(|line| line.strip_prefix("made ")?.parse().ok());
    std::iter::once(first).chain(made).collect()
}

#[test]
fn a_kill_at_any_moment_loses_an_interval_at_most_and_nothing_is_sent_twice() {
    isolated(PATIENCE, || {
        if let Some(role) = role() {
            return play(&role);
        }
        let scratch = Scratch::new();
        // Half of the time the server is down for some requests, so that there is a backlog.
        let refused = |index: usize| index % 8 < 4;
        let replies =
            (0..100_000).map(|index| Reply::status(if refused(index) { 503 } else { 200 }));
        let server = Server::start(replies.collect());
        let target = server.target();
        let (kills, mut made) = (size(20, 200), Vec::new());
        for kill in 0..kills {
            made.push(made_until_killed(&target, &scratch.0, kill * 1_000_000));
        }
        let deliver = finish(&mut command("deliver", &target, &scratch.0, 0), PATIENCE);
        assert!(deliver.0.is_some_and(|status| status.success()), "{}", deliver.1);

        let taken = taken(&server, refused);
        let twice: Vec<_> = taken.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "sent twice: {twice:?}");
        let missing =
            |made: &BTreeSet<u64>| made.iter().filter(|it| !taken.contains_key(it)).count();
        let missing: Vec<usize> = made.iter().map(missing).collect();
        let total: usize = made.iter().map(BTreeSet::len).sum();
        println!(
            "{total} profiles, {} taken, {kills} kills, missing at each: {missing:?}",
            taken.len()
        );
        // The one in memory, and the one that was being sent: then it is counted as ambiguous. Where
        // the machine stalls while one is sent, more wait in memory.
        let stalled = missing.iter().filter(|missing| **missing > 2).count();
        assert!(stalled <= size(2, 0), "{missing:?}");
        let doubtful = missing.iter().filter(|missing| **missing > 1).count();
        assert!(doubtful - stalled <= missing.len() / 10, "{missing:?}");
        let left = std::fs::read_dir(&scratch.0).unwrap().next().unwrap().unwrap().path();
        assert_eq!(std::fs::read_dir(left).unwrap().count(), 0, "nothing is left on disk");
    });
}

#[test]
fn processes_that_start_at_once_share_what_is_left_and_send_nothing_twice() {
    isolated(PATIENCE, || {
        if let Some(role) = role() {
            return play(&role);
        }
        let scratch = Scratch::new();
        let server = Server::start(vec![Reply::status(200)]);
        let target = server.target();
        for round in 0..size(2, 20) {
            let first = |process: u64| round * 1000 + process * 10;
            for process in 0..6 {
                let mut leave = command("leave", &target, &scratch.0, first(process));
                let (status, output) = finish(&mut leave, PATIENCE);
                assert!(status.is_some_and(|status| status.success()), "{output}");
            }
            let racing: Vec<_> = (0..4)
                .map(|_| {
                    let mut command = command("deliver", &target, &scratch.0, 0);
                    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                    command.spawn().unwrap()
                })
                .collect();
            for child in racing {
                let output = child.wait_with_output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{text}");
            }
            let taken = taken(&server, |_| false);
            for number in (0..6).flat_map(|process| first(process)..first(process) + 5) {
                assert_eq!(taken.get(&number), Some(&1), "{number}: {taken:?}");
            }
        }
    });
}

/// Waits until so many uploads are on disk.
fn wait_for_spooled(exporter: &Exporter, count: u64) -> ExportStats {
    let deadline = soon();
    loop {
        let stats = exporter.stats().remove(0);
        if stats.spooled >= count {
            return stats;
        }
        assert!(Instant::now() < deadline, "{stats:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_forked_child_sends_its_own_uploads_and_none_of_its_parents() {
    isolated(PATIENCE, || {
        let scratch = Scratch::new();
        let server = Server::start(vec![Reply::status(200)]);
        let target = server.target();
        let parent = start(Box::new(down()), &options(&scratch.0));
        (0..5).for_each(|number| parent.submit(&profile(number)));
        wait_for_spooled(&parent, 5);
        for child in 0..size(3, 50) {
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let sent = std::panic::catch_unwind(|| {
                    let own = start(Box::new(named(&target, false)), &options(&scratch.0));
                    own.submit(&profile(100 + child));
                    assert!(own.drain(soon()));
                    let stats = own.stop(soon()).remove(0);
                    assert_eq!((stats.pushed, stats.replayed), (1, 0), "{stats:?}");
                });
                drop(parent);
                unsafe { libc::_exit(if sent.is_ok() { 7 } else { 1 }) };
            }
            let mut status = 0;
            while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {}
            assert_eq!(libc::WEXITSTATUS(status), 7);
        }
        let stats = parent.stop(soon()).remove(0);
        assert_eq!((stats.spooled, stats.lost()), (5, 0), "{stats:?}");
        let children = (0..size(3, 50)).map(|child| (100 + child, 1));
        assert_eq!(taken(&server, |_| false), children.collect());
    });
}

/// Takes everything once it is up, without a socket.
struct Switch {
    up: Arc<Mutex<bool>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Sink for Switch {
    fn name(&self) -> String {
        "switch".to_owned()
    }

    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let mut body = profile.meta.labels[1].1.clone().into_bytes();
        body.resize(20_000, b' ');
        Ok(vec![Upload { body, start_unix_nanos: None, note: None }])
    }

    fn push(&mut self, upload: &Upload, _deadline: Instant) -> Result<(), PushError> {
        if !*self.up.lock().unwrap() {
            return Err(PushError::retry("down"));
        }
        let text = String::from_utf8_lossy(&upload.body);
        self.seen.lock().unwrap().push(text.trim_end().to_owned());
        Ok(())
    }
}

/// A profile of a busy service: 600 stacks of 40 frames.
fn busy_profile(number: u64) -> Arc<Profile> {
    let mut large = (*profile(number)).clone();
    let name = |frame| format!("service::module_{number}::function_{frame}");
    let frames: Vec<_> = (0..400).map(|frame| large.named_location(&name(frame))).collect();
    for stack in 0..600 {
        let frames: Vec<_> = (0..40).map(|depth| frames[(stack * 7 + depth * 13) % 400]).collect();
        let stack = large.stack(&frames);
        large.add(stack, Default::default(), &[10_000_000]);
    }
    Arc::new(large)
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn half_an_hour_of_outage_fits_in_the_memory_of_a_queue() {
    isolated(PATIENCE, || {
        let scratch = Scratch::new();
        let exporter = start(Box::new(down()), &options(&scratch.0));
        let (before, mut most) = (resident(), 0);
        for number in 0..180 {
            exporter.submit(&busy_profile(number));
            wait_for_spooled(&exporter, number.saturating_sub(2));
            most = most.max(resident() - before);
        }
        let stats = wait_for_spooled(&exporter, 180);
        println!("grew by {} KiB; {stats:?}", most >> 10);
        assert!(most <= 16 << 20, "{most}");
        assert_eq!((stats.spooled, stats.lost()), (180, 0), "{stats:?}");
    });
}

fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

/// Bytes of all files in a spool.
fn bytes_in(spool: &Path) -> u64 {
    let list = |path: &Path| std::fs::read_dir(path).map(|it| it.flatten().collect::<Vec<_>>());
    let folders = list(spool).unwrap_or_default();
    let files = folders.iter().flat_map(|folder| list(&folder.path()).unwrap_or_default());
    files.map(|file| file.metadata().unwrap().len()).sum()
}

/// Submits twelve profiles under a limit while the server is down. Returns what arrives when it is
/// up, what became of them, and the bytes on disk before.
fn under_a_limit(
    resource: libc::__rlimit_resource_t,
    value: u64,
) -> (Vec<String>, ExportStats, u64) {
    let scratch = Scratch::new();
    let (up, seen) = (Arc::new(Mutex::new(false)), Arc::<Mutex<Vec<String>>>::default());
    let sink = Switch { up: up.clone(), seen: seen.clone() };
    // What the kernel sends a thread that writes beyond the limit; the agent's threads block it.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    limit(resource, value);
    let exporter = start(Box::new(sink), &options(&scratch.0));
    for number in 0..12 {
        exporter.submit(&profile(number));
        std::thread::sleep(INTERVAL);
    }
    let bytes = bytes_in(&scratch.0);
    *up.lock().unwrap() = true;
    assert!(exporter.drain(soon()), "{:?}", exporter.stats());
    let stats = exporter.stop(soon()).remove(0);
    let seen = seen.lock().unwrap().clone();
    (seen, stats, bytes)
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn a_full_disk_leaves_no_half_record_and_uploads_go_on_from_memory() {
    isolated(PATIENCE, || {
        // Room for four uploads and half of a fifth.
        let (seen, stats, bytes) = under_a_limit(libc::RLIMIT_FSIZE, 90_000);
        assert_eq!(bytes, 16 + 4 * (32 + 20_000), "whole records only");
        println!("{stats:?}");
        // Four on disk, one beside them in memory, and the rest in the queue.
        assert_eq!(seen, numbers(0..12));
        assert_eq!((stats.pushed, stats.lost(), stats.damaged), (12, 0, 0), "{stats:?}");
        assert!(stats.spool_errors >= 1, "{stats:?}");
    });
}

#[test]
fn without_a_free_descriptor_uploads_go_on_from_memory() {
    isolated(PATIENCE, || {
        let (seen, stats, _) = under_a_limit(libc::RLIMIT_NOFILE, 3);
        println!("{stats:?}");
        assert_eq!(stats.spool_errors, 1, "{stats:?}");
        assert!(stats.last_error.is_some());
        // One in delivery, eight in the queue.
        assert_eq!(stats.pushed + stats.dropped_queue, 12, "{stats:?}");
        let newest: Vec<String> = numbers(4..12);
        assert!(seen.ends_with(&newest), "{seen:?}");
    });
}
