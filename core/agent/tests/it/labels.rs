//! Labels end to end: what runs under a label is sampled under it, on whichever thread.

use sondage::profile::Profile;
use sondage::{Agent, Config, LabelSet, labels};
use sondage_sampler::Clock;
use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

/// There is one agent a process.
pub(crate) static ONE_AGENT: Mutex<()> = Mutex::new(());

/// A configuration that writes nothing.
pub(crate) fn quiet() -> Config {
    Config { targets: Vec::new(), ..Config::default() }
}

fn profiled(work: impl FnOnce()) -> std::sync::Arc<Profile> {
    let _alone = ONE_AGENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let agent = Agent::start(Config { hz: 250, ..quiet() }).unwrap();
    work();
    agent.stop().unwrap()
}

/// CPU time by (function, label value), for functions whose name contains `marker`.
fn by_function_and_label(
    profile: &Profile,
    marker: &str,
    key: &str,
) -> HashMap<(String, String), i64> {
    let mut totals = HashMap::new();
    for sample in profile.samples() {
        let names = profile.frames(sample.stack).iter().flat_map(|location| {
            let lines = &profile.locations()[location.index()].lines;
            lines.iter().map(|line| profile.functions()[line.function.index()].name)
        });
        let found = names.map(|name| profile.text(name)).find(|name| name.contains(marker));
        let value = profile.labels(sample.labels).find(|(k, _)| *k == key).map(|(_, v)| v);
        if let Some(name) = found {
            let name = name.rsplit("::").next().unwrap_or(name).to_owned();
            let entry = totals.entry((name, value.unwrap_or("").to_owned()));
            *entry.or_default() += sample.values[1];
        }
    }
    totals
}

/// The total of one column over the stacks that a function is on.
pub(crate) fn time_by_function(profile: &Profile, name: &str, column: usize) -> i64 {
    let named = |function: &sondage::profile::FunctionId| {
        profile.text(profile.functions()[function.index()].name).ends_with(name)
    };
    let on_stack = |sample: &&sondage::profile::Sample| {
        profile.frames(sample.stack).iter().any(|location| {
            profile.locations()[location.index()].lines.iter().any(|line| named(&line.function))
        })
    };
    profile.samples().iter().filter(on_stack).map(|sample| sample.values[column]).sum()
}

/// Uses `time` of CPU time, however busy the machine is.
pub(crate) fn burn(time: Duration) -> u64 {
    let clock = Clock::Thread(sondage_sampler::current_tid());
    let end = clock.now().unwrap() + time;
    let mut value = 1u64;
    while clock.now().unwrap() < end {
        value = (0..2_000).fold(value, |v, i| black_box(v.wrapping_mul(31).wrapping_add(i)));
    }
    value
}

const SLICE: Duration = Duration::from_millis(3);

#[inline(never)]
fn marked_red() -> u64 {
    burn(SLICE).wrapping_add(1)
}

#[inline(never)]
fn marked_blue() -> u64 {
    burn(SLICE).wrapping_add(2)
}

fn assert_right(totals: &HashMap<(String, String), i64>, at_least: i64) {
    let wrong: Vec<_> = totals
        .iter()
        .filter(|((name, value), _)| name.strip_prefix("marked_") != Some(value))
        .collect();
    assert!(wrong.is_empty(), "samples under the wrong label: {wrong:?} of {totals:?}");
    assert!(totals.len() == 2 && totals.values().all(|ns| *ns >= at_least), "{totals:?}");
}

#[test]
fn threads_that_enter_their_labels_at_the_same_moment_all_have_them() {
    let profile = profiled(|| {
        for _ in 0..8 {
            let together = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        together.wait();
                        labels([("together", "yes")]).scope(|| burn_together(60));
                    });
                }
            });
        }
    });
    let totals = by_function_and_label(&profile, "burn_together", "together");
    let of = |value: &str| {
        totals.iter().filter(|((_, of), _)| of == value).map(|(_, time)| *time).sum::<i64>()
    };
    assert!(of("yes") > 500_000_000, "{totals:?}");
    // A registering thread that loses its processor is not waited for: those of one round may miss out.
    assert!(of("") * 8 < of("yes"), "{totals:?}");
}

