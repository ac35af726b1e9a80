//! An agent changed while it runs, by the program and from outside.

use crate::agent::in_forked_child;
use crate::labels::{ONE_AGENT, burn, quiet, time_by_function};
use sondage::config::Target;
use sondage::control::Client;
use sondage::profile::{Profile, pprof};
use sondage::{Agent, Config, ErrorKind, Status};
use sondage_sampler::Clock;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

fn alone() -> MutexGuard<'static, ()> {
    ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name_of(pid: u32) -> SocketAddr {
    SocketAddr::from_abstract_name(format!("sondage-{pid}")).unwrap()
}

fn connect() -> UnixStream {
    let stream = UnixStream::connect_addr(&name_of(std::process::id())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Works until `reached`, and fails after a generous time.
fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < deadline, "never: {what}");
        burn(Duration::from_millis(5));
    }
}

fn total(profile: &Profile, kind: &str) -> i64 {
    profile.column(kind).map_or(0, |column| profile.total(column))
}

#[inline(never)]
fn at_the_middle_rate() -> u64 {
    burn(Duration::from_millis(1500)).wrapping_add(1)
}

#[inline(never)]
fn at_the_low_rate() -> u64 {
    burn(Duration::from_millis(1500)).wrapping_add(1)
}

#[inline(never)]
fn at_the_high_rate() -> u64 {
    burn(Duration::from_millis(1500)).wrapping_add(1)
}

#[test]
fn weights_stay_right_when_the_rate_changes_within_a_profile() {
    let _alone = alone();
    let agent = Agent::start(Config { interval: Duration::from_secs(600), ..quiet() }).unwrap();
    black_box(at_the_middle_rate());
    agent.set_hz(25).unwrap();
    black_box(at_the_low_rate());
    agent.set_hz(200).unwrap();
    black_box(at_the_high_rate());
    let profile = agent.flush().unwrap();
    let stats = agent.stats();
    for name in ["at_the_middle_rate", "at_the_low_rate", "at_the_high_rate"] {
        let time = time_by_function(&profile, name, 1);
        // A wrong weight is off by a factor of 4 or 8. A period of 40 ms is noise, and where the
        // machine is busy the governor lowers the rate for a while, which costs some more.
        assert!((1_000_000_000..2_000_000_000).contains(&time), "{name}: {time}");
    }
    let accounted = u64::try_from(total(&profile, "cpu")).unwrap();
    let difference = accounted.abs_diff(stats.host_cpu);
    assert!(difference < stats.host_cpu / 20, "{accounted} of {}", stats.host_cpu);
    assert_eq!(agent.status().settings.hz, 200);
}

#[inline(never)]
fn while_it_is_off() -> u64 {
    burn(Duration::from_millis(600)).wrapping_add(1)
}

fn is_idle(status: &Status) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    !status.sampling && status.current_hz == 0.0 && !maps.contains("/memfd:sondage-agent:")
}

#[test]
fn time_in_which_profiling_is_off_is_in_no_profile_and_is_no_loss() {
    let _alone = alone();
    let agent = Agent::start(Config { hz: 200, ..quiet() }).unwrap();
    until("samples come", || agent.stats().samples >= 10);
    agent.set_enabled(false).unwrap();
    assert!(is_idle(&agent.status()));
    let before = agent.stats();
    black_box(while_it_is_off());
    assert!(agent.flush().unwrap().samples().is_empty());
    assert_eq!(agent.stats().samples, before.samples);
    let host_before = agent.stats().host_cpu;
    let on = Clock::Process.now().unwrap();
    agent.set_enabled(true).unwrap();
    burn(Duration::from_millis(300));
    let profile = agent.flush().unwrap();
    assert_eq!(time_by_function(&profile, "while_it_is_off", 1), 0);
    // The tests beside this one use time of the process as well.
    let most = Clock::Process.now().unwrap() - on + Duration::from_millis(300);
    let host = Duration::from_nanos(agent.stats().host_cpu - host_before);
    assert!(host < most, "the time off is accounted: {host:?} of {most:?}");
    let sampled = Duration::from_nanos(total(&profile, "cpu").unsigned_abs());
    assert!(sampled < most, "{sampled:?} of {most:?}");
    assert!(agent.stats().samples > before.samples, "counters go on after a pause");
}

/// A folder of its own, and its target.
fn folder(name: &str) -> (PathBuf, Target) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    (path.clone(), Target::File(path))
}

fn written(folder: &PathBuf) -> Vec<Profile> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "gz"))
        .collect();
    files.sort_by_key(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        name.trim_end_matches(".pb.gz").rsplit_once('-').unwrap().1.parse::<u64>().unwrap()
    });
    files.iter().map(|path| pprof::decode(&std::fs::read(path).unwrap()).unwrap()).collect()
}

