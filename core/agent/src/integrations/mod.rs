//! Labels for the frameworks that a service is built with; each behind a feature of its name.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "opentelemetry")]
mod local_roots;
#[cfg(feature = "opentelemetry")]
pub mod opentelemetry;
#[cfg(all(feature = "opentelemetry", feature = "tracing"))]
mod span_ids;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
pub mod tracing;
