//! Definitions that were met, with their texts decoded once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use sondage_sampler::walk::v8::{Definition, Parts};

use super::baseline::{MAX_SIZES, SIZES_SYMBOL, Sizes};
use super::positions::{Position, has_offset, last_offset, position_at};
use super::script::Script;
use crate::resolve::own_memory::read_memory;
use crate::resolve::{CodeSource, Image, ResolveError, variable};
#[cfg(feature = "node")]
use crate::resolve::{ScriptText, SourceMaps};

/// Inlined calls within each other that are followed.
const MAX_INLINED: usize = 64;

/// Bytes of machine code behind the last position, in a function of a few lines.
const MAX_TAIL: i64 = 8 << 10;

/// Functions and scripts that are remembered.
const MAX_FUNCTIONS: usize = 1 << 16;
const MAX_SCRIPTS: usize = 1 << 12;

/// Names of so many characters may have been given by a minifier.
#[cfg(feature = "node")]
const MINIFIED: usize = 3;

/// A function without a name.
const ANONYMOUS: &str = "(anonymous)";

/// A frame of JavaScript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaScriptFrame {
    /// The function's name.
    pub name: Arc<str>,
    /// The path of its script, or what V8 calls it; empty for a function of V8's own.
    pub file: Arc<str>,
    /// The line where the function begins, counted from 1; 0 if unknown.
    pub start_line: u32,
    /// The line that runs, counted from 1; 0 if unknown.
    pub line: u32,
}

/// What was inlined into optimised code; see [`Definition::Optimized`].
#[derive(Clone, Copy, Debug)]
struct Inlining<'a> {
    calls: &'a [u8],
    functions: &'a [u8],
}

#[derive(Clone, Debug)]
struct Function {
    name: Arc<str>,
    script: Option<u32>,
    start: Option<u32>,
}

/// The functions of the process' isolates, decoded when they are first asked for.
#[derive(Debug, Default)]
pub struct JavaScript {
    /// See [`Layout::positions_are_unsigned`](sondage_sampler::walk::v8::Layout).
    unsigned: bool,
    /// The process that V8 is in, if it is not this one.
    pid: Option<u32>,
    sizes: Option<Sizes>,
    generation: u64,
    functions: HashMap<u32, Function>,
    scripts: HashMap<u32, Script>,
    #[cfg(feature = "node")]
    maps: SourceMaps,
}

impl JavaScript {
    /// Of a V8 whose tables of positions are `unsigned`, in the process `pid` or in this one.
    pub fn new(unsigned: bool, pid: Option<u32>) -> Self {
        Self { unsigned, pid, ..Self::default() }
    }

    /// Finds by the symbols of V8's file, mapped at `bias`, what frames of Sparkplug's code need to
    /// have lines.
    pub(crate) fn find_sizes(&mut self, image: &Image, bias: u64) -> Result<(), ResolveError> {
        let range = variable(image, SIZES_SYMBOL)?;
        let table = range.and_then(|range| {
            let length = usize::try_from(range.end.saturating_sub(range.start)).ok()?;
            read_memory(self.pid, range.start.wrapping_add(bias), length.min(MAX_SIZES))
        });
        self.sizes = table.and_then(Sizes::new);
        Ok(())
    }

