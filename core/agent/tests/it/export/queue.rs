//! The queue: order, limits, stopping, and sinks that misbehave.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sondage::Error;
use sondage::export::{Options, PushError, Sink, Upload};
use sondage::profile::Profile;

use super::{export, profile, quick, soon, start};

type Answer = Box<dyn FnMut(&str) -> Result<(), PushError> + Send>;

/// Answers by a closure that is given the profile's label, and remembers what came.
struct Scripted {
    answer: Answer,
    seen: Arc<Mutex<Vec<String>>>,
    max_age: Option<Duration>,
}

impl Scripted {
    fn new(
        answer: impl FnMut(&str) -> Result<(), PushError> + Send + 'static,
    ) -> (Self, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        (Self { answer: Box::new(answer), seen: seen.clone(), max_age: None }, seen)
    }
}

impl Sink for Scripted {
    fn name(&self) -> String {
        "scripted".to_owned()
    }

    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let labels = profile.labels(profile.samples()[0].labels);
        let label: String = labels.map(|(_, value)| value).collect();
        assert_ne!(label, "panic while encoding");
        let start_unix_nanos = profile.meta.start_unix_nanos;
        Ok(vec![Upload { body: label.into_bytes(), start_unix_nanos, note: None }])
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        assert!(deadline <= Instant::now() + Duration::from_millis(400));
        let label = String::from_utf8(upload.body.clone()).unwrap();
        self.seen.lock().unwrap().push(label.clone());
        (self.answer)(&label)
    }

    fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    fn split(&mut self, upload: &Upload) -> Vec<Upload> {
        let (left, right) = upload.body.split_at(upload.body.len() / 2);
        let half = |body: &[u8]| Upload { body: body.to_vec(), ..Upload::default() };
        if left.is_empty() { Vec::new() } else { vec![half(left), half(right)] }
    }
}

/// A sink that waits in its first push until it is let go.
struct Blocked {
    sink: Scripted,
    seen: Arc<Mutex<Vec<String>>>,
    entered: Receiver<()>,
    release: Sender<()>,
}

fn blocked() -> Blocked {
    let (enter, entered) = channel();
    let (release, released) = channel::<()>();
    let mut first = true;
    let (sink, seen) = Scripted::new(move |_| {
        if std::mem::take(&mut first) {
            enter.send(()).unwrap();
            let _ = released.recv();
        }
        Ok(())
    });
    Blocked { sink, seen, entered, release }
}

