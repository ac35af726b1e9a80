//! What kind of file a command is, and whether a library can be preloaded into it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sondage::resolve::{Image, ResolveErrorKind};

use crate::error::Error;

/// Exit codes of shells for a command that is not there, and one that cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Scripts that run scripts are followed this far, like in the kernel.
const MAX_SCRIPTS: usize = 4;

/// Set-user-id and set-group-id.
const RAISED: u32 = 0o6000;

/// `e_machine` of the processor this command was built for.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

const PT_INTERP: u32 = 3;

/// The file that a command runs.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    kind: Kind,
    /// The name of the file that runs in the end: that of a script's interpreter.
    runs: OsString,
}

/// What stands in the way of preloading.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Dynamic,
    Static,
    /// Dynamic, but with a loader that cannot load the library: it would end the program.
    OtherLoader(String),
    OtherMachine,
    RaisedRights,
    /// Not an ELF file and not a script.
    Unknown,
}

impl Program {
    /// Finds the file as a shell would.
    pub(crate) fn find(command: &OsStr) -> Result<Self, Error> {
        let Some(path) = search(command) else {
            let message = format!("{}: command not found", Path::new(command).display());
            return Err(Error { code: NOT_FOUND, message });
        };
        let metadata = path
            .metadata()
            .map_err(|error| Error { code: NOT_FOUND, ..Error::of_file(&path, error) })?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            let error = Error::of_file(&path, "not an executable file");
            return Err(Error { code: NOT_EXECUTABLE, ..error });
        }
        let kind = kind(&path, MAX_SCRIPTS);
        let runs = runs(&path, MAX_SCRIPTS);
        Ok(Self { path, kind, runs })
    }

    /// The last part of its path.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether it is a Python interpreter, or a script for one: `python`, `python3.12`.
    pub(crate) fn is_python(&self) -> bool {
        self.runs.as_bytes().starts_with(b"python")
    }

    /// Whether it is Node.js, or a script for it: `node`, `nodejs`, `node24`.
    pub(crate) fn is_node(&self) -> bool {
        let version = self.runs.as_bytes().strip_prefix(b"node");
        version.is_some_and(|version| {
            version == b"js" || version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        })
    }

    /// Whether it is the launcher of Java, or a script for it.
    pub(crate) fn is_java(&self) -> bool {
        self.runs == "java"
    }

    /// Whether preloading does no harm.
    pub(crate) fn can_preload(&self) -> bool {
        !matches!(self.kind, Kind::OtherLoader(_))
    }

    /// Why the program itself cannot be recorded.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let path = self.path.display();
        match &self.kind {
            Kind::Dynamic | Kind::Unknown => None,
            Kind::Static => Some(format!(
                "{path} is statically linked: no library can be preloaded into it, \
                 so it will not be recorded"
            )),
            Kind::OtherLoader(loader) => Some(format!(
                "{path} is run by {loader}, for which libsondage.so was not built: \
                 nothing is preloaded"
            )),
            Kind::OtherMachine => Some(format!(
                "{path} was built for another processor than libsondage.so: \
                 it will not be recorded"
            )),
            Kind::RaisedRights => Some(format!(
                "{path} runs with more rights than its user (set-user-id), for which the loader \
                 ignores preloaded libraries: it will not be recorded"
            )),
        }
    }
}

fn search(command: &OsStr) -> Option<PathBuf> {
    let path = Path::new(command);
    if command.as_bytes().contains(&b'/') {
        return Some(path.to_owned());
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&folders).map(|folder| folder.join(path)).find(runs)
}

fn kind(path: &Path, scripts_left: usize) -> Kind {
    let Some(start) = start_of(path) else { return Kind::Unknown };
    if let Some(interpreter) = interpreter(&start) {
        return match scripts_left {
            0 => Kind::Unknown,
            _ => kind(&interpreter, scripts_left - 1),
        };
    }
    if !start.starts_with(b"\x7fELF") {
        return Kind::Unknown;
    }
    if has_raised_rights(path) {
        return Kind::RaisedRights;
    }
    let machine = start.get(18..20).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    // Class 2 is 64-bit, data 1 is little-endian.
    if start.get(4..6) != Some(&[2, 1]) || machine != Some(MACHINE) {
        return Kind::OtherMachine;
    }
    by_loader(path)
}

/// The first bytes of a file, enough for a script to name its interpreter.
fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(256).read_to_end(&mut start));
    read.is_ok().then_some(start)
}

