use std::path::Path;
use std::sync::Arc;

use sondage::resolve::FileIdentity;
use sondage::resolve::Image;
use sondage::resolve::ResolveErrorKind;
use sondage::resolve::symbols_at;

use crate::fixture::BUILD_ID;
use crate::fixture::Folder;

fn kind(path: &Path, identity: Option<FileIdentity>) -> ResolveErrorKind {
    Image::open(path, identity).unwrap_err().kind()
}

fn identity(path: &Path) -> FileIdentity {
    use std::os::unix::fs::MetadataExt;
    let meta = path.metadata().unwrap();
    FileIdentity { device: meta.dev(), inode: meta.ino() }
}

#[test]
fn headers_notes_and_names_are_read() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &["-Wl,-soname,libinlined.so.1"]);
    let image = Image::open(&path, Some(identity(&path))).unwrap();
    assert_eq!(image.build_id().as_deref(), Some(BUILD_ID));
    assert_eq!(image.soname().as_deref(), Some("libinlined.so.1"));
    let text = image.section(".text").unwrap();
    let holder = image.load_segments().find(|segment| segment.is_executable()).unwrap();
    assert!(text.address >= holder.address);
    assert!(text.address + text.size <= holder.address + holder.memory_size);
    assert_eq!(text.address - text.offset, holder.address - holder.offset);
    let bytes = image.section_bytes(".text", 1 << 20).unwrap().unwrap();
    let file = std::fs::read(&path).unwrap();
    assert_eq!(*bytes, file[text.offset as usize..(text.offset + text.size) as usize]);
    assert_eq!(image.section_bytes(".no_such", 1).unwrap(), None);
}

#[test]
fn the_identity_in_maps_is_the_identity_of_the_file() {
    let exe = std::env::current_exe().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with(exe.to_str().unwrap())).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let (major, minor) = words[3].split_once(':').unwrap();
    let number = |text| u32::from_str_radix(text, 16).unwrap();
    let mapped = FileIdentity::from_maps(number(major), number(minor), words[4].parse().unwrap());
    assert_eq!(mapped.inode, identity(&exe).inode);
    Image::open(&exe, Some(mapped)).unwrap();
}

#[test]
fn a_deleted_or_replaced_file_is_refused() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &[]);
    let mapped = identity(&path);
    let copy = folder.path("copy.so");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::rename(&copy, &path).unwrap();
    assert_eq!(kind(&path, Some(mapped)), ResolveErrorKind::Replaced);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(kind(&path, Some(mapped)), ResolveErrorKind::Missing);
}

#[test]
fn what_is_no_whole_object_file_is_refused_with_a_reason() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &[]);
    let whole = std::fs::read(&path).unwrap();
    let bad = folder.path("bad.so");
    for len in [0, 3, 63, 64, 500, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&bad, &whole[..len]).unwrap();
        let error = Image::open(&bad, None).unwrap_err();
        assert_eq!(error.kind(), ResolveErrorKind::Malformed, "{len}: {error}");
    }
    for (at, byte) in [(0, 0), (4, 1), (5, 2), (16, 1), (54, 9), (58, 9)] {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        std::fs::write(&bad, &bytes).unwrap();
        assert_eq!(kind(&bad, None), ResolveErrorKind::Malformed, "byte {at}");
    }
}

#[test]
fn a_pipe_or_a_folder_is_refused_without_waiting() {
    let folder = Folder::new();
    folder.tool("mkfifo", &["pipe"]);
    assert_eq!(kind(&folder.path("pipe"), None), ResolveErrorKind::Unreadable);
    assert_eq!(kind(&folder.path("."), None), ResolveErrorKind::Unreadable);
    assert_eq!(kind(Path::new("/dev/zero"), None), ResolveErrorKind::Unreadable);
}

#[test]
fn a_file_truncated_while_open_gives_an_error_and_no_signal() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &[]);
    let image = Image::open(&path, None).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(4096).unwrap();
    let error = image.section_bytes(".debug_info", 1 << 20).unwrap_err();
    assert_eq!(error.kind(), ResolveErrorKind::Malformed, "{error}");
    assert!(symbols_at(&image, &[0x1000]).is_err());
}

#[test]
fn compressed_sections_read_as_plain_ones() {
    let folder = Folder::new();
    let plain = Image::open(&folder.library("plain.so", &["inlined.c"], &["-gz=none"]), None);
    let plain = plain.unwrap();
    for format in ["zlib", "zstd", "zlib-gnu"] {
        let name = format!("{format}.so");
        folder
            .tool("objcopy", &[&format!("--compress-debug-sections={format}"), "plain.so", &name]);
        let packed = Image::open(&folder.path(&name), None).unwrap();
        let mut compressed = 0;
        for section in [".debug_info", ".debug_abbrev", ".debug_line", ".debug_str"] {
            let bytes = packed.section_bytes(section, 1 << 20).unwrap();
            assert!(bytes.is_some(), "{format} {section}");
            assert_eq!(bytes, plain.section_bytes(section, 1 << 20).unwrap(), "{format} {section}");
            let old = packed.section(&section.replace(".debug", ".zdebug")).is_some();
            let flagged = packed.section(section).is_some_and(|s| s.flags & 0x800 != 0);
            compressed += u32::from(old || flagged);
        }
        assert!(compressed > 0, "{format} compressed nothing");
    }
}

#[test]
fn a_section_over_the_limit_is_not_read() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &["-gz=zlib"]);
    let image = Image::open(&path, None).unwrap();
    let size = image.section_bytes(".debug_info", 1 << 20).unwrap().unwrap().len() as u64;
    assert!(image.section_bytes(".debug_info", size).is_ok());
    let error = image.section_bytes(".debug_info", size - 1).unwrap_err();
    assert_eq!(error.kind(), ResolveErrorKind::TooLarge, "{error}");
}

#[test]
fn the_vdso_is_read_from_its_bytes() {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let (start, rest) = line.split_once('-').unwrap();
    let end = rest.split(' ').next().unwrap();
    let number = |text| u64::from_str_radix(text, 16).unwrap();
    let mut bytes = vec![0; (number(end) - number(start)) as usize];
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    memory.read_exact_at(&mut bytes, number(start)).unwrap();
    let image = Image::from_bytes(Arc::from(bytes)).unwrap();
    assert!(image.soname().unwrap().starts_with("linux-"));
    assert!(image.build_id().is_some());
    let text = image.section(".text").unwrap();
    let spread: Vec<u64> = (0..text.size).step_by(8).map(|at| text.address + at).collect();
    let names: Vec<_> = symbols_at(&image, &spread).unwrap().into_iter().flatten().collect();
    assert!(names.iter().any(|symbol| symbol.name.contains("clock_gettime")), "{names:?}");
}
