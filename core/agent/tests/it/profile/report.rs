//! Reports.

use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};
use sondage::ErrorKind;
use sondage::profile::Profile;
use sondage::profile::ValueType;
use sondage::profile::report::Options;
use sondage::profile::report::Report;

use super::arbitrary::light_profiles;
use super::shop::shop;

const MS: i64 = 1_000_000;

fn report(options: &Options) -> Report {
    Report::new(&shop(), options).unwrap()
}

#[test]
fn the_json_has_exactly_the_documented_keys() {
    let json: Value = serde_json::from_str(&report(&Options::default()).to_json()).unwrap();
    let function = |name: &str, file: &str, own: i64, total: i64| json!({"name": name, "file": file, "self": own * MS, "total": total * MS});
    let expected = json!({
        "type": "cpu",
        "unit": "nanoseconds",
        "total": 60 * MS,
        "samples": 6,
        "cost_ns": 600_000,
        "lost": {"unsampled": 10 * MS},
        "functions": [
            function("shop::walk", "src/shop.rs", 20, 20),
            function("shop::parse", "src/shop.rs", 10, 20),
            function("shop::skip_space", "src/shop.rs", 10, 10),
            function("libc.so.6+0x223", "", 10, 10),
            function("[unsampled]", "", 10, 10),
            function("main", "src/shop.rs", 0, 50),
            function("shop::handle", "src/shop.rs", 0, 50),
        ],
        "labels": {
            "route": {"/cart": 40 * MS, "/pay": 10 * MS},
            "tenant": {"t1": 10 * MS},
            "service_name": {"shop": 60 * MS},
            "pid": {"42": 60 * MS},
        },
    });
    assert_eq!(json, expected);
}

#[test]
fn a_label_divides_the_functions_among_its_values() {
    let by_label = Some("route".to_owned());
    let report = report(&Options { by_label, ..Options::default() });
    let parts = report.by_label.iter().map(|part| {
        let first = &part.functions[0];
        (part.value.as_deref(), part.total / MS, first.name.as_str(), first.self_value / MS)
    });
    assert_eq!(
        parts.collect::<Vec<_>>(),
        [
            (Some("/cart"), 40, "shop::walk", 20),
            (None, 10, "[unsampled]", 10),
            (Some("/pay"), 10, "libc.so.6+0x223", 10),
        ]
    );
}

#[test]
fn a_process_wide_label_divides_too() {
    let by_label = Some("pid".to_owned());
    let report = report(&Options { by_label, ..Options::default() });
    assert_eq!(report.by_label.len(), 1);
    assert_eq!(
        (report.by_label[0].value.as_deref(), report.by_label[0].total),
        (Some("42"), 60 * MS)
    );
}

#[test]
fn peek_shows_callers_and_callees_and_counts_a_recursion_once() {
    let peek = |pattern: &str| {
        let peek = Some(pattern.to_owned());
        report(&Options { peek, ..Options::default() }).peek
    };
    let handle = peek("^shop::handle$").remove(0);
    assert_eq!(handle.function.total, 50 * MS);
    assert_eq!(handle.callers, [("main".to_owned(), 50 * MS)]);
    let callees = [("shop::parse", 20), ("shop::walk", 20), ("libc.so.6+0x223", 10)];
    assert_eq!(handle.callees, callees.map(|(name, ms)| (name.to_owned(), ms * MS)));
    let walk = peek("walk").remove(0);
    assert_eq!(walk.callees, [("shop::walk".to_owned(), 20 * MS)]);
    assert_eq!(peek("shop").len(), 4);
    assert!(peek("nothing like it").is_empty());
}

#[test]
fn a_bad_expression_and_a_missing_column_say_so() {
    let bad = Options { peek: Some("(".into()), ..Options::default() };
    let error = Report::new(&shop(), &bad).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("`(` is not a regular expression"), "{error}");
    let bad = Options { column: Some(2), ..Options::default() };
    assert_eq!(Report::new(&shop(), &bad).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_terminal_shows_shares_amounts_losses_and_labels() {
    let text = report(&Options::default()).to_text(2);
    let expected = "\
cpu: 60.0 ms in 6 samples over 10.0 s (timer)
pid=42 service_name=shop
lost: unsampled 10.0 ms (16.7%)
profiling itself: 600.0 µs (1.0%)

  self%       self   total%      total  function
  33.3%    20.0 ms    33.3%    20.0 ms  shop::walk
  16.7%    10.0 ms    33.3%    20.0 ms  shop::parse
                                       … and 5 more

route
  66.7%    40.0 ms  /cart
  16.7%    10.0 ms  /pay

tenant
  16.7%    10.0 ms  t1
";
    assert_eq!(text, expected);
}

#[test]
fn the_markdown_is_tables_of_code() {
    let by_label = Some("route".to_owned());
    let options = Options { by_label, peek: Some("walk".into()), ..Options::default() };
    let text = report(&options).to_markdown(1);
    for line in [
        "`cpu: 60.0 ms in 6 samples over 10.0 s (timer)`",
        "| 33.3% | 20.0 ms | 33.3% | 20.0 ms | `shop::walk` |",
        "### `shop::walk`",
        "| 100.0% | 20.0 ms | `shop::handle` |",
        "### `/cart`: 40.0 ms (66.7%)",
        "### (without it): 10.0 ms (16.7%)",
        "| 66.7% | 40.0 ms | `/cart` |",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn names_cannot_act_on_the_terminal() {
    let evil = "\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}2J\u{202e}\nlost: nothing";
    let mut profile = Profile::new(vec![ValueType::new(evil, evil)]);
    let location = profile.named_location(evil);
    let (stack, labels) = (profile.stack(&[location, location]), profile.label_set([(evil, evil)]));
    profile.add(stack, labels, &[1]);
    profile.meta.sources = vec![evil.into()];
    profile.meta.labels = vec![(evil.into(), "other".into())];
    profile.meta.period = Some((ValueType::new(evil, evil), 1));
    profile.add_loss(sondage::profile::LossCause::Missed, 1);
    let options = Options { by_label: Some(evil.into()), peek: Some(".".into()), column: None };
    let report = Report::new(&profile, &options).unwrap();
    for text in [report.to_text(10), report.to_markdown(10)] {
        let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(acts), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("lost: nothing")), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn self_weights_add_up_to_the_total(profile in light_profiles()) {
        let options = Options { column: Some(0), by_label: Some("a".into()), peek: Some("a".into()) };
        let report = Report::new(&profile, &options).unwrap();
        prop_assert_eq!(report.functions.iter().map(|f| f.self_value).sum::<i64>(), report.total);
        prop_assert_eq!(report.by_label.iter().map(|part| part.total).sum::<i64>(), report.total);
        prop_assert!(report.functions.is_sorted_by(|a, b| a.self_value >= b.self_value));
        serde_json::from_str::<Value>(&report.to_json()).unwrap();
    }
}
