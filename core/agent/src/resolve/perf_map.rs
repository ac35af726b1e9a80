use std::path::Path;
use std::path::PathBuf;

use super::clock::Clock;
use super::error::ResolveError;
use super::names;
use super::owner::Owner;
use super::reach::open_under_root;
use super::source::Source;

/// Bytes read of a map; of a longer one the last, which hold the newest code.
const MAX_BYTES: u64 = 64 << 20;
const CHUNK: usize = 64 << 10;
/// Longer lines are malformed.
const MAX_LINE: usize = 16 << 10;

/// Names of code that a runtime made at run time, as it writes them to `/tmp/perf-PID.map`: one
/// `START SIZE NAME` a line, in hex, where a later line replaces an earlier one.
#[derive(Debug)]
pub struct PerfMap {
    source: Source,
    limit: u64,
}

/// What one pass over a map found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerfNames {
    /// The name of each address asked for, in order.
    pub names: Vec<Option<String>>,
    /// Well-formed lines.
    pub lines: u64,
    /// Lines left out because they are not `START SIZE NAME`.
    pub malformed: u64,
    /// Bytes at the start of the map left out because it is longer than 64 MiB.
    pub skipped_bytes: u64,
}

impl PerfMap {
    /// Opens the map of this process.
    ///
    /// # Errors
    /// [`Missing`](super::ResolveErrorKind::Missing) where there is none,
    /// [`Unreadable`](super::ResolveErrorKind::Unreadable) for anything but a regular file that belongs
    /// to this process' effective user: in `/tmp` anyone can put one there. A symbolic link is
    /// not followed.
    pub fn open() -> Result<Self, ResolveError> {
        Self::open_at(&Self::path())
    }

    /// Where the map of this process stands.
    pub fn path() -> PathBuf {
        PathBuf::from(format!("/tmp/perf-{}.map", std::process::id()))
    }

    /// Opens the map of another process, under its own root and by the number that it has in its
    /// own namespace.
    ///
    /// # Errors
    /// As [`open`](Self::open), with that process' effective user; no part of the way may be a
    /// symbolic link.
    pub fn open_of(pid: u32) -> Result<Self, ResolveError> {
        let owner = Owner::of(&pid.to_string())?;
        let path = PathBuf::from(format!("/tmp/perf-{}.map", owner.own_number.unwrap_or(pid)));
        let (source, _) = open_under_root(pid, &path)?;
        owner.check(&source, &path)?;
        Ok(Self { source, limit: MAX_BYTES })
    }

    fn open_at(path: &Path) -> Result<Self, ResolveError> {
        let (source, _) = Source::open_with(path, libc::O_NOFOLLOW)?;
        Owner::of("self")?.check(&source, path)?;
        Ok(Self { source, limit: MAX_BYTES })
    }

    /// Finds the names of addresses (as they are in the process) in one pass that keeps nothing
    /// but what it found.
    ///
    /// # Errors
    /// When the file cannot be read, became shorter meanwhile, or takes too long.
    pub fn names_at(&self, addresses: &[u64]) -> Result<PerfNames, ResolveError> {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut pass = Pass { names: vec![None; sorted.len()], sorted, lines: 0, malformed: 0 };
        let mut clock = Clock::start();
        let skipped_bytes = self.source.len().saturating_sub(self.limit);
        let mut at = skipped_bytes;
        let mut rest = Vec::new();
        // The first line after a cut is a part of one.
        let mut oversized = skipped_bytes > 0;
        while at < self.source.len() {
            let size = (self.source.len() - at).min(CHUNK as u64);
            let bytes = self.source.read(at, size, size)?;
            at += size;
            let mut lines = bytes.split(|&byte| byte == b'\n').peekable();
            while let Some(piece) = lines.next() {
                let room = MAX_LINE.saturating_sub(rest.len());
                oversized |= piece.len() > room;
                rest.extend_from_slice(&piece[..piece.len().min(room)]);
                if lines.peek().is_some() {
                    pass.line(&rest, oversized, &mut clock)?;
                    rest.clear();
                    oversized = false;
                }
            }
        }
        // What follows the last newline is still being written.
        Ok(pass.finish(addresses, skipped_bytes))
    }
}

struct Pass {
    sorted: Vec<u64>,
    names: Vec<Option<String>>,
    lines: u64,
    malformed: u64,
}

impl Pass {
    fn line(
        &mut self,
        line: &[u8],
        oversized: bool,
        clock: &mut Clock,
    ) -> Result<(), ResolveError> {
        let parsed = if oversized { None } else { parse(line) };
        let Some((start, size, name)) = parsed else {
            self.malformed += 1;
            return clock.spend(1);
        };
        self.lines += 1;
        let first = self.sorted.partition_point(|&address| address < start);
        for (address, slot) in self.sorted.iter().zip(&mut self.names).skip(first) {
            if address - start >= size {
                break;
            }
            clock.spend(8)?;
            *slot = Some(names::bounded(&String::from_utf8_lossy(name)));
        }
        clock.spend(1)
    }

