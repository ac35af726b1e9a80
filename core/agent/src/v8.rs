//! V8 in this process: what a binding finds out about it, for the sampler.
//!
//! A binding describes V8 by the constants that it exports ([`Layout::new`]), has each isolate
//! attached by its thread ([`Attached`]), checks that known frames are read as they are ([`look`]),
//! and announces the layout. Samples taken from then on have frames of JavaScript.

pub use sondage_sampler::Registers;
pub use sondage_sampler::walk::Number;
pub use sondage_sampler::walk::v8::Attached;
pub use sondage_sampler::walk::v8::Facts;
pub use sondage_sampler::walk::v8::Layout;
pub use sondage_sampler::walk::v8::STORE_BYTES;
pub use sondage_sampler::walk::v8::STORE_MAGIC;
pub use sondage_sampler::walk::v8::Unsupported;
pub use sondage_sampler::walk::v8::Version;
pub use sondage_sampler::walk::v8::collection_begins;
pub use sondage_sampler::walk::v8::collection_ends;

use crate::labels::LabelSet;
use crate::resolve::{CodeSource, JavaScript, JavaScriptFrame};
use sondage_sampler::walk::v8::{Capture, Definition, Tier, V8Frame, current_labels, read_text};
use std::sync::OnceLock;

/// A V8 whose frames can be read.
#[derive(Clone, Copy, Debug)]
pub struct Announced {
    /// Where it keeps things.
    pub layout: Layout,
    /// An address in the machine code that V8 brings along: so its file is known.
    pub builtins: u64,
    /// The process that it is in, if it is not this one.
    pub pid: Option<u32>,
}

/// Not behind a lock, which a forked child could find held for good.
static ANNOUNCED: OnceLock<Announced> = OnceLock::new();

/// Makes samplers that start from now on read frames of JavaScript. Returns `false`, and changes
/// nothing, when a layout was announced before.
pub fn announce(v8: Announced) -> bool {
    ANNOUNCED.set(v8).is_ok()
}

/// What was announced.
pub fn announced() -> Option<Announced> {
    ANNOUNCED.get().copied()
}

/// The frames of JavaScript of the calling thread, as a layout reads them: leaf first, from where
/// V8 was left, to the first native frame.
#[derive(Debug)]
pub struct Seen {
    /// What is read.
    pub frames: Vec<SeenFrame>,
    /// How much could not be read, or makes no sense.
    pub lost: usize,
    /// The labels of what runs.
    pub labels: LabelSet,
}

/// A frame that is read.
#[derive(Debug)]
pub struct SeenFrame {
    /// The function and the line.
    pub frame: JavaScriptFrame,
    /// What made the code of the frame of V8 that it is, or was inlined into.
    pub tier: &'static str,
    /// Whether a frame of the interpreter is at a call of its function, as it must be.
    pub exact: bool,
}

impl CodeSource for Capture {
    fn code(&self, id: u32) -> Option<&[u8]> {
        self.definition(id)
    }

    fn generation(&self) -> u64 {
        1
    }
}

/// See [`Seen`]; `registers` are those of V8's first frame. Lines of code that Sparkplug made are not
/// among it. Nothing where there is no memory for it.
pub fn look(layout: &Layout, attached: &Attached, registers: Registers) -> Option<Seen> {
    let capture = Capture::take(layout, attached, registers).ok()?;
    let mut javascript = JavaScript::new(layout.positions_are_unsigned, None);
    let (mut frames, mut lost) = (Vec::new(), 0);
    for frame in capture.frames() {
        let V8Frame::Code { code, offset } = frame else {
            lost += usize::from(frame == V8Frame::Lost);
            continue;
        };
        let definition = capture.code(code).and_then(Definition::parse);
        let tier = match definition {
            Some(Definition::Bytecode { .. }) => "ignition",
            Some(Definition::Baseline { .. }) => "sparkplug",
            Some(Definition::Optimized { tier: Tier::Maglev, .. }) => "maglev",
            Some(Definition::Optimized { tier: Tier::Turbofan, .. }) => "turbofan",
            _ => "builtin",
        };
        lost += usize::from(!definition.is_some_and(|it| javascript.makes_sense(&it)));
        let read = javascript.resolve(&capture, code, offset);
        lost += usize::from(read.is_none());
        let exact = definition.is_some_and(|it| javascript.is_exact(&it, offset));
        let read = read.into_iter().flatten();
        frames.extend(read.map(|frame| SeenFrame { frame, tier, exact }));
    }
    let labels = LabelSet::from_raw(current_labels(layout, attached));
    Some(Seen { frames, lost, labels })
}

/// A string of V8 as a layout reads it, given the tagged pointer to it.
pub fn text(layout: &Layout, string: u64) -> Option<String> {
    let mut units = Vec::new();
    let mut half = None;
    let read = read_text(layout, string, |width, byte| match (width, half.take()) {
        (1, _) => units.push(u16::from(byte)),
        (_, Some(low)) => units.push(u16::from_ne_bytes([low, byte])),
        (_, None) => half = Some(byte),
    });
    read.then(|| String::from_utf16_lossy(&units))
}