#[test]
fn profiles_arrive_in_their_order_also_when_one_is_retried() {
    let mut failures = 3;
    let (sink, seen) = Scripted::new(move |label| {
        if label == "b" && failures > 0 {
            failures -= 1;
            return Err(PushError::retry("not now"));
        }
        Ok(())
    });
    let stats = export(sink, &["a", "b", "c"].map(profile));
    assert_eq!(*seen.lock().unwrap(), ["a", "b", "b", "b", "b", "c"]);
    assert_eq!((stats.pushed, stats.retried, stats.lost()), (3, 3, 0));
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts_them() {
    let Blocked { sink, seen, entered, release } = blocked();
    let options = Options { max_profiles: 2, ..quick() };
    let exporter = start(vec![Box::new(sink)], &options);
    exporter.submit(&profile("a"));
    entered.recv().unwrap();
    for label in ["b", "c", "d", "e"] {
        let before = Instant::now();
        exporter.submit(&profile(label));
        assert!(before.elapsed() < Duration::from_millis(100), "submitting does not wait");
    }
    assert_eq!(exporter.stats()[0].dropped_queue, 2, "readable while an upload runs");
    release.send(()).unwrap();
    assert!(exporter.drain(soon()));
    assert_eq!(*seen.lock().unwrap(), ["a", "d", "e"]);
}

#[test]
fn a_slow_sink_delays_no_other() {
    let Blocked { sink: slow, entered, release, .. } = blocked();
    let (fast, seen) = Scripted::new(|_| Ok(()));
    let exporter = start(vec![Box::new(slow), Box::new(fast)], &quick());
    exporter.submit(&profile("a"));
    entered.recv().unwrap();
    exporter.submit(&profile("b"));
    let deadline = soon();
    while seen.lock().unwrap().len() < 2 {
        assert!(Instant::now() < deadline, "the other sink got {:?}", seen.lock().unwrap());
        std::thread::yield_now();
    }
    assert_eq!(exporter.stats()[0].pushed, 0, "the slow one is still at its first");
    release.send(()).unwrap();
    assert!(exporter.drain(soon()));
}

#[test]
fn an_upload_is_tried_eight_times_at_most() {
    let (sink, seen) = Scripted::new(|_| Err(PushError::retry("down")));
    let stats = export(sink, &[profile("a"), profile("b")]);
    assert_eq!(seen.lock().unwrap().len(), 16);
    assert_eq!((stats.retried, stats.dropped_expired, stats.pushed), (14, 2, 0));
    assert_eq!(stats.last_error.as_deref(), Some("scripted: down"));
}

#[test]
fn what_is_refused_or_in_doubt_is_not_sent_again() {
    let (sink, seen) = Scripted::new(|label| match label {
        "a" => Err(PushError::rejected("bad")),
        "b" => Err(PushError::Ambiguous { message: "no answer".into() }),
        _ => Ok(()),
    });
    let stats = export(sink, &["a", "b", "c"].map(profile));
    assert_eq!(*seen.lock().unwrap(), ["a", "b", "c"]);
    assert_eq!((stats.dropped_rejected, stats.ambiguous, stats.pushed), (1, 1, 1));
}

#[test]
fn what_is_too_large_is_halved_until_it_fits_in_order() {
    let (sink, seen) = Scripted::new(|label| match label.len() {
        0..=2 => Ok(()),
        _ => Err(PushError::TooLarge { message: "large".into() }),
    });
    let stats = export(sink, &[profile("abcdefgh"), profile("i")]);
    let expected = ["abcdefgh", "abcd", "ab", "cd", "efgh", "ef", "gh", "i"];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!((stats.pushed, stats.split, stats.lost()), (5, 3, 0));

    let (sink, seen) = Scripted::new(|_| Err(PushError::TooLarge { message: "large".into() }));
    let stats = export(sink, &[profile(&"x".repeat(1000))]);
    assert_eq!(seen.lock().unwrap().len(), 127, "six halvings");
    assert_eq!((stats.split, stats.dropped_rejected), (63, 64));
}

#[test]
fn a_panicking_sink_is_counted_and_the_next_profile_arrives() {
    let (sink, seen) = Scripted::new(|label| {
        assert_ne!(label, "a", "a sink's own defect");
        Ok(())
    });
    let stats = export(sink, &["a", "panic while encoding", "c"].map(profile));
    assert_eq!(*seen.lock().unwrap(), ["a", "c"]);
    assert_eq!((stats.panicked, stats.pushed), (2, 1));
}

#[test]
fn an_old_profile_is_dropped_untried() {
    let (mut sink, seen) = Scripted::new(|_| Ok(()));
    sink.max_age = Some(Duration::from_secs(55 * 60));
    let old = |minutes: u64| {
        let mut old = (*profile(&minutes.to_string())).clone();
        let start = old.meta.start_unix_nanos.as_mut().unwrap();
        *start -= minutes * 60_000_000_000;
        Arc::new(old)
    };
    let stats = export(sink, &[old(56), old(54)]);
    assert_eq!(*seen.lock().unwrap(), ["54"]);
    assert_eq!((stats.dropped_expired, stats.pushed), (1, 1));
    assert!(stats.last_error.unwrap().contains("too old"));
}

#[test]
fn a_wait_that_outlives_the_profile_is_not_waited() {
    let (mut sink, seen) = Scripted::new(|_| {
        let message = "busy".to_owned();
        Err(PushError::Retry { message, after: Some(Duration::from_secs(3000)), max_tries: 8 })
    });
    sink.max_age = Some(Duration::from_secs(60));
    let stats = export(sink, &[profile("a")]);
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(stats.dropped_expired, 1);
}

#[test]
fn stopping_tries_everything_once_more_without_pauses() {
    let (enter, entered) = channel();
    let (sink, seen) = Scripted::new(move |label| {
        let _ = enter.send(());
        if label == "a" { Err(PushError::retry("down")) } else { Ok(()) }
    });
    let options = Options {
        backoff_base: Duration::from_secs(600),
        backoff_max: Duration::from_secs(600),
        ..quick()
    };
    let exporter = start(vec![Box::new(sink)], &options);
    ["a", "b"].iter().for_each(|label| exporter.submit(&profile(label)));
    entered.recv().unwrap();
    let before = Instant::now();
    let stats = exporter.stop(soon()).remove(0);
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    let seen = seen.lock().unwrap();
    assert!(seen.ends_with(&["a".to_owned(), "b".to_owned()]), "{seen:?}");
    assert_eq!((stats.pushed, stats.dropped_expired), (1, 1));
}

#[test]
fn stopping_respects_a_pause_that_the_server_asked_for() {
    let (sink, seen) = Scripted::new(|_| {
        let message = "busy".to_owned();
        Err(PushError::Retry { message, after: Some(Duration::from_secs(60)), max_tries: 8 })
    });
    let exporter = start(vec![Box::new(sink)], &quick());
    ["a", "b"].iter().for_each(|label| exporter.submit(&profile(label)));
    let deadline = soon();
    while exporter.stats()[0].retried == 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let before = Instant::now();
    let stats = exporter.stop(Instant::now() + Duration::from_secs(2)).remove(0);
    assert!(before.elapsed() < Duration::from_secs(3));
    assert_eq!(*seen.lock().unwrap(), ["a"]);
    assert_eq!(stats.dropped_expired, 2);
}

#[test]
fn stopping_returns_at_its_deadline_while_an_upload_hangs() {
    let Blocked { sink, seen, entered, release } = blocked();
    let exporter = start(vec![Box::new(sink)], &quick());
    ["a", "b"].iter().for_each(|label| exporter.submit(&profile(label)));
    entered.recv().unwrap();
    let before = Instant::now();
    exporter.stop(before + Duration::from_millis(200));
    let waited = before.elapsed();
    assert!((Duration::from_millis(200)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
    release.send(()).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["a"], "b is not tried after the deadline");
}
