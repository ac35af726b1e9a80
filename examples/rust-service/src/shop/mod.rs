//! What the shop sells and how: everything the routes work on, free of HTTP.
//!
//! The functions that do the work are `#[inline(never)]`: each keeps its own name in a profile, even
//! one that reads names from the symbol table alone.

mod catalogue;
mod csv;
mod ledger;
mod pricing;
mod search_index;
mod signature;
mod stock;
mod words;

pub use catalogue::Catalogue;
pub use catalogue::FIRST_ID;
pub use catalogue::PRODUCTS;
pub use catalogue::Product;
pub use csv::compress_pages;
pub use csv::product_page;
pub use ledger::Clerk;
pub use ledger::DAYS;
pub use ledger::Ledger;
pub use ledger::Sale;
pub use pricing::Order;
pub use pricing::OrderLine;
pub use pricing::PricedLine;
pub use pricing::price_order;
pub use pricing::region_number;
pub use search_index::Hit;
pub use search_index::SearchIndex;
pub use signature::KEY_ROUNDS;
pub use signature::derive_key;
pub use signature::hex;
pub use signature::sign_lines;
pub use stock::StockRoom;
pub use words::CATEGORIES;
pub use words::REGIONS;

use std::path::Path;

use crate::error::Result;

/// The whole shop; shared by all requests.
#[derive(Debug)]
pub struct Shop {
    /// What is sold.
    pub catalogue: Catalogue,
    /// The words of the catalogue, for the search.
    pub index: SearchIndex,
    /// How many of each product are left.
    pub stock: StockRoom,
    /// What was sold.
    pub ledger: Ledger,
    /// How often a customer's key is hashed again at each checkout.
    pub key_rounds: u32,
}

impl Shop {
    /// Makes the catalogue and its index, and a ledger in a new file at `ledger_path`.
    ///
    /// Starts the tasks of the stock room and of the ledger's [`Clerk`]: call it on a runtime.
    ///
    /// # Errors
    /// When the ledger's file cannot be made.
    pub fn open(ledger_path: &Path, key_rounds: u32) -> Result<(Self, Clerk)> {
        let catalogue = Catalogue::generate();
        let index = SearchIndex::build(&catalogue);
        let (ledger, clerk) = Ledger::create(ledger_path)?;
        let stock = StockRoom::open();
        Ok((Self { catalogue, index, stock, ledger, key_rounds }, clerk))
    }
}
