//! Compact unwind tables: how to find the caller's frame at any address of a module.
//!
//! A table covers one module's code in pages of 64 KiB. `pages[p]..pages[p + 1]` is the run of
//! rows of page `p`, sorted by address; a row holds the low 16 bits of the address it starts at
//! and, in its upper half, the index of a [`Rule`]. Every page's first row starts at 0, so each
//! address has a row. 4 bytes a row and about 300 distinct rules make libc's table 112 KB.
//! The eBPF programs read the same arrays; [`Rule`]'s layout is part of that format.

/// What to do to get from a frame to its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Rule {
    /// How to compute the canonical frame address (CFA); one of the constants of [`Rule`].
    pub cfa: u8,
    /// Where the return address is on processors with a link register: in words from the saved
    /// frame pointer (if `fp` is not 0) or from the CFA. 0 means "still in the register". On
    /// x86_64 it always lies one word below the CFA, and this is 0, [`INTERRUPTED`](Self::INTERRUPTED),
    /// or what [`SP_DEREF`](Self::SP_DEREF) says.
    pub ra: i8,
    /// Where the caller's frame pointer is saved, in words from the CFA; 0 means unchanged.
    pub fp: i16,
    /// Added to the register that `cfa` names, in bytes.
    pub offset: i32,
}

impl Rule {
    /// No unwind information: follow the frame pointer.
    pub const NONE: u8 = 0;
    /// CFA = stack pointer + offset.
    pub const SP: u8 = 1;
    /// CFA = frame pointer + offset.
    pub const FP: u8 = 2;
    /// A lazy-binding stub of x86_64: 16-byte entries whose stack changes at byte 11.
    pub const PLT: u8 = 3;
    /// The thread's first function: no caller.
    pub const ROOT: u8 = 4;
    /// The kernel's signal trampoline: registers lie in the signal frame.
    pub const SIGNAL: u8 = 5;
    /// Something the compact form cannot express.
    pub const UNSUPPORTED: u8 = 6;
    /// CFA = the word at (stack pointer + offset), on x86_64 plus `ra` words: functions that realign
    /// their stack, in assembly those that keep the address of their return address.
    pub const SP_DEREF: u8 = 7;
    /// CFA = the word at (frame pointer + offset), and the caller's frame pointer lies where the
    /// frame pointer points: gcc's frames that are both realigned and of variable size.
    pub const FP_DEREF: u8 = 8;
    /// As `FP`, but the frame may lie on another stack, so also below the stack pointer: functions
    /// of Go's runtime that call others on the thread's own stack.
    pub const FP_ANY_STACK: u8 = 9;

    /// In `ra` on x86_64: the caller did not call. The address is that of the instruction to run
    /// next, as for the innermost frame: what Go's runtime runs in place of one that faulted.
    pub const INTERRUPTED: i8 = i8::MIN;

    /// All of it in one word.
    #[inline(always)]
    pub(crate) fn to_word(self) -> u64 {
        u64::from(self.cfa)
            | u64::from(self.ra as u8) << 8
            | u64::from(self.fp as u16) << 16
            | u64::from(self.offset as u32) << 32
    }

    #[inline(always)]
    pub(crate) fn from_word(word: u64) -> Self {
        Self {
            cfa: word as u8,
            ra: (word >> 8) as i8,
            fp: (word >> 16) as i16,
            offset: (word >> 32) as i32,
        }
    }
}

/// The unwind table of one module.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// First address covered, as in the file (svma), a multiple of 64 KiB.
    pub base: u64,
    /// One more entry than there are pages.
    pub pages: &'a [u32],
    /// Low 16 bits: address in the page. High 16 bits: index into `rules`.
    pub rows: &'a [u32],
    /// The distinct rules.
    pub rules: &'a [Rule],
}

impl Table<'_> {
    /// The rule for an address as in the file. An address outside the table has [`Rule::NONE`].
    #[inline(always)]
    pub fn lookup(&self, svma: u64) -> Rule {
        self.find(svma).unwrap_or_default()
    }

    #[inline(always)]
    fn find(&self, svma: u64) -> Option<Rule> {
        let offset = svma.wrapping_sub(self.base);
        let page = usize::try_from(offset >> 16).ok()?;
        let first = *self.pages.get(page)? as usize;
        let end = *self.pages.get(page.wrapping_add(1))? as usize;
        let rows = self.rows.get(first..end)?;
        let key = offset as u16;
        // The last row that starts at or before `key`.
        let mut low = 0usize;
        let mut size = rows.len();
        while size > 1 {
            let half = size / 2;
            let middle = low.wrapping_add(half);
            let starts_before = rows.get(middle).is_some_and(|row| *row as u16 <= key);
            low = if starts_before { middle } else { low };
            size = size.wrapping_sub(half);
        }
        let rule = rows.get(low)? >> 16;
        self.rules.get(rule as usize).copied()
    }
}

/// One executable mapping of the process, with its table.
#[derive(Clone, Copy, Debug)]
pub struct ModuleEntry<'a> {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// What to subtract from an address in the process to get the address in the file.
    pub bias: u64,
    /// The unwind table; `None` where there is none (yet): frame pointers are followed.
    pub table: Option<Table<'a>>,
}

/// Finds the module that holds `pc` in a list sorted by address.
#[inline(always)]
pub(crate) fn find_module<'m, 't>(
    modules: &'m [ModuleEntry<'t>],
    pc: u64,
) -> Option<&'m ModuleEntry<'t>> {
    let after = modules.partition_point(|module| module.start <= pc);
    modules.get(after.checked_sub(1)?).filter(|module| pc < module.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SP16: Rule = Rule { cfa: Rule::SP, ra: 0, fp: 0, offset: 16 };
    const SP32: Rule = Rule { cfa: Rule::SP, ra: 0, fp: -2, offset: 32 };

    #[test]
    fn a_lookup_finds_the_row_at_or_before_the_address() {
        let rules = [Rule::default(), SP16, SP32];
        let rows = [0, 0x10 | 1 << 16, 0x20 | 2 << 16, 2 << 16, 0xfff0];
        let table = Table { base: 0x10000, pages: &[0, 3, 5], rows: &rows, rules: &rules };
        assert_eq!(table.lookup(0x1000f), Rule::default());
        assert_eq!(table.lookup(0x10010), SP16);
        assert_eq!(table.lookup(0x1001f), SP16);
        assert_eq!(table.lookup(0x1ffff), SP32);
        assert_eq!(table.lookup(0x20000), SP32);
        assert_eq!(table.lookup(0x2fff0), Rule::default());
        assert_eq!(table.lookup(0x30000), Rule::default());
        assert_eq!(table.lookup(0), Rule::default());
    }

    #[test]
    fn an_inconsistent_table_is_read_as_no_rule() {
        let table = Table { base: 0, pages: &[0, 9], rows: &[0xffff_0000], rules: &[SP16] };
        assert_eq!(table.lookup(4), Rule::default());
        let table = Table { base: 0, pages: &[0, 1], rows: &[0xffff_0000], rules: &[SP16] };
        assert_eq!(table.lookup(4), Rule::default());
    }
}
