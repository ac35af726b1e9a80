//! Where finished profiles go: files, servers, and the queue before them.
//!
//! [`sinks`] makes the sinks of a [`Config`], [`Exporter`] runs them.

mod backoff;
mod datadog;
mod exporter;
mod file;
mod file_name;
mod groups;
mod headed;
mod inbox;
mod label_name;
mod lane;
mod line;
mod net;
mod otlp;
mod parca;
mod pending;
mod pyroscope;
mod shared;
mod sink;
mod source;
mod spool;
mod stats;
mod utc;
mod verdict;

pub use datadog::DatadogSink;
pub use exporter::Exporter;
pub use exporter::Options;
pub use exporter::Spawn;
pub use exporter::SpoolOptions;
pub use file::FileLimits;
pub use file::FileSink;
pub use file_name::FileKind;
pub use file_name::FileName;
pub use otlp::OtlpSink;
pub use parca::ParcaSink;
pub use pyroscope::IngestSink;
pub use pyroscope::PyroscopeSink;
pub use sink::PushError;
pub use sink::Sink;
pub use sink::Upload;
pub use source::Source;
pub use stats::ExportStats;
pub use utc::rfc3339;

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

/// Makes the sink of each of the config's targets that profiles are sent to, in their order.
/// Nothing is written and nobody is contacted yet.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a server in a build without the feature `push` or `grpc`,
/// [`ErrorKind::Io`] for a relative directory when the working directory cannot be found.
pub fn sinks(config: &Config) -> Result<Vec<Box<dyn Sink>>, Error> {
    let (http, trace_ids) = (&config.http, config.trace_ids);
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    for target in &config.targets {
        sinks.push(match target {
            Target::File(dir) => {
                let sink = FileSink::new(dir, &config.service_name)?;
                Box::new(sink.with_limits(config.limits.files))
            }
            Target::Pyroscope(to) => Box::new(PyroscopeSink::new(to.clone(), http, trace_ids)?),
            Target::PyroscopeIngest(to) => Box::new(IngestSink::new(to.clone(), http, trace_ids)?),
            Target::OtlpHttp(to) => Box::new(OtlpSink::over_http(to, http, trace_ids)?),
            Target::OtlpGrpc(to) => Box::new(OtlpSink::over_grpc(to, http, trace_ids)?),
            Target::Parca(to) => Box::new(ParcaSink::new(to, http, trace_ids)?),
            Target::Datadog(to) => Box::new(DatadogSink::to_agent(to, http)?),
            Target::DatadogIntake(to) => Box::new(DatadogSink::to_intake(to, http)?),
            // Fetched by others.
            Target::Pull(_) => continue,
        });
    }
    Ok(sinks)
}
