//! Python frames of other processes, of every version of CPython that is here.

mod frozen;
mod live;
mod replay;

use sondage::resolve::{Files, Mappings};
use sondage_remote::{PythonInfo, RemoteMemory};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The interpreters that are here, with their versions: those of the binding's own tests, and one
/// of the system, which is stripped and has no library.
pub(crate) fn interpreters() -> &'static [(u8, PathBuf)] {
    static FOUND: OnceLock<Vec<(u8, PathBuf)>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let find = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bindings/python/find-python");
        let mut found = Vec::new();
        for minor in 9..=14 {
            let output = Command::new(&find).arg(format!("3.{minor}")).output();
            let path = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            match path.as_deref().map(str::trim) {
                Ok("") | Err(_) => println!("SKIPPED: there is no Python 3.{minor} here"),
                Ok(path) => found.push((minor, PathBuf::from(path))),
            }
        }
        for minor in 9..=14 {
            let system = PathBuf::from(format!("/usr/bin/python3.{minor}"));
            if system.exists() && found.iter().all(|(_, known)| *known != system) {
                found.push((minor, system));
            }
        }
        found
    })
}

/// A program in Python, killed when dropped.
pub(crate) struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
    pub(crate) python: PythonInfo,
    pub(crate) memory: RemoteMemory,
}

impl Program {
    /// Starts `tests/python/FILE` and waits until it says that it is ready.
    pub(crate) fn start(interpreter: &Path, file: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(file);
        let mut child = Command::new(interpreter)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let memory = RemoteMemory::new(child.id());
        let python = find(child.id(), &memory);
        Self { child, output, python, memory }
    }

    /// Lets it begin, and waits for what it says at the end; `meanwhile` is called again and again.
    pub(crate) fn go(&mut self, mut meanwhile: impl FnMut(&PythonInfo, &RemoteMemory)) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let (output, python, memory) = (&mut self.output, &self.python, &self.memory);
        let mut line = String::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| output.read_line(&mut line).unwrap());
            while !waiting.is_finished() {
                std::thread::sleep(Duration::from_millis(20));
                meanwhile(python, memory);
            }
        });
        meanwhile(python, memory);
        line
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its interpreter; threads start meanwhile, so that it is looked at more than once.
fn find(pid: u32, memory: &RemoteMemory) -> PythonInfo {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut files = Files::default();
        let mut mappings = Mappings::of(pid);
        mappings.refresh(&mut files).unwrap();
        memory.forget();
        let found: Vec<_> = mappings
            .files()
            .filter_map(|file| PythonInfo::of_file(&mappings, file, memory).ok().flatten())
            .collect();
        match found[..] {
            [found] if found.slot.is_some() => return found,
            _ if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            _ => panic!("{found:?}"),
        }
    }
}
