//! What a process under `sondage record` does: it records itself, and hands its profile over in a
//! directory that belongs to the recording.
#![forbid(unsafe_code)]

mod file;
mod phase;
mod recorder;
mod recording;

pub use file::write;
pub use phase::end;
pub use phase::stand_down;
pub use recorder::Options;
pub use recorder::PATIENCE;
pub use recorder::begin;
pub use recorder::begin_in_child;
pub use recorder::is_ready;
pub use recorder::take_over;
pub use recorder::with_agent;
