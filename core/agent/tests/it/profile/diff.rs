//! Differences of two profiles, and conditions on them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sondage::profile::Profile;
use sondage::profile::ValueType;
use sondage::profile::diff::{Change, Diff, Gate, Options, Pair};
use sondage::profile::pprof;

const PERIOD: i64 = 10_000_000;

/// A profile of 10 s from stacks, root first, with the label `route` and samples.
fn profile(stacks: &[(&str, &str, i64)]) -> Profile {
    let cpu = ValueType::new("cpu", "nanoseconds");
    let mut profile = Profile::new(vec![cpu.clone()]);
    profile.meta.period = Some((cpu, PERIOD as u64));
    profile.meta.duration = Duration::from_secs(10);
    for (stack, route, samples) in stacks {
        let leaf_first = stack.split(' ').rev().map(|name| profile.named_location(name));
        let leaf_first: Vec<_> = leaf_first.collect();
        let stack = profile.stack(&leaf_first);
        let labels = profile.label_set([("route", *route)]);
        profile.add(stack, labels, &[samples * PERIOD]);
    }
    profile
}

fn before() -> Profile {
    profile(&[
        ("main handle parse", "/cart", 4_000),
        ("main handle render", "/cart", 3_000),
        ("main handle render", "/pay", 2_000),
        ("main old", "/pay", 1_000),
    ])
}

fn after() -> Profile {
    profile(&[
        ("main handle parse", "/cart", 4_040),
        ("main handle render", "/cart", 3_000),
        ("main handle render", "/pay", 2_000),
        ("main handle check", "/pay", 2_000),
    ])
}

fn diff(by_label: Option<&str>) -> Diff {
    let by_label = by_label.map(str::to_owned);
    Diff::new(&before(), &after(), &Options { kind: None, by_label }).unwrap()
}

fn find<'a>(diff: &'a Diff, name: &str) -> &'a sondage::profile::diff::FunctionChange {
    diff.functions.iter().find(|function| function.name == name).unwrap()
}

fn pair(before: i64, after: i64) -> Pair {
    Pair { before: before * PERIOD, after: after * PERIOD }
}

#[test]
fn functions_of_either_side_are_there_with_their_weights_and_what_vanished_too() {
    let diff = diff(None);
    assert_eq!(diff.total, pair(10_000, 11_040));
    assert_eq!(diff.samples, Some(Pair { before: 10_000, after: 11_040 }));
    assert_eq!(diff.functions.len(), 6);
    let weights = |name| {
        let function = find(&diff, name);
        (function.self_value.weight, function.total.weight)
    };
    assert_eq!(weights("main"), (pair(0, 0), pair(10_000, 11_040)));
    assert_eq!(weights("handle"), (pair(0, 0), pair(9_000, 11_040)));
    assert_eq!(weights("old"), (pair(1_000, 0), pair(1_000, 0)));
    assert_eq!(weights("check"), (pair(0, 2_000), pair(0, 2_000)));
}

#[test]
fn what_chance_may_have_done_is_told_from_what_changed() {
    let diff = diff(None);
    let own = |name| find(&diff, name).self_value;
    let Change { share, is_significant, .. } = own("check");
    assert!(is_significant && (share - 2_000.0 / 11_040.0).abs() < 1e-12, "{share}");
    assert!(own("old").is_significant && own("old").share == -0.1);
    // 50 % against 45.3 % of 10,000 samples.
    assert!(own("render").is_significant);
    let few = |mut profile: Profile, keep| {
        profile.meta.period = Some((ValueType::new("cpu", "nanoseconds"), keep));
        profile
    };
    // A hundredth of the samples: only what is there on one side stands out.
    let (before, after) = (few(before(), 1_000_000_000), few(after(), 1_000_000_000));
    let diff = Diff::new(&before, &after, &Options::default()).unwrap();
    let mut changed: Vec<_> = diff.changed().map(|function| function.name.as_str()).collect();
    changed.sort_unstable();
    assert_eq!(changed, ["check"]);
}

