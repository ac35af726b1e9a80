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
mod pending;
mod pyroscope;
mod shared;
mod sink;
mod spool;
mod stats;
mod utc;

pub use exporter::Exporter;
pub use exporter::Options;
pub use exporter::Spawn;
pub use exporter::SpoolOptions;
pub use file::FileSink;
pub use pyroscope::PyroscopeSink;
pub use sink::PushError;
pub use sink::Sink;
pub use sink::Upload;
pub use stats::ExportStats;

use crate::config::{Config, Target};
use crate::error::{Error, ErrorKind};

impl Options {
    /// What a configuration says about delivery.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] for a relative spool when the working directory
    /// cannot be found.
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        let spool = config.spool.as_ref().map(|dir| {
            let dir = std::path::absolute(dir).map_err(|error| {
                let message = format!("spool {}: no working directory: {error}", dir.display());
                Error::new(ErrorKind::Io, message).with_source(error)
            })?;
            let (max_bytes, service) = (config.limits.spool_bytes, config.service_name.clone());
            Ok::<_, Error>(SpoolOptions { dir, max_bytes, service })
        });
        let options = Self::default().with_interval(config.interval);
        Ok(Self { spool: spool.transpose()?, ..options })
    }
}

/// Makes the sink of each of the config's targets, in their order. Nothing is written and nobody
/// is contacted yet.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for an HTTP target in a build without
/// the feature `push`, [`ErrorKind::Io`] for a relative directory when the
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
