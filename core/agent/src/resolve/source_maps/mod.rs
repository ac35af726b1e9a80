//! JavaScript's source maps: from where V8 runs a script to the line that a person wrote.
//!
//! A script names its map in a comment at its end. Maps are read when a sample first falls into
//! their script, on the agent's thread, and treated as hostile: no network, regular files only,
//! at most 32 MiB of them, and what is kept is bounded. A map that cannot be used costs its names
//! and nothing else.

mod comment;
mod data_url;
mod document;
mod kept;
mod load;
mod location;
mod map;
mod originals;
mod script;
mod stamp;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use originals::SourceMaps;
pub(crate) use script::ScriptText;
