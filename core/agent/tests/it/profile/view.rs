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
        "v": 2,
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
        "parts": [[1_700_000_000_000u64, 10_000_000_000u64, 5]],
        "base": null,
        "cost_ns": 600_000,
        "lost": [["unsampled", 10_000_000]],
        "period": {"type": "cpu", "unit": "nanoseconds", "value": 10_000_000},
    });
    assert_eq!(view, expected);
}

/// A profile of one function at a second, with a process-wide label.
fn small(name: &str, second: u64, pod: &str, column: &str) -> Profile {
    let mut profile = Profile::new(vec![ValueType::new(column, "count")]);
    let location = profile.named_location(name);
    let stack = profile.stack(&[location]);
    let labels = profile.label_set([("route", "/cart")]);
    profile.add(stack, labels, &[i64::try_from(second).unwrap()]);
    profile.meta.start_unix_nanos = Some(second * 1_000_000_000);
    profile.meta.duration = std::time::Duration::from_secs(1);
    profile.meta.labels = vec![("service_name".into(), "shop".into()), ("pod".into(), pod.into())];
    profile
}

#[test]
fn parts_stand_in_order_of_time_and_those_of_the_base_come_first() {
    let (late, early) = (small("f", 7, "b", "cpu"), small("f", 5, "a", "cpu"));
    let base = small("g", 9, "c", "wall");
    let view = view::encode_all(&[&late, &early], &[&base]);
    let view: Value = serde_json::from_str(&view).unwrap();
    assert_eq!(
        view["parts"],
        json!([[9_000, 1_000_000_000, 1], [5_000, 1_000_000_000, 1], [7_000, 1_000_000_000, 1]])
    );
    assert_eq!(view["types"][0]["type"], "wall");
    assert_eq!(view["samples"], json!([[0, 0, 9, 0], [1, 1, 0, 5], [1, 2, 0, 7]]));
    assert_eq!((&view["start_ms"], &view["duration_ns"]), (&json!(5_000), &json!(2_000_000_000)));
    // What a whole side has in common is a fact about it, what tells its parts apart is not.
    assert_eq!(view["labels"], json!({"service_name": "shop"}));
    let route = json!(["route", "/cart"]);
    assert_eq!(view["labelSets"], json!([[route], [["pod", "a"], route], [["pod", "b"], route]]));
    assert_eq!(
        view["base"],
        json!({"parts": 1, "title": "shop", "start_ms": 9_000,
        "duration_ns": 1_000_000_000, "labels": {"service_name": "shop", "pod": "c"}, "lost": []})
    );
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
