//! Answers that real servers gave, and what they mean for an upload. `make test-backends` asks the
//! servers again.

use serde_json::Value;
use sondage::export::PushError;
use sondage_collector::{Collector, Fault};

use super::protocols::{settings, sink_of};
use super::{profile, soon};

#[test]
fn what_real_servers_answer_is_understood() {
    let recorded: Value =
        serde_json::from_str(include_str!("../../fixtures/answers.json")).unwrap();
    let collector = Collector::start().unwrap();
    let mut judged = 0;
    for entry in recorded.as_array().unwrap() {
        let text = |key: &str| entry[key].as_str().unwrap();
        let status = u16::try_from(entry["status"].as_u64().unwrap()).unwrap();
        if text("verdict") == "taken" {
            continue;
        }
        let body = text("body").to_owned();
        collector.fail_next([match status {
            0..=99 => Fault::Grpc { code: status, message: body, retry_after_millis: None },
            _ => Fault::Status { status, headers: [].into(), body },
        }]);
        let target = format!("{}://{}", text("target"), collector.address());
        let mut sink = sink_of(&target, settings());
        let upload = sink.encode(&profile("/orders")).unwrap().remove(0);
        let error = sink.push(&upload, soon()).unwrap_err();
        let verdict = match error {
            PushError::Retry { .. } => "retry",
            PushError::Rejected { .. } => "rejected",
            PushError::TooLarge { .. } => "too large",
            PushError::Ambiguous { .. } => "in doubt",
        };
        assert_eq!(verdict, text("verdict"), "{target}, {}: {error:?}", text("case"));
        assert!(error.message().contains(text("says")), "{target}: {error:?}");
        judged += 1;
    }
    assert!(judged > 20, "{judged}");
}
