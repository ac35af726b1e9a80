//! HotSpot: methods and lines, decoded from what the sampler has copied.

mod lines;
mod methods;
mod names;

pub(crate) use lines::line_of;
pub use methods::JavaMethod;
pub use methods::Methods;
pub use names::class;
