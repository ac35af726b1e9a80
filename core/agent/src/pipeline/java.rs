//! What the agent thread knows of the HotSpot in this process, and how stacks with its frames are
//! shown.

use super::frames::SourceFrame;
use super::managed::{Managed, OwnFile, Shown};
use crate::hotspot::Announced;
use crate::profile::LossCause;
use crate::resolve::{CodeSource, Mappings, Methods};
use sondage_sampler::walk::hotspot::HotspotFrame;
use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// Where Java was left, the virtual machine has written down, so that only threads of its own have
/// whole stacks by tables alone. That of libjvm takes some 30 ms.
const PATIENCE: Duration = Duration::from_millis(300);

/// Words whose frames are remembered.
const MAX_KNOWN: usize = 1 << 16;

/// Where a virtual thread begins; what is above it belongs to the thread that carries it.
const CARRIED: &str = "jdk.internal.vm.Continuation.enter";

/// HotSpot's code, and the methods that samples named.
#[derive(Debug)]
pub(super) struct Java {
    hotspot: Cow<'static, Announced>,
    own: OwnFile,
    /// Whether native frames of libjvm are shown where they are not the leaf.
    internals: bool,
    methods: Methods,
    generation: u64,
    known: HashMap<u64, Rc<[SourceFrame]>>,
}

impl Java {
    pub(super) fn new(hotspot: Cow<'static, Announced>, internals: bool) -> Self {
        Self {
            hotspot,
            own: OwnFile::default(),
            internals,
            methods: Methods::default(),
            generation: 0,
            known: HashMap::new(),
        }
    }

    fn frame(&mut self, source: &dyn CodeSource, word: u64) -> Option<Rc<[SourceFrame]>> {
        if self.generation != source.generation() || self.known.len() > MAX_KNOWN {
            self.generation = source.generation();
            self.known.clear();
        }
        if let Some(known) = self.known.get(&word) {
            return Some(known.clone());
        }
        let HotspotFrame::Method { number, place, .. } = HotspotFrame::from_word(word)? else {
            return None;
        };
        let method = self.methods.resolve(source, number, place)?;
        let frame = SourceFrame {
            name: method.name,
            file: method.file,
            start_line: method.start_line,
            line: method.line,
        };
        let frames: Rc<[_]> = [frame].into();
        self.known.insert(word, frames.clone());
        Some(frames)
    }
}

/// The frame of a stub, which has no source.
fn stub(hotspot: &Announced, address: u64) -> Option<Rc<[SourceFrame]>> {
    let after = hotspot.stubs.partition_point(|stub| stub.range.start <= address);
    let stub = hotspot.stubs.get(after.checked_sub(1)?)?;
    let name = stub.range.contains(&address).then(|| stub.name.clone())?;
    Some([SourceFrame { name, file: "".into(), start_line: 0, line: 0 }].into())
}

impl Managed for Java {
    fn is_frame(&self, word: u64) -> bool {
        HotspotFrame::from_word(word).is_some()
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn has_part_in(&self, words: &[u64]) -> bool {
        let leaf = words.first().and_then(|leaf| stub(&self.hotspot, *leaf));
        leaf.is_some() || words.iter().any(|word| self.is_frame(*word))
    }

    fn find_code(&mut self, modules: &mut Mappings) {
        self.own.find(modules, self.hotspot.inside);
    }

    /// Native frames of libjvm are hidden where they are not the leaf, and so is what started the
    /// thread: all that is root-ward of the last frame of Java; and the thread that carries a
    /// virtual one.
    fn shown(&mut self, words: &[u64], source: &dyn CodeSource) -> Vec<Shown> {
        let last = words.iter().rposition(|word| self.is_frame(*word)).unwrap_or(words.len());
        let mut shown = Vec::with_capacity(words.len());
        for (depth, word) in words.iter().enumerate() {
            if self.is_frame(*word) {
                let frames = self.frame(source, *word);
                let carried = frames.as_ref().is_some_and(|it| it.iter().any(is_root));
                shown.push(frames.map_or(Shown::Lost, Shown::Source));
                if carried && !self.internals {
                    break;
                }
            } else if depth == 0 {
                let native = match self.own.holds(*word) {
                    true => Shown::Named(*word),
                    false => Shown::Native(*word),
                };
                shown.push(stub(&self.hotspot, *word).map_or(native, Shown::Source));
            } else {
                let address = word.saturating_sub(1);
                if self.internals || (depth < last && !self.own.holds(address)) {
                    shown.push(Shown::Native(address));
                }
            }
        }
        shown
    }

    fn lost(&self) -> (&'static str, LossCause) {
        ("[java frame lost]", LossCause::JavaLost)
    }
}

fn is_root(frame: &SourceFrame) -> bool {
    &*frame.name == CARRIED
}
