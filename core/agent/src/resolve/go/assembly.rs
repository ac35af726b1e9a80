//! The few functions of Go's runtime that are not like the others: where stacks begin, and where
//! one is left for another.
//!
//! Go's assembler keeps a frame record (saved frame pointer, return address) in every function
//! that calls another. `systemstack`, `asmcgocall`, `nanotime1` and their like write the stack
//! pointer after that, so that what they call runs on the thread's own stack, while the frame
//! pointer still leads to the goroutine's: that is followed. `mcall`, `morestack` and `gogo` leave
//! the goroutine for good, and clear the frame pointer: there the stack begins.

/// `abi.FuncFlag`.
const TOP_FRAME: u8 = 1;
const WRITES_SP: u8 = 2;
const ASSEMBLY: u8 = 4;

/// How a function is unwound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By the table of its stack depth; it saves the frame pointer as soon as it takes any.
    Plain,
    /// By the table of its stack depth; its code tells whether it saves the frame pointer.
    Assembly,
    /// As `Plain`, but it was not called: a fault or a signal made it follow an instruction.
    Injected,
    /// Nothing calls it.
    Root,
    /// The kernel's way back from a signal.
    Signal,
    /// By the table up to where it takes another stack; from there on by the frame pointer.
    SwitchesStack,
    /// By the table up to where it takes another stack, on which nothing called it.
    LeavesStack,
}

impl Kind {
    /// By the runtime's flags, and by name where the flags say nothing (before Go 1.17) or not
    /// enough.
    pub(super) fn of(name: &str, flags: u8) -> Self {
        let Some(name) = name.strip_prefix("runtime.") else {
            return match name {
                "gogo" if flags & ASSEMBLY != 0 => Self::LeavesStack,
                _ if name.starts_with("_rt0_") => Self::Root,
                _ => Self::by_flags(flags),
            };
        };
        match name.trim_end_matches(".abi0") {
            "goexit" | "mstart" | "rt0_go" => Self::Root,
            "sigreturn" | "sigreturn__sigaction" => Self::Signal,
            // The kernel calls it, and what was interrupted lies behind the signal's frame.
            "sigtramp" | "cgoSigtramp" => Self::Assembly,
            "sigpanic" | "asyncPreempt" => Self::Injected,
            "mcall" | "morestack" | "gogo" => Self::LeavesStack,
            "systemstack" | "asmcgocall" => Self::SwitchesStack,
            _ => Self::by_flags(flags),
        }
    }

    fn by_flags(flags: u8) -> Self {
        if flags & TOP_FRAME != 0 {
            Self::Root
        } else if flags & WRITES_SP != 0 {
            Self::SwitchesStack
        } else if flags & ASSEMBLY != 0 {
            Self::Assembly
        } else {
            Self::Plain
        }
    }

    /// Whether the function's code has to be looked at.
    pub(super) fn needs_code(self) -> bool {
        matches!(self, Self::Assembly | Self::SwitchesStack | Self::LeavesStack)
    }
}

/// Where the frame record is complete: one past `mov rbp, rsp` after `push rbp`, or past
/// `lea rbp, [rsp + n]` after `mov [rsp + n], rbp`.
pub(super) fn frame_record(code: &[u8]) -> Option<usize> {
    let pushed = code.windows(4).position(|it| it == [0x55, 0x48, 0x89, 0xe5]);
    let stored = code.windows(10).position(
        |it| matches!(it, [0x48, 0x89, 0x6c, 0x24, n, 0x48, 0x8d, 0x6c, 0x24, m] if n == m),
    );
    let stored_far = code.windows(16).position(|it| {
        matches!(it, [0x48, 0x89, 0xac, 0x24, .., 0x48, 0x8d, 0xac, 0x24, _, _, _, _])
            && it[4..8] == it[12..16]
    });
    let ends = [pushed.map(|at| at + 4), stored.map(|at| at + 10), stored_far.map(|at| at + 16)];
    ends.into_iter().flatten().min()
}

/// Where the function takes another stack: `mov rsp, [register]` or `mov rsp, [register + n]`.
pub(super) fn takes_stack(code: &[u8]) -> Option<usize> {
    code.windows(3)
        .position(|it| matches!(it, [0x48 | 0x49, 0x8b, 0x20..=0x23 | 0x26 | 0x27 | 0x60..=0x67]))
}

/// Whether the frame pointer was saved at the top of the frame by the time that a function's depth
/// has become 8 or more at `at`.
pub(super) fn saves_frame_pointer(code: &[u8], at: usize) -> bool {
    let pushed = at.checked_sub(1).and_then(|before| code.get(before)) == Some(&0x55);
    let rest = code.get(at..).unwrap_or_default();
    pushed || matches!(rest, [0x48, 0x89, 0x6c | 0xac, 0x24, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_own_functions_are_known_by_name_and_by_flag() {
        for (name, flags, kind) in [
            ("main.main", 0, Kind::Plain),
            ("runtime.goexit", 0, Kind::Root),
            ("runtime.goexit.abi0", 5, Kind::Root),
            ("_rt0_amd64_linux", 4, Kind::Root),
            ("runtime.sigtramp", 5, Kind::Assembly),
            ("runtime.sigreturn__sigaction", 4, Kind::Signal),
            ("runtime.nanotime1", 6, Kind::SwitchesStack),
            ("gogo", 6, Kind::LeavesStack),
            ("gogo", 0, Kind::Plain),
            ("other.mcall", 0, Kind::Plain),
        ] {
            assert_eq!(Kind::of(name, flags), kind, "{name}");
        }
    }

    #[test]
    fn code_tells_where_frames_and_stacks_change() {
        // Go 1.26's `systemstack`, shortened, and a frame as Go made them up to 1.20.
        let switch = b"\x55\x48\x89\xe5\x48\x8b\x7c\x24\x10\x48\x8b\x62\x38\xff\xd7\x5d\xc3";
        assert_eq!((frame_record(switch), takes_stack(switch)), (Some(4), Some(9)));
        assert!(saves_frame_pointer(switch, 1) && !saves_frame_pointer(switch, 4));
        let old = b"\x48\x83\xec\x18\x48\x89\x6c\x24\x10\x48\x8d\x6c\x24\x10\xc3";
        assert_eq!((frame_record(old), takes_stack(old)), (Some(14), None));
        assert!(saves_frame_pointer(old, 4));
        assert_eq!(takes_stack(b"\x48\x8b\x23\xc3"), Some(0), "gogo's");
        assert_eq!((frame_record(b""), takes_stack(b"")), (None, None));
        assert!(!saves_frame_pointer(b"", 0) && !saves_frame_pointer(b"\x55", 9));
    }
}
