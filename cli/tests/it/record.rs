//! `record`: what is run, recorded, said and left behind.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::built::{library, program, sondage};
use crate::read::{report, said, total};
use crate::scratch::Scratch;

/// `sondage record -o FILE` of a command.
fn record(file: &Path, command: &[&str]) -> Output {
    sondage().args(["record", "-o"]).arg(file).arg("--").args(command).output().unwrap()
}

/// A running command and what it runs, killed with it when a test fails.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.process_group(0).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// A signal to the command only.
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// The exit code of the command.
    fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let mut kill = Command::new("kill");
        let _ = kill.args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

/// Waits until something is so.
pub(crate) fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let latest = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < latest, "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn functions_of_a_program_and_its_forked_child_have_their_shares() {
    let scratch = Scratch::new("shares");
    let shares = program(&scratch, "shares.c", &[]);
    let file = scratch.path("shares.pb.gz");
    let output = record(&file, &[shares.to_str().unwrap(), "0.3"]);
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(output.stdout.is_empty(), "{}", said(&output));
    assert!(said(&output).contains("2 processes"), "{}", said(&output));

    let json = report(&file);
    let lost = |cause: &str| json["lost"][cause].as_f64().unwrap_or(0.0) / 1e9;
    let lost = lost("unsampled") + lost("missed");
    let (heavy, light, child) =
        (total(&json, "heavy"), total(&json, "light"), total(&json, "child"));
    // What runs before the profilers start, and beside them on a busy machine, is unsampled; signals
    // that come late are missed, or stand with what runs by then.
    let late = 0.1;
    assert!((0.6 - lost - late..0.6 + 2.0 * late).contains(&light), "{light}: {json}");
    assert!((1.8 - lost - late..1.8 + 2.0 * late).contains(&heavy), "{heavy}: {json}");
    assert!((2.4 - lost..2.4 + late).contains(&(light + heavy)), "{light} {heavy}: {json}");
    assert!((1.2 - lost..1.2 + late).contains(&child), "{child}: {json}");
    let whole = json["total"].as_f64().unwrap() / 1e9;
    assert!(whole > 3.5, "{whole} of 3.6 s: {json}");
    assert!(heavy + light + child > 0.5 * whole, "{json}");
    assert_eq!(json["labels"]["pid"].as_object().unwrap().len(), 2, "{}", json["labels"]);
}