    fn finish(self, addresses: &[u64], skipped_bytes: u64) -> PerfNames {
        let name =
            |address| self.sorted.binary_search(address).ok().and_then(|i| self.names[i].clone());
        let names = addresses.iter().map(name).collect();
        PerfNames { names, lines: self.lines, malformed: self.malformed, skipped_bytes }
    }
}

fn parse(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let mut number = || {
        let text = std::str::from_utf8(parts.next()?).ok()?;
        let digits = text.strip_prefix("0x").unwrap_or(text);
        u64::from_str_radix(digits, 16).ok()
    };
    let (start, size) = (number()?, number()?);
    let name = parts.next()?.trim_ascii();
    (size > 0 && !name.is_empty()).then_some((start, size, name))
}

#[cfg(test)]
mod tests {
    use super::super::error::ResolveErrorKind;
    use super::*;
    use proptest::prelude::*;

    fn temporary(content: &[u8]) -> PathBuf {
        use std::sync::atomic::AtomicU32;
        use std::sync::atomic::Ordering;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sondage-perf-map-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn names(content: &[u8], addresses: &[u64], limit: u64) -> PerfNames {
        let path = temporary(content);
        let map = PerfMap { limit, ..PerfMap::open_at(&path).unwrap() };
        std::fs::remove_file(path).unwrap();
        map.names_at(addresses).unwrap()
    }

    #[test]
    fn the_last_line_for_an_address_names_it() {
        let map = b"1000 20 first\n0x2000 0x10 second with spaces\n1010 10 third\n3000 10 partial";
        let found = names(map, &[0x2004, 0x1000, 0x1010, 0x101f, 0x1020, 0x3000], MAX_BYTES);
        let names: Vec<_> = found.names.iter().map(Option::as_deref).collect();
        let second = Some("second with spaces");
        assert_eq!(names, [second, Some("first"), Some("third"), Some("third"), None, None]);
        assert_eq!((found.lines, found.malformed), (3, 0));
    }

    #[test]
    fn malformed_lines_are_left_out_and_counted() {
        let long = format!("1000 10 {}\n", "x".repeat(MAX_LINE));
        let map = format!("nonsense\n\n1000 zz a\n1000 0 empty\n1000 10 \n{long}1000 10 good\n");
        let found = names(map.as_bytes(), &[0x1000], MAX_BYTES);
        assert_eq!(found.names, [Some("good".to_owned())]);
        assert_eq!((found.lines, found.malformed), (1, 6));
    }

    #[test]
    fn of_a_long_map_the_end_counts() {
        let map: String = (0..9000).map(|i| format!("{:x} 10 f{i}\n", 0x1000 + i * 16)).collect();
        let limit = 100_000;
        let found = names(map.as_bytes(), &[0x1000, 0x1000 + 8999 * 16], limit);
        assert_eq!(found.names, [None, Some("f8999".to_owned())]);
        assert_eq!(found.skipped_bytes, map.len() as u64 - limit);
        let whole = names(map.as_bytes(), &[0x1000, 0x1000 + 8999 * 16], MAX_BYTES);
        assert_eq!(whole.names, [Some("f0".to_owned()), Some("f8999".to_owned())]);
        assert_eq!((whole.lines, whole.malformed), (9000, 0));
    }

    #[test]
    fn links_and_other_peoples_files_are_refused() {
        let path = temporary(b"1000 10 a\n");
        let link = path.with_extension("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let of_link = PerfMap::open_at(&link).unwrap_err();
        let foreign = if Owner::of("self").unwrap().user == 0 {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            path.clone()
        } else {
            PathBuf::from("/etc/passwd")
        };
        let of_foreign = PerfMap::open_at(&foreign).unwrap_err();
        std::fs::remove_file(&link).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(of_link.kind(), ResolveErrorKind::Unreadable, "{of_link}");
        assert_eq!(of_foreign.kind(), ResolveErrorKind::Unreadable, "{of_foreign}");
        assert!(of_foreign.to_string().contains("does not belong"), "{of_foreign}");
    }

    #[test]
    fn the_map_of_this_process_is_found_under_its_number() {
        assert_eq!(PerfMap::open().unwrap_err().kind(), ResolveErrorKind::Missing);
        std::fs::write(PerfMap::path(), "abc0 10 jitted\n").unwrap();
        let found = PerfMap::open().map(|map| map.names_at(&[0xabcf]));
        let as_another = PerfMap::open_of(std::process::id()).map(|map| map.names_at(&[0xabcf]));
        std::fs::remove_file(PerfMap::path()).unwrap();
        for found in [found, as_another] {
            assert_eq!(found.unwrap().unwrap().names, [Some("jitted".to_owned())]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_names_or_counts(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
            let found = names(&bytes, &[0, 1, 0x1000, u64::MAX], MAX_BYTES);
            prop_assert_eq!(found.lines + found.malformed, lines);
        }
    }
}
