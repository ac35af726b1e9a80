//! Programs that publish contexts, with the variable where the three ways of finding it lead.

use crate::gate::has_ebpf;
use crate::watch::{Program, Sample, Watched, samples};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// Far more than a thread takes to begin.
const WARM: Duration = Duration::from_millis(1500);

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sondage-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn gcc(arguments: &[&str], sources: &[&str], out: &Path) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/context");
    let done = Command::new("gcc")
        .args(["-O1", "-fno-inline", "-pthread"])
        .args(arguments.iter().filter(|it| !it.starts_with("-l") && !it.starts_with('/')))
        .args(sources.iter().map(|source| folder.join(source)))
        .args(arguments.iter().filter(|it| it.starts_with("-l") || it.starts_with('/')))
        .arg("-o")
        .arg(out)
        .status()
        .unwrap();
    assert!(done.success());
}

/// How many samples have labels, of those in work under them, and how many of these have no caller;
/// and time off the processor alike.
#[derive(Debug, Default)]
struct Seen {
    labelled: i64,
    all: i64,
    cut: i64,
    waited: i64,
}

/// Everything that a sample says agrees with the function that it was taken in.
fn check(sample: &Sample, seen: &mut Seen) {
    let Sample { functions, labels, count, wall } = sample;
    assert_eq!(labels["service_name"], "context-test");
    assert_eq!(labels["region"], "eu");
    let work = functions.iter().find_map(|name| name.strip_prefix("work_"));
    let route = labels.get("route");
    let ids = ["span_id", "trace_id"].map(|key| labels.get(key).cloned());
    assert!(!labels.contains_key("pod"), "{labels:?}");
    let Some(number) = route.map(|route| route.strip_prefix("/work/").unwrap()) else {
        assert_eq!((ids, labels.get("side")), ([None, None], None), "{functions:?}");
        seen.all += if matches!(work, Some("0" | "1" | "2")) { *count } else { 0 };
        return;
    };
    assert_eq!(ids[0], Some(format!("cd0000000000000{number}")));
    assert_eq!(ids[1], Some(format!("ab00000000000000000000000000000{number}")));
    assert!(["pointer", "place"].contains(&&*labels["side"]), "{labels:?}");
    assert!(number != "3", "detached, or not valid");
    if let Some(work) = work {
        assert_eq!(work, number, "{functions:?}");
        let side = if labels["side"] == "place" { "in_place" } else { "by_pointer" };
        let is_cut = functions.last().is_some_and(|root| root == "[truncated]");
        assert!(is_cut || functions.iter().any(|name| name == side), "{functions:?} {side}");
        seen.cut += if is_cut { *count } else { 0 };
        seen.labelled += count;
        seen.all += count;
        seen.waited += if *count == 0 { *wall } else { 0 };
    }
}

fn labelled(child: Child, off_cpu: bool) {
    let mut watched = Watched::start(child.id(), off_cpu);
    let _program = Program(child);
    let (profile, _) = watched.period(WARM);
    samples(&profile).iter().for_each(|sample| check(sample, &mut Seen::default()));
    let (profile, stats) = watched.period(Duration::from_secs(3));
    let mut seen = Seen::default();
    samples(&profile).iter().for_each(|sample| check(sample, &mut seen));
    println!("{seen:?}");
    assert_eq!(stats.last_error, None);
    // On a busy machine the two threads get little.
    assert!(seen.all > 100, "{seen:?}");
    assert_eq!(seen.labelled, seen.all, "every sample of work under a context has it");
    assert!(seen.cut <= seen.all / 20, "{seen:?}");
    assert!(!off_cpu || seen.waited > 0, "{seen:?}");
}

#[test]
fn of_an_executable_that_exports_the_variable() {
    if !has_ebpf("context: executable") {
        return;
    }
    let folder = Folder::new("context-executable");
    let program = folder.0.join("work");
    gcc(&["-rdynamic"], &["work.c", "thread.c"], &program);
    labelled(Command::new(&program).spawn().unwrap(), true);
}

#[test]
fn of_a_static_executable() {
    if !has_ebpf("context: static executable") {
        return;
    }
    let folder = Folder::new("context-static");
    let program = folder.0.join("work");
    gcc(&["-static"], &["work.c", "thread.c"], &program);
    labelled(Command::new(&program).spawn().unwrap(), false);
}

fn of_a_library(name: &str, dialect: &str, is_loaded: bool) {
    if !has_ebpf(name) {
        return;
    }
    let folder = Folder::new(name);
    let (program, library) = (folder.0.join("work"), folder.0.join("libthread.so"));
    gcc(&["-shared", "-fPIC", dialect], &["thread.c"], &library);
    let path = library.to_str().unwrap();
    if is_loaded {
        gcc(&["-DLOADED"], &["work.c"], &program);
    } else {
        gcc(&[path], &["work.c"], &program);
    }
    labelled(Command::new(&program).arg(path).spawn().unwrap(), false);
}

#[test]
fn of_a_library_that_the_program_needs_with_a_descriptor() {
    of_a_library("context-needed-descriptor", "-mtls-dialect=gnu2", false);
}

#[test]
fn of_a_library_that_the_program_needs_by_its_module() {
    of_a_library("context-needed-module", "-mtls-dialect=gnu", false);
}

#[test]
fn of_a_library_that_is_loaded_with_a_descriptor() {
    of_a_library("context-loaded-descriptor", "-mtls-dialect=gnu2", true);
}

#[test]
fn of_a_library_that_is_loaded_by_its_module() {
    of_a_library("context-loaded-module", "-mtls-dialect=gnu", true);
}

#[test]
fn of_a_library_that_lies_beside_the_threads_own_block() {
    of_a_library("context-needed-distance", "-ftls-model=initial-exec", false);
}
