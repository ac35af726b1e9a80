use super::*;
use crate::scratch::Scratch;

const STATUS: &str = "Name:\tx\nUid:\t1000\t0\t0\t0\nNSpid:\t4242\t17\t3\n";

/// Fields 3 to 22 of stat, with these flags and this start.
fn stat_line(comm: &str, flags: u64, start: u64) -> String {
    format!("4242 ({comm}) S 7 1 1 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 {start} 1 2 3\n")
}

fn process(root: &Scratch, comm: &str, start: u64) {
    root.write("4242/stat", stat_line(comm, 0x40_0100, start).as_bytes());
    root.write("4242/status", STATUS.as_bytes());
}

#[test]
fn facts_come_from_the_root_that_is_given() {
    let root = Scratch::new("facts");
    process(&root, "a) (b", 99);
    root.write("4242/cmdline", b"/bin/a\0--flag\0x y\0");
    root.write(
        "4242/cgroup",
        b"12:cpu,cpuacct:/a:b\n1:name=systemd:/s\n0::/two (deleted)\nnoise\n",
    );
    root.write(
        "4242/environ",
        b"SECRET=canary\0OTEL_SERVICE_NAME=shop\0OTEL_SERVICE_NAME=second\0\
        SONDAGE_SERVICE=\0SONDAGE_SERVICES=x\0OTEL_RESOURCE_ATTRIBUTES=service.name=cart,v=1\0",
    );
    root.link("4242/exe", "/usr/bin/gone (deleted)");
    let facts = Proc::new(root.path()).facts(4242, true).unwrap();
    assert_eq!((facts.pid, facts.ns_pid, facts.uid), (4242, 3, 1000));
    assert_eq!((facts.stat.comm.as_str(), facts.stat.parent), ("a) (b", 7));
    assert_eq!((facts.stat.start, facts.stat.kernel_thread), (StartTime(99), false));
    assert_eq!((facts.executable.as_deref(), facts.deleted), (Some("/usr/bin/gone"), true));
    assert_eq!(facts.cmdline, "/bin/a --flag x y");
    let cgroups: Vec<_> = facts
        .cgroups
        .iter()
        .map(|group| (group.controllers.as_str(), group.path.as_str()))
        .collect();
    assert_eq!(cgroups, [("cpu,cpuacct", "/a:b"), ("name=systemd", "/s"), ("", "/two")]);
    assert_eq!(facts.environment.otel_service_name.as_deref(), Some("shop"));
    assert_eq!(facts.environment.sondage_service, None, "an empty one is not set");
    assert_eq!(facts.environment.attributes.len(), 2);
    assert!(facts.environment.readable && !format!("{facts:?}").contains("canary"));
}

#[test]
fn a_file_can_be_called_deleted() {
    let root = Scratch::new("deleted");
    process(&root, "x", 1);
    root.write("program (deleted)", b"");
    let file = root.path().join("program (deleted)");
    root.link("4242/exe", file.to_str().unwrap());
    let facts = Proc::new(root.path()).facts(4242, false).unwrap();
    assert_eq!((facts.executable.as_deref(), facts.deleted), (file.to_str(), false));
}

#[test]
fn threads_of_the_kernel_are_known_by_their_flag() {
    let root = Scratch::new("kthread");
    root.write("4242/stat", stat_line("kworker/0:1", 0x0420_8060, 5).as_bytes());
    let facts = Proc::new(root.path()).facts(4242, true).unwrap();
    assert!(facts.stat.kernel_thread && facts.executable.is_none());
}

#[test]
fn what_may_not_be_read_is_missing_and_what_is_not_there_is_an_error() {
    let root = Scratch::new("missing");
    process(&root, "x", 1);
    let proc = Proc::new(root.path());
    let facts = proc.facts(4242, true).unwrap();
    assert_eq!((facts.executable, facts.cmdline.as_str(), facts.cgroups.len()), (None, "", 0));
    assert!(!facts.environment.readable);
    assert_eq!(proc.facts(1, true).unwrap_err().kind(), io::ErrorKind::NotFound);
    for noise in [&b""[..], b"4242", b"4242 (x", b"4242 (x) S 1", b")(", b"1 (x) S a b c"] {
        root.write("4242/stat", noise);
        assert_eq!(proc.facts(4242, true).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn huge_and_hostile_files_are_cut_and_cleaned() {
    let root = Scratch::new("hostile");
    process(&root, "a\n\u{1b}[2J", 1);
    root.write(
        "4242/cmdline",
        &[b"\x1b]0;title\x07".repeat(1 << 20), b"\xff".repeat(100)].concat(),
    );
    root.write("4242/cgroup", "0::/evil\u{202e}\n".repeat(10_000).as_bytes());
    let late = [b"A=".to_vec(), vec![b'x'; 1 << 20], b"\0OTEL_SERVICE_NAME=late\0".to_vec()];
    root.write("4242/environ", &late.concat());
    let facts = Proc::new(root.path()).facts(4242, true).unwrap();
    assert_eq!(facts.stat.comm, "a\u{fffd}\u{fffd}[2J");
    assert!(facts.cmdline.len() <= MAX_CMDLINE && !facts.cmdline.contains('\u{1b}'));
    assert!(facts.cgroups.len() <= 64 && facts.cgroups[0].path == "/evil\u{fffd}");
    assert_eq!(facts.environment.otel_service_name, None);
}

#[test]
fn this_process_is_described_by_the_real_kernel() {
    let proc = Proc::default();
    let facts = proc.facts(std::process::id(), true).unwrap();
    let own = std::env::current_exe().unwrap();
    assert_eq!(facts.executable.as_deref(), own.to_str());
    assert!(facts.environment.readable && !facts.cgroups.is_empty() && !facts.stat.kernel_thread);
    assert!(proc.pids().unwrap().contains(&facts.pid));
}