/// The name of the file, or of the interpreter that runs it; of none where scripts run scripts
/// without end.
fn runs(path: &Path, scripts_left: usize) -> OsString {
    match start_of(path).as_deref().and_then(interpreter) {
        Some(_) if scripts_left == 0 => OsString::new(),
        Some(interpreter) => runs(&interpreter, scripts_left - 1),
        None => path.file_name().unwrap_or_default().to_owned(),
    }
}

/// The interpreter of a script: `#!/bin/sh -e`, `#!/usr/bin/env python3`.
fn interpreter(start: &[u8]) -> Option<PathBuf> {
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let interpreter = Path::new(OsStr::from_bytes(words.next()?));
    if interpreter.file_name() == Some(OsStr::new("env")) {
        let plain = |word: &&[u8]| !word.starts_with(b"-") && !word.contains(&b'=');
        return search(OsStr::from_bytes(words.find(plain)?));
    }
    Some(interpreter.to_owned())
}

fn has_raised_rights(path: &Path) -> bool {
    let Ok(file) = path.metadata() else { return false };
    // The superuser's own set-user-id programs gain nothing, and are not treated as such.
    let gains_user = file.mode() & 0o4000 != 0 && nix::unistd::geteuid().as_raw() != file.uid();
    let gains_group = file.mode() & 0o2000 != 0 && nix::unistd::getegid().as_raw() != file.gid();
    file.mode() & RAISED != 0 && (gains_user || gains_group)
}

fn by_loader(path: &Path) -> Kind {
    let image = match Image::open(path, None) {
        Ok(image) => image,
        Err(error) if error.kind() == ResolveErrorKind::Malformed => return Kind::Unknown,
        Err(_) => return Kind::Dynamic,
    };
    let Some(segment) = image.segments().iter().find(|segment| segment.kind == PT_INTERP) else {
        return Kind::Static;
    };
    let mut loader = vec![0; usize::try_from(segment.file_size.min(256)).unwrap_or(0)];
    let read = File::open(path).and_then(|file| {
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut loader, segment.offset)
    });
    let loader = String::from_utf8_lossy(&loader);
    let loader = loader.trim_end_matches('\0');
    let musl =
        Path::new(loader).file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-musl"));
    if read.is_ok() && musl != cfg!(target_env = "musl") {
        return Kind::OtherLoader(loader.escape_debug().to_string());
    }
    Kind::Dynamic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_followed_to_their_interpreter() {
        assert_eq!(interpreter(b"#!/bin/sh -e\necho"), Some(PathBuf::from("/bin/sh")));
        assert_eq!(interpreter(b"#! /bin/awk -f\n"), Some(PathBuf::from("/bin/awk")));
        let found = interpreter(b"#!/usr/bin/env -S A=b sh -e\n").unwrap();
        assert!(found.ends_with("sh"), "{}", found.display());
        assert_eq!(interpreter(b"\x7fELF"), None);
        assert_eq!(interpreter(b"#!"), None);
    }

    #[test]
    fn a_program_of_a_language_is_one_by_its_name_or_by_that_of_its_interpreter() {
        let folder = std::env::temp_dir().join(format!("sondage-named-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let program = |path: &PathBuf| {
            let (path, runs) = (path.clone(), runs(path, MAX_SCRIPTS));
            Program { path, kind: Kind::Dynamic, runs }
        };
        let python = write("python3.12", "\x7fELF");
        let served = write("served", &format!("#!{}\nprint()\n", python.display()));
        let node = write("node", "\x7fELF");
        let npm = write("npm", &format!("#!{}\nstart()\n", node.display()));
        let shell = write("shell", "#!/bin/sh\npython3 served; node npm\n");
        let endless = write("node22", &format!("#!{}\n", folder.join("node22").display()));
        assert!(program(&python).is_python() && program(&served).is_python());
        assert!(program(&node).is_node() && program(&npm).is_node());
        for other in [&shell, &endless, &write("nodemon", "\x7fELF")] {
            assert!(!program(other).is_python() && !program(other).is_node());
        }
        assert!(
            program(&write("node20.1", "")).is_node() && program(&write("nodejs", "")).is_node()
        );
        assert!(!program(&python).is_node() && !program(&node).is_python());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn this_test_program_can_be_preloaded_and_a_text_is_no_program() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(kind(&own, 0), Kind::Dynamic);
        assert_eq!(kind(Path::new("/proc/version"), 0), Kind::Unknown);
    }
}
