//! CPython: frames of the running thread, read from the interpreter's own structures.

mod definition;
mod word;

pub use definition::CodeDefinition;
pub use definition::CodeShape;
pub use definition::LineTable;
pub use definition::Text;
pub use word::PythonFrame;
