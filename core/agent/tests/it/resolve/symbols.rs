use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use sondage::resolve::Budget;
use sondage::resolve::FileIdentity;
use sondage::resolve::Image;
use sondage::resolve::ModuleFile;
use sondage::resolve::Resolved;
use sondage::resolve::Symbols;

use crate::fixture::BUILD_ID;
use crate::fixture::Folder;
use crate::fixture::addresses;
use crate::fixture::own_base;

fn module(path: &Path) -> ModuleFile {
    let meta = path.metadata().unwrap();
    let identity = Some(FileIdentity { device: meta.dev(), inode: meta.ino() });
    ModuleFile { path: path.to_owned(), identity, ..ModuleFile::default() }
}

fn names(resolved: &Resolved) -> Vec<&str> {
    resolved.frames.iter().map(|frame| &*frame.name).collect()
}

/// The first stack with `names` in the function at `start`.
fn has_stack(symbols: &mut Symbols, module: &ModuleFile, start: u64, expected: &[&str]) -> bool {
    let spread: Vec<u64> = (start..start + 16).collect();
    symbols.resolve(module, &spread).iter().any(|resolved| names(resolved) == expected)
}

#[test]
fn addresses_become_frames_once_and_come_from_the_cache_after() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["names.cpp"], &[]);
    let at = addresses(&path);
    let module = module(&path);
    let mut symbols = Symbols::new(Budget::default());
    let twice = at["_ZN5space5Thing5twiceEi"];
    let asked = [twice, at["call"], twice, 0];
    let first = symbols.resolve(&module, &asked);
    assert_eq!(names(&first[0]), ["space::Thing::twice(int)"]);
    assert_eq!(&*first[0].frames[0].system_name, "_ZN5space5Thing5twiceEi");
    assert_eq!(first[0].frames[0].start_line, Some(6));
    assert!(first[0].frames[0].file.as_deref().unwrap().ends_with("names.cpp"));
    assert_eq!(first[2], first[0]);
    assert!(first[3].frames.is_empty());
    let counters = symbols.counters();
    assert_eq!((counters.looked_up, counters.cached, counters.unresolved), (3, 0, 1));

    std::fs::remove_file(&path).unwrap();
    assert_eq!(symbols.resolve(&module, &asked), first);
    let counters = symbols.counters();
    assert_eq!((counters.looked_up, counters.cached, counters.errors), (3, 4, 0));
}

#[test]
fn a_file_that_is_gone_gives_empty_results_and_one_counted_error() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &[]);
    let module = module(&path);
    std::fs::rename(folder.library("new.so", &["inlined.c"], &[]), &path).unwrap();
    let mut symbols = Symbols::new(Budget::default());
    for _ in 0..3 {
        assert_eq!(symbols.resolve(&module, &[0x1000, 0x1010]), vec![Resolved::default(); 2]);
    }
    let counters = symbols.counters();
    assert_eq!((counters.errors, counters.unresolved, counters.cached), (1, 2, 4));
    let error = counters.last_error.unwrap();
    assert!(error.contains("lib.so: the file was replaced"), "{error}");
}

#[test]
fn a_file_with_another_build_id_is_not_the_one_mapped() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &[]);
    let run = addresses(&path)["run"];
    let mut symbols = Symbols::new(Budget::default());
    let mut module = ModuleFile { path, ..ModuleFile::default() };
    module.build_id = Some("ff".repeat(20));
    assert!(symbols.resolve(&module, &[run])[0].frames.is_empty());
    module.build_id = Some(BUILD_ID.to_owned());
    assert_eq!(names(&symbols.resolve(&module, &[run])[0]).last(), Some(&"run"));
}

#[test]
fn debug_files_are_found_by_build_id_and_by_link_and_only_their_own() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &[]);
    let at = addresses(&path);
    folder.tool("objcopy", &["--only-keep-debug", "lib.so", "lib.so.debug"]);
    folder.tool("objcopy", &["--strip-all", "--add-gnu-debuglink=lib.so.debug", "lib.so"]);
    let inlined = ["inner", "middle", "outer"];
    let fresh = || {
        let debug_directory = folder.path("debug");
        Symbols::new(Budget { debug_directory, ..Budget::default() })
    };
    // By link, beside the file; the full symbol table is there too.
    assert!(has_stack(&mut fresh(), &module(&path), at["outer"], &inlined));
    let hidden = fresh().resolve(&module(&path), &[at["hidden"]]).remove(0);
    assert_eq!(names(&hidden), ["hidden"]);
    // Of another build: not taken.
    let wrong = "-Wl,--build-id=0xabcdef";
    folder.library("wrong.so", &["inlined.c"], &[wrong]);
    std::fs::rename(folder.path("lib.so.debug"), folder.path("kept")).unwrap();
    std::fs::rename(folder.path("wrong.so"), folder.path("lib.so.debug")).unwrap();
    assert!(!has_stack(&mut fresh(), &module(&path), at["outer"], &inlined));
    assert!(has_stack(&mut fresh(), &module(&path), at["outer"], &["outer"]));
    // By build id, under the debug directory.
    let by_id = folder.path("debug/.build-id/00");
    std::fs::create_dir_all(&by_id).unwrap();
    let name = format!("{}.debug", &BUILD_ID[2..]);
    std::fs::rename(folder.path("kept"), by_id.join(name)).unwrap();
    assert!(has_stack(&mut fresh(), &module(&path), at["outer"], &inlined));
}

