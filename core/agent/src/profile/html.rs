//! The self-contained page: flame graph, tables and search in one file, readable offline.

use super::{Profile, view};

/// Made from `viewer/src` by `viewer/build.mjs`; a symbolic link, so that there is one copy.
const PAGE: &str = include_str!("../../assets/page.html");

/// Where the data goes.
const PLACEHOLDER: &str = "__SONDAGE_DATA__";

/// The page with `profile` inside. Names of functions and labels are data in it, never markup.
pub fn encode(profile: &Profile) -> String {
    let data = view::encode(profile);
    match PAGE.split_once(PLACEHOLDER) {
        Some((before, after)) => [before, &data, after].concat(),
        None => String::new(),
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
}
