//! What a reader outside a Go program needs to find the labels of the goroutine that runs.
//!
//! The offsets are taken from the runtime's own code, which every binary has, stripped or not, and
//! which says what holds for its version: `systemstack` loads the current goroutine from
//! thread-local storage and compares it with `m.curg`; `runtime_setProfLabel` stores its labels.

use super::find::Place;
use super::function::Function;
use super::memory::offset_of;
use crate::resolve::image::Image;
use crate::resolve::paged::Pages;

/// How the labels of a goroutine lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoLabels {
    /// The program sets none: the code for it was left out.
    Absent,
    /// A pointer to a `map[string]string`, up to Go 1.23.
    Map,
    /// A pointer to a slice of pairs of strings, from Go 1.24 on.
    List,
}

/// Where a Go program keeps what runs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoRuntime {
    /// From the thread's pointer (`fs` on x86_64) to the address of its `runtime.g`.
    pub thread_g: i32,
    /// `runtime.g.m`.
    pub g_m: u16,
    /// `runtime.m.curg`.
    pub m_curg: u16,
    /// `runtime.g.labels`; 0 where there are none.
    pub g_labels: u16,
    /// What `g.labels` points to.
    pub labels: GoLabels,
}

/// Code that is looked at, of one function.
const MAX_CODE: u64 = 512;

/// What marks the build information: the section `.go.buildinfo` begins with it.
const BUILD_INFO: &[u8] = b"\xff Go buildinf:";

impl GoRuntime {
    /// Finds the offsets in a Go program for x86_64; `None` in any other file, before Go 1.17, and
    /// where the code is not as expected. Costs 2 ms for 10,000 functions.
    pub fn of(image: &Image) -> Option<Self> {
        if cfg!(not(target_arch = "x86_64")) {
            return None;
        }
        let place = Place::find(image)?;
        let pages = Pages::new(&image.source);
        let functions = place.functions(&pages);
        let mut system_stack = None;
        let mut set_labels = None;
        for index in 0..functions.header.functions {
            let Some(function) = functions.function(index) else { continue };
            match functions.short_name(&function).as_deref() {
                Some("runtime.systemstack") => system_stack = Some(function),
                Some("runtime/pprof.runtime_setProfLabel") => set_labels = Some(function),
                _ => {}
            }
        }
        let code = code_of(image, &system_stack?);
        let g_labels = match set_labels {
            Some(function) => stored_by(&code_of(image, &function))?,
            None => 0,
        };
        let labels = match g_labels {
            0 => GoLabels::Absent,
            _ if minor_version(image)? >= 24 => GoLabels::List,
            _ => GoLabels::Map,
        };
        let (thread_g, g_m, m_curg) = (thread_g(&code)?, loaded_m(&code)?, compared_g(&code)?);
        Some(Self { thread_g, g_m, m_curg, g_labels, labels })
    }
}

fn code_of(image: &Image, function: &Function) -> Vec<u8> {
    let Some((offset, left)) = offset_of(image, function.code.start) else { return Vec::new() };
    let size = (function.code.end - function.code.start).min(left).min(MAX_CODE);
    image.source.read(offset, size, MAX_CODE).map(|bytes| bytes.to_vec()).unwrap_or_default()
}

/// The number behind the first of these beginnings of an instruction.
fn operand(code: &[u8], begins: &[&[u8]]) -> Option<i32> {
    let found = (0..code.len()).find_map(|at| {
        let rest = code.get(at..)?;
        begins.iter().find_map(|begin| rest.strip_prefix(*begin))
    })?;
    found.first_chunk().map(|bytes| i32::from_le_bytes(*bytes))
}

/// `mov rax, fs:n`, or `mov rcx, n` before `mov rax, fs:[rcx]`.
fn thread_g(code: &[u8]) -> Option<i32> {
    let direct = operand(code, &[&[0x64, 0x48, 0x8b, 0x04, 0x25]]);
    let by_register = code.windows(11).find_map(|it| match it {
        [0x48, 0xc7, 0xc1, a, b, c, d, 0x64, 0x48, 0x8b, 0x01] => Some([*a, *b, *c, *d]),
        _ => None,
    });
    direct.or(by_register.map(i32::from_le_bytes)).filter(|offset| (-4096..0).contains(offset))
}

/// `mov rbx, [rax + n]`: `g.m`.
fn loaded_m(code: &[u8]) -> Option<u16> {
    code.windows(4).find_map(|it| match it {
        [0x48, 0x8b, 0x58, offset @ 8..=0x78] => Some(u16::from(*offset)),
        _ => None,
    })
}

/// `cmp rax, [rbx + n]` with a long offset: `m.curg` (the short one before it is `m.gsignal`).
fn compared_g(code: &[u8]) -> Option<u16> {
    plausible(operand(code, &[&[0x48, 0x3b, 0x83]])?)
}

/// `mov [r14 + n], rax` or `mov [rcx + n], rax`: `g.labels`.
fn stored_by(code: &[u8]) -> Option<u16> {
    plausible(operand(code, &[&[0x49, 0x89, 0x86], &[0x48, 0x89, 0x81]])?)
}

fn plausible(offset: i32) -> Option<u16> {
    u16::try_from(offset).ok().filter(|offset| *offset < 4096 && offset % 8 == 0)
}

/// The second number of the Go version that built it, by its build information; 17 for those up to
/// Go 1.17, whose build information is of another form.
fn minor_version(image: &Image) -> Option<u32> {
    const HEADER: usize = 32;
    let section = image.section(".go.buildinfo")?;
    let bytes = image.source.read(section.offset, section.size.min(128), 128).ok()?;
    let rest = bytes.strip_prefix(BUILD_INFO)?;
    let [_pointer_size, flags, ..] = rest else { return None };
    if flags & 2 == 0 {
        return Some(17);
    }
    let (length, text) = bytes.get(HEADER..)?.split_first()?;
    let text = text.get(..usize::from(*length & 0x7f).min(text.len()))?;
    let text = std::str::from_utf8(text).ok()?;
    let minor = text.split_once("go1.")?.1;
    minor.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtimes_code_tells_its_offsets() {
        // Go 1.26, not movable; then movable, linked by GNU ld.
        let direct = b"\x55\x48\x89\xe5\x48\x8b\x7c\x24\x10\x64\x48\x8b\x04\x25\xf8\xff\xff\xff\
            \x48\x8b\x58\x30\x48\x3b\x43\x48\x74\x65\x48\x3b\x83\xb8\0\0\0";
        assert_eq!(thread_g(direct), Some(-8));
        assert_eq!((loaded_m(direct), compared_g(direct)), (Some(0x30), Some(0xb8)));
        let by_register = b"\x48\xc7\xc1\xf0\xff\xff\xff\x64\x48\x8b\x01";
        assert_eq!(thread_g(by_register), Some(-16));
        assert_eq!(stored_by(b"\x90\x49\x89\x86\x68\x01\0\0"), Some(0x168));
        assert_eq!(stored_by(b"\x48\x89\x81\x60\x01\0\0"), Some(0x160));
        for code in [&b""[..], b"\x49\x89\x86\x68", b"\x49\x89\x86\xff\xff\xff\xff"] {
            assert_eq!((stored_by(code), thread_g(code), compared_g(code)), (None, None, None));
        }
    }
}
