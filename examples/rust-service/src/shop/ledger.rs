//! What was sold: an embedded database, written by one clerk in groups, read by reports.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, TableDefinition};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::words::REGIONS;
use crate::error::{Error, Kind, Result};
use crate::random::Random;

/// The past days that hold sales when the shop opens, `1..=DAYS`.
pub const DAYS: u32 = 14;
/// The day on which new sales are written.
const TODAY: u32 = DAYS + 1;

const SALES_A_DAY: u32 = 3_000;
const QUEUE: usize = 4_096;
const GROUP: usize = 256;

/// Day and number of the sale; product, quantity, cents, region.
const SALES: TableDefinition<'_, (u32, u32), (u32, u32, u64, u8)> = TableDefinition::new("sales");

/// One line that was sold.
#[derive(Debug, Clone, Copy)]
pub struct Sale {
    /// A product's id.
    pub product: u32,
    /// How many.
    pub quantity: u32,
    /// For all of them, in cents.
    pub cents: u64,
    /// The place of the region in [`REGIONS`].
    pub region: u8,
}

/// Reads the database, and hands new sales to the [`Clerk`].
#[derive(Debug)]
pub struct Ledger {
    database: Arc<Database>,
    orders: mpsc::Sender<Vec<Sale>>,
}

/// The task that writes; it ends when the [`Ledger`] is dropped.
#[derive(Debug)]
pub struct Clerk(JoinHandle<Result<u64>>);

/// What was sold on one day.
#[derive(Debug, Serialize)]
pub struct DayReport {
    /// Which day.
    pub day: u32,
    /// How many sales.
    pub sales: u64,
    /// All sales, in cents.
    pub total_cents: u64,
    /// Half of the sales were below this, in cents.
    pub median_cents: u64,
    /// One sale in twenty was above this, in cents.
    pub p95_cents: u64,
    /// Cents by region, as in [`REGIONS`].
    pub region_cents: [u64; REGIONS.len()],
    /// The products that earned most, with their cents.
    pub best_products: Vec<(u32, u64)>,
}

impl Ledger {
    /// Makes a new database at `path` with [`DAYS`] past days, and starts its clerk.
    ///
    /// # Errors
    /// [`Kind::Database`] when the file cannot be made.
    pub fn create(path: &Path) -> Result<(Self, Clerk)> {
        let database = Database::create(path).map_err(failed("create the ledger"))?;
        write_past_days(&database)?;
        let database = Arc::new(database);
        let (orders, inbox) = mpsc::channel(QUEUE);
        let clerk = tokio::spawn(write_orders(Arc::clone(&database), inbox));
        Ok((Self { database, orders }, Clerk(clerk)))
    }

    /// Queues an order for the clerk; waits while the queue is full.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the clerk has ended.
    pub async fn enter(&self, order: Vec<Sale>) -> Result<()> {
        let closed = |_| Error::new(Kind::Unavailable, "the ledger is closed");
        self.orders.send(order).await.map_err(closed)
    }

    /// Adds up the sales of `day`. Blocks: reads about 3,000 rows.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a day without sales, [`Kind::Database`] when reading fails.
    pub fn report_day(&self, day: u32) -> Result<DayReport> {
        let sales = self.read_day(day)?;
        if sales.is_empty() {
            return Err(Error::new(Kind::NotFound, format!("no sales on day {day}")));
        }
        Ok(aggregate_day(day, &sales))
    }

    #[inline(never)]
    fn read_day(&self, day: u32) -> Result<Vec<Sale>> {
        let read = self.database.begin_read().map_err(failed("read the ledger"))?;
        let table = read.open_table(SALES).map_err(failed("open the sales"))?;
        let rows = table.range((day, 0)..=(day, u32::MAX)).map_err(failed("find the day"))?;
        rows.map(|row| {
            let (_, value) = row.map_err(failed("read a sale"))?;
            let (product, quantity, cents, region) = value.value();
            Ok(Sale { product, quantity, cents, region })
        })
        .collect()
    }
}

