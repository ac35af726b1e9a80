use crate::gate;
use sondage_ebpf::{Capability, Engine, ErrorKind, Missing, Options, probe};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in a child that a test starts: what is to be checked there.
const ROLE: &str = "SONDAGE_EBPF_TEST_ROLE";

/// Runs one test of this binary again, under another program that changes its surroundings.
fn run_again(test: &str, role: &str, wrapper: &[&str], program: &Path) {
    let (first, rest) = wrapper.split_first().unwrap();
    let output = Command::new(first)
        .args(rest)
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, role)
        .env_remove("SONDAGE_REQUIRE_EBPF")
        .output()
        .unwrap_or_else(|error| panic!("{first}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed") && !text.contains("SKIPPED"), "{text}");
}

fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// A copy of this binary that every user may run; removed at the end.
struct SharedCopy(PathBuf);

impl SharedCopy {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sondage-ebpf-{}", std::process::id()));
        fs::copy("/proc/self/exe", &path).unwrap();
        Self(path)
    }
}

impl Drop for SharedCopy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_process_without_capabilities_is_told_which_and_how_to_get_them() {
    let test = "rights::a_process_without_capabilities_is_told_which_and_how_to_get_them";
    if probe().is_empty() && role().is_none() {
        let copy = SharedCopy::new();
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        return run_again(test, "nobody", &nobody, &copy.0);
    }
    let missing = probe();
    for capability in [Capability::Bpf, Capability::Perfmon] {
        assert!(missing.contains(&Missing::Capability(capability)), "{missing:?}");
    }
    let error = Engine::start(&Options::own_process(), []).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains("CAP_BPF is missing") && text.contains("--cap-add PERFMON"), "{text}");
}

#[test]
fn two_capabilities_are_enough() {
    let Some(turn) = gate::enter("two_capabilities_are_enough") else { return };
    let test = "own_process::deep_stacks_without_frame_pointers_reach_the_root";
    let copy = SharedCopy::new();
    let two = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all,+bpf,+perfmon",
        "--ambient-caps=-all,+bpf,+perfmon",
    ];
    run_again(test, "two capabilities", &two, &copy.0);
    drop(turn);
}

#[test]
fn a_process_in_a_pid_namespace_of_its_own_is_sampled() {
    let Some(turn) = gate::enter("a_process_in_a_pid_namespace_of_its_own_is_sampled") else {
        return;
    };
    let test = "own_process::deep_stacks_without_frame_pointers_reach_the_root";
    let namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let program = fs::read_link("/proc/self/exe").unwrap();
    run_again(test, "pid namespace", &namespace, &program);
    drop(turn);
}
