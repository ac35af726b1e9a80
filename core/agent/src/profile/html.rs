//! The self-contained page: flame graph, tables and search in one file, readable offline.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Profile, view};

/// Made from `viewer/src` by `viewer/build.mjs`; a symbolic link, so that there is one copy.
const PAGE: &str = include_str!("../../assets/page.html");

/// Where the data goes.
const PLACEHOLDER: &str = "__SONDAGE_DATA__";

/// Bytes of JSON from which on it travels as the base64 of its gzip, a fourth of the size or less.
/// Smaller data can be read in the file.
const PACKED_FROM: usize = 64 << 10;

/// The page with `profile` inside. Names of functions and labels are data in it, never markup.
pub fn encode(profile: &Profile) -> String {
    encode_all(&[profile], &[])
}

/// The page with the sum of some profiles inside, of which a reader can choose a period. If there
/// are profiles in `base`, it shows what changed since those.
pub fn encode_all(shown: &[&Profile], base: &[&Profile]) -> String {
    let json = view::encode_all(shown, base);
    let data = if json.len() < PACKED_FROM { json } else { pack(json) };
    match PAGE.split_once(PLACEHOLDER) {
        Some((before, after)) => [before, &data, after].concat(),
        None => String::new(),
    }
}

fn pack(json: String) -> String {
    let mut gz = GzEncoder::new(Vec::with_capacity(json.len() / 4), Compression::default());
    // Writing to memory does not fail; if it did, the page takes the plain form too.
    match gz.write_all(json.as_bytes()).and_then(|()| gz.finish()) {
        Ok(bytes) => STANDARD.encode(bytes),
        Err(_) => json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_the_data_once_and_no_name_ends_its_script() {
        let mut profile = Profile::new(vec![crate::profile::ValueType::new("cpu", "nanoseconds")]);
        let location = profile.named_location("</script><script>alert(1)</script>");
        let stack = profile.stack(&[location]);
        profile.add(stack, crate::profile::LabelSetId::default(), &[1]);
        let page = encode(&profile);
        assert_eq!(PAGE.matches(PLACEHOLDER).count(), 1);
        assert!(!page.contains("alert(1)</script>"));
        assert!(page.contains("alert(1)"));
        assert!(page.trim_end().ends_with("</html>"));
    }

    #[test]
    fn large_data_is_packed_and_comes_out_again() {
        use std::io::Read;
        let mut profile = Profile::new(vec![crate::profile::ValueType::new("cpu", "nanoseconds")]);
        for number in 0..5_000 {
            let location = profile.named_location(&format!("function {number}"));
            let stack = profile.stack(&[location]);
            profile.add(stack, crate::profile::LabelSetId::default(), &[number]);
        }
        let page = encode(&profile);
        let before = PAGE.split_once(PLACEHOLDER).unwrap().0.len();
        let (data, _) = page[before..].split_once('<').unwrap();
        let mut json = String::new();
        let packed = STANDARD.decode(data).unwrap();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut json).unwrap();
        assert_eq!(json, view::encode(&profile));
        assert!(data.len() * 3 < json.len(), "{} of {}", data.len(), json.len());
    }
}
