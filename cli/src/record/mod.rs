//! `sondage record`: runs a program with the library preloaded and writes one profile.

mod child;
mod collect;
mod injected;
mod program;
mod session;
mod summary;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Surroundings;
use crate::args;
use crate::deliver::Push;
use crate::error::Error;
use crate::file;
use crate::format::Format;
use crate::library::{Library, OF_JVM, PRELOADED};
use crate::output;
use child::{Child, Event};
use collect::Collected;
use injected::Injected;
use program::Program;
use session::Session;

/// After the end of recording, processes have this long to write what they have.
const GRACE: Duration = Duration::from_secs(10);

/// Time between two looks whether they have.
const LOOK: Duration = Duration::from_millis(20);

/// Functions in the printed table.
const TOP: usize = 10;

/// Exit code of a command that a second Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// What a command without the Python package says of Python programs.
const PYTHON_ADVICE: &str = "the interpreter is recorded, and not the Python code that it runs: \
                             for that, use the command of the package (pip install sondage)";

/// What a command without the package for Node.js says of its programs.
const NODE_ADVICE: &str = "Node.js is recorded, and not the JavaScript that it runs: for that, use \
                           the command of the package (npm install sondage)";

/// What a command without the library for Java says of its programs.
const JAVA_ADVICE: &str = "the virtual machine is recorded, and not the Java code that it runs: for \
                           that, install libsondage_jvm.so beside the command, or set \
                           SONDAGE_JVM_LIBRARY to its path";

/// What is said of a program that would fail if it were to load a file of ours.
const NODE_RESTRICTED: &str = "Node.js is recorded, and not the JavaScript that it runs: \
                               --permission keeps the program from loading the profiler";

/// Whether Node.js is told to read no file but those that are named. The program's own options may
/// say the same; then less is recorded than could be.
fn restricts_itself(command: &[OsString]) -> bool {
    let in_options = std::env::var_os("NODE_OPTIONS").unwrap_or_default();
    let in_options = in_options.as_bytes().split(|byte| *byte == b' ');
    let given = command.iter().map(|word| word.as_bytes());
    given
        .chain(in_options)
        .any(|word| [&b"--permission"[..], b"--experimental-permission"].contains(&word))
}

/// Runs the program to its end and answers with its exit code.
pub(crate) fn run(options: &args::Record, surroundings: &Surroundings) -> Result<u8, Error> {
    let output = options.output.as_deref();
    let format = output.map_or(Ok(Format::PprofGz), Format::of)?;
    check_folder(output)?;
    let push = Push::to(&options.push, "--push")?;
    let name = options.command.first().ok_or_else(|| Error::usage("no program is given"))?;
    let program = Program::find(name)?;
    let library = Library::find(PRELOADED, surroundings.library.as_deref()).map_err(Error::new)?;
    let jvm = Library::find_installed(OF_JVM, surroundings.jvm.as_deref()).map_err(Error::new)?;
    if let Some(obstacle) = program.obstacle() {
        output::say(&format!("{obstacle}; its children may still be recorded"));
    }
    let session = Session::create(options)?;
    let preload = program.can_preload().then(|| library.path());
    let (python, node) = (surroundings.python.as_deref(), surroundings.node.as_deref());
    if program.is_python() && python.is_none() {
        output::say(PYTHON_ADVICE);
    }
    if program.is_node() && node.is_none() {
        output::say(NODE_ADVICE);
    }
    if program.is_java() && jvm.is_none() {
        output::say(JAVA_ADVICE);
    }
    let restricted = program.is_node() && restricts_itself(&options.command);
    if restricted {
        output::say(NODE_RESTRICTED);
    }
    let node = node.filter(|_| !restricted);
    let jvm = jvm.as_ref().map(Library::path);
    let injected = Injected { library: preload, python, node, jvm };
    let child = Child::start(&options.command, &session, &injected)?;
    let recording = Recording { options, format, program, pid: child.pid(), session };
    recording.attend(child, push)
}

fn check_folder(output: Option<&Path>) -> Result<(), Error> {
    let folder = output.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Error::of_file(folder, "no such directory")),
        _ => Ok(()),
    }
}

/// A program that runs and is recorded.
struct Recording<'a> {
    options: &'a args::Record,
    format: Format,
    program: Program,
    pid: u32,
    session: Session,
}

impl Recording<'_> {
    /// Waits for the program, or for the end of recording and then for the program.
    fn attend(&self, mut child: Child, push: Push) -> Result<u8, Error> {
        let mut push = Some(push);
        let end = self.options.duration.map(|duration| Instant::now() + duration);
        let mut outcome = None;
        loop {
            match child.next_event(end.filter(|_| outcome.is_none()))? {
                Event::Ended(code) => {
                    let written = match outcome {
                        Some(written) => written,
                        None => self.finish(&child, push.take()),
                    };
                    return Ok(conclude(code, written));
                }
                Event::TimeUp => {
                    self.session.wait_for_processes(GRACE, LOOK);
                    outcome = Some(self.finish(&child, push.take()));
                }
                Event::Quit => {
                    output::say("interrupted twice: nothing was written");
                    return Ok(INTERRUPTED);
                }
            }
        }
    }

    /// Merges what the processes wrote, writes it and prints the heaviest functions.
    fn finish(&self, child: &Child, push: Option<Push>) -> Result<(), Error> {
        let mut collected = Collected::read(self.session.directory());
        collected.add_unseen(child.cpu_time());
        if collected.is_empty() {
            return Err(Error::new(summary::nothing(&collected, &self.program, self.options.hz)));
        }
        collected.label(&self.program.name(), &self.options.labels);
        let profile = &collected.profile;
        let path = self.path();
        let written = self.format.encode(profile, profile.default_column());
        let written = written.map_err(|error| Error::of_file(&path, error));
        if let Err(error) = written.and_then(|bytes| file::write(&path, &bytes)) {
            let kept = self.session.keep();
            return Err(Error::new(format!("{}; the profiles are in {kept}", error.message)));
        }
        output::show(&summary::table(profile, TOP));
        summary::notes(&collected).iter().for_each(|note| output::say(note));
        output::say(&format!("wrote {}", path.display()));
        if let Some(push) = push {
            let sent = push.send(profile)?;
            sent.lines.iter().for_each(|line| output::say(line));
            return sent.failure.map_or(Ok(()), Err);
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        let default = || {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
            let name = self.program.name().bytes().filter(|byte| plain(*byte)).collect::<Vec<_>>();
            let name = OsStr::from_bytes(&name).to_string_lossy().into_owned();
            PathBuf::from(format!("sondage-{name}-{}.pb.gz", self.pid))
        };
        self.options.output.clone().unwrap_or_else(default)
    }
}

/// The program's exit code; 1 where the program succeeded but recording did not.
fn conclude(code: u8, written: Result<(), Error>) -> u8 {
    match written {
        Ok(()) => code,
        Err(error) => {
            output::say(&error.message);
            if code == 0 { error.code } else { code }
        }
    }
}
