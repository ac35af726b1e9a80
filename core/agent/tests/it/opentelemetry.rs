//! Span profiles: the id on a trace's local root span is the id on the samples taken inside.

use crate::labels::{ONE_AGENT, burn, quiet};
use opentelemetry::trace::{
    FutureExt, Link, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider,
    ShouldSample, SpanData,
};
use sondage::opentelemetry::ProfileIds;
use sondage::profile::Profile;
use sondage::{Agent, Config, LabelSet};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::prelude::*;

fn provider(sampler: impl ShouldSample + 'static) -> (SdkTracerProvider, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_span_processor(ProfileIds)
        .with_simple_exporter(exporter.clone())
        .build();
    (provider, exporter)
}

fn span_id(span: &SpanContext) -> u64 {
    u64::from_be_bytes(span.span_id().to_bytes())
}

fn trace_id(span: &SpanContext) -> u128 {
    u128::from_be_bytes(span.trace_id().to_bytes())
}

fn profile_id(span: &SpanData) -> Option<String> {
    let found = span.attributes.iter().find(|pair| pair.key.as_str() == "pyroscope.profile.id");
    found.map(|pair| pair.value.to_string())
}

fn ids(set: LabelSet) -> (Option<u64>, Option<u128>) {
    (set.span_id(), set.trace_id())
}

/// A parent in another process.
fn remote() -> SpanContext {
    let state = TraceState::default();
    SpanContext::new(TraceId::from(0xabc), SpanId::from(0xdef), TraceFlags::SAMPLED, true, state)
}

#[test]
fn only_local_roots_are_marked_and_everything_below_takes_their_id() {
    let (provider, exporter) = provider(Sampler::AlwaysOn);
    let tracer = provider.tracer("test");
    let mut roots = HashSet::new();
    for parent in [Context::new(), Context::new().with_remote_span_context(remote())] {
        let root = parent.with_span(tracer.start_with_context("root", &parent));
        let child = root.with_span(tracer.start_with_context("child", &root));
        let grandchild = child.with_span(tracer.start_with_context("grandchild", &child));
        let id = span_id(root.span().span_context());
        let expected = (Some(id), Some(trace_id(root.span().span_context())));
        roots.insert(format!("{id:016x}"));
        // Without regard to what was current where the context came from.
        for context in [&root, &child, &grandchild] {
            assert_eq!(ids(sondage::opentelemetry::labels(context)), expected);
        }
        // A child that outlives its parent.
        root.span().end();
        assert_eq!(ids(sondage::opentelemetry::labels(&grandchild)), expected);
        // A second root of the same trace, as when a service calls itself.
        let again = root.span().span_context().clone();
        let (flags, state) = (TraceFlags::SAMPLED, TraceState::default());
        let again = SpanContext::new(again.trace_id(), again.span_id(), flags, true, state);
        let again = Context::new().with_remote_span_context(again);
        let again = again.with_span(tracer.start_with_context("again", &again));
        let own = span_id(again.span().span_context());
        roots.insert(format!("{own:016x}"));
        let inside = sondage::opentelemetry::labels(&grandchild);
        let nested = inside.scope(|| sondage::opentelemetry::labels(&again));
        assert_eq!(ids(nested), (Some(own), expected.1));
    }
    let spans = exporter.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 8);
    for span in spans {
        let own = format!("{:016x}", span_id(&span.span_context));
        assert_eq!(profile_id(&span), roots.contains(&own).then_some(own), "{}", span.name);
    }
}

#[test]
fn traces_that_are_not_sampled_and_spans_of_elsewhere_have_no_ids() {
    let labels = sondage::opentelemetry::labels;
    let (provider, exporter) = provider(Sampler::AlwaysOff);
    let tracer = provider.tracer("test");
    let unsampled = Context::new().with_span(tracer.start("unsampled"));
    let outer = LabelSet::EMPTY.with([("kept", "yes")]).with_span(7, Some(8));
    outer.scope(|| {
        assert_eq!(ids(labels(&unsampled)), (None, None));
        assert_eq!(labels(&unsampled).id(), outer.id());
        assert_eq!(labels(&Context::new()), outer);
        assert_eq!(labels(&Context::new().with_remote_span_context(remote())), outer);
    });
    drop(unsampled);
    assert!(exporter.get_finished_spans().unwrap().is_empty());
}

