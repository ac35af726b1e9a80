//! The profile model: interned tables, aggregation and encodings. No I/O happens here.
//!
//! | module | reads | writes |
//! |---|---|---|
//! | [`pprof`] | yes | yes: nothing of the model is lost |
//! | [`folded`] | yes | one column, names only |
//! | [`speedscope`] | no | every column, names and files |
//! | [`view`] | no | everything the HTML page shows |
//! | [`report`] | no | tables for terminals, scripts and pull requests |
//! | [`diff`] | no | what changed between two profiles, and whether a build may pass |
//!
//! Reading is bounded: what exceeds a constant of [`limits`] is refused with an error.

mod covered;
pub mod diff;
mod extra_strings;
pub mod folded;
mod frame;
pub mod html;
mod id;
pub mod limits;
mod loss;
mod merge;
mod model;
mod part;
pub mod pprof;
pub mod report;
mod scale;
pub mod speedscope;
mod table;
pub mod view;

pub(crate) use extra_strings::ExtraStrings;
pub use id::FunctionId;
pub use id::LabelSetId;
pub use id::LocationId;
pub use id::MappingId;
pub use id::StackId;
pub use id::StringId;
pub use loss::Loss;
pub use loss::LossCause;
pub use model::Function;
pub use model::Line;
pub use model::Location;
pub use model::Mapping;
pub use model::Meta;
pub use model::Profile;
pub use model::Sample;
pub use model::ValueType;
pub(crate) use part::Rename;
pub(crate) use part::Selection;
pub(crate) use part::unchanged;