#[test]
fn without_a_count_of_samples_nothing_is_called_changed() {
    let unknown = |mut profile: Profile| {
        profile.meta.period = None;
        profile
    };
    let (before, after) = (unknown(before()), unknown(after()));
    let diff = Diff::new(&before, &after, &Options::default()).unwrap();
    assert_eq!((diff.changed().count(), diff.samples), (0, None));
    assert!(diff.to_text(10, false, &[]).contains("do not tell their samples"));
    let error = "self>1%".parse::<Gate>().unwrap().check(&diff).unwrap_err().to_string();
    assert!(error.contains("how many samples"), "{error}");
}

#[test]
fn values_of_a_label_are_compared_as_parts_of_their_own() {
    let diff = diff(Some("route"));
    let values: Vec<_> = diff.by_label.iter().map(|part| part.value.as_deref()).collect();
    assert_eq!(values, [Some("/cart"), Some("/pay")]);
    let (cart, pay) = (&diff.by_label[0], &diff.by_label[1]);
    assert!(cart.functions.iter().all(|function| !function.is_significant()), "{cart:?}");
    assert_eq!(pay.total.weight, pair(3_000, 4_000));
    let check = pay.functions.iter().find(|function| function.name == "check").unwrap();
    assert!(check.self_value.is_significant && check.self_value.share == 0.5);
    let text = diff.to_text(1, false, &[]);
    assert!(
        text.contains("\n  share  before   after  value\n  -6.2%   70.0%   63.8%  /cart\n"),
        "{text}"
    );
    let markdown = diff.to_markdown(1, false, &[]);
    assert!(markdown.contains("\n| +6.2% | 30.0% | 36.2% | `/pay` |\n"), "{markdown}");
}

#[test]
fn a_condition_holds_for_growth_that_is_more_than_chance() {
    let diff = diff(Some("route"));
    let why = |condition: &str| -> Vec<(String, i64)> {
        let gate: Gate = condition.parse().unwrap();
        gate.check(&diff).unwrap().into_iter().map(|it| (it.what, it.per_mille)).collect()
    };
    assert_eq!(why("total>10%"), [("total".to_owned(), 104)]);
    assert_eq!(why("rate>10%"), [("rate".to_owned(), 104)]);
    assert_eq!(why("total>10.5%"), []);
    let everywhere = [("check".to_owned(), 181), ("/pay: check".to_owned(), 500)];
    assert_eq!(why("self>5%"), everywhere);
    assert_eq!(why("self(^ch)>5%"), everywhere);
    assert_eq!(why("self(render)>0%"), []);
    assert_eq!(
        why("total(^handle$)>5%"),
        [("handle".to_owned(), 100), ("/pay: handle".to_owned(), 333)]
    );
}

#[test]
fn what_has_no_stack_changes_no_share() {
    let with = |samples| {
        let stacks = [("main parse", "/cart", 3_000), ("main render", "/pay", 2_000)];
        profile(&[stacks[0], stacks[1], ("[unsampled]", "", samples)])
    };
    let by_label = Some("route".to_owned());
    let diff = Diff::new(&with(100), &with(2_000), &Options { kind: None, by_label }).unwrap();
    assert_eq!((diff.total, diff.with_stack), (pair(5_100, 7_000), pair(5_000, 5_000)));
    assert_eq!(diff.samples, Some(Pair { before: 5_000, after: 5_000 }));
    assert_eq!(diff.changed().count(), 0);
    assert!(diff.functions.iter().all(|function| function.total.share == 0.0));
    let values: Vec<_> = diff.by_label.iter().map(|part| part.value.as_deref()).collect();
    assert_eq!(values, [Some("/cart"), Some("/pay")]);
    let check = |text: &str| text.parse::<Gate>().unwrap().check(&diff).unwrap().len();
    assert_eq!((check("self>1%"), check("self(unsampled)>1%"), check("total>5%")), (0, 0, 1));
    let text = diff.to_text(10, false, &[]);
    let lost = "without a stack, and in no share below: 2.0% → 28.6%\n0 of 3 functions";
    assert!(text.contains(lost), "{text}");
}