fn label<'p>(profile: &'p Profile, name: &str) -> Option<&'p str> {
    profile.meta.labels.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[test]
fn labels_and_waiting_time_set_at_run_time_begin_with_a_profile_of_their_own() {
    let _alone = alone();
    let (folder, target) = folder("control-labels");
    let config = Config { targets: vec![target], interval: Duration::from_secs(600), ..quiet() };
    let agent = Agent::start(config).unwrap();
    burn(Duration::from_millis(50));
    agent.set_labels([("version", "2"), ("zone", "a")]).unwrap();
    burn(Duration::from_millis(50));
    agent.set_wall(true).unwrap();
    agent.set_wall(true).unwrap();
    burn(Duration::from_millis(50));
    agent.stop().unwrap();
    let profiles = written(&folder);
    let seen: Vec<_> =
        profiles.iter().map(|it| (label(it, "version"), it.column("wall").is_some())).collect();
    assert_eq!(seen, [(None, false), (Some("2"), false), (Some("2"), true)]);
    assert!(profiles.iter().all(|it| label(it, "service_name").is_some()));
    assert!(profiles.iter().all(|it| it.total(1) > 20_000_000), "each has its own part");
}

#[test]
fn a_burst_has_profiles_of_its_own_and_the_settings_return_by_themselves() {
    let _alone = alone();
    let (folder, target) = folder("control-burst");
    let config =
        Config { hz: 20, targets: vec![target], interval: Duration::from_secs(600), ..quiet() };
    let agent = Agent::start(config).unwrap();
    burn(Duration::from_millis(100));
    agent.burst(200, Duration::from_millis(800)).unwrap();
    let status = agent.status();
    assert!(status.current_hz > 40.0 && status.burst.is_some_and(|it| it.hz == 200), "{status:?}");
    assert_eq!(agent.burst(100, Duration::from_secs(1)).unwrap_err().kind(), ErrorKind::Busy);
    // What is set meanwhile is for afterwards.
    agent.set_hz(10).unwrap();
    assert!(agent.status().current_hz > 40.0);
    until("the burst ends", || agent.status().burst.is_none());
    let after = agent.status();
    assert!(after.current_hz < 11.0 && after.settings.hz == 10, "{after:?}");
    burn(Duration::from_millis(300));
    agent.stop().unwrap();
    let bursts: Vec<_> =
        written(&folder).iter().map(|it| label(it, "sondage_burst") == Some("200")).collect();
    assert_eq!(bursts, [false, true, false]);
}

#[test]
fn a_burst_where_profiling_is_off_samples_and_turns_itself_off() {
    let _alone = alone();
    let agent = Agent::start(quiet()).unwrap();
    agent.set_enabled(false).unwrap();
    agent.burst(200, Duration::from_secs(2)).unwrap();
    let before = agent.stats().samples;
    until("the burst ends", || agent.status().burst.is_none());
    assert!(is_idle(&agent.status()));
    assert!(agent.stats().samples > before);
    // Off is off: also during a burst.
    agent.burst(200, Duration::from_secs(200)).unwrap();
    agent.set_enabled(false).unwrap();
    assert!(is_idle(&agent.status()));
}

#[test]
fn a_setting_that_a_configuration_would_not_take_is_refused_and_changes_nothing() {
    let _alone = alone();
    let agent = Agent::start(quiet()).unwrap();
    for error in [
        agent.set_hz(0).unwrap_err(),
        agent.set_hz(5001).unwrap_err(),
        agent.set_labels([("service_name", "x")]).unwrap_err(),
        agent.set_labels([("a b", "x")]).unwrap_err(),
        agent.burst(50_000, Duration::from_secs(1)).unwrap_err(),
        agent.burst(100, Duration::from_secs(301)).unwrap_err(),
        agent.burst(100, Duration::ZERO).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("allowed:"), "{error}");
    }
    let status = agent.status();
    assert_eq!((status.settings.hz, status.settings.labels.len()), (100, 0));
    assert!(status.burst.is_none());
}

/// Who this process' descriptors stand for.
fn files() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    entries
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

/// The inode of the socket that listens in a process' name.
fn listening(pid: u32) -> Option<String> {
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    let suffix = format!(" @sondage-{pid}");
    let line = sockets.lines().find(|line| line.ends_with(&suffix))?;
    Some(format!("socket:[{}]", line.split_whitespace().nth(6)?))
}

