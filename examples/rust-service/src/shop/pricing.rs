//! What an order costs.

use serde::{Deserialize, Serialize};

use super::catalogue::Catalogue;
use super::words::REGIONS;
use crate::error::{Error, Kind, Result};

const MOST_LINES: usize = 100;
const MOST_OF_ONE: u32 = 1_000;

/// What a customer sends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Who buys.
    pub customer: String,
    /// Where to deliver; one of [`REGIONS`].
    pub region: String,
    /// What is bought; 1 to 100 lines.
    pub lines: Vec<OrderLine>,
}

/// One line of an order.
#[derive(Debug, Serialize, Deserialize)]
pub struct OrderLine {
    /// A product's id.
    pub product: u32,
    /// How many; 1 to 1,000.
    pub quantity: u32,
}

/// One line with its price.
#[derive(Debug, Serialize)]
pub struct PricedLine {
    /// A product's id.
    pub product: u32,
    /// How many.
    pub quantity: u32,
    /// For all of them, with discount, delivery and tax, in cents.
    pub total_cents: u64,
}

/// Prices every line of `order`.
///
/// # Errors
/// [`Kind::BadRequest`] for a region, quantity or number of lines that is not allowed,
/// [`Kind::NotFound`] for an unknown product.
#[inline(never)]
pub fn price_order(order: &Order, catalogue: &Catalogue) -> Result<Vec<PricedLine>> {
    if order.lines.is_empty() || order.lines.len() > MOST_LINES {
        let message = format!("{} lines: allowed are 1 to {MOST_LINES}", order.lines.len());
        return Err(Error::new(Kind::BadRequest, message));
    }
    let region = region_number(&order.region)?;
    order.lines.iter().map(|line| price_line(line, region, catalogue)).collect()
}

/// Returns the place of `region` in [`REGIONS`].
///
/// # Errors
/// [`Kind::BadRequest`] when it is not one of them.
pub fn region_number(region: &str) -> Result<u8> {
    let place = REGIONS.iter().position(|known| *known == region);
    place.and_then(|place| u8::try_from(place).ok()).ok_or_else(|| {
        let message = format!("region `{region}`: allowed are {}", REGIONS.join(", "));
        Error::new(Kind::BadRequest, message)
    })
}

fn price_line(line: &OrderLine, region: u8, catalogue: &Catalogue) -> Result<PricedLine> {
    if line.quantity == 0 || line.quantity > MOST_OF_ONE {
        let message = format!("quantity {}: allowed is 1 to {MOST_OF_ONE}", line.quantity);
        return Err(Error::new(Kind::BadRequest, message));
    }
    let product = catalogue.find_product(line.product)?;
    let quantity = u64::from(line.quantity);
    let goods = quantity * u64::from(product.price_cents);
    let reduced = goods - goods * discount_percent(line.quantity) / 100;
    let delivery = quantity * u64::from(product.grams) * cents_per_kilogram(region) / 1_000;
    let total_cents = with_tax(reduced + delivery, region);
    Ok(PricedLine { product: line.product, quantity: line.quantity, total_cents })
}

fn discount_percent(quantity: u32) -> u64 {
    match quantity {
        0..=4 => 0,
        5..=19 => 3,
        20..=99 => 8,
        _ => 15,
    }
}

fn cents_per_kilogram(region: u8) -> u64 {
    40 + 35 * u64::from(region)
}

/// Adds the tax; the last region, abroad, pays none. Rounds half a cent up.
fn with_tax(cents: u64, region: u8) -> u64 {
    let percent = if usize::from(region) + 1 == REGIONS.len() { 0 } else { 19 };
    (cents * (100 + percent) + 50) / 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::FIRST_ID;

    fn order(region: &str, quantity: u32) -> Order {
        let lines = vec![OrderLine { product: FIRST_ID, quantity }];
        Order { customer: "c".into(), region: region.into(), lines }
    }

    #[test]
    fn a_line_costs_goods_less_discount_plus_delivery_and_tax() {
        let catalogue = Catalogue::generate();
        let product = catalogue.find_product(FIRST_ID).unwrap();
        let (price, grams) = (u64::from(product.price_cents), u64::from(product.grams));
        let near = price_order(&order("north", 20), &catalogue).unwrap();
        let goods = 20 * price - 20 * price * 8 / 100;
        let net = goods + 20 * grams * 40 / 1_000;
        assert_eq!(near[0].total_cents, (net * 119 + 50) / 100);
        let far = price_order(&order("abroad", 1), &catalogue).unwrap();
        assert_eq!(far[0].total_cents, price + grams * 215 / 1_000);
    }

    #[test]
    fn orders_outside_the_bounds_are_refused() {
        let catalogue = Catalogue::generate();
        let kind = |order: &Order| price_order(order, &catalogue).unwrap_err().kind();
        assert_eq!(kind(&order("moon", 1)), Kind::BadRequest);
        assert_eq!(kind(&order("north", 0)), Kind::BadRequest);
        assert_eq!(kind(&order("north", 1_001)), Kind::BadRequest);
        assert_eq!(kind(&Order { lines: Vec::new(), ..order("north", 1) }), Kind::BadRequest);
        let mut unknown = order("north", 1);
        unknown.lines[0].product = 1;
        assert_eq!(kind(&unknown), Kind::NotFound);
    }
}
