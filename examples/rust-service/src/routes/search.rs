//! `GET /search?q=`: the products that fit a few words best.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::response;
use crate::shop::{Hit, Shop};

const QUERY_BYTES: usize = 200;

/// The query string.
#[derive(Debug, Deserialize)]
pub struct Words {
    q: String,
}

#[derive(Debug, Serialize)]
struct Found<'s> {
    #[serde(flatten)]
    hit: Hit,
    name: &'s str,
    price_cents: u32,
}

/// Answers with at most 20 products, the best first.
pub async fn find(State(shop): State<Arc<Shop>>, Query(words): Query<Words>) -> Result<Response> {
    if words.q.len() > QUERY_BYTES {
        let message = format!("q has {} bytes: at most {QUERY_BYTES}", words.q.len());
        return Err(Error::new(Kind::BadRequest, message));
    }
    let hits = shop.index.search(&words.q);
    // Lets other requests in between two pieces of work; the label must come back with us.
    tokio::task::yield_now().await;
    let found = hits.into_iter().map(|hit| {
        let product = shop.catalogue.find_product(hit.id)?;
        Ok(Found { hit, name: &product.name, price_cents: product.price_cents })
    });
    response::json(&found.collect::<Result<Vec<_>>>()?)
}