#[test]
fn a_child_of_a_span_that_is_not_sampled_is_a_root_of_its_own() {
    /// Samples what is named so.
    #[derive(Clone, Debug)]
    struct ByName;
    impl ShouldSample for ByName {
        fn should_sample(
            &self,
            _: Option<&Context>,
            _: TraceId,
            name: &str,
            _: &SpanKind,
            _: &[KeyValue],
            _: &[Link],
        ) -> SamplingResult {
            let decision = match name {
                "sampled" => SamplingDecision::RecordAndSample,
                _ => SamplingDecision::Drop,
            };
            SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() }
        }
    }
    let (provider, exporter) = provider(ByName);
    let tracer = provider.tracer("test");
    let outer = Context::new().with_span(tracer.start("not"));
    let inner = outer.with_span(tracer.start_with_context("sampled", &outer));
    let own = span_id(inner.span().span_context());
    assert_eq!(sondage::opentelemetry::labels(&inner).span_id(), Some(own));
    inner.span().end();
    let spans = exporter.get_finished_spans().unwrap();
    assert_eq!(profile_id(&spans[0]), Some(format!("{own:016x}")));
}

#[test]
fn without_the_processor_the_span_of_the_current_labels_stands_for_its_trace() {
    let provider = SdkTracerProvider::builder().build();
    let tracer = provider.tracer("test");
    let root = Context::new().with_span(tracer.start("root"));
    let child = root.with_span(tracer.start_with_context("child", &root));
    let other = Context::new().with_span(tracer.start("other"));
    let of_root = sondage::opentelemetry::labels(&root);
    assert_eq!(of_root.span_id(), Some(span_id(root.span().span_context())));
    of_root.scope(|| {
        assert_eq!(ids(sondage::opentelemetry::labels(&child)), ids(of_root));
        let own = span_id(other.span().span_context());
        assert_eq!(sondage::opentelemetry::labels(&other).span_id(), Some(own));
    });
}

/// What the labels were at one moment of a request, and the trace that OpenTelemetry knew then.
type Moment = (Option<u64>, Option<u128>, u128);

/// Uses CPU time and notes the ids around it.
fn work(moments: &Mutex<Vec<Moment>>) {
    let note = || {
        let (span, trace) = ids(LabelSet::current());
        let known = Context::map_current(|context| trace_id(context.span().span_context()));
        moments.lock().unwrap().push((span, trace, known));
    };
    note();
    burn(Duration::from_millis(1));
    note();
}

/// A request with spans in spans, which hops between threads and leaves a task behind it.
async fn request(moments: Arc<Mutex<Vec<Moment>>>) {
    work(&moments);
    tokio::task::yield_now().await;
    let inner = async {
        work(&moments);
        tokio::time::sleep(Duration::from_micros(300)).await;
        async { work(&moments) }.instrument(tracing::info_span!("innermost")).await;
        tokio::task::yield_now().await;
        work(&moments);
    };
    inner.instrument(tracing::info_span!("inner")).await;
    let beside = moments.clone();
    let task = async move { work(&beside) }.instrument(tracing::info_span!("spawned"));
    tokio::spawn(task.with_current_subscriber()).await.unwrap();
    work(&moments);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_time()
        .on_thread_start(sondage::register_thread)
        .build()
        .unwrap()
}

/// CPU time by the two ids of a sample.
fn time_by_ids(profile: &Profile) -> HashMap<(Option<String>, Option<String>), i64> {
    let mut times = HashMap::new();
    for sample in profile.samples() {
        let label = |key: &str| {
            let found = profile.labels(sample.labels).find(|(other, _)| *other == key);
            found.map(|(_, value)| value.to_owned())
        };
        *times.entry((label("span_id"), label("trace_id"))).or_default() += sample.values[1];
    }
    times
}

/// Runs requests under an agent, each with its list of moments.
fn profiled<F>(count: usize, mut spawn: impl FnMut(Arc<Mutex<Vec<Moment>>>) -> F) -> Outcome
where
    F: Future<Output = ()> + Send + 'static,
{
    let _alone = ONE_AGENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let agent = Agent::start(Config { hz: 1000, ..quiet() }).unwrap();
    let runtime = runtime();
    let moments: Vec<_> = (0..count).map(|_| Arc::<Mutex<Vec<Moment>>>::default()).collect();
    let tasks: Vec<_> =
        moments.iter().map(|moments| runtime.spawn(spawn(moments.clone()))).collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    drop(runtime);
    Outcome { profile: agent.stop().unwrap(), moments }
}

struct Outcome {
    profile: Arc<Profile>,
    moments: Vec<Arc<Mutex<Vec<Moment>>>>,
}