    /// The frames of code `code` at `offset`, leaf first: those of the functions that were inlined,
    /// and that of the function itself. `None` where the source has no such code, or it cannot be
    /// read.
    pub fn resolve(
        &mut self,
        source: &dyn CodeSource,
        code: u32,
        offset: Option<u32>,
    ) -> Option<Vec<JavaScriptFrame>> {
        if source.generation() != self.generation
            || self.functions.len() > MAX_FUNCTIONS
            || self.scripts.len() > MAX_SCRIPTS
        {
            self.generation = source.generation();
            self.functions.clear();
            self.scripts.clear();
        }
        let single = |frame: Option<JavaScriptFrame>| frame.map(|frame| vec![frame]);
        match Definition::parse(source.code(code)?)? {
            Definition::Script { .. } => None,
            Definition::Function { .. } => single(self.frame(source, code, None)),
            Definition::Bytecode { function, positions, .. } => {
                let at = offset.and_then(|at| position_at(positions, at, self.unsigned));
                single(self.frame(source, function, at))
            }
            Definition::Baseline { bytecode, offsets, instructions } => {
                let bytecode = Definition::parse(source.code(bytecode)?)?;
                let Definition::Bytecode { function, positions, .. } = bytecode else {
                    return None;
                };
                let at = self.sizes.as_ref().zip(offset).and_then(|(sizes, at)| {
                    let at = sizes.bytecode_offset(offsets, instructions, at)?;
                    position_at(positions, at, self.unsigned)
                });
                single(self.frame(source, function, at))
            }
            Definition::Optimized { function, positions, inlining, inlined, .. } => {
                let at = offset.and_then(|at| position_at(positions, at, self.unsigned));
                self.inlined(source, function, at, Inlining { calls: inlining, functions: inlined })
            }
        }
    }

    /// Says that scripts and their source maps may have changed since the last time.
    pub(crate) fn look_again(&mut self) {
        #[cfg(feature = "node")]
        self.maps.look_again();
    }

    /// Why the last source map that could not be used could not.
    pub(crate) fn last_error(&self) -> Option<&str> {
        #[cfg(feature = "node")]
        return self.maps.last_error();
        #[cfg(not(feature = "node"))]
        None
    }

    /// Whether a frame of the interpreter that has called is exactly where the table has a position,
    /// as it has for calls, and the table ends with the last instruction, as for functions that end
    /// with a return. Other frames are said to be.
    pub(crate) fn is_exact(&self, definition: &Definition<'_>, offset: Option<u32>) -> bool {
        let Definition::Bytecode { length, positions, .. } = *definition else { return true };
        let has = |wanted: i64| has_offset(positions, wanted, self.unsigned);
        let last = last_offset(positions, self.unsigned);
        offset.is_some_and(|offset| has(offset.into())) && last == Some(i64::from(length) - 1)
    }

    /// Whether optimised code is described in a way that can be true: all functions that it has
    /// inlined are known, and its last position is not far from its end.
    pub(crate) fn makes_sense(&self, definition: &Definition<'_>) -> bool {
        let Definition::Optimized { size, positions, inlined, .. } = *definition else {
            return true;
        };
        let last = last_offset(positions, self.unsigned).unwrap_or(0);
        let (functions, _) = inlined.as_chunks::<4>();
        (last..last.saturating_add(MAX_TAIL)).contains(&i64::from(size))
            && !functions.contains(&[0xff; 4])
    }

    /// The frames at a position of optimised code. Each inlined call has 16 bytes: the position of
    /// the call, which may be in another inlined one, and the number of its function.
    fn inlined(
        &mut self,
        source: &dyn CodeSource,
        function: u32,
        at: Option<Position>,
        inlining: Inlining<'_>,
    ) -> Option<Vec<JavaScriptFrame>> {
        let (calls, _) = inlining.calls.as_chunks::<16>();
        let (functions, _) = inlining.functions.as_chunks::<4>();
        let mut frames = Vec::new();
        let mut at = at;
        while let Some(call) = at.and_then(Position::inlined).and_then(|call| calls.get(call))
            && frames.len() < MAX_INLINED
        {
            let (position, rest) = call.split_first_chunk::<8>()?;
            let number = i32::from_ne_bytes(*rest.first_chunk()?);
            let inlined = usize::try_from(number).ok().and_then(|number| functions.get(number));
            let inlined = inlined.map_or(u32::MAX, |number| u32::from_ne_bytes(*number));
            // A function that calls itself is inlined without being in the list.
            let inlined = if inlined == u32::MAX && number == -1 { function } else { inlined };
            frames.extend(self.frame(source, inlined, at));
            at = Some(Position::from_raw(i64::from_ne_bytes(*position)));
        }
        frames.extend(self.frame(source, function, at));
        Some(frames).filter(|frames| !frames.is_empty())
    }

