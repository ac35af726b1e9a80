use gimli::EndianSlice;
use gimli::LittleEndian;
use sondage::resolve::Bytes;
use sondage::resolve::DebugFrames;
use sondage::resolve::DebugInfo;
use sondage::resolve::Image;
use sondage::resolve::ResolveErrorKind;

use crate::fixture::Folder;
use crate::fixture::addresses;

const LIMIT: u64 = 512 << 20;

fn frames(image: &Image, addresses: &[u64]) -> Vec<DebugFrames> {
    let info = DebugInfo::load(image, LIMIT).unwrap().unwrap();
    let (frames, error) = info.frames_at(addresses);
    assert_eq!(error, None);
    frames
}

/// `function:line` of each frame, innermost first.
fn short(frames: &DebugFrames) -> Vec<String> {
    let of = |frame: &sondage::resolve::DebugFrame| {
        let name = frame.function.name.as_deref().unwrap_or("?");
        format!("{name}:{}", frame.place.line.unwrap_or(0))
    };
    frames.frames.iter().map(of).collect()
}

#[test]
fn inlined_calls_come_with_the_lines_that_make_them() {
    let folder = Folder::new();
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let path = folder.library("lib.so", &["inlined.c"], &[version]);
        let at = addresses(&path);
        let image = Image::open(&path, None).unwrap();
        let spread: Vec<u64> = (at["outer"]..at["outer"] + 16).collect();
        let found = frames(&image, &spread);
        let expected = ["inner:7", "middle:12", "outer:16"];
        let inlined = found.iter().find(|found| short(found) == expected);
        let inlined = inlined.unwrap_or_else(|| panic!("{version}: {found:#?}"));
        for frame in &inlined.frames {
            assert!(frame.place.file.as_deref().unwrap().ends_with("fixtures/inlined.c"));
        }
        let starts: Vec<_> = inlined.frames.iter().map(|f| f.function.start_line).collect();
        assert_eq!(starts, [Some(6), Some(11), Some(15)]);
    }
}

#[test]
fn link_time_optimisation_crosses_units() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c", "other.c"], &["-flto"]);
    let at = addresses(&path);
    let image = Image::open(&path, None).unwrap();
    let spread: Vec<u64> = (at["entry"]..at["entry"] + 16).collect();
    let found: Vec<_> = frames(&image, &spread).iter().map(short).collect();
    assert!(found.iter().any(|f| f[..] == ["across:7", "entry:13"]), "{found:?}");
}

#[test]
fn cpp_members_have_linkage_names() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["names.cpp"], &[]);
    let at = addresses(&path);
    let image = Image::open(&path, None).unwrap();
    let found = frames(&image, &[at["_ZN5space5Thing5twiceEi"]]).remove(0);
    let function = &found.frames[0].function;
    assert_eq!(function.linkage_name.as_deref(), Some("_ZN5space5Thing5twiceEi"));
    assert_eq!(function.start_line, Some(6));
}

#[test]
fn debug_sections_over_the_budget_are_not_read() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &[]);
    let image = Image::open(&path, None).unwrap();
    let error = DebugInfo::load(&image, 100).unwrap_err();
    assert_eq!(error.kind(), ResolveErrorKind::TooLarge, "{error}");
    folder.tool("strip", &["lib.so"]);
    let stripped = Image::open(&path, None).unwrap();
    assert!(DebugInfo::load(&stripped, LIMIT).unwrap().is_none());
}

/// Functions nested `depth` deep (`.uleb128 2` for called ones, `.uleb128 3` for inlined ones), all
/// over the same 16 bytes.
fn nested(depth: usize, entry: &str) -> String {
    format!(
        r#"
    .text
    .globl code
    .type code, @function
code:
    .skip 16, 0x90
    .size code, 16
    .section .debug_abbrev, "", @progbits
    .uleb128 1, 0x11
    .byte 1
    .uleb128 0x11, 1, 0x12, 0x06, 0, 0
    .uleb128 2, 0x2e
    .byte 1
    .uleb128 0x11, 1, 0x12, 0x06, 0, 0
    .uleb128 3, 0x1d
    .byte 1
    .uleb128 0x11, 1, 0x12, 0x06, 0, 0
    .byte 0
    .section .debug_info, "", @progbits
    .long end - start
start:
    .short 4
    .long 0
    .byte 8
    .uleb128 1
    .quad code
    .long 16
    .uleb128 2
    .quad code
    .long 16
    .rept {depth}
    {entry}
    .quad code
    .long 16
    .endr
    .skip {depth} + 2, 0
end:
    .section .note.GNU-stack, "", @progbits
"#
    )
}

