//! The parts of an upload, as `multipart/form-data`.

use std::hash::{BuildHasher, RandomState};

/// The content type and the body of an upload: the event first, then the file.
pub(super) fn message(event: &str, file: &[u8]) -> (String, Vec<u8>) {
    let state = RandomState::new();
    // 128 random bits do not occur in the parts.
    let boundary = format!("sondage{:016x}{:016x}", state.hash_one(0), state.hash_one(1));
    let mut body = Vec::with_capacity(file.len() + event.len() + 512);
    let mut part = |name: &str, content_type: &str, content: &[u8]| {
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"; \
             filename=\"{name}\"\r\ncontent-type: {content_type}\r\n\r\n"
        );
        body.extend_from_slice(head.replace("name=\"event.json\";", "name=\"event\";").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    };
    part("event.json", "application/json", event.as_bytes());
    part("profile.pprof", "application/octet-stream", file);
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}
