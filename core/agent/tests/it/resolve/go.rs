//! Names, files, lines and inlined calls of Go programs, against what Go says itself: the runtime
//! of the program for instructions all over it, and `go tool addr2line`.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sondage::resolve::{
    Budget, GoLabels, GoRuntime, Image, ModuleFile, OwnedTable, SymbolFrame, Symbols,
};
use sondage_sampler::Rule;

use crate::fixture::Folder;

/// Whether `go` is here; where it is not, a line says so that no capture hides.
fn has_go(test: &str) -> bool {
    if Command::new("go").arg("version").output().is_ok_and(|it| it.status.success()) {
        return true;
    }
    let line = format!("\n*** SKIPPED {test}: there is no `go`\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    false
}

/// How a program is built.
struct Build {
    cgo: bool,
    flags: &'static [&'static str],
    link: &'static str,
}

const PLAIN: Build = Build { cgo: false, flags: &[], link: "" };
const STRIPPED: Build = Build { link: "-s -w", ..PLAIN };
const MOVABLE: Build = Build { flags: &["-buildmode=pie"], ..PLAIN };
const MOVABLE_STRIPPED: Build = Build { link: "-s -w", ..MOVABLE };
const WITH_C: Build = Build { cgo: true, ..PLAIN };
const WITH_C_MOVABLE_STRIPPED: Build = Build { cgo: true, ..MOVABLE_STRIPPED };

/// Whether every way of building is tried, which takes minutes where Go has nothing cached.
fn is_full() -> bool {
    std::env::var("SONDAGE_STORM").is_ok_and(|size| size == "full")
}

