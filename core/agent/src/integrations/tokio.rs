//! Tasks that carry the labels of whoever started them.
//!
//! Give [`crate::register_thread`] to the runtime's builder, so that its threads are sampled from
//! their first instant:
//!
//! ```
//! let runtime = tokio::runtime::Builder::new_multi_thread()
//!     .on_thread_start(sondage::register_thread)
//!     .build()?;
//! # Ok::<(), std::io::Error>(())
//! ```

use crate::labels::LabelSet;
use std::future::Future;
use tokio::task::JoinHandle;

/// [`tokio::spawn`] under the caller's labels.
///
/// # Panics
/// Outside a runtime, as the original does.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(LabelSet::current().wrap(future))
}

/// [`tokio::task::spawn_blocking`] under the caller's labels.
///
/// # Panics
/// Outside a runtime, as the original does.
pub fn spawn_blocking<F, T>(work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let labels = LabelSet::current();
    tokio::task::spawn_blocking(move || labels.scope(work))
}