#[test]
fn a_shell_and_its_children_become_one_profile_with_their_commands() {
    let scratch = Scratch::new("shell");
    let shares = program(&scratch, "shares.c", &[]);
    let file = scratch.path("shell.pb.gz");
    let script =
        format!("for i in 1 2 3; do true; done; {0} & {0}; wait; exit 5", shares.display());
    let mut command = sondage();
    command.args(["record", "--label", "run=test", "--wall", "--hz", "200", "-o"]).arg(&file);
    let output = command.args(["--", "sh", "-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let json = report(&file);
    assert!(json["labels"]["command"]["shares"].as_i64() > Some(0), "{}", json["labels"]);
    assert_eq!(json["labels"]["run"].as_object().unwrap().len(), 1, "{}", json["labels"]);
    assert!(total(&json, "heavy") > total(&json, "light"), "{json}");
    let wall = sondage().arg("report").arg(&file).args(["--type", "wall"]).output().unwrap();
    assert!(wall.status.success(), "{}", said(&wall));
}

#[test]
fn a_program_that_is_killed_keeps_what_was_recorded_before() {
    let scratch = Scratch::new("killed");
    let killed = program(&scratch, "killed.c", &[]);
    let file = scratch.path("killed.pb.gz");
    let output = record(&file, &[killed.to_str().unwrap(), "2.5"]);
    assert_eq!(output.status.code(), Some(128 + 9), "{}", said(&output));
    let json = report(&file);
    assert!(total(&json, "doomed") > 0.1, "{json}");
    assert!(json["total"].as_f64().unwrap() > 2.4e9, "what was lost is told: {json}");
}

#[test]
fn nothing_recorded_is_said_and_no_file_is_written() {
    let scratch = Scratch::new("nothing");
    let file = scratch.path("nothing.pb.gz");
    // On a busy machine a short program may live long enough for a profile.
    let recorded_nothing = |program: &[&str]| {
        let outputs = std::iter::repeat_with(|| {
            let _ = std::fs::remove_file(&file);
            record(&file, program)
        });
        outputs.take(20).find(|_| !file.exists()).expect("one that ends at once")
    };
    let output = recorded_nothing(&["true"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("nothing was recorded"), "{}", said(&output));
    assert!(said(&output).contains("20 ms"), "{}", said(&output));
    let output = recorded_nothing(&["sh", "-c", "exit 3"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(scratch.names().is_empty(), "{:?}", scratch.names());
}

#[test]
fn a_static_program_runs_and_is_said_to_be_static() {
    let scratch = Scratch::new("static");
    let shares = program(&scratch, "shares.c", &["-static"]);
    let file = scratch.path("static.pb.gz");
    let output = record(&file, &[shares.to_str().unwrap(), "0.01"]);
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(said(&output).contains("statically linked"), "{}", said(&output));
    assert!(said(&output).contains("nothing was recorded"), "{}", said(&output));
    assert!(!file.exists());
}

#[test]
fn a_program_for_another_processor_is_said_to_be_one() {
    let scratch = Scratch::new("foreign");
    let foreign = scratch.path("foreign");
    let mut bytes = std::fs::read("/bin/true").unwrap();
    bytes[18..20].copy_from_slice(&8u16.to_le_bytes());
    std::fs::write(&foreign, bytes).unwrap();
    std::fs::set_permissions(&foreign, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = record(&scratch.path("out.pb.gz"), &[foreign.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(126), "{}", said(&output));
    assert!(said(&output).contains("another processor"), "{}", said(&output));
}

#[test]
fn commands_that_cannot_be_run_have_the_codes_of_a_shell() {
    let scratch = Scratch::new("not-run");
    let text = scratch.path("text");
    std::fs::write(&text, "no program").unwrap();
    let file = scratch.path("out.pb.gz");
    let output = record(&file, &["no-such-command-here"]);
    assert_eq!(output.status.code(), Some(127), "{}", said(&output));
    assert!(said(&output).contains("no-such-command-here: command not found"), "{}", said(&output));
    let output = record(&file, &[text.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(126), "{}", said(&output));
    let mark = scratch.path("mark");
    let output = record(Path::new("/nowhere/out.pb.gz"), &["touch", mark.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(!mark.exists(), "the program ran although its profile has nowhere to go");
}

#[test]
fn recording_ends_after_the_duration_while_the_program_goes_on() {
    let scratch = Scratch::new("duration");
    let shares = program(&scratch, "shares.c", &[]);
    let file = scratch.path("duration.pb.gz");
    let go_on = scratch.path("go-on");
    let script = format!(
        "{} 0.5; while [ ! -e {} ]; do sleep 0.1; done; exit 4",
        shares.display(),
        go_on.display()
    );
    let mut command = sondage();
    command.args(["record", "-d", "4", "-o"]).arg(&file).args(["--", "sh", "-c", &script]);
    let mut running = Running::start(&mut command);
    wait_for("the file", || file.exists());
    assert!(running.is_running(), "the program must still run");
    std::fs::write(&go_on, "").unwrap();
    assert_eq!(running.code(), Some(4));
    let recorded = report(&file)["total"].as_f64().unwrap() / 1e9;
    assert!(recorded < 2.0 * 4.2, "{recorded} s of two processes were recorded in 4 s");
}

#[test]
fn an_interrupt_is_the_programs_business_and_its_profile_is_written() {
    let scratch = Scratch::new("interrupt");
    let (file, ready) = (scratch.path("out.pb.gz"), scratch.path("ready"));
    let ready_path = ready.display();
    let script = format!(
        "trap 'exit 9' INT; i=0; while :; do i=$((i+1)); [ $i = 200000 ] && : > {ready_path}; done"
    );
    // A shell cannot trap a signal that was ignored when it began, as in jobs in the background.
    let program = ["env", "--default-signal=INT", "sh", "-c", &script];
    let mut command = sondage();
    command.args(["record", "-o"]).arg(&file).arg("--").args(program);
    let mut running = Running::start(&mut command);
    wait_for("the loop", || ready.exists());
    // Long enough for a profiler to have started, on a busy machine.
    std::thread::sleep(Duration::from_secs(1));
    running.signal("INT");
    assert_eq!(running.code(), Some(9));
    assert!(report(&file)["samples"].as_i64() > Some(0));
}

#[test]
fn a_second_interrupt_quits_although_the_program_goes_on() {
    let scratch = Scratch::new("interrupts");
    let (file, ready) = (scratch.path("out.pb.gz"), scratch.path("ready"));
    let script = format!("trap '' INT; : > {}; while :; do sleep 1; done", ready.display());
    let mut command = sondage();
    command.args(["record", "-o"]).arg(&file).args(["--", "sh", "-c", &script]);
    command.env("TMPDIR", scratch.path(""));
    let mut running = Running::start(&mut command);
    wait_for("the trap", || ready.exists());
    running.signal("INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.is_running(), "one interrupt is left to the program");
    running.signal("INT");
    assert_eq!(running.code(), Some(130));
    assert_eq!(scratch.names(), ["ready"], "the private folder is gone, no file was written");
}

#[test]
fn odd_paths_work_and_nothing_is_left_behind() {
    let scratch = Scratch::new("odd");
    let shares = program(&scratch, "shares.c", &[]);
    let odd = scratch.path("with blank");
    std::fs::create_dir(&odd).unwrap();
    let copy = odd.join("libsondage.so");
    std::fs::copy(library(), &copy).unwrap();
    let temporary = scratch.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = sondage();
    command.current_dir(&odd).env("SONDAGE_PRELOAD", &copy).env("TMPDIR", &temporary);
    let output = command.args(["record", "--"]).arg(&shares).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    let names: Vec<_> = std::fs::read_dir(&odd).unwrap().map(|f| f.unwrap().file_name()).collect();
    let made = |name: &str| name.starts_with("sondage-shares-") && name.ends_with(".pb.gz");
    assert!(names.iter().any(|name| made(name.to_str().unwrap())), "{names:?}");
}

#[test]
fn the_profile_is_sent_where_push_says() {
    let scratch = Scratch::new("push");
    let shares = program(&scratch, "shares.c", &[]);
    let (file, folder) = (scratch.path("out.pb.gz"), scratch.path("sent"));
    let mut command = sondage();
    command
        .args(["record", "-o"])
        .arg(&file)
        .arg("--push")
        .arg(format!("file:{}", folder.display()));
    let output = command.arg("--").arg(&shares).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    let sent = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert_eq!(report(&sent)["total"], report(&file)["total"]);
}

#[test]
fn a_set_user_id_program_is_said_to_be_one() {
    let scratch = Scratch::new("raised");
    let raised = scratch.path("raised");
    std::fs::copy("/bin/true", &raised).unwrap();
    // Needs another user to own the file: only the superuser can arrange that.
    let owned = Command::new("chown").arg("65534").arg(&raised).stderr(Stdio::null()).status();
    if !owned.is_ok_and(|status| status.success()) {
        println!("skipped: only the superuser can give files away");
        return;
    }
    std::fs::set_permissions(&raised, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let output = record(&scratch.path("out.pb.gz"), &[raised.to_str().unwrap()]);
    assert!(said(&output).contains("set-user-id"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}
