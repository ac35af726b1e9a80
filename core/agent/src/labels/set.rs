//! Label sets, interned for the life of the process.

use super::cell;
use super::future::Labeled;
use super::generations;
use super::ids::{self, Id};
use sondage_sampler::Labels;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Label sets that can exist unless configured otherwise; a further one becomes `__overflow__`.
const MAX_SETS: usize = 16_384;

/// The configured number.
static SET_LIMIT: AtomicUsize = AtomicUsize::new(MAX_SETS);

/// Sets how many label sets can exist. Those that do already stay.
pub(crate) fn limit_sets(sets: u32) {
    SET_LIMIT.store(sets as usize, Ordering::Relaxed);
}

/// Values of one key that can exist; a further one becomes `__overflow__`.
const MAX_VALUES: usize = 1_024;

/// Keys that can exist; labels of a further one are left out.
const MAX_KEYS: usize = 64;

/// Bytes of a key or a value; what is longer is cut at a character.
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 1_024;

/// What stands for a value or a set that found no room.
pub(crate) const OVERFLOW: &str = "__overflow__";

/// Key and value pairs, sorted by key.
pub(crate) type Pairs = Arc<[(Arc<str>, Arc<str>)]>;

/// A set of labels, and the span of a trace that they belong to: 32 bytes, cheap to copy and to make
/// current.
///
/// Labels are interned for the life of the process and bounded: at most 16,384 sets, 64 keys and
/// 1,024 values a key. Beyond, values become `__overflow__`, and the profile says how much CPU
/// time that concerns. Use route templates and job names, not user ids.
///
/// The ids of a span and of a trace are numbers beside the interned labels and cost nothing to
/// keep: there can be as many as there are requests. Profiles show them as the labels `span_id` and
/// `trace_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSet(Labels);

/// Makes the set of the calling thread's current labels and `pairs`, where `pairs` win.
///
/// Costs a look-up under a read lock, about 0.1 µs a label; keep the result where it is used
/// often.
///
/// ```
/// let labels = sondage::labels([("route", "/orders/{id}"), ("tenant", "acme")]);
/// let _guard = labels.enter();
/// ```
pub fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> LabelSet {
    LabelSet::current().with(pairs)
}

impl LabelSet {
    /// The set without labels and without a span.
    pub const EMPTY: Self = Self(Labels::NONE);

    /// The calling thread's current set.
    pub fn current() -> Self {
        Self(cell::get())
    }

    /// This set with `pairs` added; of equal keys the last wins.
    ///
    /// A `span_id` of 16 hexadecimal digits and a `trace_id` of 32 become the set's ids, where all
    /// zeros mean none, as in OpenTelemetry. Any other text under these two keys is left out and
    /// counted in `stats().skipped_labels`: as a label it would soon be `__overflow__`.
    ///
    /// ```
    /// let set = sondage::LabelSet::EMPTY.with([("route", "/pay"), ("span_id", "00f067aa0ba902b7")]);
    /// assert_eq!(set.span_id(), Some(0x00f0_67aa_0ba9_02b7));
    /// ```
    pub fn with<'a>(self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        pairs.into_iter().fold(self, |set, (key, value)| set.with_pair(key, value))
    }

    fn with_pair(self, key: &str, value: &str) -> Self {
        let mut labels = self.0;
        match ids::parse(key, value) {
            Some(Id::Span(span)) => labels.span = span,
            Some(Id::Trace(trace)) => labels.trace = trace,
            Some(Id::Malformed) => _ = SKIPPED.fetch_add(1, Ordering::Relaxed),
            None => labels.set = Interned::add(labels.set, key, value),
        }
        Self(labels)
    }

    /// This set under a span and, if known, its trace, in place of those it has. A span of 0 is
    /// none. Costs nothing: no table is looked up.
    ///
    /// ```
    /// let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    /// let request = sondage::labels([("route", "/pay")]).with_span(0x00f0_67aa_0ba9_02b7, Some(trace));
    /// request.scope(|| {
    ///     // Samples taken here have span_id=00f067aa0ba902b7.
    /// });
    /// ```
    #[must_use]
    pub fn with_span(self, span: u64, trace: Option<u128>) -> Self {
        Self(Labels { set: self.0.set, span, trace: trace.unwrap_or(0) })
    }

    /// The set that a sample carries.
    pub(crate) fn from_raw(labels: Labels) -> Self {
        Self(labels)
    }

    /// The ids of the set, its span and its trace, as samples carry them.
    pub(crate) fn raw(self) -> Labels {
        self.0
    }

    /// The id of the span that the set is under.
    pub fn span_id(self) -> Option<u64> {
        Some(self.0.span).filter(|span| *span != 0)
    }

    /// The id of the trace that the set is under.
    pub fn trace_id(self) -> Option<u128> {
        Some(self.0.trace).filter(|trace| *trace != 0)
    }

    /// Makes the set current on this thread until the guard is dropped; then the set that was
    /// current before is current again.
    ///
    /// A guard must not be held across `.await`: the task may go on on another thread, and other
    /// tasks run on this one. Wrap the future instead, with [`LabelSet::wrap`].
    #[inline]
    pub fn enter(self) -> Guard {
        Guard { before: self.make_current(), not_send: PhantomData }
    }

    /// Makes the set current on this thread for good and returns the one that was: for
    /// integrations that pair enter and leave themselves.
    #[inline]
    pub fn make_current(self) -> Self {
        Self(cell::replace(self.0))
    }

    /// Runs `work` under the set.
    pub fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        let _guard = self.enter();
        work()
    }

    /// Wraps a future so that the set is current whenever it is polled, on whichever thread.
    pub fn wrap<F>(self, future: F) -> Labeled<F> {
        Labeled::new(self, future)
    }

    /// The number of the set's labels, for bindings that hand it through another language. Its
    /// span is not in it: see [`LabelSet::with_span`].
    pub fn id(self) -> u32 {
        self.0.set
    }

    /// The set with a number from [`LabelSet::id`], without a span. A number that no set has stands
    /// for a set without labels.
    pub fn from_id(id: u32) -> Self {
        Self(Labels { set: id, ..Labels::NONE })
    }

    /// The labels of the set, sorted by key, and the ids of its span.
    pub fn pairs(self) -> Vec<(String, String)> {
        let labels = Interned::pairs(self.0.set);
        let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let ids = ids::pairs(self.0).into_iter().map(|(key, id)| (key.to_owned(), id));
        let mut pairs: Vec<_> = labels.chain(ids).collect();
        pairs.sort();
        pairs
    }
}

