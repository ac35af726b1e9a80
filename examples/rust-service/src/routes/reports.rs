//! `GET /reports/{day}`: what was sold on a day, added up from the ledger.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use super::run_blocking;
use crate::error::Result;
use crate::response;
use crate::shop::Shop;

/// Answers with the day's report as JSON.
pub async fn show(State(shop): State<Arc<Shop>>, Path(day): Path<u32>) -> Result<Response> {
    let report = run_blocking(move || shop.ledger.report_day(day)).await?;
    response::json(&report)
}
