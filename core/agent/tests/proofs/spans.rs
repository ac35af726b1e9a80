//! Samples under spans: any number of them, each with the labels and the trace that are its own.

use crate::child::{PATIENCE, isolated, size};
use crate::handler::own_timer;
use crate::stepper::step_through;
use crate::{sys, workload};
use sondage::LabelSet;
use sondage::profile::Profile;
use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

const ROUTES: [&str; 2] = ["/even", "/odd"];

/// The trace that a span is of.
fn trace(span: u64) -> u128 {
    u128::from(span.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(!span)
}

/// The span of a number: all of them differ.
fn span(number: u64) -> u64 {
    number.wrapping_mul(0xd134_2543_de82_ef95)
}

/// The labels of a span: its route tells whether its id is even.
fn labels(span: u64) -> LabelSet {
    let route = if span.is_multiple_of(2) { ROUTES[0] } else { ROUTES[1] };
    LabelSet::EMPTY.with([("route", route)]).with_span(span, Some(trace(span)))
}

/// The labels of a sample that this file is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Seen {
    route: Option<String>,
    span: Option<String>,
    trace: Option<String>,
}

impl Seen {
    /// What a profile shows of `labels(span)`.
    fn of(span: u64) -> Self {
        let text = |text: String| Some(text);
        let route = ROUTES[usize::from(!span.is_multiple_of(2))];
        Self {
            route: text(route.to_owned()),
            span: text(format!("{span:016x}")),
            trace: text(format!("{:032x}", trace(span))),
        }
    }

    fn is_right(&self) -> bool {
        let span = self.span.as_ref().map(|span| u64::from_str_radix(span, 16).unwrap());
        *self == span.map(Self::of).unwrap_or_default()
    }
}

/// Samples and CPU time by labels.
fn seen(profile: &Profile) -> HashMap<Seen, [i64; 2]> {
    let mut totals: HashMap<Seen, [i64; 2]> = HashMap::new();
    for sample in profile.samples() {
        let mut seen = Seen::default();
        for (key, value) in profile.labels(sample.labels) {
            assert_ne!(value, "__overflow__");
            match key {
                "route" => seen.route = Some(value.to_owned()),
                "span_id" => seen.span = Some(value.to_owned()),
                "trace_id" => seen.trace = Some(value.to_owned()),
                _ => (),
            }
        }
        let total = totals.entry(seen).or_default();
        total[0] += sample.values[0];
        total[1] += sample.values[1];
    }
    totals
}

/// Uses CPU time, nearly all of it in changes from a span to others and back. Their order is such
/// that no two changes in a row write the same labels to the same place.
fn flip(span: u64, cpu: Duration) {
    let (own, others) = (labels(span), [labels(span ^ 1), labels(span ^ 2)]);
    let end = sys::thread_cpu() + cpu;
    let _guard = own.enter();
    while sys::thread_cpu() < end {
        for _ in 0..500 {
            others.iter().for_each(|other| other.scope(|| black_box(())));
        }
    }
}

#[test]
fn thousands_of_spans_have_their_own_route_and_trace_and_no_cpu_time_is_lost() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        let before = sys::process_cpu();
        let (threads, spans) = (4, size(1_500, 20_000));
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    sondage::register_thread();
                    for number in 1..=spans {
                        // Between 300 and 1,900 µs.
                        let cpu = Duration::from_micros(300 + number % 17 * 100);
                        flip(span(thread * spans + number), cpu);
                    }
                });
            }
        });
        let profile = agent.flush().expect("the agent answers");
        let used = sys::process_cpu() - before;
        let stats = agent.stats();
        let seen = seen(&profile);
        let wrong: Vec<_> = seen.iter().filter(|(seen, _)| !seen.is_right()).collect();
        assert!(wrong.is_empty(), "{} wrong, such as {:?}", wrong.len(), wrong.first());
        let in_spans = seen.iter().filter(|(seen, _)| seen.span.is_some());
        let (sampled, cpu) =
            in_spans.clone().fold((0, 0), |sum, (_, [n, cpu])| (sum.0 + n, sum.1 + cpu));
        let (all, host) = (seen.values().map(|[_, cpu]| cpu).sum::<i64>(), stats.host_cpu as f64);
        println!(
            "{} spans, {} of them and of those they flip to in {sampled} samples; {cpu} ns in spans, \
             {all} ns in the profile, {host} ns of the host, {used:?} of the process",
            threads * spans,
            in_spans.count(),
        );
        println!("lost: {:?}", profile.losses());
        assert!(sampled > 200, "{sampled} samples");
        assert!(cpu as f64 > 0.5 * host, "{cpu} of {host} ns");
        // What is sampled and what is told as lost are together what the process has used.
        assert!((all as f64 / host - 1.0).abs() < 0.05, "{all} of {host} ns");
        let of_process = used.as_nanos() as f64 - stats.agent_cpu as f64;
        assert!((host / of_process - 1.0).abs() < 0.05, "{host} of {of_process} ns");
    });
}

#[test]
fn a_signal_at_any_instruction_of_a_change_of_labels_finds_the_old_ones_or_the_new_ones() {
    isolated(PATIENCE, || {
        let agent = workload::start(100);
        let (first, second) = (span(2), span(3));
        let mut steps = 0;
        let stepped = std::thread::spawn(move || {
            let timer = own_timer();
            let (first, second) = (labels(first), labels(second));
            for _ in 0..20 {
                first.scope(|| std::thread::sleep(Duration::from_millis(1)));
            }
            let mut work = || first.scope(|| second.scope(|| ()));
            step_through(&mut work, &mut |_, _| {
                timer.expire_now();
                steps += 1;
                // A few samples fill a part of the ring; the agent empties it meanwhile.
                if steps % 20 == 0 {
                    std::thread::sleep(Duration::from_millis(12));
                }
            });
            steps
        });
        let steps: u64 = stepped.join().unwrap();
        let profile = agent.flush().expect("the agent answers");
        let seen = seen(&profile);
        println!("{steps} instructions: {seen:#?}");
        let samples: i64 = seen.values().map(|[samples, _]| samples).sum();
        assert!(steps > 50, "{steps} instructions");
        assert!(samples.unsigned_abs() >= steps * 9 / 10, "{samples} samples of {steps}");
        for span in [first, second] {
            assert!(seen.contains_key(&Seen::of(span)), "{span:x} was current for a while");
        }
        assert!(seen.keys().all(Seen::is_right));
        assert!(seen.len() <= 3);
    });
}
