//! Spans of `tracing` that are spans of OpenTelemetry too.

use super::opentelemetry::follow;
use super::tracing::SpanLabels;
use ::opentelemetry::Context;

impl SpanLabels {
    /// Also puts the ids of OpenTelemetry's spans on what runs inside: the trace's, and that of the
    /// local root span, which children inherit.
    ///
    /// `tracing-opentelemetry` makes a span's context current when the span is entered, and this
    /// layer looks there: add it after that one. Without an OpenTelemetry context there are no ids.
    /// [`ProfileIds`](crate::opentelemetry::ProfileIds) marks the root spans, for backends to find
    /// their profiles.
    ///
    /// ```
    /// use opentelemetry::trace::TracerProvider;
    /// use tracing_subscriber::prelude::*;
    ///
    /// let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
    ///     .with_span_processor(sondage::opentelemetry::ProfileIds)
    ///     .build();
    /// let subscriber = tracing_subscriber::registry()
    ///     .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("shop")))
    ///     .with(sondage::tracing::SpanLabels::new(["route"]).with_span_ids());
    /// # let _ = subscriber;
    /// ```
    #[must_use]
    pub fn with_span_ids(self) -> Self {
        self.following(|set| Context::map_current(|context| follow(set, context)))
    }
}
