//! Bounds on what is read and written, so that a hostile file costs bounded time and memory.
//!
//! They are far above real profiles: a busy service's minute has some 10,000 samples, 50 frames
//! deep, which is 500,000 frames.

/// Bytes of an input after decompression: 64 MiB.
pub const MAX_INPUT_BYTES: usize = 64 << 20;

/// Bytes of a text that repeats names (folded stacks, speedscope): 256 MiB.
pub const MAX_OUTPUT_BYTES: usize = 256 << 20;

/// Entries in each table of an input: strings, mappings, functions, locations, samples.
pub const MAX_ENTRIES: usize = 1 << 20;

/// Columns of an input.
pub const MAX_SAMPLE_TYPES: usize = 64;

/// Frames of one stack of an input, inlined ones included.
pub const MAX_STACK_FRAMES: usize = 1 << 16;

/// Frames of all samples of an input together, inlined ones included.
pub const MAX_FRAMES: usize = 16 << 20;

/// Labels of all samples of an input together.
pub const MAX_LABELS: usize = 4 << 20;

/// Bytes of text that the functions, mappings and sample labels of an input name, each use
/// counted: 256 MiB. It keeps short references to one long string from growing on the way out.
pub const MAX_TEXT_BYTES: usize = 256 << 20;

/// Bytes of one message of a pprof file (a sample, a location, packed comments): 1 MiB.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// Comments of a pprof file.
pub const MAX_COMMENTS: usize = 1 << 10;

/// Process-wide labels of a pprof file; further ones stay comments.
pub const MAX_META_LABELS: usize = 64;

/// Bytes of a process-wide label's name in a pprof file; a longer one stays a comment.
pub const MAX_META_KEY_BYTES: usize = 256;
