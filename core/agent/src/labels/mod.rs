//! Labels: what a thread is working on, taken with every sample.
//!
//! A label set is interned once into a small number; a span's and a trace's id are numbers already.
//! Making them current is a few stores into a thread-local that the signal handler reads, so a
//! change costs some nanoseconds and nothing is sent, locked or hashed.
//!
//! ```
//! let checkout = sondage::labels([("route", "/checkout")]);
//! checkout.scope(|| {
//!     // CPU time spent here carries route=/checkout, on top of what was current before.
//! });
//! ```

mod cell;
mod future;
mod generations;
mod ids;
mod set;

pub use cell::label_cell;
pub use cell::register_thread;
pub use future::Labeled;
pub use set::Guard;
pub use set::LabelSet;
pub use set::labels;

pub(crate) use cell::process_forked;
pub(crate) use cell::sampler_started;
pub(crate) use cell::sampler_stopped;
pub(crate) use ids::pairs as id_pairs;
pub(crate) use set::Interned;
pub(crate) use set::limit_sets;