#[inline(never)]
fn burn_together(millis: u64) {
    let clock = Clock::Thread(sondage_sampler::current_tid());
    let end = clock.now().unwrap() + Duration::from_millis(millis);
    while clock.now().unwrap() < end {
        black_box((0..1000).fold(1u64, |a, i| black_box(a.wrapping_mul(31) + i)));
    }
}

#[test]
fn samples_of_nested_scopes_carry_the_innermost_label() {
    let profile = profiled(|| {
        let red = LabelSet::EMPTY.with([("colour", "red")]);
        for _ in 0..100 {
            red.scope(|| {
                black_box(marked_red());
                labels([("colour", "blue")]).scope(|| black_box(marked_blue()));
                black_box(marked_red());
            });
        }
    });
    assert_right(&by_function_and_label(&profile, "marked_", "colour"), 100_000_000);
}

async fn alternate(colour: &'static str, work: fn() -> u64) {
    for _ in 0..40 {
        black_box(work());
        tokio::task::yield_now().await;
        black_box(work());
        tokio::time::sleep(Duration::from_micros(200)).await;
        sondage::tokio::spawn(async move { black_box(work()) }).await.unwrap();
        sondage::tokio::spawn_blocking(move || black_box(work())).await.unwrap();
    }
    let current = LabelSet::current().pairs();
    assert_eq!(current, [("colour".to_owned(), colour.to_owned())]);
}

#[test]
fn tasks_that_hop_between_threads_keep_their_own_labels() {
    let profile = profiled(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(3)
            .enable_time()
            .on_thread_start(sondage::register_thread)
            .build()
            .unwrap();
        let spawn = |colour: &'static str, work: fn() -> u64| {
            let set = LabelSet::EMPTY.with([("colour", colour)]);
            runtime.spawn(set.wrap(alternate(colour, work)))
        };
        let tasks: Vec<_> =
            (0..3).flat_map(|_| [spawn("red", marked_red), spawn("blue", marked_blue)]).collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
    assert_right(&by_function_and_label(&profile, "marked_", "colour"), 300_000_000);
}

#[test]
fn polling_a_labeled_future_leaves_the_thread_as_it_was() {
    let outside = labels([("where", "outside")]);
    outside.scope(|| {
        let set = LabelSet::EMPTY.with([("where", "inside")]);
        let mut future = std::pin::pin!(set.wrap(async {
            assert_eq!(LabelSet::current().pairs()[0].1, "inside");
            std::future::pending::<()>().await;
        }));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(LabelSet::current(), outside);
    });
}

#[test]
fn spans_label_the_work_inside_them_and_only_that() {
    use tracing_subscriber::prelude::*;
    let layer = sondage::tracing::SpanLabels::new(["colour"]);
    let _guard = tracing_subscriber::registry().with(layer).set_default();
    let current = || LabelSet::current().pairs();
    let pair = |value: &str| vec![("colour".to_owned(), value.to_owned())];
    let red = tracing::info_span!("outer", colour = "red", user = 7);
    let blue = tracing::info_span!(parent: &red, "inner", colour = "blue");
    {
        let _red = red.enter();
        assert_eq!(current(), pair("red"));
        let _blue = blue.enter();
        assert_eq!(current(), pair("blue"));
    }
    assert!(current().is_empty());
    // Left out of order.
    let red = red.entered();
    let blue = blue.entered();
    red.exit();
    assert_eq!(current(), pair("blue"));
    blue.exit();
    assert!(current().is_empty());
}

#[test]
fn a_request_is_labelled_with_its_routes_template() {
    use tower::ServiceExt;
    let app = axum::Router::new()
        .route(
            "/orders/{id}",
            axum::routing::get(|| async {
                tokio::task::yield_now().await;
                let pairs = LabelSet::current().pairs();
                pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
            }),
        )
        .layer(sondage::axum::route_labels());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = runtime.block_on(async {
        let request =
            axum::http::Request::get("/orders/42?secret=1").body(axum::body::Body::empty());
        let response = app.oneshot(request.unwrap()).await.unwrap();
        axum::body::to_bytes(response.into_body(), 1000).await.unwrap()
    });
    assert_eq!(body, "method=GET,route=/orders/{id}");
    assert_eq!(LabelSet::current(), LabelSet::EMPTY);
}
