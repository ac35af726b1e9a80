//! V8 in this process: what a binding finds out about it, for the sampler.
//!
//! A binding describes V8 by the constants that it exports ([`Layout::new`]), has each isolate
//! attached by its thread ([`Attached`]), checks that known frames are read as they are ([`check`]),
//! and announces the layout. Samples taken from then on have frames of JavaScript.

pub use sondage_sampler::Registers;
pub use sondage_sampler::walk::v8::Attached;
pub use sondage_sampler::walk::v8::Facts;
pub use sondage_sampler::walk::v8::Layout;
pub use sondage_sampler::walk::v8::Number;
pub use sondage_sampler::walk::v8::STORE_BYTES;
pub use sondage_sampler::walk::v8::STORE_MAGIC;
pub use sondage_sampler::walk::v8::Unsupported;
pub use sondage_sampler::walk::v8::Version;
pub use sondage_sampler::walk::v8::collection_begins;
pub use sondage_sampler::walk::v8::collection_ends;

use crate::labels::LabelSet;
use crate::resolve::{CodeSource, JavaScript, JavaScriptFrame};
use sondage_sampler::walk::v8::{Capture, Definition, Tier, V8Frame, current_labels};
use std::sync::OnceLock;

/// A V8 whose frames can be read.
#[derive(Clone, Copy, Debug)]
pub struct Announced {
    /// Where it keeps things.
    pub layout: Layout,
    /// An address in the machine code that V8 brings along: so its file is known.
    pub builtins: u64,
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
    /// What is read; a frame that cannot be is left out.
    pub frames: Vec<JavaScriptFrame>,
    /// Which compilers made the code of each of V8's own frames, leaf first.
    pub tiers: Vec<&'static str>,
    /// The labels of what runs.
    pub labels: LabelSet,
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
    let mut javascript = JavaScript::new(layout.positions_are_unsigned);
    let (mut frames, mut tiers) = (Vec::new(), Vec::new());
    for frame in capture.frames() {
        let V8Frame::Code { code, offset } = frame else { continue };
        let definition = capture.code(code).and_then(Definition::parse);
        tiers.push(match definition {
            Some(Definition::Bytecode { .. }) => "ignition",
            Some(Definition::Baseline { .. }) => "sparkplug",
            Some(Definition::Optimized { tier: Tier::Maglev, .. }) => "maglev",
            Some(Definition::Optimized { tier: Tier::Turbofan, .. }) => "turbofan",
            _ => "builtin",
        });
        frames.extend(javascript.resolve(&capture, code, offset).unwrap_or_default());
    }
    let labels = LabelSet::from_raw(current_labels(layout, attached));
    Some(Seen { frames, tiers, labels })
}