impl Outcome {
    /// Checks that every request's moments and every sample have the id of an exported root span.
    fn check(&self, spans: &[SpanData], per_request: usize, spans_per_request: usize) {
        assert_eq!(spans.len(), self.moments.len() * spans_per_request);
        let roots: HashMap<String, String> = spans
            .iter()
            .filter_map(|span| {
                Some((profile_id(span)?, format!("{:032x}", trace_id(&span.span_context))))
            })
            .collect();
        assert_eq!(roots.len(), self.moments.len());
        for span in spans {
            let own = format!("{:016x}", span_id(&span.span_context));
            let root = span.parent_span_id == SpanId::INVALID;
            assert_eq!(profile_id(span), root.then_some(own), "{}", span.name);
        }
        for moments in &self.moments {
            let moments = moments.lock().unwrap();
            assert_eq!(moments.len(), per_request);
            assert!(moments.iter().all(|moment| *moment == moments[0]), "{moments:x?}");
            let (span, trace, known) = moments[0];
            assert_eq!(trace, Some(known));
            let trace = format!("{known:032x}");
            assert_eq!(roots.get(&format!("{:016x}", span.unwrap())), Some(&trace));
        }
        let times = time_by_ids(&self.profile);
        let mut inside = 0;
        for ((span, trace), time) in &times {
            if let Some(span) = span {
                assert_eq!(roots.get(span), trace.as_ref(), "{span}");
                inside += time;
            }
        }
        // Every moment but the first of two is after a millisecond of CPU time.
        let used = (self.moments.len() * per_request / 2) as i64 * 1_000_000;
        assert!(inside > used / 2, "{inside} of {used} ns are in spans");
    }
}

#[test]
fn spans_of_tracing_give_their_samples_the_id_of_the_root_over_awaits_threads_and_tasks() {
    let (provider, exporter) = provider(Sampler::AlwaysOn);
    let subscriber: tracing::Dispatch = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")))
        .with(sondage::tracing::SpanLabels::new(["route"]).with_span_ids())
        .into();
    let outcome = profiled(60, |moments| {
        let subscriber = subscriber.clone();
        async move {
            request(moments)
                .instrument(tracing::info_span!(parent: None, "request", route = "/pay"))
                .await;
        }
        .with_subscriber(subscriber)
    });
    drop(subscriber);
    outcome.check(&exporter.get_finished_spans().unwrap(), 12, 4);
    assert_eq!(LabelSet::current(), LabelSet::EMPTY);
}

#[test]
fn a_wrapped_future_carries_the_root_of_its_context() {
    let (provider, exporter) = provider(Sampler::AlwaysOn);
    let tracer = provider.tracer("test");
    let outcome = profiled(40, |moments| {
        let root = Context::new().with_span(tracer.start("request"));
        let labels = sondage::opentelemetry::labels(&root);
        let tracer = tracer.clone();
        labels.wrap(
            async move {
                work(&moments);
                tokio::task::yield_now().await;
                let child = Context::current_with_span(tracer.start("child"));
                let labels = sondage::opentelemetry::labels(&child);
                let inner = async {
                    work(&moments);
                    tokio::time::sleep(Duration::from_micros(300)).await;
                    work(&moments);
                };
                labels.wrap(inner.with_context(child)).await;
            }
            .with_context(root),
        )
    });
    outcome.check(&exporter.get_finished_spans().unwrap(), 6, 2);
}

#[test]
fn spans_created_before_their_parent_was_entered_and_roots_inside_others_have_the_right_ids() {
    let (provider, exporter) = provider(Sampler::AlwaysOn);
    let _guard = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")))
        .with(sondage::tracing::SpanLabels::new(["route"]).with_span_ids())
        .set_default();
    let root = tracing::info_span!(parent: None, "root", route = "/a");
    let child = tracing::info_span!(parent: &root, "child");
    let in_child = child.in_scope(LabelSet::current);
    let in_root = root.in_scope(LabelSet::current);
    assert_eq!(in_child, in_root);
    assert!(in_root.span_id().is_some());
    let other =
        root.in_scope(|| tracing::info_span!(parent: None, "other").in_scope(LabelSet::current));
    assert_eq!(other.id(), in_root.id());
    assert_ne!(other.trace_id(), in_root.trace_id());
    drop((root, child));
    let spans = exporter.get_finished_spans().unwrap();
    let marked: HashSet<_> = spans.iter().filter_map(profile_id).collect();
    let expected = [in_root, other].map(|set| format!("{:016x}", set.span_id().unwrap()));
    assert_eq!(marked, HashSet::from(expected));
}
