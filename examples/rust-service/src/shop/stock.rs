//! How many of each product are left: one task owns the numbers, requests ask it over a channel.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Kind, Result};

const QUEUE: usize = 1_024;
/// A shelf starts with this many, and is filled up again when fewer than a delivery are left.
const SHELF: u32 = 5_000;

/// Asks the task that owns the stock. Cheap to call from every request.
#[derive(Debug)]
pub struct StockRoom {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    product: u32,
    take: u32,
    answer: oneshot::Sender<u32>,
}

impl StockRoom {
    /// Starts the owning task on the current runtime; it ends when the room is dropped.
    pub fn open() -> Self {
        let (requests, inbox) = mpsc::channel(QUEUE);
        tokio::spawn(keep_stock(inbox));
        Self { requests }
    }

    /// Returns how many of `product` are left.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the task has ended.
    pub async fn left(&self, product: u32) -> Result<u32> {
        self.take(product, 0).await
    }

    /// Takes `quantity` of `product` from the shelf; returns how many are left.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the task has ended.
    pub async fn take(&self, product: u32, quantity: u32) -> Result<u32> {
        let (answer, answered) = oneshot::channel();
        let closed = || Error::new(Kind::Unavailable, "the stock room is closed");
        let request = Request { product, take: quantity, answer };
        self.requests.send(request).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }
}

async fn keep_stock(mut inbox: mpsc::Receiver<Request>) {
    let mut shelves: HashMap<u32, u32> = HashMap::new();
    while let Some(Request { product, take, answer }) = inbox.recv().await {
        let left = shelves.entry(product).or_insert(SHELF);
        if *left < take {
            *left += SHELF;
        }
        *left = left.saturating_sub(take);
        // A requester that went away still took what it asked for.
        let _ = answer.send(*left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_until_the_shelf_is_filled_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let room = StockRoom::open();
            assert_eq!(room.left(1).await.unwrap(), SHELF);
            assert_eq!(room.take(1, SHELF - 1).await.unwrap(), 1);
            assert_eq!(room.left(2).await.unwrap(), SHELF);
            assert_eq!(room.take(1, 2).await.unwrap(), SHELF - 1);
        });
    }
}
