//! V8: from frames of samples to functions, files and lines of JavaScript.

mod baseline;
mod javascript;
mod lines;
mod positions;
mod script;

pub use javascript::JavaScript;
pub use javascript::JavaScriptFrame;
#[cfg(all(test, feature = "node"))]
pub(crate) use lines::LineIndex;
