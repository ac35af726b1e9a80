//! Programs that are sampled, built here.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder for one test, removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sondage-machine-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Builds sources of `tests/programs` into a file of this name.
    pub(crate) fn build(&self, name: &str, sources: &[&str], options: &[&str]) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        let built = self.0.join(name);
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-g", "-fomit-frame-pointer", "-o"]).arg(&built);
        cc.args(sources.iter().map(|source| folder.join(source))).args(options);
        assert!(cc.status().unwrap().success(), "{name} does not build");
        built
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.build("target", &["target.c"], &["-Wall", "-Werror", "-ldl"])
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program that has said `started`, killed with the test.
pub(crate) struct Target {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Target {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut target = Self { child, output };
        assert_eq!(target.line(), "started");
        target
    }

    pub(crate) fn run(program: &Path, arguments: &[&str]) -> Self {
        Self::start(Command::new(program).args(arguments))
    }

    /// What it says next.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it do what its arguments say.
    pub(crate) fn ask(&self) {
        signal(self.pid(), "USR1");
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let kill = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(kill.success(), "{name} to {pid}");
}
