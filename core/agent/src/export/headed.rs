//! Uploads whose body is a line of text and a pprof file behind it, for protocols that send the two
//! apart: such an upload can wait, and be halved, like any other.

use super::groups::halves;
use super::sink::Upload;
use crate::profile::{Profile, pprof};

/// The upload of a profile, encoded as `raw`, under a head without line feeds.
pub(super) fn upload(head: &str, profile: &Profile, raw: Vec<u8>) -> Upload {
    let mut body = head.as_bytes().to_vec();
    body.push(b'\n');
    body.extend(pprof::gzip(raw));
    Upload { body, start_unix_nanos: profile.meta.start_unix_nanos, note: None }
}

/// The head and the file.
pub(super) fn parts(upload: &Upload) -> Option<(&str, &[u8])> {
    let end = upload.body.iter().position(|byte| *byte == b'\n')?;
    let (head, file) = upload.body.split_at(end);
    Some((std::str::from_utf8(head).ok()?, &file[1..]))
}

/// Two uploads under the same head with half of the samples each; none when there is one sample.
pub(super) fn split(
    whole: &Upload,
    restore: fn(&mut Profile),
    encode: fn(&Profile) -> Vec<u8>,
) -> Vec<Upload> {
    let Some((head, file)) = parts(whole) else { return Vec::new() };
    let Ok(mut profile) = pprof::decode(file) else { return Vec::new() };
    restore(&mut profile);
    let half =
        |half: Profile| Upload { note: whole.note.clone(), ..upload(head, &half, encode(&half)) };
    halves(&profile).map_or_else(Vec::new, |halves| halves.map(half).into())
}
