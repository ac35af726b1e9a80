//! What is known of a process' V8, and how stacks with its frames are shown.

use super::frames::SourceFrame;
use super::managed::{Managed, OwnFile, Shown};
use crate::profile::LossCause;
use crate::resolve::{CodeSource, JavaScript, Mappings};
use crate::v8::Announced;
use sondage_sampler::walk::v8::V8Frame;
use std::collections::HashMap;
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
    own: OwnFile,
    generation: u64,
    known: HashMap<u64, Rc<[SourceFrame]>>,
}

/// The frame in place of those of V8's garbage collector.
const COLLECTS: &str = "(garbage collector)";

/// The frame of a compiled regular expression.
const REGEXP: &str = "(regular expression)";

impl Scripted {
    pub(crate) fn new(v8: Announced, internals: bool) -> Self {
        Self {
            v8,
            internals,
            javascript: JavaScript::new(v8.layout.positions_are_unsigned, v8.pid),
            own: OwnFile::default(),
            generation: 0,
            known: HashMap::new(),
        }
    }

    fn frames(
        &mut self,
        source: &dyn CodeSource,
        word: u64,
        code: u32,
        offset: Option<u32>,
    ) -> Option<Rc<[SourceFrame]>> {
        if self.generation != source.generation() || self.known.len() > MAX_KNOWN {
            self.generation = source.generation();
            self.known.clear();
        }
        if let Some(known) = self.known.get(&word) {
            return Some(known.clone());
        }
        let frames = self.javascript.resolve(source, code, offset)?.into_iter();
        let frames: Rc<[_]> = frames
            .map(|frame| SourceFrame {
                name: frame.name,
                file: frame.file,
                start_line: frame.start_line,
                line: frame.line,
            })
            .collect();
        self.known.insert(word, frames.clone());
        Some(frames)
    }
}

impl Managed for Scripted {
    fn is_frame(&self, word: u64) -> bool {
        V8Frame::from_word(word).is_some()
    }

    fn find_code(&mut self, modules: &mut Mappings) {
        let Some((file, bias)) = self.own.find(modules, self.v8.builtins) else { return };
        let file = modules.file(file);
        let found = file.open().and_then(|image| self.javascript.find_sizes(&image, bias));
        if let Err(error) = found {
            modules.last_error = Some(format!("{}: {error}", file.path.display()));
        }
    }

    /// How a stack is shown, leaf first. Native frames of V8's own file, in which Node.js has its
    /// own too, are hidden where they are not the leaf, and so is what started the thread: all that
    /// is root-ward of the last frame of JavaScript. A native frame that is returned to is given as
    /// the address before, which is in the call.
    fn shown(&mut self, words: &[u64], source: &dyn CodeSource) -> Vec<Shown> {
        let last = words.iter().rposition(|word| self.is_frame(*word)).unwrap_or(words.len());
        let mut shown = Vec::with_capacity(words.len());
        for (depth, word) in words.iter().enumerate() {
            match V8Frame::from_word(*word) {
                Some(V8Frame::GarbageCollector) => {
                    if !self.internals {
                        shown.clear();
                    }
                    shown.push(Shown::Placeholder(COLLECTS));
                }
                Some(V8Frame::Regexp) => shown.push(Shown::Placeholder(REGEXP)),
                Some(V8Frame::Lost) => shown.push(Shown::Lost),
                Some(V8Frame::Code { code, offset }) => {
                    let frames = self.frames(source, *word, code, offset);
                    shown.push(frames.map_or(Shown::Lost, Shown::Source));
                }
                None if depth == 0 && self.own.holds(*word) => shown.push(Shown::Named(*word)),
                None if depth == 0 => shown.push(Shown::Native(*word)),
                None => {
                    let address = word.saturating_sub(1);
                    if self.internals || (depth < last && !self.own.holds(address)) {
                        shown.push(Shown::Native(address));
                    }
                }
            }
        }
        shown
    }

    fn lost(&self) -> (&'static str, LossCause) {
        ("[javascript frame lost]", LossCause::JavaScriptLost)
    }

    fn look_again(&mut self) {
        self.javascript.look_again();
    }

    fn error(&self) -> Option<&str> {
        self.javascript.last_error()
    }
}
