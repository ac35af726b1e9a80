//! V8: from frames of samples to functions, files and lines of JavaScript.

mod baseline;
mod javascript;
mod positions;
mod script;

pub use javascript::JavaScript;
pub use javascript::JavaScriptFrame;