fn build(folder: &Folder, build: &Build) -> PathBuf {
    let out = folder.path("program");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go/pcs");
    let output = Command::new("go")
        .args(["build", "-buildvcs=false"])
        .args(build.flags)
        .arg(format!("-ldflags=-checklinkname=0 {}", build.link))
        .arg("-o")
        .arg(&out)
        .env("CGO_ENABLED", if build.cgo { "1" } else { "0" })
        .current_dir(source)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

/// An address and its frames, as the program says itself.
type Said = (u64, Vec<(String, String, u32)>);

fn what_the_program_says(program: &Path, step: u32) -> Vec<Said> {
    let output = Command::new(program).arg(step.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let frame = |text: &str| {
        let mut parts = text.rsplitn(3, '|');
        let line = parts.next().unwrap().parse().unwrap();
        let file = parts.next().unwrap().to_owned();
        (parts.next().unwrap().to_owned(), file, line)
    };
    let lines = text.lines().map(|line| {
        let mut parts = line.split('\t');
        let address = u64::from_str_radix(parts.next().unwrap(), 16).unwrap();
        (address, parts.map(frame).collect())
    });
    lines.collect()
}

fn resolve(program: &Path, addresses: &[u64]) -> Vec<Vec<SymbolFrame>> {
    let module = ModuleFile { path: program.to_owned(), ..ModuleFile::default() };
    let mut symbols = Symbols::new(Budget::default());
    let found = symbols.resolve(&module, addresses);
    assert_eq!(symbols.counters().last_error, None);
    found.into_iter().map(|it| it.frames.to_vec()).collect()
}

/// Whether the frames are those that Go tells. Go leaves wrappers out, which it makes itself.
fn agree(said: &Said, found: &[SymbolFrame]) -> bool {
    let mut found = found.iter().map(|frame| {
        let file = frame.file.as_deref().unwrap_or_default();
        (&*frame.name, file, frame.line.unwrap_or_default())
    });
    let told = |(name, file, line): &(String, String, u32)| {
        // Between functions there is no code, and Go says "?".
        let file = if *line == 0 { "" } else { file };
        // And it takes the first of all names for none.
        found.any(|it| (it.0 == name || name.is_empty()) && (it.1, it.2) == (file, *line))
    };
    // The linker's marks have no code.
    said.1[0].0.starts_with("go:") || said.1.iter().all(told)
}

/// Compares all over the program; how many addresses there were.
fn compare(how: &Build) -> usize {
    let folder = Folder::new();
    let program = build(&folder, how);
    let said = what_the_program_says(&program, 13);
    let addresses: Vec<u64> = said.iter().map(|it| it.0).collect();
    let started = std::time::Instant::now();
    let found = resolve(&program, &addresses);
    let taken = started.elapsed();
    let mut wrong = 0;
    let mut longer = 0;
    let mut inlined = 0;
    for (said, found) in said.iter().zip(&found) {
        inlined += usize::from(said.1.len() > 1);
        longer += usize::from(said.1.len() != found.len());
        if !agree(said, found) {
            wrong += 1;
            if wrong < 10 {
                println!("{said:x?}\n  {found:?}");
            }
        }
    }
    println!("{} addresses, {inlined} inlined, {longer} with wrappers, {taken:?}", said.len());
    assert_eq!(wrong, 0, "of {}", said.len());
    assert!(inlined * 20 > said.len(), "{inlined} of {}", said.len());
    assert!(longer * 100 < said.len(), "{longer} of {}", said.len());
    said.len()
}

#[test]
fn names_lines_and_inlined_calls_of_go_are_those_that_its_runtime_tells() {
    if has_go("names_lines_and_inlined_calls_of_go") {
        assert!(compare(&PLAIN) > 100_000);
    }
}

#[test]
fn a_stripped_go_program_has_all_of_its_names() {
    if has_go("a_stripped_go_program_has_all_of_its_names") {
        assert!(compare(&STRIPPED) > 100_000);
    }
}

#[test]
fn a_go_program_that_may_lie_anywhere_has_all_of_its_names() {
    if has_go("a_go_program_that_may_lie_anywhere_has_all_of_its_names") {
        if is_full() {
            assert!(compare(&MOVABLE) > 100_000);
        }
        assert!(compare(&MOVABLE_STRIPPED) > 100_000);
    }
}

#[test]
fn a_go_program_with_c_in_it_has_all_of_its_names() {
    if has_go("a_go_program_with_c_in_it_has_all_of_its_names") {
        if is_full() {
            assert!(compare(&WITH_C) > 100_000);
        }
        assert!(compare(&WITH_C_MOVABLE_STRIPPED) > 100_000);
    }
}

#[test]
fn a_go_program_without_section_headers_is_found_by_what_its_table_begins_with() {
    if !has_go("a_go_program_without_section_headers_is_found") {
        return;
    }
    let folder = Folder::new();
    for how in [&STRIPPED, &MOVABLE_STRIPPED] {
        let program = build(&folder, how);
        let said = what_the_program_says(&program, 997);
        let mut bytes = std::fs::read(&program).unwrap();
        // e_shoff, e_shnum and e_shstrndx.
        bytes[0x28..0x30].fill(0);
        bytes[0x3c..0x40].fill(0);
        std::fs::write(&program, bytes).unwrap();
        let addresses: Vec<u64> = said.iter().map(|it| it.0).collect();
        let found = resolve(&program, &addresses);
        let wrong = said.iter().zip(&found).filter(|(said, found)| !agree(said, found)).count();
        assert_eq!(wrong, 0, "of {}", said.len());
    }
}

#[test]
fn lines_of_go_are_those_of_addr2line() {
    if !has_go("lines_of_go_are_those_of_addr2line") {
        return;
    }
    let folder = Folder::new();
    let program = build(&folder, &PLAIN);
    let addresses: Vec<u64> = what_the_program_says(&program, 61).iter().map(|it| it.0).collect();
    let mut tool = Command::new("go")
        .args(["tool", "addr2line"])
        .arg(&program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked: String = addresses.iter().map(|address| format!("{address:x}\n")).collect();
    let mut input = tool.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(asked.as_bytes()).unwrap());
    let output = tool.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let found = resolve(&program, &addresses);
    let (mut wrong, mut compared) = (0, 0);
    for (found, said) in found.iter().zip(lines.chunks(2)) {
        // A mark of the linker's, and what lies between functions.
        if said[0].starts_with("go:") || said[1].ends_with(":-1") {
            continue;
        }
        let (Some(inner), Some(outer)) = (found.first(), found.last()) else { panic!("{said:?}") };
        let place = match (&inner.file, inner.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => "?:0".to_owned(),
        };
        compared += 1;
        if (&*outer.system_name, &*place) != (said[0], said[1]) {
            wrong += 1;
            println!("{said:?}: {found:?}");
        }
    }
    println!("{compared} of {} addresses", addresses.len());
    assert!(compared > 30_000 && lines.len() == 2 * addresses.len());
    assert_eq!(wrong, 0);
}

#[test]
fn go_code_has_unwind_rows_and_c_code_beside_it_has_its_own() {
    if !has_go("go_code_has_unwind_rows_and_c_code_beside_it_has_its_own") {
        return;
    }
    let folder = Folder::new();
    let program = build(&folder, &WITH_C);
    let image = Image::open(&program, None).unwrap();
    let started = std::time::Instant::now();
    let table = OwnedTable::build(&image).unwrap().unwrap();
    println!("{} rows in {:?}", table.as_table().rows.len(), started.elapsed());
    println!("{} damaged, {} unsupported", table.damaged, table.unsupported);
    let symbols: HashMap<String, u64> = crate::fixture::addresses(&program);
    let cfa = |name: &str, at: u64| table.as_table().lookup(symbols[name] + at).cfa;
    assert_eq!(table.damaged, 0);
    assert!(table.unsupported <= 1, "what glibc's own start code has");
    assert_eq!(cfa("main.main", 0), Rule::SP);
    assert_eq!(cfa("runtime.goexit.abi0", 0), Rule::ROOT);
    assert_eq!(cfa("runtime.mstart.abi0", 1), Rule::ROOT);
    assert_eq!(cfa("runtime.sigreturn__sigaction.abi0", 1), Rule::SIGNAL);
    assert_eq!(cfa("runtime.systemstack.abi0", 0), Rule::SP);
    assert_eq!(cfa("runtime.systemstack.abi0", 4), Rule::FP_ANY_STACK);
    assert_eq!(cfa("runtime.asmcgocall.abi0", 40), Rule::FP_ANY_STACK);
    assert_eq!(cfa("threadentry", 8), Rule::SP);
}

#[test]
fn the_runtimes_offsets_are_found_also_in_stripped_programs() {
    if !has_go("the_runtimes_offsets_are_found_also_in_stripped_programs") {
        return;
    }
    let folder = Folder::new();
    let of =
        |how: &Build| GoRuntime::of(&Image::open(&build(&folder, how), None).unwrap()).unwrap();
    let plain = of(&PLAIN);
    println!("{plain:?}");
    assert_eq!((plain.thread_g, plain.labels), (-8, GoLabels::List));
    for how in [&STRIPPED, &MOVABLE, &WITH_C, &WITH_C_MOVABLE_STRIPPED] {
        assert_eq!(of(how), plain);
    }
}

/// Numbers that tend to hurt, by a generator that is the same everywhere.
fn damage(bytes: &mut [u8], seed: u64, places: &[std::ops::Range<usize>]) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for _ in 0..1 + roll() % 40 {
        let place = &places[roll() % places.len()];
        let at = place.start + roll() % (place.len() - 8);
        let hurts =
            [0, 1, 7, 0x7f, 0xffff, 0x7fff_ffff, u64::from(u32::MAX), u64::MAX, roll() as u64];
        let value = hurts[roll() % hurts.len()].to_le_bytes();
        let size = [1, 2, 4, 8][roll() % 4];
        bytes[at..at + size].copy_from_slice(&value[..size]);
    }
}

#[test]
fn a_damaged_go_program_gives_an_answer_or_an_error_soon() {
    if !has_go("a_damaged_go_program_gives_an_answer_or_an_error_soon") {
        return;
    }
    let folder = Folder::new();
    for how in [&MOVABLE_STRIPPED, &WITH_C] {
        let program = build(&folder, how);
        let whole = std::fs::read(&program).unwrap();
        let image = Image::open(&program, None).unwrap();
        let part = |name: &str| {
            let section = image.section(name)?;
            let start = section.offset as usize;
            // The front, where the headers and the indexes are, more often than the rest.
            Some([
                start..start + section.size as usize,
                start..start + section.size.min(4096) as usize,
            ])
        };
        let names = [".gopclntab", ".data.rel.ro.gopclntab", ".go.module", ".go.buildinfo"];
        let mut places: Vec<_> = names.into_iter().filter_map(part).flatten().collect();
        places.push(0..64);
        assert!(places.len() >= 5, "{places:?}");
        let code = image.section(".text").unwrap().address;
        let addresses: Vec<u64> =
            (0..200).map(|it| code + it * 9973).chain([u64::MAX, 0]).collect();
        for seed in 1..60 {
            let mut bytes = whole.clone();
            damage(&mut bytes, seed, &places);
            let started = std::time::Instant::now();
            let bytes: std::sync::Arc<[u8]> = bytes.into();
            if let Ok(image) = Image::from_bytes(bytes.clone()) {
                let _ = (OwnedTable::build(&image), GoRuntime::of(&image));
            }
            let module = ModuleFile { bytes: Some(bytes), ..ModuleFile::default() };
            let found = Symbols::new(Budget::default()).resolve(&module, &addresses);
            assert_eq!(found.len(), addresses.len());
            assert!(started.elapsed().as_secs() < 20, "{seed}: {:?}", started.elapsed());
        }
    }
}
