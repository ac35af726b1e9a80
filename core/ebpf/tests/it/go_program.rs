//! A Go program, built and run by a test.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The workload of `tests/go/workload`, running. Dropping it ends it.
pub(crate) struct GoProgram {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) path: PathBuf,
    profile: PathBuf,
}

/// How it is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    pub(crate) name: &'static str,
    pub(crate) cgo: bool,
    pub(crate) flags: &'static [&'static str],
}

/// The names of the labels `work`: what the program's goroutines do.
pub(crate) const WORKS: [&str; 8] =
    ["shapes", "panics", "handsOver", "collects", "grows", "locks", "calls", "callsC"];

/// `go`, or what `SONDAGE_TEST_GO` names: any from 1.17 on.
fn go() -> Command {
    Command::new(std::env::var_os("SONDAGE_TEST_GO").unwrap_or_else(|| "go".into()))
}

/// Whether `go` is here; where it is not, a line says so that no capture hides.
pub(crate) fn has_go(test: &str) -> bool {
    if go().arg("version").output().is_ok_and(|it| it.status.success()) {
        return true;
    }
    let line = format!("\n*** SKIPPED {test}: there is no `go`\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    false
}

impl GoProgram {
    pub(crate) fn start(build: Build) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("go-{}-{}", build.name, std::process::id()));
        let profile = path.with_extension("pprof");
        let output = go()
            .args(["build", "-buildvcs=false"])
            .args(build.flags)
            .arg("-o")
            .arg(&path)
            .env("CGO_ENABLED", if build.cgo { "1" } else { "0" })
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/workload"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut child = Command::new(&path)
            .arg(&profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let pid = child.id();
        assert_eq!(line.trim(), pid.to_string());
        Self { child, pid, path, profile }
    }

    /// Has it end, and write its profile.
    pub(crate) fn stop(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// Once it has ended: the share of Go's own CPU profile that each function has, with what it
    /// calls.
    pub(crate) fn own_shares(&self) -> Vec<(String, f64)> {
        let output = go()
            .args(["tool", "pprof", "-top", "-cum", "-nodecount=100000", "-nodefraction=0"])
            .args([&self.path, &self.profile])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let share = |line: &str| {
            let mut words = line.split_whitespace();
            let share: f64 = words.nth(4)?.strip_suffix('%')?.parse().ok()?;
            Some((words.next()?.to_owned(), share / 100.0))
        };
        text.lines().filter_map(share).collect()
    }
}

impl Drop for GoProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(&self.profile);
    }
}
