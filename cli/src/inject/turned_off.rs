//! Whether a virtual machine was told not to let anybody attach. It would take the signal for a
//! request to print the stacks of all threads, and print them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use super::process::Process;

/// What is read of a file.
const MAX_BYTES: u64 = 1 << 20;

/// The counter that has the options.
const OPTIONS: &[u8] = b"java.rt.vmArgs";

/// The variables that hold options of virtual machines, those that win last.
const VARIABLES: [&str; 2] = ["JAVA_TOOL_OPTIONS=", "JDK_JAVA_OPTIONS="];
const LAST_VARIABLE: &str = "_JAVA_OPTIONS=";

/// Whether `-XX:+DisableAttachMechanism` holds: by the machine's own counters, which have all its
/// options, or where it has none by its command line and environment.
pub(super) fn is_turned_off(process: &Process) -> bool {
    let options = counters(process).unwrap_or_else(|| given(process));
    last_says_so(&options)
}

/// `/tmp/hsperfdata_USER/PID`.
fn counters(process: &Process) -> Option<Vec<u8>> {
    let listing = std::fs::read_dir(process.tmp().path("")).ok()?;
    for entry in listing.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with("hsperfdata_")) else {
            continue;
        };
        let file = process.tmp().inner(name);
        let file = file.and_then(|folder| folder.read(process.inner_pid().to_string()));
        let Ok(file) = file else { continue };
        let (user, _) = process.owner();
        if file.metadata().is_ok_and(|file| file.is_file() && file.uid() == user) {
            let counters = read(file);
            let complete = counters.windows(OPTIONS.len()).any(|part| part == OPTIONS);
            return complete.then_some(counters);
        }
    }
    None
}

/// Options that the process was started with, in the order in which later ones win.
fn given(process: &Process) -> Vec<u8> {
    let read = |name: &str| File::open(process.proc().path(name)).map(read).unwrap_or_default();
    let (environment, command) = (read("environ"), read("cmdline"));
    let variable = |name: &str| {
        let mut all = environment.split(|byte| *byte == 0);
        all.find(|variable| variable.starts_with(name.as_bytes())).unwrap_or_default().to_vec()
    };
    let mut options: Vec<Vec<u8>> = VARIABLES.map(variable).to_vec();
    options.extend([command, variable(LAST_VARIABLE)]);
    options.join(&0)
}

fn read(file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = file.take(MAX_BYTES).read_to_end(&mut bytes);
    bytes
}

fn last_says_so(options: &[u8]) -> bool {
    let text = OsStr::from_bytes(options).to_string_lossy();
    let place = |option: &str| text.rfind(option);
    place("-XX:+DisableAttachMechanism") > place("-XX:-DisableAttachMechanism")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_option_counts() {
        for (options, off) in [
            ("java\0-Xmx1g\0Main", false),
            ("java\0-XX:+DisableAttachMechanism\0Main", true),
            ("-XX:-DisableAttachMechanism -XX:+DisableAttachMechanism", true),
            ("-XX:+DisableAttachMechanism -XX:-DisableAttachMechanism", false),
        ] {
            assert_eq!(last_says_so(options.as_bytes()), off, "{options}");
        }
    }
}
