//! HotSpot in this process: what a binding finds out about it, for the sampler.
//!
//! A binding reads what the virtual machine says of itself ([`read_facts`]), checks that known frames
//! are read as they are, tells which threads are those of Java ([`thread_starts`]), and announces
//! it. Samples taken from then on have frames of Java.

pub use sondage_sampler::walk::hotspot::CodeCache;
pub use sondage_sampler::walk::hotspot::Continuations;
pub use sondage_sampler::walk::hotspot::Facts;
pub use sondage_sampler::walk::hotspot::LabelPlace;
pub use sondage_sampler::walk::hotspot::Layout;
pub use sondage_sampler::walk::hotspot::ThreadLocals;
pub use sondage_sampler::walk::hotspot::Unsupported;
pub use sondage_sampler::walk::hotspot::labels_are_at;
pub use sondage_sampler::walk::hotspot::stop_reading;
pub use sondage_sampler::walk::hotspot::thread_ends;
pub use sondage_sampler::walk::hotspot::thread_starts;

use crate::resolve::{OwnPages, java_class, line_of};
use sondage_sampler::walk::hotspot::{Capture, Definition, HotspotFrame};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A HotSpot whose frames can be read.
#[derive(Clone, Debug)]
pub struct Announced {
    /// Where it keeps things.
    pub facts: Facts,
    /// An address in libjvm's code: so its file is known.
    pub inside: u64,
    /// The code that the virtual machine has made for itself, in order of addresses.
    pub stubs: Vec<Stub>,
}

/// A piece of code that the virtual machine has made for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stub {
    /// Where it is.
    pub range: Range<u64>,
    /// Its name: `jbyte_arraycopy`.
    pub name: Arc<str>,
}

/// Not behind a lock, which a forked child could find held for good.
static ANNOUNCED: OnceLock<Announced> = OnceLock::new();

/// Makes samplers that start from now on read frames of Java. Returns `false`, and changes nothing,
/// when a virtual machine was announced before.
pub fn announce(hotspot: Announced) -> bool {
    ANNOUNCED.set(hotspot).is_ok()
}

/// What was announced.
pub fn announced() -> Option<&'static Announced> {
    ANNOUNCED.get()
}

/// What the virtual machine says of itself: `symbol` finds what libjvm exports.
///
/// # Errors
/// See [`Unsupported`].
pub fn read_facts(symbol: &dyn Fn(&str) -> Option<u64>) -> Result<Facts, Unsupported> {
    Facts::read(&mut OwnPages::default(), symbol)
}

/// A class as profiles show it, with dots and without what differs from run to run:
/// `app.Main$$Lambda` for `app/Main$$Lambda$16/0x0000000800c03000`.
pub fn class_name(internal: &str) -> String {
    java_class(internal)
}

/// The operating system's numbers of `JavaThread`s, each with its thread; without those that have none.
pub fn thread_numbers(facts: &Facts, threads: &[u64]) -> Vec<(i32, u64)> {
    let mut memory = OwnPages::default();
    let number = |thread| facts.thread_number(&mut memory, thread).zip(Some(thread));
    threads.iter().copied().filter_map(number).collect()
}

/// Bytes of the objects of a class, given the object that stands for it; `None` if that is not the
/// class of this name.
pub fn object_bytes(facts: &Facts, class_object: u64, name: &str) -> Option<u16> {
    facts.object_bytes(OwnPages::default(), class_object, name)
}

/// A frame of Java as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFrame {
    /// The class as HotSpot has it, with slashes.
    pub class: Vec<u8>,
    /// The method.
    pub method: Vec<u8>,
    /// Its signature.
    pub signature: Vec<u8>,
    /// The instruction of its bytecode.
    pub place: Option<u16>,
    /// Its line; 0 if unknown.
    pub line: u32,
}

impl fmt::Display for SeenFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [class, method] = [&self.class, &self.method].map(|text| String::from_utf8_lossy(text));
        let place = self.place.map_or(-1, i32::from);
        write!(f, "{class}.{method} at {place}")
    }
}

/// Reads frames by facts, right or wrong, for a binding to compare them with what it knows.
#[derive(Debug)]
pub struct Check(Capture);

impl Check {
    /// `None` where there is no memory for it.
    pub fn new() -> Option<Self> {
        Capture::new().ok().map(Self)
    }

    /// The frames of Java of the calling thread, leaf first, from where it left Java to the first
    /// native frame; `None` in place of one that cannot be read. `thread` is its `JavaThread`.
    pub fn thread(&mut self, facts: &Facts, thread: u64) -> Vec<Option<SeenFrame>> {
        self.0.read_thread(facts, thread);
        self.seen()
    }

    /// What runs at an address of compiled code, as [`Check::thread`].
    pub fn code(&mut self, facts: &Facts, pc: u64) -> Vec<Option<SeenFrame>> {
        self.0.read_code(facts, pc);
        self.seen()
    }

    fn seen(&self) -> Vec<Option<SeenFrame>> {
        self.0.frames().map(|frame| self.look_at(frame)).collect()
    }

    fn look_at(&self, frame: HotspotFrame) -> Option<SeenFrame> {
        let HotspotFrame::Method { number, place, .. } = frame else { return None };
        let method = Definition::parse(self.0.definition(number)?)?;
        let line = line_of(&method, place);
        let [class, name, signature] = [method.class, method.method, method.signature];
        let [class, method, signature] = [class, name, signature].map(<[u8]>::to_vec);
        Some(SeenFrame { class, method, signature, place, line })
    }
}
