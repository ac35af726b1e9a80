//! What real servers answer to what they do not take: the recorded answers that `it` replays are
//! still those.

use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use sondage::Config;
use sondage::export::{self, PushError, Sink, Upload};
use sondage::profile::{Profile, ValueType};

use crate::server::Server;
use crate::{parca, pyroscope};

/// A profile that began some seconds ago.
fn profile(age: u64) -> Profile {
    let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
    let start = SystemTime::now() - Duration::from_secs(age);
    let start = start.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    profile.meta.start_unix_nanos = Some(start.as_nanos() as u64);
    profile.meta.duration = Duration::from_secs(10);
    profile.meta.period = Some((ValueType::new("cpu", "nanoseconds"), 10_000_000));
    profile.meta.labels = vec![("service_name".into(), "answers".into())];
    let location = profile.named_location("work");
    let stack = profile.stack(&[location]);
    let labels = profile.label_set([("route", "/orders")]);
    profile.add(stack, labels, &[10_000_000]);
    profile
}

/// What comes of the case's upload.
fn outcome(sink: &mut dyn Sink, case: &str) -> Result<(), PushError> {
    if case == "more than a second's worth" {
        // Too large for one upload of ours: the pieces, one after the other, exceed the rate.
        let pieces = sink.encode(&large()).unwrap();
        let mut outcomes = pieces.iter().cycle().take(100).map(|piece| sink.push(piece, soon()));
        return outcomes.find(Result::is_err).unwrap_or(Ok(()));
    }
    let upload = upload(sink, case);
    sink.push(&upload, soon())
}

fn large() -> Profile {
    let mut large = profile(5);
    for number in 0..40_000 {
        let name = format!("a function with a name that takes some room, number {number}");
        let location = large.named_location(&name);
        let stack = large.stack(&[location]);
        let labels = large.label_set([]);
        large.add(stack, labels, &[10_000_000]);
    }
    large
}

fn upload(sink: &mut dyn Sink, case: &str) -> Upload {
    let encoded = |sink: &mut dyn Sink, profile| sink.encode(&profile).unwrap().remove(0);
    match case {
        "three hours old" => encoded(sink, profile(3 * 3600)),
        "no message" => Upload { body: b"no message".to_vec(), ..Upload::default() },
        "half a message" => {
            let mut upload = encoded(sink, profile(5));
            let half = upload.body.len() / 2;
            upload.body.truncate(half);
            upload
        }
        // The file within the message is no longer one.
        "a broken file" => {
            let mut upload = encoded(sink, profile(5));
            let end = upload.body.len();
            upload.body[end - 12..].fill(7);
            upload
        }
        case => panic!("no case {case}"),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn check(server: &Server, name: &str) {
    let recorded: Value = serde_json::from_str(include_str!("../fixtures/answers.json")).unwrap();
    for entry in recorded.as_array().unwrap() {
        let text = |key: &str| entry[key].as_str().unwrap();
        if text("server") != name {
            continue;
        }
        let address = server.url.strip_prefix("http").unwrap();
        let target = format!("{}{address}", text("target"));
        let config = Config::builder().targets([target.parse().unwrap()]).build().unwrap();
        let mut sink = export::sinks(&config).unwrap().remove(0);
        let outcome = outcome(&mut *sink, text("case"));
        let what = format!("{target}, {}: {outcome:?}", text("case"));
        println!("{what}");
        let Err(error) = outcome else {
            assert_eq!(text("verdict"), "taken", "{what}");
            continue;
        };
        assert!(error.message().contains(text("says")), "{what}");
        let verdict = match error {
            PushError::Retry { .. } => "retry",
            PushError::Rejected { .. } => "rejected",
            PushError::TooLarge { .. } => "too large",
            PushError::Ambiguous { .. } => "in doubt",
        };
        assert_eq!(verdict, text("verdict"), "{what}");
    }
}

#[test]
fn pyroscope_answers_as_recorded() {
    check(&pyroscope::start(false), "pyroscope 1.21.1");
}

#[test]
fn parca_answers_as_recorded() {
    check(&parca::start(""), "parca 0.28.0");
}
