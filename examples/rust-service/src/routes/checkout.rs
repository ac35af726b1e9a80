//! `POST /checkout`: an order is priced, paid, signed and entered into the ledger.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::error::{Error, Kind, Result};
use crate::response;
use crate::shop::{Order, PricedLine, Sale, Shop, derive_key, hex, price_order, sign_lines};

/// How long the bank takes to say yes; the request waits without using CPU.
const BANK_TAKES: Duration = Duration::from_millis(1);
const SECRET: &[u8] = b"the demo's secret, which signs nothing of value";

/// Answers with the total and the signature as JSON.
pub async fn buy(State(shop): State<Arc<Shop>>, body: Bytes) -> Result<Response> {
    let order = parse_order(&body)?;
    let lines = price_order(&order, &shop.catalogue)?;
    for line in &lines {
        shop.stock.take(line.product, line.quantity).await?;
    }
    tokio::time::sleep(BANK_TAKES).await;
    let signature = sign_lines(&derive_key(SECRET, &order.customer, shop.key_rounds), &lines);
    shop.ledger.enter(sales(&order, &lines)?).await?;
    let total: u64 = lines.iter().map(|line| line.total_cents).sum();
    response::json(&json!({ "total_cents": total, "signature": hex(&signature), "lines": lines }))
}

#[inline(never)]
fn parse_order(body: &[u8]) -> Result<Order> {
    serde_json::from_slice(body).map_err(Error::during(Kind::BadRequest, "read the order"))
}

fn sales(order: &Order, lines: &[PricedLine]) -> Result<Vec<Sale>> {
    let region = crate::shop::region_number(&order.region)?;
    let sale = |line: &PricedLine| Sale {
        product: line.product,
        quantity: line.quantity,
        cents: line.total_cents,
        region,
    };
    Ok(lines.iter().map(sale).collect())
}
