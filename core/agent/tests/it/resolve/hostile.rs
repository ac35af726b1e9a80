//! Files made to harm: whatever they say, an answer or an error comes, soon.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use proptest::prelude::*;
use sondage::resolve::Budget;
use sondage::resolve::DebugInfo;
use sondage::resolve::Image;
use sondage::resolve::ModuleFile;
use sondage::resolve::Symbols;
use sondage::resolve::symbols_at;

use crate::fixture::Folder;

/// Far above what any case takes, also in a debug build on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A small library with everything we read: symbols, notes, DWARF plain and compressed.
fn libraries() -> &'static [Vec<u8>] {
    static BYTES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let folder = Folder::new();
        let flags: [&[&str]; 3] = [&["-gdwarf-4"], &["-gdwarf-5"], &["-gz=zlib"]];
        let build = |flags: &&[&str]| {
            std::fs::read(folder.library("lib.so", &["inlined.c"], flags)).unwrap()
        };
        flags.iter().map(build).collect()
    })
}

/// Reads everything there is to read.
fn read_all(bytes: Vec<u8>) {
    let start = Instant::now();
    let bytes: Arc<[u8]> = Arc::from(bytes);
    let addresses: Vec<u64> =
        (0..0x1400).step_by(16).chain([u64::MAX, u64::MAX - 1, 1 << 63]).collect();
    if let Ok(image) = Image::from_bytes(bytes.clone()) {
        let _ = (image.build_id(), image.soname(), symbols_at(&image, &addresses));
        for section in image.sections() {
            let _ = image.section_bytes(&section.name, 1 << 20);
        }
        if let Ok(Some(info)) = DebugInfo::load(&image, 1 << 20) {
            let _ = info.frames_at(&addresses);
        }
    }
    let module = ModuleFile { bytes: Some(bytes), ..ModuleFile::default() };
    let mut symbols = Symbols::new(Budget { debug_bytes: 1 << 20, ..Budget::default() });
    assert_eq!(symbols.resolve(&module, &addresses).len(), addresses.len());
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[derive(Clone, Debug)]
enum Damage {
    /// Sets a byte anywhere.
    Byte(prop::sample::Index, u8),
    /// Sets a 4-byte word to a value that tends to hurt.
    Word(prop::sample::Index, u32),
    /// Sets 8 bytes of a section header or the file header.
    Header(prop::sample::Index, u64),
    /// Cuts the file.
    Cut(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    let words = prop::sample::select(vec![0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX]);
    let sizes = prop::sample::select(vec![0, 1, 0x1000, 1 << 32, 1 << 63, u64::MAX - 8, u64::MAX]);
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        3 => (index(), words).prop_map(|(at, word)| Damage::Word(at, word)),
        3 => (index(), sizes).prop_map(|(at, size)| Damage::Header(at, size)),
        1 => index().prop_map(Damage::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let len = bytes.len();
    let mut put = |at: usize, value: &[u8]| {
        for (slot, byte) in bytes.iter_mut().skip(at).zip(value) {
            *slot = *byte;
        }
    };
    match damage {
        Damage::Byte(at, byte) => put(at.index(len), &[*byte]),
        Damage::Word(at, word) => put(at.index(len), &word.to_le_bytes()),
        Damage::Header(at, size) => {
            // The file header and program headers come first, section headers last.
            let field = at.index(512);
            let at = if field < 256 { field * 2 } else { len.saturating_sub((512 - field) * 8) };
            put(at, &size.to_le_bytes());
        }
        Damage::Cut(at) => bytes.truncate(at.index(len)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_gives_an_answer_or_an_error(
        which in 0..3_usize,
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let mut bytes = libraries()[which].clone();
        for damage in &damages {
            if !bytes.is_empty() {
                apply(&mut bytes, damage);
            }
        }
        read_all(bytes);
    }

    #[test]
    fn noise_is_no_file(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        read_all(bytes);
    }
}

#[test]
fn debug_information_full_of_noise_is_survived() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &["-gz=none"]);
    let whole = std::fs::read(&path).unwrap();
    let image = Image::open(&path, None).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for name in [".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".symtab"] {
        let section = image.section(name).unwrap();
        for _ in 0..40 {
            let mut bytes = whole.clone();
            let from = section.offset as usize;
            for byte in bytes[from..from + section.size as usize].iter_mut().step_by(3) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if state >> 62 == 0 {
                    *byte = (state >> 33) as u8;
                }
            }
            read_all(bytes);
        }
    }
}
