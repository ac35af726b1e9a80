use super::*;
use proptest::prelude::*;
use std::os::unix::fs::MetadataExt;

/// A dump that is being written.
struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        let mut writer = Self(b"DTiJ".to_vec());
        writer.words32(&[1, HEADER as u32, 62, 0, 7]);
        writer.words64(&[1, 0]);
        writer
    }

    fn words32(&mut self, words: &[u32]) {
        self.0.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    fn words64(&mut self, words: &[u64]) {
        self.0.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    fn record(&mut self, kind: u32, content: &[u8]) {
        self.words32(&[kind, (PREFIX as usize + content.len()) as u32]);
        self.words64(&[9]);
        self.0.extend(content);
    }

    fn load(&mut self, address: u64, size: u64, name: &str) {
        let mut content = Self(Vec::new());
        content.words32(&[7, 7]);
        content.words64(&[address, address, size, 1]);
        content.0.extend(name.as_bytes());
        content.0.push(0);
        content.0.extend(vec![0xcc; size.min(4096) as usize]);
        self.record(0, &content.0);
    }

    fn move_to(&mut self, from: u64, to: u64, size: u64) {
        let mut content = Self(Vec::new());
        content.words32(&[7, 7]);
        content.words64(&[to, from, to, size, 1]);
        self.record(1, &content.0);
    }

    fn lines(&mut self, address: u64, lines: &[(u64, u32, &[u8])]) {
        let mut content = Self(Vec::new());
        content.words64(&[address, lines.len() as u64]);
        for (address, line, file) in lines {
            content.words64(&[*address]);
            content.words32(&[*line, 0]);
            content.0.extend(*file);
            content.0.push(0);
        }
        self.record(2, &content.0);
    }

    fn source(&self) -> Source {
        Source::Memory(Arc::from(self.0.as_slice()))
    }
}

/// `name file:line` of each address.
fn resolve(dump: &Dump, writer: &Writer, addresses: &[u64]) -> Vec<String> {
    let mut found = vec![Resolved::default(); addresses.len()];
    dump.resolve(&writer.source(), addresses, &mut found, &mut Clock::start()).unwrap();
    let text = |resolved: &Resolved| match &*resolved.frames {
        [frame] => match &frame.file {
            Some(file) => format!("{} {file}:{}", frame.name, frame.line.unwrap_or(0)),
            None => frame.name.to_string(),
        },
        _ => String::new(),
    };
    found.iter().map(text).collect()
}

fn read(writer: &Writer) -> Dump {
    let mut dump = Dump::default();
    dump.read_on(&writer.source(), &mut Clock::start()).unwrap();
    dump
}

#[test]
fn code_has_its_name_and_the_line_of_each_address() {
    let mut writer = Writer::new();
    writer.lines(0x1000, &[(0x1000, 3, b"/a.js"), (0x1010, 5, b"\xff"), (0x1010, 4, b"/b.js")]);
    writer.record(4, &[0; 24]);
    writer.load(0x1000, 0x20, "first");
    writer.load(0x2000, 0x10, "without lines");
    writer.record(3, &[]);
    let found = resolve(&read(&writer), &writer, &[0xfff, 0x1000, 0x100f, 0x101f, 0x1020, 0x2008]);
    let expected = ["", "first /a.js:3", "first /a.js:3", "first /b.js:4", "", "without lines"];
    assert_eq!(found, expected);
}

#[test]
fn code_takes_the_place_of_what_was_there_and_leaves_the_rest() {
    let mut writer = Writer::new();
    writer.load(0x1000, 0x100, "block");
    writer.load(0x1040, 0x10, "inner");
    writer.load(0x1080, 0x10, "old");
    writer.load(0x1080, 0x20, "new");
    writer.load(0x10f0, 0x20, "over the end");
    let at = [0x103f, 0x1040, 0x1050, 0x1090, 0x10a0, 0x10ef, 0x10f0, 0x110f];
    let found = resolve(&read(&writer), &writer, &at);
    let expected =
        ["block", "inner", "block", "new", "block", "block", "over the end", "over the end"];
    assert_eq!(found, expected);
    writer.load(0, u64::MAX, "all");
    assert_eq!(resolve(&read(&writer), &writer, &[0x1040]), ["all"]);
    assert_eq!(read(&writer).codes.len(), 1);
}

#[test]
fn moved_code_keeps_its_name_and_lines() {
    let mut writer = Writer::new();
    writer.lines(0x1000, &[(0x1000, 3, b"a"), (0x1008, 4, b"a")]);
    writer.load(0x1000, 0x10, "moving");
    writer.move_to(0x1000, 0x5000, 0x10);
    writer.move_to(0x9000, 0x6000, 0x10);
    let found = resolve(&read(&writer), &writer, &[0x1000, 0x5007, 0x5008, 0x6000]);
    assert_eq!(found, ["", "moving a:3", "moving a:4", ""]);
}

#[test]
fn what_was_written_since_is_read_and_a_part_of_a_record_is_left_for_later() {
    let mut whole = Writer::new();
    whole.load(0x1000, 0x10, "first");
    let first = whole.0.len();
    whole.lines(0x1000, &[(0x1000, 3, b"a")]);
    whole.load(0x1000, 0x10, "second");
    let mut dump = Dump::default();
    for end in 0..whole.0.len() {
        let part = Writer(whole.0[..end].to_vec());
        dump.read_on(&part.source(), &mut Clock::start()).unwrap();
        let name = if end < first { "" } else { "first" };
        assert_eq!(resolve(&dump, &part, &[0x1000]), [name], "{end}");
    }
    dump.read_on(&whole.source(), &mut Clock::start()).unwrap();
    assert_eq!(resolve(&dump, &whole, &[0x1000]), ["second a:3"]);
    let mut other = Writer::new();
    other.0[24] = 2;
    dump.read_on(&other.source(), &mut Clock::start()).unwrap();
    assert_eq!(resolve(&dump, &other, &[0x1000]), [""], "another file of the same number");
}

#[test]
fn lines_are_of_the_load_that_follows_at_their_address() {
    let mut writer = Writer::new();
    writer.lines(0x1000, &[(0x1000, 3, b"a")]);
    writer.load(0x2000, 0x10, "between");
    writer.load(0x1000, 0x10, "its own");
    writer.load(0x1000, 0x10, "later");
    assert_eq!(resolve(&read(&writer), &writer, &[0x1000, 0x2000]), ["later", "between"]);
    writer.0.truncate(writer.0.len() - LOAD as usize - "later".len() - 1 - 0x10);
    assert_eq!(resolve(&read(&writer), &writer, &[0x1000, 0x2000]), ["its own a:3", "between"]);
}

#[test]
fn lines_of_v8_are_moved_and_names_from_freed_memory_are_refused() {
    let mut writer = Writer::new();
    writer.0[16..20].copy_from_slice(&V8.to_le_bytes());
    writer.lines(0x1000, &[(0x1040, 3, b"a"), (0x1048, 4, b"a")]);
    writer.load(0x1000, 0x10, "JS:*f");
    let garbage: [&[u8]; 4] = [b"", b"\xbcp", b"a\rb", b"\xfe"];
    for (at, file) in (2u64..).zip(garbage) {
        writer.lines(at << 12, &[((at << 12) + 64, 3, file)]);
        writer.load(at << 12, 0x10, "f");
    }
    let found = resolve(&read(&writer), &writer, &[0x1007, 0x1008, 0x2000, 0x3000, 0x4000, 0x5000]);
    assert_eq!(found, ["JS:*f a:3", "JS:*f a:4", "f", "f", "f", "f"]);
}

#[test]
fn another_byte_order_or_version_is_refused_and_a_record_without_a_size_ends_the_reading() {
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut writer = Writer::new();
        writer.load(0x1000, 0x10, "f");
        change(&mut writer.0);
        let mut dump = Dump::default();
        dump.read_on(&writer.source(), &mut Clock::start()).unwrap_err().to_string()
    };
    assert_eq!(refused(&|it| it[..4].copy_from_slice(b"JiTD")), "a dump of a big-endian machine");
    assert_eq!(refused(&|it| it[0] = b'x'), "not a jitdump");
    assert_eq!(refused(&|it| it[4] = 9), "version 9 of the format is not known");
    assert_eq!(refused(&|it| it[8] = 39), "the header has 39 bytes");
    let at = HEADER + 4;
    assert_eq!(refused(&|it| it[at] = 0), "the record at offset 40 has 0 bytes");
}