impl Clerk {
    /// Waits until all queued orders are on disk; returns how many orders there were.
    ///
    /// # Errors
    /// [`Kind::Database`] when an order could not be written.
    pub async fn finish(self) -> Result<u64> {
        self.0.await.map_err(Error::during(Kind::Database, "wait for the clerk"))?
    }
}

#[inline(never)]
fn aggregate_day(day: u32, sales: &[Sale]) -> DayReport {
    let mut cents: Vec<u64> = sales.iter().map(|sale| sale.cents).collect();
    cents.sort_unstable();
    let quantile = |percent: usize| cents.get(cents.len() * percent / 100).copied().unwrap_or(0);
    let mut region_cents = [0; REGIONS.len()];
    for sale in sales {
        if let Some(region) = region_cents.get_mut(usize::from(sale.region)) {
            *region += sale.cents;
        }
    }
    DayReport {
        day,
        sales: sales.len() as u64,
        total_cents: cents.iter().sum(),
        median_cents: quantile(50),
        p95_cents: quantile(95),
        region_cents,
        best_products: best_products(sales, 10),
    }
}

#[inline(never)]
fn best_products(sales: &[Sale], count: usize) -> Vec<(u32, u64)> {
    let mut by_product: Vec<(u32, u64)> =
        sales.iter().map(|sale| (sale.product, sale.cents)).collect();
    by_product.sort_unstable_by_key(|(product, _)| *product);
    by_product.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    by_product.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    by_product.truncate(count);
    by_product
}

/// Commits what is queued as one transaction, again and again, until the queue is closed.
async fn write_orders(
    database: Arc<Database>,
    mut inbox: mpsc::Receiver<Vec<Sale>>,
) -> Result<u64> {
    let mut written = 0;
    let mut next_number = 0;
    loop {
        let mut group = Vec::new();
        let orders = inbox.recv_many(&mut group, GROUP).await;
        if orders == 0 {
            return Ok(written);
        }
        let sales: Vec<Sale> = group.into_iter().flatten().collect();
        let first = next_number;
        next_number += u32::try_from(sales.len()).unwrap_or(u32::MAX);
        let database = Arc::clone(&database);
        let commit = move || commit_group(&database, TODAY, first, &sales);
        let joined = tokio::task::spawn_blocking(commit).await;
        joined.map_err(Error::during(Kind::Database, "run a commit"))??;
        written += orders as u64;
    }
}

#[inline(never)]
fn commit_group(database: &Database, day: u32, first: u32, sales: &[Sale]) -> Result<()> {
    let write = database.begin_write().map_err(failed("begin a commit"))?;
    {
        let mut table = write.open_table(SALES).map_err(failed("open the sales"))?;
        for (number, sale) in (first..).zip(sales) {
            let value = (sale.product, sale.quantity, sale.cents, sale.region);
            table.insert((day, number), value).map_err(failed("write a sale"))?;
        }
    }
    write.commit().map_err(failed("commit sales"))
}

fn write_past_days(database: &Database) -> Result<()> {
    let mut random = Random::new(14);
    for day in 1..=DAYS {
        let sales: Vec<Sale> = (0..SALES_A_DAY).map(|_| past_sale(&mut random)).collect();
        commit_group(database, day, 0, &sales)?;
    }
    Ok(())
}

fn past_sale(random: &mut Random) -> Sale {
    let quantity = 1 + random.below(5);
    let product = super::FIRST_ID + random.below(super::PRODUCTS);
    let cents = u64::from(quantity) * u64::from(300 + random.below(30_000));
    let region = u8::try_from(random.below(REGIONS.len() as u32)).unwrap_or(0);
    Sale { product, quantity, cents, region }
}

fn failed<S: std::fmt::Display>(doing: &'static str) -> impl Fn(S) -> Error {
    Error::during(Kind::Database, doing)
}
