//! What is left in the kernel when a machine is no longer watched, however that ended.

use crate::gate;
use crate::stacks::{options, watch, work_for};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in a child that is to watch until it is killed.
const ROLE: &str = "SONDAGE_HOST_TEST_ROLE";

/// How often: 1,000 times with `SONDAGE_STORM=full`.
fn rounds() -> u32 {
    match std::env::var("SONDAGE_STORM").as_deref() {
        Ok("full") => 1000,
        _ => 20,
    }
}

/// What the kernel has of BPF, by the names that `/proc/PID/fdinfo` has for the numbers.
fn loaded() -> BTreeSet<(&'static str, u32)> {
    let programs = aya::programs::loaded_programs().flatten().map(|it| ("prog_id", it.id()));
    let maps = aya::maps::loaded_maps().flatten().map(|it| ("map_id", it.id()));
    let links = aya::programs::loaded_links().flatten().map(|it| ("link_id", it.id()));
    programs.chain(maps).chain(links).collect()
}

/// What other processes than this hold.
fn held_by_others() -> BTreeSet<(&'static str, u32)> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(|it| {
        let name = it.file_name().into_string().unwrap_or_default();
        name.bytes().all(|digit| digit.is_ascii_digit()) && name != own
    });
    let files = processes.filter_map(|it| fs::read_dir(it.path().join("fdinfo")).ok()).flatten();
    let texts = files.flatten().filter_map(|file| fs::read_to_string(file.path()).ok());
    texts.flat_map(|text| text.lines().filter_map(held).collect::<Vec<_>>()).collect()
}

fn held(line: &str) -> Option<(&'static str, u32)> {
    let (key, number) = line.split_once(':')?;
    let key = ["prog_id", "map_id", "link_id"].into_iter().find(|it| *it == key)?;
    Some((key, number.trim().parse().ok()?))
}

/// What came since `before` and nobody holds; the kernel frees some of it only after a moment.
fn assert_nothing_is_left(before: &BTreeSet<(&'static str, u32)>) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let others = held_by_others();
        let left: Vec<_> = loaded()
            .into_iter()
            .filter(|it| !before.contains(it) && !others.contains(it))
            .collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_machine_that_is_no_longer_watched_leaves_nothing() {
    let test = "a_machine_that_is_no_longer_watched_leaves_nothing";
    let Some(_turn) = gate::enter(test) else { return };
    let before = loaded();
    // What is opened once in a process, as for the kernel's names.
    drop(watch(options()));
    let files = entries("/proc/self/fd");
    for round in 0..rounds() {
        let mut options = options();
        options.sampling.off_cpu = round % 2 == 0;
        let mut machine = watch(options);
        let ours = loaded().difference(&before).count();
        // Five programs or more with their maps and a link each.
        assert!(ours >= 15, "{ours}: what is counted is not what is loaded");
        work_for(&mut machine, Duration::from_millis(u64::from(round % 4) * 20));
        if round % 3 == 0 {
            machine.flush();
        }
    }
    assert_nothing_is_left(&before);
    // A table that was begun is built to its end, from a file that is open until then.
    let end = Instant::now() + Duration::from_secs(20);
    while entries("/proc/self/fd") != files {
        assert!(Instant::now() < end, "{} files instead of {files}", entries("/proc/self/fd"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Not a test of its own: what [`a_killed_agent_leaves_nothing`] runs again and kills.
#[test]
fn a_child_that_watches() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    loop {
        let mut machine = watch(options());
        work_for(&mut machine, Duration::from_millis(100));
        machine.flush();
    }
}

#[test]
fn a_killed_agent_leaves_nothing() {
    let Some(_turn) = gate::enter("a_killed_agent_leaves_nothing") else { return };
    let before = loaded();
    let mut seen = 0;
    for round in 0..rounds() {
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", "lifecycle::a_child_that_watches", "--nocapture"])
            .env(ROLE, "watch")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Starting takes 10 to 100 ms: moments within it and after it.
        let random = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_micros();
        std::thread::sleep(Duration::from_micros(u64::from(random % 250_000)));
        // Every fifth time as late as it takes.
        let end = Instant::now() + Duration::from_secs(60);
        while round % 5 == 0 && loaded().is_subset(&before) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        seen += usize::from(loaded().difference(&before).count() > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 50 == 49 {
            assert_nothing_is_left(&before);
        }
    }
    assert!(seen > 5, "{seen} children had something loaded when they were killed");
    assert_nothing_is_left(&before);
}
