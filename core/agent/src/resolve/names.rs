use std::fmt;
use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

/// The longest name given out, in bytes.
pub const MAX_NAME: usize = 4096;
/// The longest linkage name worth demangling.
pub(crate) const MAX_LINKAGE_NAME: usize = 16 << 10;

/// A linkage name as people read it: Rust's two manglings (without hashes) and the Itanium C++
/// one are undone; any other name comes back as it is. Control characters are left for the
/// outputs to escape.
///
/// The result has at most [`MAX_NAME`] bytes: a longer one is cut at a character and ends in `…`.
/// `_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE` gives `core::fmt::Write::write_fmt`.
pub fn demangle(linkage_name: &str) -> String {
    let demangled = if linkage_name.len() > MAX_LINKAGE_NAME || !is_mangled(linkage_name) {
        None
    } else {
        // Both demanglers bound their own depth; a panic in one of them costs the pretty name.
        let name = AssertUnwindSafe(linkage_name);
        catch_unwind(|| rust(&name).or_else(|| cpp(&name))).unwrap_or(None)
    };
    demangled.unwrap_or_else(|| bounded(linkage_name))
}

/// `text`, cut as [`demangle`] cuts it.
pub(crate) fn bounded(text: &str) -> String {
    let mut name = Bounded::default();
    // The only error is "full", which is what `finish` marks.
    let _ = name.write_str(text);
    name.finish()
}

fn is_mangled(name: &str) -> bool {
    let name = name.trim_start_matches('_');
    name.starts_with(['Z', 'R'])
}

fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut text = Bounded::default();
    let written = write!(text, "{demangled:#}");
    (written.is_ok() || text.full).then(|| text.finish())
}

fn cpp(name: &str) -> Option<String> {
    let symbol = cpp_demangle::Symbol::new(name).ok()?;
    let mut text = Bounded::default();
    let written = symbol.structured_demangle(&mut text, &cpp_demangle::DemangleOptions::new());
    (written.is_ok() || text.full).then(|| text.finish())
}

/// Text that refuses to grow beyond [`MAX_NAME`] bytes, so that a small mangled name with many
/// back references cannot ask for gigabytes.
#[derive(Default)]
struct Bounded {
    text: String,
    full: bool,
}

impl Bounded {
    fn finish(mut self) -> String {
        const MARK: char = '…';
        if self.full {
            let end = char_boundary(&self.text, MAX_NAME - MARK.len_utf8());
            self.text.truncate(end);
            self.text.push(MARK);
        }
        self.text
    }
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_NAME - self.text.len();
        if self.full || text.len() > room {
            let end = char_boundary(text, if self.full { 0 } else { room });
            self.text.push_str(&text[..end]);
            self.full = true;
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// The last character boundary of `text` at or before `at`.
fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_rust_manglings_lose_their_hashes() {
        assert_eq!(
            demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"),
            "core::fmt::Write::write_fmt"
        );
        assert_eq!(demangle("_RNvCs4fqI2P2rA04_7mycrate3foo"), "mycrate::foo");
    }

    #[test]
    fn cpp_names_keep_their_arguments() {
        assert_eq!(demangle("_ZN5space3fooEibc"), "space::foo(int, bool, char)");
        assert_eq!(demangle("_ZN5space3fooEi.part.0"), "space::foo(int) [clone .part.0]");
    }

    #[test]
    fn plain_names_stay_as_they_are() {
        for name in ["main", "_start", "__libc_start_main", "_Z", "_R", "Zebra", "", "a\nb"] {
            assert_eq!(demangle(name), name);
        }
    }

    #[test]
    fn a_long_name_is_cut_at_a_character_and_marked() {
        let name = demangle(&"é".repeat(5000));
        assert!(name.len() <= MAX_NAME, "{}", name.len());
        assert!(name.ends_with("é…"));
        assert_eq!(demangle(&"x".repeat(MAX_NAME)).len(), MAX_NAME);
        assert!(!demangle(&"x".repeat(MAX_NAME)).ends_with('…'));
    }

    #[test]
    fn back_references_cannot_blow_a_name_up() {
        // Each S_ doubles the text: 2^40 bytes when written out.
        let mut name = String::from("_Z1fI");
        name.push_str("1AI1BS_E");
        for _ in 0..40 {
            name = format!("{name}S0_S0_");
        }
        assert!(demangle(&name).len() <= MAX_NAME);
    }

    proptest! {
        #[test]
        fn any_text_is_demangled_to_bounded_text(text in "(_Z|_R|_ZN)?[a-zA-Z0-9_.$@]{0,200}") {
            prop_assert!(demangle(&text).len() <= MAX_NAME);
        }
    }
}
