//! Texts as CPython stores them (PEP 393).

use sondage_sampler::walk::python::Text;

/// The text, of at most `max` characters; what is longer ends with `…`. What is no character, such
/// as a lone surrogate, becomes U+FFFD. `None` for a text that could not be copied.
///
/// ```
/// use sondage::resolve::read_text;
/// use sondage_sampler::walk::python::Text;
///
/// let name = Text { char_bytes: 1, bytes: b"na\xefve" };
/// assert_eq!(read_text(name, 100).as_deref(), Some("naïve"));
/// assert_eq!(read_text(name, 2).as_deref(), Some("na…"));
/// ```
pub fn read_text(text: Text<'_>, max: usize) -> Option<String> {
    let Text { char_bytes, bytes } = text;
    let character = |code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    match char_bytes {
        1 => Some(limited(bytes.iter().map(|byte| char::from(*byte)), max)),
        2 => {
            let units = bytes.chunks_exact(2).filter_map(|unit| unit.first_chunk());
            Some(limited(units.map(|unit| character(u32::from(u16::from_ne_bytes(*unit)))), max))
        }
        4 => {
            let units = bytes.chunks_exact(4).filter_map(|unit| unit.first_chunk());
            Some(limited(units.map(|unit| character(u32::from_ne_bytes(*unit))), max))
        }
        _ => None,
    }
}

fn limited(mut characters: impl Iterator<Item = char>, max: usize) -> String {
    let mut text: String = characters.by_ref().take(max).collect();
    if characters.next().is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide<const N: usize>(units: &[[u8; N]]) -> Option<String> {
        let bytes = units.concat();
        read_text(Text { char_bytes: N as u8, bytes: &bytes }, 100)
    }

    #[test]
    fn characters_of_every_width_are_read_and_surrogates_are_replaced() {
        let units = [0x0061u16, 0x20ac, 0xd800, 0x0062].map(u16::to_ne_bytes);
        assert_eq!(wide(&units).as_deref(), Some("a€\u{fffd}b"));
        let units = [0x61u32, 0x1f40d, 0xdfff, 0x11_0000].map(u32::to_ne_bytes);
        assert_eq!(wide(&units).as_deref(), Some("a🐍\u{fffd}\u{fffd}"));
        assert_eq!(wide(&[[0xe9], [0xff]]).as_deref(), Some("éÿ"));
    }

    #[test]
    fn a_text_of_unknown_width_is_unknown_and_half_a_character_is_left_out() {
        assert_eq!(read_text(Text { char_bytes: 0, bytes: b"abc" }, 100), None);
        assert_eq!(read_text(Text { char_bytes: 3, bytes: b"abc" }, 100), None);
        let cut = Text { char_bytes: 2, bytes: &[0x61, 0x61, 0x61] };
        assert_eq!(read_text(cut, 100).as_deref(), Some("慡"));
    }
}