#[test]
fn of_too_much_code_the_newest_is_known_and_dumps_make_room_for_each_other() {
    let mut dump = Dump::default();
    for number in 0..MAX_CODES_EACH as u64 + 1 {
        let code = Code { end: 0, base: number << 4, load: number, lines: None };
        dump.put(16, code);
    }
    assert!((1..=MAX_CODES_EACH / 2 + 1).contains(&dump.codes.len()), "{}", dump.codes.len());
    assert!(dump.codes.contains_key(&((MAX_CODES_EACH as u64) << 4)));
    assert!(!dump.codes.contains_key(&0));
    let mut dumps = Dumps::default();
    for number in 0..(MAX_CODES / LEAST_CODES) as u64 + 10 {
        let identity = FileIdentity { device: 1, inode: number };
        dumps.known.insert(identity, Dump { used: number, ..Dump::default() });
        dumps.make_room();
    }
    assert_eq!(dumps.known.len(), MAX_CODES / LEAST_CODES);
    assert!(!dumps.known.contains_key(&FileIdentity { device: 1, inode: 0 }));
}

#[test]
fn a_marker_is_executable_memory_of_a_file_by_the_dumps_name() {
    let marker = |line: &str| Marker::of(&MapLine::parse(line).unwrap());
    let found = marker("1000-2000 r-xp 00000000 fe:01 12  /a b/jit-7.dump (deleted)").unwrap();
    assert_eq!(found.path, Path::new("/a b/jit-7.dump"));
    for other in [
        "1000-2000 r--p 00000000 fe:01 12  /a/jit-7.dump",
        "1000-2000 r-xp 00000000 00:00 0  /a/jit-7.dump",
        "1000-2000 r-xp 00000000 fe:01 12  /a/jit-.dump",
        "1000-2000 r-xp 00000000 fe:01 12  /a/jit-x.dump",
        "1000-2000 r-xp 00000000 fe:01 12  /a/jit-7.dump.so",
        "1000-2000 r-xp 00000000 00:00 0",
    ] {
        assert!(marker(other).is_none(), "{other}");
    }
}

