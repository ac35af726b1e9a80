//! Unwind rows for the stubs that linkers place before calls into other modules.
//!
//! GNU ld describes its own in `.eh_frame` on `x86_64`; lld and mold do not, nor does any linker
//! on aarch64. A thread caught in one would lose its caller, so the rows are made here, from the
//! few instructions that stubs consist of.

use super::tables::UNSUPPORTED;
use sondage_sampler::Rule;

/// The sections that hold stubs.
pub(super) const SECTIONS: [&str; 4] = [".plt", ".plt.got", ".plt.sec", ".iplt"];

/// 65,536 stubs of 16 bytes, more than any library measured.
pub(super) const MAX_SECTION: u64 = 1 << 20;

/// What one instruction does to the stack.
enum Effect {
    None,
    /// A jump: the next instruction belongs to another stub, or is jumped to.
    Leave,
    Push,
    /// Only the first stub pushes a word of memory; the others jump to it after a push.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "x86_64 alone has it"))]
    PushInFirst,
}

/// The rows of a section of stubs that starts at `address`, in address order. Bytes that stubs
/// are not known to consist of get [`Rule::UNSUPPORTED`].
pub(super) fn rows(code: &[u8], address: u64) -> Vec<(u64, Rule)> {
    let mut rows: Vec<(u64, Rule)> = Vec::new();
    let mut at = 0;
    let mut pushed = 0;
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        let known = decode(rest);
        if matches!(known, Some((_, Effect::PushInFirst))) {
            pushed = 1;
        }
        let rule = known.as_ref().map_or(UNSUPPORTED, |_| after_pushes(pushed));
        if rows.last().is_none_or(|(_, last)| *last != rule) {
            rows.push((address + at as u64, rule));
        }
        match &known {
            Some((_, Effect::Push | Effect::PushInFirst)) => pushed += 1,
            Some((_, Effect::None)) => {}
            Some((_, Effect::Leave)) | None => pushed = 0,
        }
        // Padding ends where the next stub starts.
        at = known.map_or((at + 1).next_multiple_of(8), |(length, _)| at + length);
    }
    rows
}

#[cfg(target_arch = "x86_64")]
fn after_pushes(count: i32) -> Rule {
    Rule { cfa: Rule::SP, ra: 0, fp: 0, offset: 8 + 8 * count }
}

/// Length and effect of the first instruction.
#[cfg(target_arch = "x86_64")]
fn decode(code: &[u8]) -> Option<(usize, Effect)> {
    match code {
        [0xff, 0x25, ..] => Some((6, Effect::Leave)), // jmp *target(%rip)
        [0xf2, 0xff, 0x25, ..] => Some((7, Effect::Leave)), // bnd jmp *target(%rip)
        [0xff, 0x35, ..] => Some((6, Effect::PushInFirst)), // push link_map(%rip)
        [0x68, ..] => Some((5, Effect::Push)),        // push $index
        [0xe9, ..] => Some((5, Effect::Leave)),       // jmp first
        [0xf2, 0xe9, ..] => Some((6, Effect::Leave)), // bnd jmp first
        [0xf3, 0x0f, 0x1e, 0xfa, ..] => Some((4, Effect::None)), // endbr64
        _ => None,
    }
}

/// The first stub saves `x16` and the link register in one push; the others push nothing.
#[cfg(target_arch = "aarch64")]
fn after_pushes(count: i32) -> Rule {
    Rule { cfa: Rule::SP, ra: if count == 0 { 0 } else { -1 }, fp: 0, offset: 16 * count }
}

/// Length and effect of the first instruction.
#[cfg(target_arch = "aarch64")]
fn decode(code: &[u8]) -> Option<(usize, Effect)> {
    let effect = match u32::from_le_bytes(*code.first_chunk()?) {
        0xa9bf_7bf0 => Effect::Push,  // stp x16, x30, [sp, #-16]!
        0xd61f_0220 => Effect::Leave, // br x17
        _ => Effect::None,
    };
    Some((4, effect))
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;

    /// Offsets and CFA offsets, 0 where the code is unknown.
    fn offsets(code: &[u8]) -> Vec<(u64, i32)> {
        rows(code, 0x1000).into_iter().map(|(at, rule)| (at - 0x1000, rule.offset)).collect()
    }

    #[test]
    fn lazy_stubs_are_followed_through_their_pushes() {
        let first = b"\xff\x35\x82\xb4\x03\0\xff\x25\x84\xb4\x03\0\x0f\x1f\x40\0";
        let entry = b"\xff\x25\x82\xb4\x03\0\x68\0\0\0\0\xe9\xe0\xff\xff\xff";
        assert_eq!(
            offsets(&[&first[..], entry, entry].concat()),
            [(0, 16), (6, 24), (12, 0), (16, 8), (27, 16), (32, 8), (43, 16)]
        );
    }

    #[test]
    fn stubs_of_branch_tracking_are_followed_too() {
        let lazy = b"\xf3\x0f\x1e\xfa\x68\0\0\0\0\xf2\xe9\xe1\xff\xff\xff\x90";
        assert_eq!(offsets(lazy), [(0, 8), (9, 16), (15, 0)]);
        let second = b"\xf3\x0f\x1e\xfa\xf2\xff\x25\xad\x2e\0\0\x0f\x1f\x44\0\0";
        assert_eq!(offsets(second), [(0, 8), (11, 0)]);
    }

    #[test]
    fn short_stubs_have_one_row() {
        let entry = b"\xff\x25\x82\xb4\x03\0\x66\x90";
        assert_eq!(offsets(&entry.repeat(2)), [(0, 8), (6, 0), (8, 8), (14, 0)]);
    }

    #[test]
    fn a_section_cut_short_ends_there() {
        assert_eq!(offsets(b"\xff"), [(0, 0)]);
        assert_eq!(offsets(b""), []);
    }
}

#[cfg(test)]
#[cfg(target_arch = "aarch64")]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_stub_saves_the_link_register() {
        const FIRST: [u32; 8] = [
            0xa9bf_7bf0, // stp x16, x30, [sp, #-16]!
            0x9000_0090, // adrp x16, …
            0xf947_fe11, // ldr x17, [x16, …]
            0x913f_e210, // add x16, x16, …
            0xd61f_0220, // br x17
            0xd503_201f, // nop
            0xd503_201f,
            0xd503_201f,
        ];
        const ENTRY: [u32; 4] = [0x9000_0090, 0xf940_0211, 0x9100_0210, 0xd61f_0220];
        let code: Vec<u8> =
            FIRST.iter().chain(&ENTRY).flat_map(|word| word.to_le_bytes()).collect();
        let rows = rows(&code, 0x1000);
        let rule = |ra, offset| Rule { cfa: Rule::SP, ra, fp: 0, offset };
        assert_eq!(rows, [(0x1000, rule(0, 0)), (0x1004, rule(-1, 16)), (0x1014, rule(0, 0))]);
    }
}
