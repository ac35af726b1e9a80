//! Object files compiled for a test, in a folder that goes away with it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// The build id that [`Folder::library`] gives its libraries.
pub const BUILD_ID: &str = "00112233445566778899aabbccddeeff00112233";

/// A temporary folder.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Compiles fixtures into the shared library `name`, at `-O2` with debug information and a
    /// build id, unless `flags` say otherwise.
    pub fn library(&self, name: &str, sources: &[&str], flags: &[&str]) -> PathBuf {
        let out = self.path(name);
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let cpp = sources.iter().any(|source| source.ends_with(".cpp"));
        let mut command = Command::new(if cpp { "c++" } else { "cc" });
        command.args([
            "-shared",
            "-fPIC",
            "-O2",
            "-g",
            "-nostdlib",
            "-fno-asynchronous-unwind-tables",
        ]);
        command.arg(format!("-Wl,--build-id=0x{BUILD_ID}")).args(flags).arg("-o").arg(&out);
        command.args(sources.iter().map(|source| fixtures.join(source)));
        run(&mut command);
        out
    }

    /// Runs a tool in the folder.
    pub fn tool(&self, name: &str, arguments: &[&str]) {
        run(Command::new(name).args(arguments).current_dir(&self.0));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Addresses of symbols as `nm` prints them.
pub fn addresses(path: &Path) -> std::collections::HashMap<String, u64> {
    let output = Command::new("nm").arg(path).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            Some((words.nth(1)?.to_owned(), address))
        })
        .collect()
}

/// Where the test executable is loaded.
pub fn own_base() -> u64 {
    let exe = std::env::current_exe().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with(exe.to_str().unwrap())).unwrap();
    u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap()
}
