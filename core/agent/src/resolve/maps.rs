//! `/proc/self/maps`, line by line.

use super::source::FileIdentity;
use std::ops::Range;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapLine<'a> {
    /// The addresses.
    pub range: Range<u64>,
    /// Whether code may run there.
    pub executable: bool,
    /// Offset in the file of the first address.
    pub offset: u64,
    /// The mapped file; `None` for memory without one.
    pub identity: Option<FileIdentity>,
    /// Path or name (`[vdso]`, `[stack]`, `/usr/lib/libc.so.6 (deleted)`); may be empty.
    pub name: &'a str,
}

impl<'a> MapLine<'a> {
    /// Reads one line; `None` if it has another form.
    ///
    /// `7f00-8f00 r-xp 00001000 fe:01 1234   /usr/lib/libc.so.6`
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let permissions = fields.next()?;
        let offset = hex(fields.next()?)?;
        let (major, minor) = fields.next()?.split_once(':')?;
        let (major, minor) =
            (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
        let inode: u64 = fields.next()?.parse().ok()?;
        let name = fields.next().unwrap_or("").trim_start();
        Some(Self {
            range: hex(start)?..hex(end)?,
            executable: permissions.as_bytes().get(2) == Some(&b'x'),
            offset,
            identity: (inode != 0).then(|| FileIdentity::from_maps(major, minor, inode)),
            name,
        })
    }
}

fn hex(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_spaces_in_its_path_is_read_whole() {
        let line =
            "7f00a000-7f00b000 r-xp 00001000 fe:1f 1234       /opt/my app/lib x.so (deleted)";
        let parsed = MapLine::parse(line).unwrap();
        assert_eq!(parsed.range, 0x7f00_a000..0x7f00_b000);
        assert!(parsed.executable);
        assert_eq!(parsed.offset, 0x1000);
        assert_eq!(parsed.identity, Some(FileIdentity::from_maps(0xfe, 0x1f, 1234)));
        assert_eq!(parsed.name, "/opt/my app/lib x.so (deleted)");
    }

    #[test]
    fn lines_of_another_form_are_refused() {
        for line in ["", "zz-1 r-xp 0 0:0 0", "1-2", "1-2 r--p 0 0:0 x", "1-2 r--p 0 00 5"] {
            assert_eq!(MapLine::parse(line), None, "{line}");
        }
        assert_eq!(MapLine::parse("1000-2000 rw-p 0 0:0 0").unwrap().name, "");
    }
}
