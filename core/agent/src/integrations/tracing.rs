//! Labels from `tracing` spans.

use crate::labels::LabelSet;
use std::cell::RefCell;
use std::fmt;
use tracing_core::Subscriber;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

thread_local! {
    /// The label sets to restore when the entered spans are left, innermost last.
    static ENTERED: RefCell<Vec<(u64, LabelSet)>> = const { RefCell::new(Vec::new()) };
}

/// A layer that makes chosen fields of the entered spans labels of the thread. It follows spans
/// over `.await` (through `Instrument`) and threads, as the subscriber does.
///
/// ```
/// use tracing_subscriber::prelude::*;
/// let subscriber =
///     tracing_subscriber::registry().with(sondage::tracing::SpanLabels::new(["route", "tenant"]));
/// # let _ = subscriber;
/// ```
#[derive(Clone, Debug)]
pub struct SpanLabels {
    fields: Vec<String>,
    /// Adds to a span's labels what the thread's context tells when the span is first entered.
    follow: Option<fn(LabelSet) -> LabelSet>,
}

impl SpanLabels {
    /// Uses the fields of these names. Choose fields with few values.
    pub fn new<S: Into<String>>(fields: impl IntoIterator<Item = S>) -> Self {
        Self { fields: fields.into_iter().map(Into::into).collect(), follow: None }
    }

    /// With a function that is asked for a span's labels when it is first entered.
    #[cfg(feature = "opentelemetry")]
    pub(super) fn following(self, follow: fn(LabelSet) -> LabelSet) -> Self {
        Self { follow: Some(follow), ..self }
    }

    fn visitor(&self) -> Chosen<'_> {
        Chosen { fields: &self.fields, values: Vec::new() }
    }
}

/// The values of the chosen fields of one span.
struct Chosen<'a> {
    fields: &'a [String],
    values: Vec<(&'static str, String)>,
}

impl Chosen<'_> {
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl Visit for Chosen<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.fields.iter().any(|chosen| chosen == field.name()) {
            self.values.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.fields.iter().any(|chosen| chosen == field.name()) {
            self.values.push((field.name(), value.to_owned()));
        }
    }
}

/// The label set of a span, kept with it.
#[derive(Clone, Copy)]
struct SpanSet {
    labels: LabelSet,
    entered: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLabels {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut chosen = self.visitor();
        attributes.record(&mut chosen);
        let parent = span
            .parent()
            .and_then(|parent| parent.extensions().get::<SpanSet>().map(|set| set.labels));
        let labels = parent.unwrap_or_else(LabelSet::current).with(chosen.pairs());
        span.extensions_mut().insert(SpanSet { labels, entered: false });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut chosen = self.visitor();
        values.record(&mut chosen);
        if let Some(set) = span.extensions_mut().get_mut::<SpanSet>() {
            set.labels = set.labels.with(chosen.pairs());
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let Some(mut set) = span.extensions().get::<SpanSet>().copied() else { return };
        if let Some(follow) = self.follow.filter(|_| !set.entered) {
            set = SpanSet { labels: follow(set.labels), entered: true };
            span.extensions_mut().replace(set);
        }
        let before = set.labels.make_current();
        ENTERED.with_borrow_mut(|entered| entered.push((id.into_u64(), before)));
    }

    fn on_exit(&self, id: &Id, _context: Context<'_, S>) {
        ENTERED.with_borrow_mut(|entered| {
            // Spans may be left out of order; what was current before the outermost of those
            // left together is what remains.
            if let Some(place) = entered.iter().rposition(|(span, _)| *span == id.into_u64()) {
                let (_, before) = entered.remove(place);
                match entered.get_mut(place) {
                    Some(above) => above.1 = before,
                    None => {
                        before.make_current();
                    }
                }
            }
        });
    }
}