#[test]
fn a_forked_child_is_changed_by_its_own_socket_and_keeps_none_of_its_parents() {
    let _alone = alone();
    let agent = Agent::start(quiet()).unwrap();
    let parent = std::process::id();
    let parents = listening(parent).unwrap();
    assert!(files().contains(&parents));
    agent.set_labels([("from", "parent")]).unwrap();
    let status = in_forked_child(|| {
        assert!(!files().contains(&parents), "the child holds its parent's listener");
        agent.set_hz(30).unwrap();
        let own = Client::new(std::process::id());
        until("the child has its socket", || own.status().is_ok());
        let status = own.status().unwrap();
        assert_eq!((status.pid, status.settings.hz), (std::process::id(), 30));
        // A child starts as its parent was changed.
        assert_eq!(status.settings.labels, [("from".to_owned(), "parent".to_owned())]);
        agent.set_enabled(false).unwrap();
        assert!(!own.status().unwrap().sampling);
        agent.burst(100, Duration::from_millis(100)).unwrap();
    });
    assert_eq!(status, 0, "the child failed or died");
    let status = Client::new(parent).status().unwrap();
    assert_eq!((status.pid, status.settings.hz, status.sampling), (parent, 100, true));
    drop(agent);
    assert_eq!(listening(parent), None);
}

#[test]
fn an_agent_is_asked_and_changed_through_its_socket_until_it_stops() {
    let _alone = alone();
    let agent = Agent::start(Config { service_name: "asked".to_owned(), ..quiet() }).unwrap();
    let client = Client::new(std::process::id());
    let status = client.status().unwrap();
    assert_eq!((status.service_name.as_str(), status.settings.hz), ("asked", 100));
    let change = sondage::Change {
        hz: Some(50),
        labels: Some(vec![("a".to_owned(), "b".to_owned())]),
        ..Default::default()
    };
    client.change(change).unwrap();
    assert_eq!(agent.status().settings.hz, 50);
    let wrong = sondage::Change { hz: Some(0), ..Default::default() };
    assert_eq!(client.change(wrong).unwrap_err().kind(), ErrorKind::InvalidInput);

    let number = client.burst(200, Duration::from_secs(3), true).unwrap();
    until("the burst ends", || client.status().unwrap().burst.is_none());
    let profile = client.burst_profile(number, Instant::now()).unwrap();
    let profile = pprof::decode(&profile).unwrap();
    assert!(time_by_function(&profile, "burn", 1) > 100_000_000);
    assert_eq!(label(&profile, "sondage_burst"), Some("200"));
    let again = client.burst_profile(number, Instant::now()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidInput, "{again}");

    drop(agent);
    let error = client.status().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

/// Sends bytes and reads until the end of the connection.
fn exchange(bytes: &[u8]) -> String {
    let mut stream = connect();
    // The server may have hung up on the first part already.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn nonsense_is_answered_or_dropped_and_the_next_client_is_served() {
    let _alone = alone();
    let _agent = Agent::start(quiet()).unwrap();
    for (request, part) in [
        ("\n", "not a request"),
        ("{}\n", "not a request"),
        ("[[[[[[[[[[\n", "not a request"),
        ("{\"version\":2,\"call\":\"status\"}\n", "version 1"),
        ("{\"version\":1,\"call\":\"explode\"}\n", "not a request"),
        ("{\"version\":1,\"call\":{\"set\":{\"targets\":[]}}}\n", "not a request"),
        ("{\"version\":1,\"call\":\"status\"}", ""),
        ("", ""),
    ] {
        let answer = match request {
            "" => {
                drop(connect());
                String::new()
            }
            request => exchange(request.as_bytes()),
        };
        assert!(answer.contains(part), "{request}: {answer}");
    }
    let long = vec![b'x'; 2 << 20];
    let answer = exchange(&long);
    assert!(answer.is_empty() || answer.contains("too long"), "{answer}");
    assert!(Client::new(std::process::id()).status().is_ok());
}

#[test]
fn a_client_that_stalls_delays_others_by_a_second_and_the_stop_not_at_all() {
    let _alone = alone();
    let agent = Agent::start(quiet()).unwrap();
    let mut stalled = connect();
    stalled.write_all(b"{\"version\":").unwrap();
    let asked = Instant::now();
    assert!(Client::new(std::process::id()).status().is_ok());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let mut another = connect();
    another.write_all(b"{").unwrap();
    let _third = connect();
    drop(agent);
    let mut rest = Vec::new();
    assert!(another.read_to_end(&mut rest).is_err() || rest.is_empty());
    Agent::start(quiet()).unwrap().stop().unwrap();
}

#[test]
fn where_the_name_is_taken_profiling_goes_on_and_says_so_and_no_client_is_deceived() {
    let _alone = alone();
    let squatter = UnixListener::bind_addr(&name_of(std::process::id())).unwrap();
    let agent = Agent::start(Config { hz: 200, ..quiet() }).unwrap();
    until("samples come", || agent.flush().is_ok() && agent.stats().samples > 5);
    let warnings = agent.stats().warnings;
    assert!(warnings.iter().any(|it| it.starts_with("no control socket")), "{warnings:?}");
    drop((agent, squatter));

    // This process in the name of another one.
    let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let squatter = UnixListener::bind_addr(&name_of(other.id())).unwrap();
    let error = Client::new(other.id()).status().unwrap_err();
    assert!(error.to_string().contains("another process answers"), "{error}");
    other.kill().unwrap();
    other.wait().unwrap();
    drop(squatter);
    let error = Client::new(other.id()).status().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[test]
fn an_agent_of_another_version_and_one_that_talks_without_end_are_named() {
    let _alone = alone();
    let server = UnixListener::bind_addr(&name_of(std::process::id())).unwrap();
    let answers = [
        b"{\"version\":2,\"answer\":{\"future\":1}}\n".to_vec(),
        b"{\"version\":1,\"answer\":{\"profile\":{\"bytes\":999999999999}}}\n".to_vec(),
        b"{\"version\":1,\"answer\":{\"profile\":{\"bytes\":9}}}\nshort".to_vec(),
        vec![b'x'; 2 << 20],
    ];
    let serving = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            // The client may have hung up on the rest.
            let _ = stream.write_all(&answer);
        }
    });
    let client = Client::new(std::process::id());
    let error = client.status().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("another version"), "{error}");
    for part in ["the profile is too large", "broke off", "the line is too long"] {
        let error = client.burst_profile(1, Instant::now()).unwrap_err();
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains(part), "{error}");
    }
    serving.join().unwrap();
}

