//! The two shapes of answer this service gives.

use axum::body::Bytes;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::{Error, Kind, Result};

/// Answers with `value` as JSON.
///
/// # Errors
/// When `value` has no JSON form.
pub fn json<T: Serialize>(value: &T) -> Result<Response> {
    let body = serde_json::to_vec(value).map_err(Error::during(Kind::Io, "write JSON"))?;
    Ok(([(CONTENT_TYPE, "application/json")], Bytes::from(body)).into_response())
}

/// Answers with CSV that is already compressed with gzip.
pub fn gzipped_csv(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "text/csv"), (CONTENT_ENCODING, "gzip")], Bytes::from(body)).into_response()
}
