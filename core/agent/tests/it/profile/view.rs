//! The page's data.

use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};
use sondage::profile::Profile;
use sondage::profile::ValueType;
use sondage::profile::view;

use super::arbitrary::profiles;
use super::shop::shop;

#[test]
fn the_format_is_the_one_the_page_was_written_for() {
    let view: Value = serde_json::from_str(&view::encode(&shop())).unwrap();
    let expected = json!({
        "v": 1,
        "title": "shop",
        "types": [{"type": "samples", "unit": "count"}, {"type": "cpu", "unit": "nanoseconds"}],
        "start_ms": 1_700_000_000_000u64,
        "duration_ns": 10_000_000_000u64,
        "labels": {"service_name": "shop", "pid": "42"},
        "sources": ["timer"],
        "strings": ["", "main", "src/shop.rs", "/srv/shop", "shop::handle", "shop::parse",
            "shop::skip_space", "shop::walk", "libc.so.6+0x223", "/usr/lib/libc.so.6",
            "[unsampled]"],
        "frames": [[1, 2, 3, 10, 0], [4, 2, 3, 20, 0], [5, 2, 3, 30, 0], [5, 2, 3, 31, 0],
            [6, 2, 3, 5, 1], [7, 2, 3, 40, 0], [8, 0, 9, 0, 0], [10, 0, 0, 0, 0]],
        "nodes": [[-1, 0], [0, 1], [1, 2], [1, 3], [3, 4], [1, 5], [5, 5], [6, 5], [1, 6],
            [-1, 7]],
        "labelSets": [[["route", "/cart"]], [["route", "/pay"], ["tenant", "t1"]], []],
        "samples": [[2, 0, 1, 10_000_000], [4, 0, 1, 10_000_000], [7, 0, 2, 20_000_000],
            [8, 1, 1, 10_000_000], [9, 2, 1, 10_000_000]],
        "lost": [["unsampled", 10_000_000]],
        "period": {"type": "cpu", "unit": "nanoseconds", "value": 10_000_000},
    });
    assert_eq!(view, expected);
}

#[test]
fn what_is_unknown_is_null() {
    let profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
    let view: Value = serde_json::from_str(&view::encode(&profile)).unwrap();
    assert_eq!((&view["start_ms"], &view["period"]), (&Value::Null, &Value::Null));
}

#[test]
fn no_name_can_end_the_script_element() {
    let mut profile = Profile::new(vec![ValueType::new("</script><script>", "&amp;")]);
    let name = "</script><img src=x onerror=alert(1)>\u{2028}\u{2029}<!--";
    let location = profile.named_location(name);
    let stack = profile.stack(&[location]);
    let labels = profile.label_set([(name, name)]);
    profile.add(stack, labels, &[1]);
    profile.meta.labels = vec![("service_name".into(), name.into())];
    let json = view::encode(&profile);
    assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{json}");
    let view: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&view["strings"][1], &view["title"]), (&json!(name), &json!(name)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_stack_can_be_read_back_from_its_node(profile in profiles()) {
        let view: Value = serde_json::from_str(&view::encode(&profile)).unwrap();
        let samples = view["samples"].as_array().unwrap();
        prop_assert_eq!(samples.len(), profile.samples().len());
        for (row, sample) in samples.iter().zip(profile.samples()) {
            let mut depth = 0;
            let mut node = row[0].as_i64().unwrap();
            while node >= 0 {
                let parent = view["nodes"][usize::try_from(node).unwrap()][0].as_i64().unwrap();
                prop_assert!(parent < node);
                (node, depth) = (parent, depth + 1);
            }
            let stack = profile.frames(sample.stack).iter();
            let frames = stack.map(|id| profile.locations()[id.index()].lines.len().max(1));
            prop_assert_eq!(depth, frames.sum::<usize>().max(1));
        }
    }
}
