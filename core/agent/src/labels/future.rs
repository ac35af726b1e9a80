//! A future that carries labels.

use super::set::LabelSet;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A future under a label set: the set is current while it is polled, and what was current
    /// before is current again when the poll returns, so that other tasks of the thread are not
    /// affected. Made by [`LabelSet::wrap`].
    ///
    /// ```
    /// # async fn load() -> u32 { 1 }
    /// # fn main() {
    /// let task = sondage::labels([("job", "refresh")]).wrap(async { load().await + load().await });
    /// # let _ = task; }
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Labeled<F> {
        labels: LabelSet,
        #[pin]
        future: F,
    }
}

impl<F> Labeled<F> {
    pub(super) fn new(labels: LabelSet, future: F) -> Self {
        Self { labels, future }
    }
}

impl<F: Future> Future for Labeled<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _guard = this.labels.enter();
        this.future.poll(context)
    }
}
