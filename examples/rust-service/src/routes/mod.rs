//! One file a route: each reads the request, calls the shop and writes the answer.

pub mod checkout;
pub mod export;
pub mod products;
pub mod reports;
pub mod search;

use crate::error::{Error, Kind, Result};

/// Starts `work` at once, under the request's labels, on a thread that may block; the future
/// waits for it.
fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> impl Future<Output = Result<T>> {
    let task = sondage::tokio::spawn_blocking(work);
    async { task.await.map_err(Error::during(Kind::Io, "finish work on a blocking thread"))? }
}
