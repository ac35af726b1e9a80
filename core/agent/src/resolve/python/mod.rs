//! CPython's code objects, as the handler copied them: names, files and lines.
//!
//! The copies come from the interpreter's memory and are read as anything else from there: what
//! does not fit together is left unknown, and every loop is bounded by the bytes it reads.

mod codes;
mod line_table;
mod text;

pub use codes::CodeSource;
pub use codes::Codes;
pub use codes::PythonFunction;
pub use line_table::LineRange;
pub use line_table::LineRanges;
pub use line_table::line_at;
pub use text::read_text;
