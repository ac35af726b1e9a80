//! Adding profiles up.

use std::time::Duration;

use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use sondage::profile::LossCause;
use sondage::profile::Meta;
use sondage::profile::Profile;
use sondage::profile::ValueType;
use sondage::profile::report::Options;
use sondage::profile::report::Report;

use super::arbitrary::light_profiles;
use super::arbitrary::profiles;
use super::canonical::canonical;
use super::shop::empty;
use super::shop::shop;

fn one_sample(kind: &str, unit: &str, name: &str, labels: &[(&str, &str)]) -> Profile {
    let mut p = Profile::new(vec![ValueType::new(kind, unit)]);
    let location = p.named_location(name);
    let (stack, labels) = (p.stack(&[location]), p.label_set(labels.iter().copied()));
    p.add(stack, labels, &[5]);
    p
}

fn meta_labels(p: &mut Profile, labels: &[(&str, &str)]) {
    p.meta.labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
}

fn labels_of(p: &Profile) -> Vec<Vec<(&str, &str)>> {
    p.samples().iter().map(|sample| p.labels(sample.labels).collect()).collect()
}

#[test]
fn a_profile_added_to_itself_has_the_same_samples_twice_as_heavy() {
    let (mut sum, one) = (shop(), shop());
    sum.merge(&one);
    assert_eq!(sum.samples().len(), one.samples().len());
    assert_eq!(sum.locations().len(), one.locations().len());
    assert_eq!(sum.strings().len(), one.strings().len());
    assert_eq!([0, 1].map(|column| sum.total(column)), [12, 120_000_000]);
    assert_eq!(sum.losses()[0].value, 20_000_000);
    // Two processes that cost as much each, over the same time.
    assert_eq!(sum.meta.cost, one.meta.cost.map(|cost| cost * 2));
    assert_eq!(sum.meta, Meta { cost: sum.meta.cost, ..one.meta });
}

#[test]
fn the_cost_of_a_sum_is_known_if_that_of_each_part_is() {
    let (mut sum, mut other) = (shop(), shop());
    sum.merge(&empty());
    assert_eq!(sum.meta.cost, shop().meta.cost.map(|cost| cost * 2));
    other.meta.cost = None;
    sum.merge(&other);
    assert_eq!(sum.meta.cost, None);
    sum.merge(&shop());
    assert_eq!(sum.meta.cost, None);
    let mut new = Profile::new(Vec::new());
    new.merge(&shop());
    assert_eq!(new.meta.cost, shop().meta.cost);
}

#[test]
fn columns_are_matched_by_type_and_missing_ones_are_zero() {
    let mut sum = one_sample("cpu", "nanoseconds", "a", &[]);
    sum.merge(&one_sample("wall", "nanoseconds", "b", &[]));
    sum.merge(&one_sample("cpu", "nanoseconds", "b", &[]));
    let types = ["cpu", "wall"].map(|kind| ValueType::new(kind, "nanoseconds"));
    assert_eq!(sum.sample_types(), types);
    let values: Vec<_> = sum.samples().iter().map(|sample| sample.values.clone()).collect();
    assert_eq!(values, [[5, 0], [5, 5]]);
}

#[test]
fn process_labels_that_differ_move_to_the_samples() {
    let mut sum = one_sample("cpu", "nanoseconds", "a", &[("route", "/"), ("zone", "mine")]);
    meta_labels(&mut sum, &[("service_name", "shop"), ("pid", "1"), ("zone", "x")]);
    let mut other = one_sample("cpu", "nanoseconds", "a", &[]);
    meta_labels(&mut other, &[("pid", "2"), ("service_name", "shop"), ("host", "h")]);
    sum.merge(&other);
    assert_eq!(sum.meta.labels, [("service_name".to_owned(), "shop".to_owned())]);
    assert_eq!(
        labels_of(&sum),
        [vec![("pid", "1"), ("route", "/"), ("zone", "mine")], vec![("host", "h"), ("pid", "2")],]
    );
}

#[test]
fn a_side_without_samples_leaves_the_labels_alone() {
    let mut sum = Profile::new(Vec::new());
    sum.merge(&shop());
    assert_eq!(canonical(&sum), canonical(&shop()));
    let mut other = empty();
    meta_labels(&mut other, &[("service_name", "idle")]);
    sum.merge(&other);
    assert_eq!(sum.meta.labels, shop().meta.labels);
}

#[test]
fn overlapping_periods_count_once_and_gaps_do_not_count() {
    let duration = |starts: [Option<u64>; 2], seconds: [u64; 2]| {
        let [mut a, mut b] = [empty(), empty()];
        (a.meta.start_unix_nanos, b.meta.start_unix_nanos) = (starts[0], starts[1]);
        a.meta.duration = Duration::from_secs(seconds[0]);
        b.meta.duration = Duration::from_secs(seconds[1]);
        a.merge(&b);
        (a.meta.start_unix_nanos, a.meta.duration.as_secs())
    };
    let second = |n: u64| Some(n * 1_000_000_000);
    assert_eq!(duration([second(10), second(15)], [10, 10]), (second(10), 15));
    assert_eq!(duration([second(15), second(10)], [1, 10]), (second(10), 10));
    assert_eq!(duration([second(10), second(50)], [10, 10]), (second(10), 20));
    assert_eq!(duration([None, second(50)], [10, 10]), (second(50), 20));
    assert_eq!(duration([None, None], [10, 10]), (None, 20));
}

#[test]
fn sums_stay_at_the_end_of_the_range() {
    let mut p = one_sample("cpu", "nanoseconds", "a", &[]);
    let (stack, labels) = (p.samples()[0].stack, p.samples()[0].labels);
    p.add(stack, labels, &[i64::MAX]);
    p.add_loss(LossCause::Missed, u64::MAX);
    let copy = p.clone();
    p.merge(&copy);
    assert_eq!((p.total(0), p.losses()[0].value), (i64::MAX, u64::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn adding_to_an_empty_profile_changes_nothing(profile in profiles()) {
        let mut sum = Profile::new(Vec::new());
        sum.merge(&profile);
        prop_assert_eq!(canonical(&sum), canonical(&profile));
    }

    #[test]
    fn no_weight_is_lost(a in light_profiles(), b in light_profiles()) {
        let mut sum = a.clone();
        sum.merge(&b);
        for column in 0..2 {
            prop_assert_eq!(sum.total(column), a.total(column) + b.total(column));
        }
    }

    #[test]
    fn every_label_is_still_on_its_weight(a in light_profiles(), b in light_profiles()) {
        let mut sum = a.clone();
        sum.merge(&b);
        let weights = |p: &Profile| Report::new(p, &Options::default()).unwrap().labels;
        if !a.samples().is_empty() && !b.samples().is_empty() {
            let (mut expected, added) = (weights(&a), weights(&b));
            for (key, values) in added {
                for (value, weight) in values {
                    *expected.entry(key.clone()).or_default().entry(value).or_default() += weight;
                }
            }
            prop_assert_eq!(weights(&sum), expected);
        }
    }
}