#[test]
fn without_room_for_debug_sections_names_come_from_the_symbol_table() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &[]);
    let outer = addresses(&path)["outer"];
    for (debug_bytes, errors) in [(100, 1), (0, 0)] {
        let mut symbols = Symbols::new(Budget { debug_bytes, ..Budget::default() });
        let found = symbols.resolve(&module(&path), &[outer]).remove(0);
        assert_eq!(names(&found), ["outer"]);
        assert_eq!(found.frames[0].line, None);
        assert_eq!(symbols.counters().errors, errors, "{:?}", symbols.counters());
    }
}

#[test]
fn the_cache_keeps_its_budget_and_what_was_used_last() {
    let exe = std::env::current_exe().unwrap();
    let image = Image::open(&exe, None).unwrap();
    let text = image.section(".text").unwrap();
    let cache_bytes = 200_000;
    let budget = Budget { cache_bytes, debug_bytes: 0, ..Budget::default() };
    let mut symbols = Symbols::new(budget);
    let module = module(&exe);
    let page =
        |i: u64| -> Vec<u64> { (0..200).map(|j| text.address + i * 6400 + j * 32).collect() };
    let favourite = page(0);
    for i in 1..12 {
        symbols.resolve(&module, &favourite);
        symbols.resolve(&module, &page(i));
        let bytes = symbols.counters().cache_bytes;
        assert!(bytes <= cache_bytes + 100_000, "{bytes} bytes in round {i}");
    }
    let before = symbols.counters();
    assert!(before.evicted > 200, "{before:?}");
    symbols.resolve(&module, &favourite);
    let after = symbols.counters();
    assert_eq!(after.looked_up, before.looked_up, "what was used in every round was evicted");
    symbols.resolve(&module, &page(1));
    assert!(symbols.counters().looked_up > after.looked_up, "what was used long ago was kept");
}

#[inline(always)]
fn inlined_here(x: u64) -> u64 {
    std::hint::black_box(x).rotate_left(7)
}

#[inline(never)]
fn calls_inlined(x: u64) -> u64 {
    inlined_here(x) ^ 1
}

fn own_stack_is_found() -> bool {
    let exe = std::fs::read_link("/proc/self/exe").unwrap();
    let meta = std::fs::metadata("/proc/self/exe").unwrap();
    let identity = Some(FileIdentity { device: meta.dev(), inode: meta.ino() });
    let module = ModuleFile { path: exe, identity, ..ModuleFile::default() };
    let start = calls_inlined as *const () as u64 - own_base();
    let spread: Vec<u64> = (start..start + 40).collect();
    let mut symbols = Symbols::new(Budget { debug_bytes: 512 << 20, ..Budget::default() });
    let here = "it::resolve::symbols";
    let expected = [format!("{here}::inlined_here"), format!("{here}::calls_inlined")];
    let found = symbols.resolve(&module, &spread);
    found.iter().any(|resolved| names(resolved).ends_with(&[&expected[0], &expected[1]]))
}

#[test]
fn the_running_executable_has_frames_also_after_it_was_deleted() {
    const CHILD: &str = "SONDAGE_TEST_DELETED_EXE";
    assert!(own_stack_is_found());
    if let Ok(path) = std::env::var(CHILD) {
        // own_base() still finds the mapping: its line ends in the path and " (deleted)".
        std::fs::remove_file(path).unwrap();
        assert!(own_stack_is_found());
        return;
    }
    let folder = Folder::new();
    let copy = folder.path("copy");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let this = "resolve::symbols::the_running_executable_has_frames_also_after_it_was_deleted";
    let output = loop {
        match Command::new(&copy).args(["--exact", this]).env(CHILD, &copy).output() {
            // A child that another test just forked still holds our descriptor of the copy.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::yield_now();
            }
            output => break output.unwrap(),
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