#[test]
fn another_user_gets_no_answer() {
    let _alone = alone();
    let agent = Agent::start(quiet()).unwrap();
    let pid = std::process::id();
    // SAFETY: takes no arguments.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: only root can become another user");
        return;
    }
    let status = in_forked_child(|| {
        // SAFETY: changes only the user of this child, which has one thread.
        assert_eq!(unsafe { libc::setresuid(65_534, 65_534, 65_534) }, 0);
        let mut stream = UnixStream::connect_addr(&name_of(pid)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(b"{\"version\":1,\"call\":\"status\"}\n");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
        let error = Client::new(pid).status().unwrap_err();
        assert!(error.to_string().contains("belongs to user 0"), "{error}");
    });
    assert_eq!(status, 0, "the child failed or died");
    assert!(Client::new(pid).status().is_ok());
    drop(agent);
}

#[test]
fn an_agent_without_control_listens_nowhere() {
    let _alone = alone();
    let _agent = Agent::start(Config { control: false, ..quiet() }).unwrap();
    assert_eq!(listening(std::process::id()), None);
}

#[test]
fn a_process_that_does_not_participate_waits_asleep_and_can_be_turned_on() {
    let _alone = alone();
    let share = 0.5;
    let (mut chosen, mut others) = (0, 0);
    while chosen == 0 || others == 0 {
        assert!(chosen + others < 60, "not once in sixty tries");
        let config = Config { hz: 200, participation: share, ..quiet() };
        let agent = Agent::start(config).unwrap();
        let status = agent.status();
        assert_eq!(status.participates, status.sampling);
        assert!((status.stats.participation - share).abs() < 1e-9);
        if status.participates {
            chosen += 1;
            burn(Duration::from_millis(200));
            let profile = agent.flush().unwrap();
            // Every value stands for two processes.
            let host = 2 * agent.stats().host_cpu;
            let told = u64::try_from(profile.total(1)).unwrap();
            assert!(told.abs_diff(host) < host / 10, "{told} of {host}");
            assert!(profile.meta.comments.iter().any(|it| it.contains("multiplied by 2")));
            let period = 2 * agent.stats().interval.as_nanos() as u64;
            assert_eq!(profile.meta.period.as_ref().unwrap().1, period);
        } else {
            others += 1;
            assert!(is_idle(&status));
            agent.set_enabled(true).unwrap();
            burn(Duration::from_millis(200));
            let profile = agent.flush().unwrap();
            let (host, told) = (agent.stats().host_cpu, profile.total(1));
            assert!(u64::try_from(told).unwrap().abs_diff(host) < host / 10, "{told} of {host}");
            assert!(profile.meta.comments.iter().any(|it| it.contains("by hand")));
        }
    }
}
