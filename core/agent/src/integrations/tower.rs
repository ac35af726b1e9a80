//! A layer that labels the work of each request.

use crate::labels::{LabelSet, Labeled};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Wraps a service so that everything it does for a request carries the labels that `choose`
/// returns for it. Return the route's template, never the raw URL: labels are kept for the life
/// of the process.
#[derive(Clone, Copy, Debug)]
pub struct LabelLayer<F> {
    choose: F,
}

impl<F> LabelLayer<F> {
    /// A layer that asks `choose` for the labels of each request.
    pub fn new<R>(choose: F) -> Self
    where
        F: Fn(&R) -> LabelSet,
    {
        Self { choose }
    }
}

impl<S, F: Clone> Layer<S> for LabelLayer<F> {
    type Service = LabelService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        LabelService { inner, choose: self.choose.clone() }
    }
}

/// The service that [`LabelLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct LabelService<S, F> {
    inner: S,
    choose: F,
}

impl<S, F, R> Service<R> for LabelService<S, F>
where
    S: Service<R>,
    F: Fn(&R) -> LabelSet,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Labeled<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let labels = (self.choose)(&request);
        let inner = &mut self.inner;
        labels.wrap(labels.scope(|| inner.call(request)))
    }
}
