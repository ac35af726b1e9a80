//! The event that describes an upload.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use serde_json::json;

use super::super::utc;
use crate::profile::Profile;

/// The name under which the profile travels.
const ATTACHMENT: &str = "profile.pprof";

/// Bytes of a tag, its name included.
const MAX_TAG: usize = 200;

/// What tells this process from others.
#[derive(Debug)]
pub(super) struct Identity {
    /// A random UUID.
    runtime_id: String,
    sequence: u64,
}

impl Identity {
    pub(super) fn new() -> Self {
        Self { runtime_id: uuid(), sequence: 0 }
    }

    /// The event of the next profile, as one line of JSON.
    pub(super) fn event(&mut self, profile: &Profile) -> String {
        let start = Duration::from_nanos(profile.meta.start_unix_nanos.unwrap_or(0));
        let end = start.saturating_add(profile.meta.duration);
        let tags = self.tags(profile);
        self.sequence += 1;
        json!({
            "attachments": [ATTACHMENT],
            "tags_profiler": tags.join(","),
            "start": utc::rfc3339(start),
            "end": utc::rfc3339(end),
            "family": "native",
            "version": "4",
        })
        .to_string()
    }

    fn tags(&self, profile: &Profile) -> Vec<String> {
        let own = [
            ("language", "native".to_owned()),
            ("runtime", "native".to_owned()),
            ("runtime-id", self.runtime_id.clone()),
            ("process_id", std::process::id().to_string()),
            ("profiler_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("profile_seq", self.sequence.to_string()),
        ];
        let labels = profile.meta.labels.iter().map(|(key, value)| {
            let name = match key.as_str() {
                "service_name" => "service",
                "deployment.environment" | "deployment.environment.name" => "env",
                "service.version" => "version",
                name => name,
            };
            (name, value.clone())
        });
        let mut tags: Vec<(&str, String)> = own.into_iter().collect();
        for (name, value) in labels {
            // What we say of ourselves is not to be forged; names of the other form are servers'.
            if tags.iter().all(|(known, _)| *known != name) && !name.starts_with("__") {
                tags.push((name, value));
            }
        }
        tags.iter().map(|(name, value)| tag(name, value)).collect()
    }
}

/// `name:value` without the comma that separates tags.
fn tag(name: &str, value: &str) -> String {
    let name: String = name.chars().map(|it| if ",:".contains(it) { '_' } else { it }).collect();
    let tag = format!("{name}:{}", value.replace(',', "_"));
    tag.chars().filter(|char| !char.is_control()).take(MAX_TAG).collect()
}

/// A random UUID of version 4.
fn uuid() -> String {
    let state = RandomState::new();
    let (high, low) = (state.hash_one(0), state.hash_one(1));
    let (version, variant) = (high & !0xf000 | 0x4000, low & !(3 << 62) | 2 << 62);
    let text = format!("{version:016x}{variant:016x}");
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ValueType;

    #[test]
    fn labels_become_tags_that_cannot_forge_others() {
        let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
        profile.meta.start_unix_nanos = Some(1_735_689_599_000_000_007);
        profile.meta.duration = Duration::from_secs(10);
        profile.meta.labels = vec![
            ("service_name".into(), "shop".into()),
            ("deployment.environment".into(), "prod,service:evil".into()),
            ("runtime-id".into(), "forged".into()),
        ];
        let event: serde_json::Value =
            serde_json::from_str(&Identity::new().event(&profile)).unwrap();
        assert_eq!(event["start"], "2024-12-31T23:59:59.000000007Z");
        assert_eq!(event["end"], "2025-01-01T00:00:09.000000007Z");
        let tags: Vec<_> = event["tags_profiler"].as_str().unwrap().split(',').collect();
        assert!(tags.contains(&"service:shop") && tags.contains(&"env:prod_service:evil"));
        assert!(!tags.iter().any(|tag| tag.contains("forged")), "{tags:?}");
    }

    #[test]
    fn a_runtime_id_is_a_uuid() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        assert_ne!(id, uuid());
    }
}
