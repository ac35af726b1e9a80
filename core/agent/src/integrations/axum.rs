//! Route templates as labels.

use super::tower::LabelLayer;
use crate::labels::{LabelSet, labels};
use axum::extract::MatchedPath;
use axum::extract::Request;

/// A layer for [`axum::Router::layer`] that labels each request with `route` (the template, such
/// as `/orders/{id}`) and `method`. Requests that match no route get `route=[none]`.
///
/// ```
/// # use axum::{Router, routing::get};
/// let app: Router =
///     Router::new().route("/orders/{id}", get(|| async {})).layer(sondage::axum::route_labels());
/// ```
pub fn route_labels() -> LabelLayer<fn(&Request) -> LabelSet> {
    LabelLayer::new(labels_of as fn(&Request) -> LabelSet)
}

fn labels_of(request: &Request) -> LabelSet {
    let route = request.extensions().get::<MatchedPath>().map_or("[none]", MatchedPath::as_str);
    // Any client can invent methods.
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS") => known,
        _ => "[other]",
    };
    labels([("route", route), ("method", method)])
}
