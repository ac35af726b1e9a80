//! `host-agent`: what it says and how it ends without rights, with some, and with wrong settings; and
//! what rights it keeps.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::gate;
use crate::outside::is_root;
use crate::read::said;
use crate::scratch::Scratch;

/// Exit code where the kernel or the rights of the process do not allow it.
const UNAVAILABLE: i32 = 3;

const BPF: u64 = 1 << 39;
const PERFMON: u64 = 1 << 38;
const SYS_PTRACE: u64 = 1 << 19;
const CHECKPOINT_RESTORE: u64 = 1 << 40;
const DAC_READ_SEARCH: u64 = 1 << 2;
const SYSLOG: u64 = 1 << 34;

fn host_agent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sondage"));
    command.arg("host-agent");
    command
}

/// Whether the test can run here; says so where it cannot.
fn allowed(test: &str) -> bool {
    if !is_root() {
        gate::skip(test, "it needs root");
        return false;
    }
    gate::has_ebpf(test)
}

/// The command where every user may run it, and a folder where nobody may write.
struct Shared(PathBuf);

impl Shared {
    fn new(test: &str) -> Self {
        let name = format!("sondage-host-agent-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_sondage"), folder.join("sondage")).unwrap();
        Self(folder)
    }

    /// The command as the user `nobody` with these capabilities and no others.
    fn with(&self, capabilities: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(format!("--inh-caps=-all{capabilities}"));
        command.arg(format!("--ambient-caps=-all{capabilities}"));
        command.arg(self.0.join("sondage")).arg("host-agent").current_dir(&self.0);
        command.args(["--set", "interval=1s", "--push"]);
        command.arg(format!("file:{}", self.0.join("profiles").display()));
        command
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("no exit code: {}", said(output)))
}

#[test]
fn each_capability_that_is_missing_is_named_and_the_exit_code_says_unavailable() {
    if !allowed("each_capability_that_is_missing_is_named_and_the_exit_code_says_unavailable") {
        return;
    }
    let shared = Shared::new("matrix");
    let (bpf, perfmon) = ("CAP_BPF is missing", "CAP_PERFMON is missing");
    for (capabilities, missing) in
        [("", &[bpf, perfmon][..]), (",+bpf", &[perfmon]), (",+perfmon", &[bpf])]
    {
        for arguments in [&["--check"][..], &["-d", "2"]] {
            let output = shared.with(capabilities).args(arguments).output().unwrap();
            let text = said(&output);
            assert_eq!(code(&output), UNAVAILABLE, "{capabilities} {arguments:?}: {text}");
            for name in [bpf, perfmon] {
                let is_told = text.contains(name);
                assert_eq!(
                    is_told,
                    missing.contains(&name),
                    "{capabilities} {arguments:?}: {text}"
                );
            }
            assert!(text.contains("setcap cap_bpf,cap_perfmon+ep"), "a remedy: {text}");
            assert!(!text.contains("panicked"), "{text}");
        }
    }
    for capabilities in [
        ",+bpf,+perfmon",
        ",+bpf,+perfmon,+sys_ptrace,+checkpoint_restore,+dac_read_search,+syslog",
    ] {
        let output = shared.with(capabilities).arg("--check").output().unwrap();
        assert_eq!(code(&output), 0, "{capabilities}: {}", said(&output));
        let output = shared.with(capabilities).args(["-d", "2"]).output().unwrap();
        assert_eq!(code(&output), 0, "{capabilities}: {}", said(&output));
        assert!(said(&output).contains("samples, "), "{capabilities}: {}", said(&output));
    }
}

/// An agent that runs; killed with the test.
struct Agent(Child);

impl Agent {
    fn start(command: &mut Command) -> Self {
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    /// The permitted rights, the effective ones, and the ambient and inheritable together, of each
    /// thread.
    fn rights(&self) -> Vec<[u64; 3]> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        // A thread may have ended since it was listed.
        tasks.filter_map(|task| rights(&task.unwrap().path().join("status"))).collect()
    }

    /// Once the threads have no right beyond these.
    fn wait_for_rights(&self, wanted: u64) -> Vec<[u64; 3]> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let found = self.rights();
            // Exporters run only after rights were given up.
            let is_there = found.len() > 1 && found.iter().all(|[held, ..]| *held == wanted);
            if is_there || Instant::now() > until {
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rights(status: &Path) -> Option<[u64; 3]> {
    let status = fs::read_to_string(status).ok()?;
    let set = |name: &str| {
        let digits = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(digits.trim(), 16).unwrap()
    };
    Some([set("CapPrm:"), set("CapEff:"), set("CapAmb:") | set("CapInh:")])
}

#[test]
fn a_running_agent_keeps_the_rights_it_uses_and_no_other() {
    if !allowed("a_running_agent_keeps_the_rights_it_uses_and_no_other") {
        return;
    }
    let shared = Shared::new("rights");
    let kept = BPF | SYS_PTRACE | CHECKPOINT_RESTORE | DAC_READ_SEARCH | SYSLOG;
    let push = format!("file:{}", shared.0.join("root").display());
    let mut as_root = host_agent();
    as_root.args(["--push", &push]);
    let two = shared.with(",+bpf,+perfmon,+sys_ptrace,+net_admin");
    for (mut command, wanted) in [(as_root, kept), (two, BPF | SYS_PTRACE)] {
        let agent = Agent::start(&mut command);
        let found = agent.wait_for_rights(wanted);
        assert!(found.len() > 1, "it has not started: {found:x?}");
        for thread in found {
            assert_eq!(thread, [wanted, wanted, 0], "{thread:x?}");
            assert_eq!(thread[0] & PERFMON, 0);
        }
    }
}

#[test]
fn wrong_settings_are_told_with_their_line() {
    let scratch = Scratch::new("host-agent-settings");
    let file = scratch.path("wrong.yaml");
    for (text, place, what) in [
        ("hz: 19\n\nhertz: 5\n", ":3:", "hertz"),
        ("hz: nineteen\n", ":1:", "hz"),
        ("hz: 19\nrelabel_configs:\n  - action: replase\n", ":3:", "replase"),
        ("push: [\n", ":", "wrong.yaml"),
    ] {
        fs::write(&file, text).unwrap();
        for check in [&["--check"][..], &[]] {
            let output = host_agent().arg("--config").arg(&file).args(check).output().unwrap();
            let message = said(&output);
            assert_eq!(code(&output), 2, "{text}: {message}");
            let place = format!("wrong.yaml{place}");
            assert!(message.contains(&place) && message.contains(what), "{text}: {message}");
        }
    }
    let output = host_agent().args(["--set", "hz=0", "--check"]).output().unwrap();
    assert_eq!(code(&output), 2, "{}", said(&output));
    let output = host_agent().args(["--config", "/nowhere.yaml", "--check"]).output().unwrap();
    assert!([1, 2].contains(&code(&output)), "{}", said(&output));
    assert!(said(&output).contains("/nowhere.yaml"), "{}", said(&output));
}
