//! What the tests run: the library, and C programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::scratch::Scratch;

/// The folder of the command and, once built, of the library.
fn folder() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sondage")).parent().unwrap()
}

/// libsondage.so, built beside the command, where the command looks for it.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| build("sondage-c", "libsondage.so"))
}

/// The agent of virtual machines for Java, there too.
pub fn agent_of_jvm() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| build("sondage-jvm", "libsondage_jvm.so"))
}

/// `LIBRARIES=built` takes those that lie there.
fn build(package: &str, file: &str) -> PathBuf {
    if std::env::var_os("LIBRARIES").is_some_and(|they| they == "built") {
        return folder().join(file);
    }
    let target = folder().parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--target-dir"]).arg(target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success(), "{file} does not build");
    folder().join(file)
}

/// The command, with its library built.
pub fn sondage() -> Command {
    library();
    Command::new(env!("CARGO_BIN_EXE_sondage"))
}

/// A program of `tests/programs`, built into a folder.
pub fn program(scratch: &Scratch, name: &str, arguments: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name);
    let built = scratch.path(name.trim_end_matches(".c"));
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-g", "-Wall", "-Werror", "-o"]).arg(&built).arg(&source).args(arguments);
    assert!(cc.status().unwrap().success(), "{name} does not build");
    built
}