#[test]
fn a_rate_is_judged_by_the_time_that_each_side_covers() {
    let covering = |mut profile: Profile, seconds| {
        profile.meta.duration = Duration::from_secs(seconds);
        profile
    };
    let gate: Gate = "rate>5%".parse().unwrap();
    let check = |after: u64| {
        let (before, after) = (covering(before(), 10), covering(before(), after));
        let diff = Diff::new(&before, &after, &Options::default()).unwrap();
        gate.check(&diff).map(|violations| violations.len())
    };
    assert_eq!((check(10).unwrap(), check(5).unwrap(), check(20).unwrap()), (0, 1, 0));
    assert!(check(0).unwrap_err().to_string().contains("the time that they cover"));
}

#[test]
fn profiles_of_different_things_are_not_compared() {
    let other = Profile::new(vec![ValueType::new("wall", "nanoseconds")]);
    let error = Diff::new(&before(), &other, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("only one profile has wall in nanoseconds"), "{error}");
    let asked = Options { kind: Some("heap".to_owned()), by_label: None };
    let error = Diff::new(&before(), &after(), &asked).unwrap_err().to_string();
    assert!(error.contains("no heap"), "{error}");
}

#[test]
fn the_texts_list_what_changed_and_what_is_not_allowed() {
    let diff = diff(None);
    let violations = "self>5%".parse::<Gate>().unwrap().check(&diff).unwrap();
    let text = diff.to_text(2, false, &violations);
    let expected = "\
cpu: 100.0 s → 110.4 s (+10.4%), 10,000 → 11,040 samples, over 10.0 s → 10.0 s
5 of 6 functions changed by more than chance

   self  before   after    total  before   after  function
 +18.1%    0.0%   18.1%   +18.1%    0.0%   18.1%  check
 -10.0%   10.0%    0.0%   -10.0%   10.0%    0.0%  old
                                                 … and 3 more

check: +18.1%, not allowed: self>5%
";
    assert_eq!(text, expected);
    let markdown = diff.to_markdown(1, false, &violations);
    assert!(markdown.starts_with("**Not allowed:** `check: +18.1%, not allowed: self>5%`\n\n"));
    assert!(markdown.contains("\n| +18.1% | 0.0% | 18.1% | +18.1% | 0.0% | 18.1% | `check` |\n"));
    let json: Value = serde_json::from_str(&diff.to_json(&violations)).unwrap();
    assert_eq!(json["violations"][0]["percent"], 18.1);
    assert_eq!(json["functions"].as_array().unwrap().len(), 6);
}

#[test]
fn differences_are_those_of_go_tool_pprof() {
    if Command::new("go").arg("version").output().is_err() {
        return println!("skipped: `go` is not installed, so no other tool checked the difference");
    }
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let files = [("diff-before.pb.gz", before()), ("diff-after.pb.gz", after())];
    let files = files.map(|(name, profile)| {
        let path = place.join(name);
        std::fs::write(&path, pprof::encode_gz(&profile)).unwrap();
        path
    });
    let output = Command::new("go")
        .args(["tool", "pprof", "-symbolize=none", "-top", "-unit=ns", "-nodecount=1000"])
        .args(["-nodefraction=0", "-edgefraction=0", "-diff_base"])
        .args(files)
        .env("PPROF_TMPDIR", &place)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let number = |text: &str| text.trim_end_matches("ns").parse::<i64>().unwrap();
    let rows = printed.lines().skip_while(|line| !line.contains("flat%")).skip(1);
    let mut theirs: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split_whitespace().collect();
            (cells[5].to_owned(), number(cells[0]), number(cells[3]))
        })
        .collect();
    theirs.sort();
    let mut ours: Vec<_> = diff(None)
        .functions
        .into_iter()
        .map(|it| (it.name, it.self_value.weight.change(), it.total.weight.change()))
        // It leaves out what did not change at all.
        .filter(|(_, own, total)| (*own, *total) != (0, 0))
        .collect();
    ours.sort();
    assert_eq!(ours, theirs);
}
