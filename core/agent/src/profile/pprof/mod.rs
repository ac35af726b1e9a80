//! pprof files: what `go tool pprof` and most backends read.
//!
//! [`encode()`] writes everything a [`Profile`](super::Profile) holds and [`decode()`] brings it
//! back. What pprof has no field for travels in comments, one fact a line, which pprof's own tool prints
//! with `-comments`:
//!
//! | comment | meaning |
//! |---|---|
//! | `sondage:label service_name=shop` | a process-wide label |
//! | `sondage:source timer` | an engine that took samples |
//! | `sondage:lost unsampled=123 nanoseconds` | weight lost to a cause |
//! | `sondage:cost 123 nanoseconds` | CPU time of profiling itself |
//! | `sondage:comment TEXT` | a comment of the user that itself begins with `sondage:` |
//!
//! In these lines `%`, control characters and, in a label's name, `=` are written as `%` and two
//! hexadecimal digits for each byte of their UTF-8 form. Lines of this form with another second
//! word, or that do not parse, stay comments.
//!
//! Ids are 1..n in table order. Labels of samples are string labels. The default sample type is
//! [`Profile::default_column`](super::Profile::default_column).
//!
//! Read from other writers' files: numeric labels become text (`512 bytes`), of a label given
//! twice the last value stays, and `drop_frames`, `keep_frames`, columns within a line and the
//! file's own default sample type are not kept.

mod comment;
mod decode;
mod encode;
mod message;
mod wire;

pub use decode::decode;
pub use encode::encode;
pub use encode::encode_gz;
pub(crate) use encode::encode_with;
pub(crate) use encode::gzip;
