//! `GET /export`: a category's products and reviews as compressed CSV.
//!
//! The handler writes pages, a blocking thread compresses them, a short channel joins the two.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::run_blocking;
use crate::error::{Error, Kind, Result};
use crate::response;
use crate::shop::{Product, Shop, compress_pages, product_page};

const PAGE_PRODUCTS: usize = 10;
const PAGES_AHEAD: usize = 2;

/// The query string.
#[derive(Debug, Deserialize)]
pub struct Choice {
    /// One category; all when it is left out.
    category: Option<String>,
}

/// Answers with gzip.
pub async fn download(
    State(shop): State<Arc<Shop>>,
    Query(choice): Query<Choice>,
) -> Result<Response> {
    let category = choice.category.as_deref();
    let products: Vec<&Product> = shop
        .catalogue
        .products()
        .iter()
        .filter(|product| category.is_none_or(|name| product.category == name))
        .collect();
    if products.is_empty() {
        let name = category.unwrap_or_default();
        return Err(Error::new(Kind::NotFound, format!("no category `{name}`")));
    }
    let (pages, mut inbox) = mpsc::channel(PAGES_AHEAD);
    let compressing = run_blocking(move || compress_pages(|| inbox.blocking_recv()));
    for chunk in products.chunks(PAGE_PRODUCTS) {
        if pages.send(product_page(chunk)).await.is_err() {
            break; // Compressing has failed; its own error says why.
        }
    }
    drop(pages);
    Ok(response::gzipped_csv(compressing.await?))
}