#[test]
fn a_dump_is_read_if_it_is_the_mapped_one_and_belongs_to_the_process_user() {
    let path = std::env::temp_dir().join(format!("jit-{}.dump", std::process::id()));
    let mut writer = Writer::new();
    writer.load(0x1000, 0x10, "f");
    std::fs::write(&path, &writer.0).unwrap();
    let meta = path.metadata().unwrap();
    let identity = FileIdentity { device: meta.dev(), inode: meta.ino() };
    let marker = Marker { path: path.clone(), identity, range: 0x1000..0x2000 };
    let pid = std::process::id();
    let mut dumps = Dumps::default();
    let mut resolve = |marker: &Marker| {
        let mut found = vec![Resolved::default()];
        let result = dumps.resolve_by(marker, pid, &[0x1000], &mut found);
        result.map(|()| found[0].frames.first().map(|frame| frame.name.to_string()))
    };
    assert_eq!(resolve(&marker).unwrap().as_deref(), Some("f"));
    let other = FileIdentity { inode: identity.inode + 1, ..identity };
    let error = resolve(&Marker { identity: other, ..marker.clone() }).unwrap_err();
    assert_eq!(error.kind(), ResolveErrorKind::Replaced);
    if Owner::of("self").unwrap().user == 0 {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let error = resolve(&marker).unwrap_err();
        assert!(error.to_string().contains("does not belong"), "{error}");
    }
    std::fs::remove_file(path).unwrap();
}

/// A dump of records that are well made, with bytes of it changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let record = (0u32..6, 0u64..0x4000, prop_oneof![0u64..0x400, any::<u64>()], "[a-z\0]{0,20}");
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let records = prop::collection::vec(record, 0..40);
    (records, prop::collection::vec(change, 0..8)).prop_map(|(records, changes)| {
        let mut writer = Writer::new();
        for (kind, address, size, name) in records {
            match kind {
                0 => writer.load(address, size, &name),
                1 => writer.move_to(address, size, address),
                2 => writer.lines(address, &[(address, 1, name.as_bytes()), (size, 2, b"\xff")]),
                _ => writer.record(kind, name.as_bytes()),
            }
        }
        for (at, byte) in changes {
            let at = at.index(writer.0.len());
            writer.0[at] = byte;
        }
        writer.0
    })
}

fn is_consistent(dump: &Dump) -> bool {
    let mut ends = dump.codes.iter().zip(dump.codes.keys().skip(1));
    let apart = ends.all(|((_, code), next)| code.end <= *next);
    apart && dump.codes.iter().all(|(start, code)| *start < code.end && code.base <= *start)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn damaged_dumps_are_read_within_bounds(bytes in damaged(), cut in any::<prop::sample::Index>()) {
        let mut dump = Dump::default();
        let part = Writer(bytes[..cut.index(bytes.len())].to_vec());
        let _ = dump.read_on(&part.source(), &mut Clock::start());
        let whole = Writer(bytes);
        let _ = dump.read_on(&whole.source(), &mut Clock::start());
        prop_assert!(is_consistent(&dump), "{dump:?}");
        let mut at_once = Dump::default();
        let _ = at_once.read_on(&whole.source(), &mut Clock::start());
        prop_assert_eq!(format!("{:?}", dump.codes), format!("{:?}", at_once.codes));
        let addresses: Vec<u64> = (0..0x4400).step_by(64).chain([u64::MAX]).collect();
        let mut found = vec![Resolved::default(); addresses.len()];
        let _ = dump.resolve(&whole.source(), &addresses, &mut found, &mut Clock::start());
        let names = found.iter().flat_map(|it| it.frames.iter());
        prop_assert!(names.into_iter().all(|it| it.name.len() <= names::MAX_NAME));
    }

    #[test]
    fn any_bytes_after_the_header_end_in_time(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let mut writer = Writer::new();
        writer.0.extend(bytes);
        let mut dump = Dump::default();
        let _ = dump.read_on(&writer.source(), &mut Clock::start());
        prop_assert!(dump.at <= writer.0.len() as u64 && is_consistent(&dump));
    }
}