#[test]
fn inlining_is_cut_at_64_calls_and_absurd_nesting_is_an_error() {
    const CALLED: &str = ".uleb128 2";
    const INLINED: &str = ".uleb128 3";
    let folder = Folder::new();
    let frames_of = |depth, entry| {
        std::fs::write(folder.path("nested.s"), nested(depth, entry)).unwrap();
        folder.tool("cc", &["-shared", "-nostdlib", "-o", "nested.so", "nested.s"]);
        let path = folder.path("nested.so");
        let image = Image::open(&path, None).unwrap();
        let info = DebugInfo::load(&image, LIMIT).unwrap().unwrap();
        let (found, error) = info.frames_at(&[addresses(&path)["code"] + 1]);
        (found[0].frames.len(), error.map(|error| error.kind()))
    };
    assert_eq!(frames_of(3, INLINED), (4, None));
    assert_eq!(frames_of(200, INLINED), (65, None));
    // A reader that recurses would overflow its stack here.
    assert_eq!(frames_of(200_000, INLINED), (65, None));
    assert_eq!(frames_of(200_000, CALLED), (0, Some(ResolveErrorKind::Malformed)));
}

/// What addr2line says, as `linkage or name | file | line`.
struct Oracle<'a>(addr2line::Context<EndianSlice<'a, LittleEndian>>);

impl Oracle<'_> {
    fn frames(&self, address: u64) -> Vec<String> {
        let mut frames = self.0.find_frames(address).skip_all_loads().unwrap();
        let mut texts = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            let name = frame.function.map(|name| name.raw_name().unwrap().into_owned());
            let place = frame.location;
            let file = place.as_ref().and_then(|place| place.file);
            let line = place.as_ref().and_then(|place| place.line);
            texts.push(line_of(name.as_deref(), file, line));
        }
        texts
    }
}

fn line_of(name: Option<&str>, file: Option<&str>, line: Option<u32>) -> String {
    format!("{}|{}|{}", name.unwrap_or("?"), file.unwrap_or("?"), line.unwrap_or(0))
}

#[test]
fn this_executable_reads_as_addr2line_reads_it() {
    let image = Image::open(&std::env::current_exe().unwrap(), None).unwrap();
    let sections = gimli::DwarfSections::load(|id| {
        image.section_bytes(id.name(), LIMIT).map(Option::unwrap_or_default)
    })
    .unwrap();
    let dwarf = sections.borrow(|bytes: &Bytes| EndianSlice::new(bytes, LittleEndian));
    let oracle = Oracle(addr2line::Context::from_dwarf(dwarf).unwrap());
    let text = image.section(".text").unwrap();
    let step = (text.size / 5000) as usize;
    let spread: Vec<u64> = (0..text.size).step_by(step).map(|at| text.address + at).collect();
    let mut inlined = 0;
    let mut different = Vec::new();
    for (address, found) in spread.iter().zip(frames(&image, &spread)) {
        let mut ours = Vec::new();
        for frame in &found.frames {
            let name = frame.function.linkage_name.as_ref().or(frame.function.name.as_ref());
            ours.push(line_of(name.map(|n| &**n), frame.place.file.as_deref(), frame.place.line));
        }
        inlined += ours.len().saturating_sub(1);
        if found.frames.is_empty() && found.place.file.is_some() {
            ours.push(line_of(None, found.place.file.as_deref(), found.place.line));
        }
        let theirs = oracle.frames(*address);
        if ours != theirs {
            different.push(format!("{address:#x}\n  ours {ours:#?}\n  theirs {theirs:#?}"));
        }
    }
    assert!(inlined > 500, "only {inlined} inlined frames in the sample");
    let first = different.first();
    assert!(different.len() * 1000 <= spread.len(), "{}: {}", different.len(), first.unwrap());
}
