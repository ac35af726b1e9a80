//! Which requests are sent: the same mix every time, in the same order for each connection.

use crate::random::Random;
use crate::shop::{CATEGORIES, DAYS, FIRST_ID, Order, OrderLine, PRODUCTS, REGIONS};

/// The routes, by number.
pub const ROUTES: [&str; 5] =
    ["GET /products/{id}", "GET /search", "POST /checkout", "GET /export", "GET /reports/{day}"];

const PRODUCT: usize = 0;
const SEARCH: usize = 1;
const CHECKOUT: usize = 2;
const EXPORT: usize = 3;
const REPORT: usize = 4;

/// In twenty requests: 7 products, 5 searches, 4 checkouts, 2 exports, 2 reports.
const DECK: [usize; 20] = [
    PRODUCT, SEARCH, CHECKOUT, PRODUCT, EXPORT, SEARCH, PRODUCT, CHECKOUT, PRODUCT, REPORT, SEARCH,
    PRODUCT, CHECKOUT, SEARCH, PRODUCT, EXPORT, PRODUCT, SEARCH, CHECKOUT, REPORT,
];

/// What people look for, with the errors they make.
const QUERIES: [&str; 8] = [
    "walnut lamps",
    "wallnut lampes brigth reeding",
    "quiet kettle for the ofice kichen",
    "nordic oak shelves",
    "porcelan bowls gift brekfast",
    "stakable stools wrokshop",
    "warm wool blankets winter",
    "handmad coper trays splended finnish",
];

/// One request, ready to send.
#[derive(Debug)]
pub struct Call {
    /// Its place in [`ROUTES`].
    pub route: usize,
    /// The whole request as HTTP/1.1.
    pub request: Vec<u8>,
    /// What the answer must hold.
    pub expected: Expected,
}

/// What tells a right answer from a wrong one with status 200.
#[derive(Debug)]
pub enum Expected {
    /// JSON that holds this text.
    Text(String),
    /// A gzip stream.
    Gzip,
}

impl Expected {
    /// Whether `body` is what was expected.
    pub fn fits(&self, body: &[u8]) -> bool {
        match self {
            Self::Text(text) => body.windows(text.len()).any(|window| window == text.as_bytes()),
            Self::Gzip => body.len() > 1_000 && body.starts_with(&[0x1f, 0x8b]),
        }
    }
}

/// An endless row of calls.
#[derive(Debug)]
pub struct Mix {
    place: usize,
    random: Random,
}

impl Mix {
    /// Starts the row of one connection; each begins elsewhere in the deck.
    pub fn new(connection: usize) -> Self {
        Self { place: connection * 3, random: Random::new(connection as u64) }
    }

    /// Returns the next call.
    pub fn next(&mut self) -> Call {
        let route = DECK[self.place % DECK.len()];
        self.place += 1;
        let (request, expected) = match route {
            PRODUCT => self.product(),
            SEARCH => self.search(),
            CHECKOUT => self.checkout(),
            EXPORT => self.export(),
            _ => self.report(),
        };
        Call { route, request, expected }
    }

    fn product(&mut self) -> (Vec<u8>, Expected) {
        let id = self.product_id();
        (get(&format!("/products/{id}")), Expected::Text(format!("\"id\":{id}")))
    }

    fn search(&mut self) -> (Vec<u8>, Expected) {
        let query = self.random.pick(&QUERIES).replace(' ', "+");
        (get(&format!("/search?q={query}")), Expected::Text("\"score\":".to_owned()))
    }

    fn checkout(&mut self) -> (Vec<u8>, Expected) {
        let lines = (0..4)
            .map(|_| OrderLine { product: self.product_id(), quantity: 1 + self.random.below(30) })
            .collect();
        let customer = format!("customer-{}", self.random.below(10_000));
        let region = self.random.pick(&REGIONS).to_owned();
        let order = Order { customer, region, lines };
        // Strings and numbers always have a JSON form; an empty body would be refused, and counted.
        let body = serde_json::to_vec(&order).unwrap_or_default();
        (post("/checkout", &body), Expected::Text("\"signature\":\"".to_owned()))
    }

    fn export(&mut self) -> (Vec<u8>, Expected) {
        let category = self.random.pick(&CATEGORIES);
        (get(&format!("/export?category={category}")), Expected::Gzip)
    }

    fn report(&mut self) -> (Vec<u8>, Expected) {
        let day = 1 + self.random.below(DAYS);
        (get(&format!("/reports/{day}")), Expected::Text(format!("\"day\":{day},")))
    }

    fn product_id(&mut self) -> u32 {
        FIRST_ID + self.random.below(PRODUCTS)
    }
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: shop\r\n\r\n").into_bytes()
}

fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