    fn frame(
        &mut self,
        source: &dyn CodeSource,
        function: u32,
        at: Option<Position>,
    ) -> Option<JavaScriptFrame> {
        let function = self.function(source, function)?;
        let nowhere =
            JavaScriptFrame { name: function.name, file: Arc::default(), start_line: 0, line: 0 };
        let Some(script) = function.script else { return Some(nowhere) };
        let Some(script) = self.script(source, script) else { return Some(nowhere) };
        let script = script.clone();
        let start = function.start.and_then(|start| script.position(start));
        let here = at.and_then(Position::character).and_then(|at| script.position(at));
        let line = |position: Option<(u32, u32)>| position.map_or(0, |(line, _)| line + 1);
        let (file, start_line, line) = (script.file.clone(), line(start), line(here));
        let frame = JavaScriptFrame { file, start_line, line, ..nowhere };
        Some(self.as_written(&script, frame, start, here))
    }

    /// Without source maps.
    #[cfg(not(feature = "node"))]
    fn as_written(
        &self,
        _: &Script,
        frame: JavaScriptFrame,
        _: Option<(u32, u32)>,
        _: Option<(u32, u32)>,
    ) -> JavaScriptFrame {
        frame
    }

    /// Makes a frame one of the source that a person wrote, if the script has a source map. Where it
    /// says nothing of a position, as of what a compiler has added, the frame is that of the script.
    #[cfg(feature = "node")]
    fn as_written(
        &mut self,
        script: &Script,
        mut frame: JavaScriptFrame,
        start: Option<(u32, u32)>,
        here: Option<(u32, u32)>,
    ) -> JavaScriptFrame {
        let Some(url) = script.url() else { return frame };
        let script = ScriptText { url, text: None };
        let mut original = |at: (u32, u32)| self.maps.original(&script, at.0, at.1);
        let Some(written) = here.or(start).and_then(&mut original) else { return frame };
        frame.file = written.file.clone();
        frame.line = if here.is_some() { written.line } else { 0 };
        let start = start.and_then(|(line, column)| {
            // The name comes before the position at which V8 has a function begin.
            let short = frame.name.len() <= MINIFIED;
            let named = short.then(|| column.checked_sub(frame.name.len() as u32)).flatten();
            let name = named.and_then(|column| original((line, column))?.name);
            frame.name = name.unwrap_or_else(|| frame.name.clone());
            original((line, column))
        });
        let in_file = start.filter(|start| start.file == written.file);
        frame.start_line = in_file.map_or(0, |start| start.line);
        frame
    }

    fn function(&mut self, source: &dyn CodeSource, number: u32) -> Option<Function> {
        if let Some(known) = self.functions.get(&number) {
            return Some(known.clone());
        }
        let definition = Definition::parse(source.code(number)?)?;
        let Definition::Function { name, script, range } = definition else { return None };
        let name = text(name);
        let name = Arc::from(if name.is_empty() { ANONYMOUS } else { &name });
        let function = Function { name, script, start: range.map(|(start, _)| start) };
        self.functions.insert(number, function.clone());
        Some(function)
    }

    fn script(&mut self, source: &dyn CodeSource, number: u32) -> Option<&Script> {
        let vacant = match self.scripts.entry(number) {
            Entry::Occupied(known) => return Some(known.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let definition = Definition::parse(source.code(number)?)?;
        let Definition::Script { name, source, .. } = definition else { return None };
        Some(vacant.insert(Script::find(&text(name), source, self.pid)))
    }
}

/// A text of V8. What is no character, such as a lone surrogate, becomes U+FFFD.
fn text(parts: Parts<'_>) -> String {
    let mut text = String::new();
    for (width, bytes) in parts.parts {
        match width {
            1 => text.extend(bytes.iter().map(|byte| char::from(*byte))),
            2 => {
                let (units, _) = bytes.as_chunks::<2>();
                let units = units.iter().map(|unit| u16::from_ne_bytes(*unit));
                let characters = char::decode_utf16(units);
                text.extend(characters.map(|it| it.unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            _ => {}
        }
    }
    text
}
