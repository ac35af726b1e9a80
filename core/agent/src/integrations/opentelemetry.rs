//! Span profiles: from a span of OpenTelemetry to the samples taken in it.
//!
//! Two parts. [`ProfileIds`] marks the spans with the id under which their samples are found, and
//! [`labels`] puts that id on the samples:
//!
//! ```
//! use opentelemetry::Context;
//! use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer, TracerProvider};
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//!
//! let provider = SdkTracerProvider::builder()
//!     .with_span_processor(sondage::opentelemetry::ProfileIds)
//!     .build();
//! let tracer = provider.tracer("shop");
//!
//! let context = Context::current_with_span(tracer.start("checkout"));
//! let profiled = sondage::opentelemetry::labels(&context);
//! // Threads and futures, as with any other labels.
//! profiled.scope(|| ());
//! let task = profiled.wrap(async {}.with_context(context));
//! # drop(task);
//! ```
//!
//! With `tracing-opentelemetry`, the layer
//! [`SpanLabels::with_span_ids`](crate::tracing::SpanLabels::with_span_ids) does the second part by
//! itself.

use super::local_roots::LOCAL_ROOTS;
use crate::labels::LabelSet;
use ::opentelemetry::trace::{Span as _, SpanContext, TraceContextExt};
use ::opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use std::time::Duration;

/// What Grafana looks for in a span of Tempo, to show the profile of Pyroscope beside it.
const PROFILE_ID: &str = "pyroscope.profile.id";

/// The labels for work under a context: the calling thread's, with the context's trace and the id
/// of its local root span, which is the first span of the trace in this process.
///
/// The local root is known while [`ProfileIds`] is a processor of the tracer; otherwise it is the
/// span of the current labels if that is of the same trace, else the context's own span. A trace
/// that is not sampled has no ids: nobody could look it up. A context without a span of this process
/// leaves the labels as they are.
///
/// Takes no lock and allocates nothing.
pub fn labels(context: &Context) -> LabelSet {
    follow(LabelSet::current(), context)
}

/// The labels `set`, under the span of a context.
pub(super) fn follow(set: LabelSet, context: &Context) -> LabelSet {
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() || span.is_remote() {
        return set;
    }
    if !span.is_sampled() {
        return set.with_span(0, None);
    }
    let trace = u128::from_be_bytes(span.trace_id().to_bytes());
    let inherited = || set.span_id().filter(|_| set.trace_id() == Some(trace));
    let root = LOCAL_ROOTS.find(number(span)).or_else(inherited);
    set.with_span(root.unwrap_or_else(|| number(span)), Some(trace))
}

fn number(span: &SpanContext) -> u64 {
    u64::from_be_bytes(span.span_id().to_bytes())
}

/// A span processor that gives each local root span the attribute `pyroscope.profile.id`, which is
/// the `span_id` of the samples taken in it and in its children.
///
/// A local root is a span whose parent is in another process, is not sampled, or does not exist.
/// Exports nothing; put it beside the processor that does. (The SDK hands each processor its own
/// copy of a span that ends.) Up to 16,384 spans at once are known by their local roots.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProfileIds;

impl SpanProcessor for ProfileIds {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let id = number(span.span_context());
        let parent = context.span();
        let parent = parent.span_context();
        if parent.is_valid() && !parent.is_remote() && parent.is_sampled() {
            if let Some(root) = LOCAL_ROOTS.find(number(parent)) {
                LOCAL_ROOTS.insert(id, root);
            }
        } else {
            span.set_attribute(KeyValue::new(PROFILE_ID, format!("{id:016x}")));
            LOCAL_ROOTS.insert(id, id);
        }
    }

    fn on_end(&self, span: SpanData) {
        LOCAL_ROOTS.remove(number(&span.span_context));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
