//! Which local root each living span belongs to.
//!
//! An OpenTelemetry context knows its span and the trace, but not with which span the trace entered
//! this process, and neither does a span know its parent's parent. So the processor that sees every
//! start and end keeps a table: span → local root. Host threads ask it at every change of context,
//! so it has no lock: a place is claimed with one atomic exchange, written, and then published.

use std::sync::atomic::{AtomicU64, Ordering};

/// Spans that can be known at once. Of those beyond, the local root is not known.
const PLACES: usize = 16_384;

/// Places where a span can be; 256 bytes in a row.
const PROBES: usize = 16;

/// Span ids are never zero.
const FREE: u64 = 0;

/// A place that is being written. A span with this id, one in 2⁶⁴, is never known.
const CLAIMED: u64 = u64::MAX;

/// The process's spans.
pub(super) static LOCAL_ROOTS: LocalRoots = LocalRoots::new();

#[derive(Debug)]
struct Place {
    span: AtomicU64,
    root: AtomicU64,
}

impl Place {
    const fn new() -> Self {
        Self { span: AtomicU64::new(FREE), root: AtomicU64::new(0) }
    }
}

/// See the module's description. 256 KiB, resident as far as it is used.
#[derive(Debug)]
pub(super) struct LocalRoots {
    places: [Place; PLACES],
}

impl LocalRoots {
    const fn new() -> Self {
        Self { places: [const { Place::new() }; PLACES] }
    }

    /// The places where a span can be. Ids are random numbers.
    fn places(&self, span: u64) -> impl Iterator<Item = &Place> {
        (0..PROBES).filter_map(move |probe| self.places.get((span as usize + probe) % PLACES))
    }

    /// Notes a span that has started. Without room it is not noted.
    pub(super) fn insert(&self, span: u64, root: u64) {
        if span == FREE || span == CLAIMED {
            return;
        }
        let claim = |place: &&Place| {
            let (won, lost) = (Ordering::Acquire, Ordering::Relaxed);
            place.span.compare_exchange(FREE, CLAIMED, won, lost).is_ok()
        };
        if let Some(place) = self.places(span).find(claim) {
            place.root.store(root, Ordering::Release);
            place.span.store(span, Ordering::Release);
        }
    }

    /// The local root of a span that has started and not ended.
    pub(super) fn find(&self, span: u64) -> Option<u64> {
        if span == FREE || span == CLAIMED {
            return None;
        }
        let holds = |place: &&Place| place.span.load(Ordering::Acquire) == span;
        let place = self.places(span).find(holds)?;
        let root = place.root.load(Ordering::Acquire);
        // Whoever wrote another root has claimed the place before, and that would be seen here.
        (place.span.load(Ordering::Relaxed) == span).then_some(root)
    }

    /// Forgets a span that has ended.
    pub(super) fn remove(&self, span: u64) {
        if span == FREE || span == CLAIMED {
            return;
        }
        for place in self.places(span) {
            let (won, lost) = (Ordering::Release, Ordering::Relaxed);
            if place.span.compare_exchange(span, FREE, won, lost).is_ok() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn mixed(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) | 1
    }

    #[test]
    fn a_span_is_known_from_its_start_to_its_end_and_beyond_the_room_not_at_all() {
        static ROOTS: LocalRoots = LocalRoots::new();
        let spans: Vec<u64> = (1..=100_000).map(mixed).collect();
        spans.iter().for_each(|span| ROOTS.insert(*span, !span));
        let known = spans.iter().filter(|span| ROOTS.find(**span).is_some()).count();
        assert!((PLACES * 9 / 10..=PLACES).contains(&known), "{known} known");
        for span in &spans {
            assert!(ROOTS.find(*span).is_none_or(|root| root == !span));
            ROOTS.remove(*span);
            assert_eq!(ROOTS.find(*span), None);
        }
        ROOTS.insert(spans[0], 5);
        assert_eq!(ROOTS.find(spans[0]), Some(5));
        for none in [FREE, CLAIMED] {
            ROOTS.insert(none, 5);
            assert_eq!(ROOTS.find(none), None);
        }
    }

    #[test]
    fn threads_that_fight_for_places_never_read_the_root_of_another_span() {
        static ROOTS: LocalRoots = LocalRoots::new();
        // Few places for many spans: ids that differ only where the table does not look.
        let crowded = |thread: u64, number: u64| (thread << 40) | (number << 16) | 8 | (number % 8);
        thread::scope(|scope| {
            for thread in 1..=4u64 {
                scope.spawn(move || {
                    for number in 0..50_000 {
                        let span = crowded(thread, number);
                        ROOTS.insert(span, !span);
                        for other in 1..=4 {
                            let asked = crowded(other, number);
                            assert!(ROOTS.find(asked).is_none_or(|root| root == !asked));
                        }
                        ROOTS.remove(span);
                        assert_eq!(ROOTS.find(span), None);
                    }
                });
            }
        });
    }
}
