//! What the agent thread knows of the V8 in this process, and how stacks with its frames are shown.

use crate::resolve::{CodeSource, FileIndex, JavaScript, JavaScriptFrame, Modules};
use crate::v8::Announced;
use sondage_sampler::walk::v8::V8Frame;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// Words whose frames are remembered.
const MAX_KNOWN: usize = 1 << 16;

/// V8's code, and the functions that samples named.
#[derive(Debug)]
pub(crate) struct Scripted {
    v8: Announced,
    /// Whether native frames of V8's file are shown where they are not the leaf.
    internals: bool,
    javascript: JavaScript,
    /// The list of modules by which the mappings were found.
    revision: u64,
    file: Option<FileIndex>,
    /// The mappings of V8's file.
    own: Vec<Range<u64>>,
    generation: u64,
    known: HashMap<u64, Rc<[JavaScriptFrame]>>,
}

/// A frame of a stack as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shown {
    /// A native address, of which only the name is shown.
    Named(u64),
    /// A native address.
    Native(u64),
    /// Frames of JavaScript, leaf first.
    JavaScript(Rc<[JavaScriptFrame]>),
    /// Garbage is collected.
    GarbageCollector,
    /// A compiled regular expression.
    Regexp,
    /// A frame that could not be read.
    Lost,
}

/// Whether a stack has frames of V8.
pub(super) fn has_javascript(words: &[u64]) -> bool {
    words.iter().any(|word| V8Frame::from_word(*word).is_some())
}

impl Scripted {
    pub(crate) fn new(v8: Announced, internals: bool) -> Self {
        Self {
            v8,
            internals,
            javascript: JavaScript::new(v8.layout.positions_are_unsigned),
            revision: 0,
            file: None,
            own: Vec::new(),
            generation: 0,
            known: HashMap::new(),
        }
    }

    /// Says that scripts and their source maps may have changed since the last time.
    pub(super) fn look_again(&mut self) {
        self.javascript.look_again();
    }

    /// Finds V8's file among `modules`, if that was not done for this list.
    pub(super) fn find_code(&mut self, modules: &mut Modules) {
        if self.revision == modules.revision() {
            return;
        }
        self.revision = modules.revision();
        let Some(module) = modules.find(self.v8.builtins).cloned() else { return };
        // Every stack leads through it.
        modules.want_table(module.file);
        self.own = modules.of_file(module.file).map(|module| module.range.clone()).collect();
        if self.file.replace(module.file) == Some(module.file) {
            return;
        }
        let file = modules.file(module.file);
        let found = file.open().and_then(|image| self.javascript.find_sizes(&image, module.bias));
        if let Err(error) = found {
            modules.last_error = Some(format!("{}: {error}", file.path.display()));
        }
    }

    /// What went wrong with the sources of scripts.
    pub(crate) fn error(&self) -> Option<&str> {
        self.javascript.last_error()
    }

    fn is_own(&self, address: u64) -> bool {
        self.own.iter().any(|range| range.contains(&address))
    }

    /// How a stack is shown, leaf first. Native frames of V8's own file, in which Node.js has its
    /// own too, are hidden where they are not the leaf, and so is what started the thread: all that
    /// is root-ward of the last frame of JavaScript. A native frame that is returned to is given as
    /// the address before, which is in the call.
    pub(super) fn shown(&mut self, words: &[u64], source: &dyn CodeSource) -> Vec<Shown> {
        let is_frame = |word: &u64| V8Frame::from_word(*word).is_some();
        let last = words.iter().rposition(is_frame).unwrap_or(words.len());
        let mut shown = Vec::with_capacity(words.len());
        for (depth, word) in words.iter().enumerate() {
            match V8Frame::from_word(*word) {
                Some(V8Frame::GarbageCollector) => {
                    if !self.internals {
                        shown.clear();
                    }
                    shown.push(Shown::GarbageCollector);
                }
                Some(V8Frame::Regexp) => shown.push(Shown::Regexp),
                Some(V8Frame::Lost) => shown.push(Shown::Lost),
                Some(V8Frame::Code { code, offset }) => {
                    let frames = self.frames(source, *word, code, offset);
                    shown.push(frames.map_or(Shown::Lost, Shown::JavaScript));
                }
                None if depth == 0 && self.is_own(*word) => shown.push(Shown::Named(*word)),
                None if depth == 0 => shown.push(Shown::Native(*word)),
                None => {
                    let address = word.saturating_sub(1);
                    if self.internals || (depth < last && !self.is_own(address)) {
                        shown.push(Shown::Native(address));
                    }
                }
            }
        }
        shown
    }

    fn frames(
        &mut self,
        source: &dyn CodeSource,
        word: u64,
        code: u32,
        offset: Option<u32>,
    ) -> Option<Rc<[JavaScriptFrame]>> {
        if self.generation != source.generation() || self.known.len() > MAX_KNOWN {
            self.generation = source.generation();
            self.known.clear();
        }
        if let Some(known) = self.known.get(&word) {
            return Some(known.clone());
        }
        let frames: Rc<[_]> = self.javascript.resolve(source, code, offset)?.into();
        self.known.insert(word, frames.clone());
        Some(frames)
    }
}