/// Restores the previous labels when dropped. Stays on its thread.
#[derive(Debug)]
#[must_use = "the labels are current only while the guard lives"]
pub struct Guard {
    before: LabelSet,
    not_send: PhantomData<*const ()>,
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        self.before.make_current();
    }
}

/// The process's label sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interned {
    sets: Vec<Pairs>,
    ids: HashMap<Pairs, u32>,
    /// (set, key, value) → the set with that label; saves building the set again.
    steps: HashMap<(u32, Arc<str>, Arc<str>), u32>,
    values: HashMap<Arc<str>, HashMap<Arc<str>, ()>>,
}

/// Labels that were left out because the table could not be had, or that are no ids.
static SKIPPED: AtomicU64 = AtomicU64::new(0);

impl Interned {
    /// The number of set `from` with one label more.
    fn add(from: u32, key: &str, value: &str) -> u32 {
        let (key, value) = (cut(key, MAX_KEY), cut(value, MAX_VALUE));
        if key.is_empty() {
            return from;
        }
        // `Arc<str>` keys make the look-up allocate; this is not the cheap path (`enter` is).
        let (key, value): (Arc<str>, Arc<str>) = (key.into(), value.into());
        let step = (from, key, value);
        if let Some(Some(id)) = generations::read(|interned| interned.steps.get(&step).copied()) {
            return id;
        }
        generations::write(|interned| interned.add_new(step)).unwrap_or_else(|| {
            SKIPPED.fetch_add(1, Ordering::Relaxed);
            from
        })
    }

    /// How many sets there are.
    pub(super) fn count(&self) -> u32 {
        self.sets.len() as u32
    }

    /// A table in which the first `count` numbers are taken by sets that nobody knows any more.
    pub(super) fn with_unknown(count: u32) -> Self {
        let mut interned = Self::first();
        let empty = interned.sets[0].clone();
        interned.sets.resize(interned.sets.len().max(count as usize), empty);
        interned
    }

    /// A table with the set without labels.
    pub(super) fn first() -> Self {
        let mut interned = Self::default();
        let empty: Pairs = Arc::from([]);
        interned.ids.insert(empty.clone(), 0);
        interned.sets.push(empty);
        interned
    }

    fn add_new(&mut self, step: (u32, Arc<str>, Arc<str>)) -> u32 {
        let (from, key, value) = step.clone();
        let Some(value) = self.admit(&key, value) else { return from };
        let mut pairs = self.sets.get(from as usize).map_or_else(Vec::new, |set| set.to_vec());
        match pairs.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(found) => pairs[found].1 = value,
            Err(place) => pairs.insert(place, (key, value)),
        }
        let id = self.intern(pairs.into());
        if self.steps.len() < MAX_SETS * 4 {
            self.steps.insert(step, id);
        }
        id
    }

    /// The value as it may be used: itself, or the overflow; `None` when the key has no room.
    fn admit(&mut self, key: &Arc<str>, value: Arc<str>) -> Option<Arc<str>> {
        if !self.values.contains_key(key) && self.values.len() >= MAX_KEYS {
            return None;
        }
        let values = self.values.entry(key.clone()).or_default();
        if values.contains_key(&value) {
            return Some(value);
        }
        if values.len() >= MAX_VALUES {
            return Some(OVERFLOW.into());
        }
        values.insert(value.clone(), ());
        Some(value)
    }

    fn intern(&mut self, pairs: Pairs) -> u32 {
        if let Some(id) = self.ids.get(&pairs) {
            return *id;
        }
        // One more place than the maximum is kept for the overflow set itself.
        let overflow: Pairs = Arc::from([(Arc::from(OVERFLOW), Arc::from("true"))]);
        if self.sets.len() >= SET_LIMIT.load(Ordering::Relaxed) && pairs != overflow {
            return self.intern(overflow);
        }
        let id = self.sets.len() as u32;
        self.ids.insert(pairs.clone(), id);
        self.sets.push(pairs);
        id
    }

    /// The labels of a set.
    pub(crate) fn pairs(id: u32) -> Pairs {
        let set = generations::read(|interned| interned.sets.get(id as usize).cloned());
        set.flatten().unwrap_or_else(|| Arc::from([]))
    }

    /// Labels left out so far: the table could not be had in time, or an id was none.
    pub(crate) fn skipped() -> u64 {
        SKIPPED.load(Ordering::Relaxed)
    }

    /// Whether a set stands for labels that found no room.
    pub(crate) fn is_overflow(pairs: &Pairs) -> bool {
        pairs.iter().any(|(key, value)| &**key == OVERFLOW || &**value == OVERFLOW)
    }
}

fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(set: LabelSet) -> Vec<(String, String)> {
        set.pairs()
    }

    #[test]
    fn scopes_nest_and_restore_what_was_current() {
        let outer = labels([("set-test", "outer"), ("kept", "yes")]);
        let _guard = outer.enter();
        let inner = labels([("set-test", "inner")]);
        inner.scope(|| {
            assert_eq!(LabelSet::current(), inner);
            let expected = [("kept", "yes"), ("set-test", "inner")];
            assert_eq!(pairs(inner), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        });
        assert_eq!(LabelSet::current(), outer);
    }

    #[test]
    fn a_hundred_thousand_spans_take_no_place_and_none_overflows() {
        let route = LabelSet::EMPTY.with([("set-test", "spans")]);
        for number in 1..=100_000u64 {
            let (span, trace) = (format!("{number:016x}"), format!("{:032x}", number + 1));
            let set = route.with([("trace_id", trace.as_str()), ("span_id", span.as_str())]);
            assert_eq!(set.id(), route.id());
            assert_eq!(set, route.with_span(number, Some(u128::from(number) + 1)));
        }
        let set = route.with_span(10, Some(11)).with([("z", "last"), ("a", "first")]);
        let keys: Vec<_> = set.pairs().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "set-test", "span_id", "trace_id", "z"]);
    }

    #[test]
    fn what_is_no_id_is_left_out_and_counted_and_zeros_end_the_span() {
        let set = LabelSet::EMPTY.with_span(7, Some(8));
        let before = Interned::skipped();
        assert_eq!(set.with([("span_id", "request 7"), ("trace_id", "")]), set);
        assert!(Interned::skipped() >= before + 2);
        let zeros = ["0".repeat(16), "0".repeat(32)];
        let ended = set.with([("span_id", zeros[0].as_str()), ("trace_id", zeros[1].as_str())]);
        assert_eq!(ended, LabelSet::EMPTY);
    }

    #[test]
    fn numbers_of_sets_that_nobody_knows_any_more_are_not_given_again() {
        let mut interned = Interned::with_unknown(7);
        let id = interned.add_new((3, "a".into(), "1".into()));
        assert_eq!((id, interned.sets[6].len(), interned.sets[7].len()), (7, 0, 1));
    }

    #[test]
    fn the_order_of_labels_does_not_make_another_set() {
        let one = LabelSet::EMPTY.with([("a", "1"), ("b", "2")]);
        assert_eq!(one, LabelSet::EMPTY.with([("b", "2"), ("a", "1")]));
        assert_ne!(one, LabelSet::EMPTY.with([("b", "1"), ("a", "2")]));
    }

    #[test]
    fn a_panic_inside_a_scope_restores_the_labels() {
        let set = labels([("panicking", "yes")]);
        let before = LabelSet::current();
        let result =
            std::panic::catch_unwind(|| set.scope(|| std::panic::resume_unwind(Box::new(1))));
        assert!(result.is_err());
        assert_eq!(LabelSet::current(), before);
    }

    #[test]
    fn a_million_distinct_values_end_in_the_overflow_with_bounded_memory() {
        let mut interned = Interned::first();
        for number in 0..1_000_000 {
            let value: Arc<str> = number.to_string().into();
            interned.add_new((0, "user".into(), value));
        }
        assert!(interned.sets.len() <= MAX_VALUES + 2, "{}", interned.sets.len());
        assert!(interned.steps.len() <= MAX_SETS * 4);
        let id = interned.add_new((0, "user".into(), "yet another".into()));
        assert!(Interned::is_overflow(&interned.sets[id as usize]));
    }

    #[test]
    fn combinations_beyond_the_limit_become_one_overflow_set() {
        let mut interned = Interned::first();
        for a in 0..200 {
            let from = interned.add_new((0, "a".into(), a.to_string().into()));
            for b in 0..200 {
                interned.add_new((from, "b".into(), b.to_string().into()));
            }
        }
        assert!(interned.sets.len() <= MAX_SETS + 1);
    }
}
