//! The profile model: interned tables, aggregation and encodings. No I/O happens here.

mod model;

pub use model::Function;
pub use model::FunctionId;
pub use model::LabelSetId;
pub use model::Line;
pub use model::Location;
pub use model::LocationId;
pub use model::Loss;
pub use model::LossCause;
pub use model::Mapping;
pub use model::MappingId;
pub use model::Meta;
pub use model::Profile;
pub use model::Sample;
pub use model::StackId;
pub use model::StringId;
pub use model::ValueType;
