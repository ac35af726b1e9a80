//! Folded stacks.

use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use sondage::profile::folded;

use super::arbitrary::profiles;
use super::shop::shop;

#[test]
fn inlined_and_unnamed_frames_stand_in_the_line() {
    assert_eq!(
        folded::encode(&shop(), 0).unwrap(),
        "main;shop::handle;shop::parse 1\n\
         main;shop::handle;shop::parse;shop::skip_space 1\n\
         main;shop::handle;shop::walk;shop::walk;shop::walk 2\n\
         main;shop::handle;libc.so.6+0x223 1\n\
         [unsampled] 1\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_back_as_the_same_lines(profile in profiles()) {
        let text = folded::encode(&profile, 1).unwrap();
        let again = folded::decode(text.as_bytes()).unwrap();
        prop_assert_eq!(folded::encode(&again, 0).unwrap(), text);
    }

    #[test]
    fn noise_is_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = folded::decode(&bytes);
    }
}
