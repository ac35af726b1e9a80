//! `GET /products/{id}`: one product, what is left of it, and what is like it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use crate::error::Result;
use crate::response;
use crate::shop::Shop;

/// Answers with the product as JSON.
pub async fn show(State(shop): State<Arc<Shop>>, Path(id): Path<u32>) -> Result<Response> {
    let product = shop.catalogue.find_product(id)?;
    let left = shop.stock.left(id).await?;
    let related = shop.catalogue.related_products(product);
    response::json(&json!({ "id": id, "left": left, "product": product, "related": related }))
}
