//! Where finished profiles go: files, servers, and the queue before them.
//!
//! [`sinks`] makes the sinks of a [`Config`], [`Exporter`] runs them.

mod backoff;
mod exporter;
mod file;
#[cfg(feature = "push")]
mod http;
#[cfg(not(feature = "push"))]
#[path = "http_off.rs"]
mod http;
#[cfg(feature = "push")]
mod http_date;
mod inbox;
mod lane;
mod line;
mod pyroscope;
mod sink;
mod stats;
mod utc;

pub use exporter::Exporter;
pub use exporter::Options;
pub use exporter::Spawn;
pub use file::FileSink;
pub use pyroscope::PyroscopeSink;
pub use sink::PushError;
pub use sink::Sink;
pub use sink::Upload;
pub use stats::ExportStats;

use crate::config::{Config, Target};
use crate::error::Error;

/// Makes the sink of each of the config's targets, in their order. Nothing is written and nobody
/// is contacted yet.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for an HTTP target in a build without
/// the feature `push`, [`ErrorKind::Io`](crate::ErrorKind::Io) for a relative directory when the
/// working directory cannot be found.
pub fn sinks(config: &Config) -> Result<Vec<Box<dyn Sink>>, Error> {
    let sink = |target: &Target| -> Result<Box<dyn Sink>, Error> {
        match target {
            Target::File(dir) => Ok(Box::new(FileSink::new(dir, &config.service_name)?)),
            Target::Pyroscope(endpoint) => {
                Ok(Box::new(PyroscopeSink::new(endpoint.clone(), &config.http)?))
            }
        }
    };
    config.targets.iter().map(sink).collect()
}
