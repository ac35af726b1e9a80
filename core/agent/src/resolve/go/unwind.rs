//! Unwind rows of Go code.
//!
//! A function's table tells how much stack it has taken at each instruction, so the frame is found
//! by the stack pointer alone, also in functions that keep no frame pointer. The frame pointer is
//! followed along all the same, for the few functions that need it (see `assembly`).

use std::ops::Range;
use std::rc::Rc;

use sondage_sampler::Rule;

use super::assembly::{self, Kind};
use super::find::Place;
use super::function::{Function, Functions};
use crate::resolve::error::ResolveError;
use crate::resolve::image::Image;
use crate::resolve::paged::Reader;

/// A table beyond this size is not read; kubelet's has 40 MB.
const MAX_TABLE: u64 = 512 << 20;

/// Code of one function that is looked at: assembly is short.
const MAX_CODE: u64 = 4096;

/// Functions with names and code of their own: the runtime's and the standard library's.
pub(crate) struct Unwinding<'a> {
    image: &'a Image,
    functions: Functions<'static>,
}

impl<'a> Unwinding<'a> {
    /// Reads the whole table of a Go program; `None` for other programs, and for processors whose
    /// Go code is walked by frame pointers.
    ///
    /// # Errors
    /// Where it cannot be read or is larger than 512 MiB.
    pub(crate) fn read(image: &'a Image) -> Result<Option<Self>, ResolveError> {
        let place = if cfg!(target_arch = "x86_64") { Place::find(image) } else { None };
        let Some(place) = place else { return Ok(None) };
        let (offset, size) = place.range();
        let bytes = image.source.read(offset, size, MAX_TABLE)?;
        let functions = place.functions_in(Reader::of_bytes(Rc::new(bytes)));
        Ok(Some(Self { image, functions }))
    }

    /// How many functions there are.
    pub(crate) fn len(&self) -> u64 {
        self.functions.header.functions
    }

    /// The code of function `index`, where Go knows how to unwind it.
    pub(crate) fn code(&self, index: u64) -> Option<Range<u64>> {
        self.functions.code(index)
    }

    /// Puts the rows of function `index` into `rows`, which it empties first; `false` where there
    /// are none.
    pub(crate) fn rows(&self, index: u64, rows: &mut Vec<(u64, Rule)>) -> bool {
        rows.clear();
        let Some(function) = self.functions.function(index) else { return false };
        let name = self.functions.short_name(&function).unwrap_or_default();
        let kind = Kind::of(&name, function.flags);
        let whole = |cfa: u8| (function.code.start, Rule { cfa, ..Rule::default() });
        match kind {
            Kind::Root => rows.push(whole(Rule::ROOT)),
            Kind::Signal => {
                // Where a handler returns to is the first instruction: what looks like the call
                // lies before it, in another function's padding.
                let (start, rule) = whole(Rule::SIGNAL);
                rows.push((start.saturating_sub(1), rule));
            }
            _ => self.by_depth(&function, kind, rows),
        }
        !rows.is_empty()
    }

    fn by_depth(&self, function: &Function, kind: Kind, rows: &mut Vec<(u64, Rule)>) {
        let Some(depths) = self.functions.depths(function) else { return };
        let code = if kind.needs_code() { self.read_code(function) } else { Vec::new() };
        let mut saved = !kind.needs_code();
        let mut was_deep = false;
        for (range, depth) in depths {
            let is_deep = depth >= 8;
            if is_deep && !was_deep && kind.needs_code() {
                let at = range.start - function.code.start;
                saved = assembly::saves_frame_pointer(&code, at as usize);
            }
            was_deep = is_deep;
            let mut rule = by_stack_pointer(depth, is_deep && saved);
            if kind == Kind::Injected {
                rule.ra = Rule::INTERRUPTED;
            }
            push(rows, range.start, rule);
        }
        match kind {
            Kind::SwitchesStack => switch_stack(function, &code, rows),
            Kind::LeavesStack => leave_stack(function, &code, rows),
            _ => {}
        }
    }

    fn read_code(&self, function: &Function) -> Vec<u8> {
        let Range { start, end } = function.code;
        let place = super::memory::offset_of(self.image, start);
        let bytes = place.and_then(|(offset, left)| {
            let size = (end - start).min(left).min(MAX_CODE);
            self.image.source.read(offset, size, MAX_CODE).ok()
        });
        bytes.map(|bytes| bytes.to_vec()).unwrap_or_default()
    }
}

/// The return address lies above what the function has taken, and the caller's frame pointer, if
/// it was saved, right below that.
fn by_stack_pointer(depth: i32, saved: bool) -> Rule {
    let fp = if saved { -2 } else { 0 };
    match depth.checked_add(8).filter(|offset| *offset > 0 && offset % 8 == 0) {
        Some(offset) => Rule { cfa: Rule::SP, ra: 0, fp, offset },
        None => Rule { cfa: Rule::UNSUPPORTED, ..Rule::default() },
    }
}

/// A row, unless the rule holds there already.
fn push(rows: &mut Vec<(u64, Rule)>, address: u64, rule: Rule) {
    if rows.last().is_none_or(|last| last.1 != rule) {
        rows.push((address, rule));
    }
}

/// The frame record of a function is where its frame pointer points, whatever the stack.
const BY_RECORD: Rule = Rule { cfa: Rule::FP_ANY_STACK, ra: 0, fp: -2, offset: 16 };

/// From where the frame record stands, or else from where the stack is left, the frame pointer is
/// followed; not after the frame was given up.
fn switch_stack(function: &Function, code: &[u8], rows: &mut Vec<(u64, Rule)>) {
    let record = assembly::frame_record(code);
    let Some(from) = record.or_else(|| assembly::takes_stack(code)) else { return };
    let from = function.code.start + from as u64;
    let has_record = record.is_some();
    replace_from(rows, from, |rule| if has_record && rule.offset <= 8 { rule } else { BY_RECORD });
}

/// From where the stack is left, there is no caller.
fn leave_stack(function: &Function, code: &[u8], rows: &mut Vec<(u64, Rule)>) {
    let Some(from) = assembly::takes_stack(code) else { return };
    let root = Rule { cfa: Rule::ROOT, ..Rule::default() };
    replace_from(rows, function.code.start + from as u64, |_| root);
}

/// Replaces the rules that hold from an address on.
fn replace_from(rows: &mut Vec<(u64, Rule)>, from: u64, with: impl Fn(Rule) -> Rule) {
    let kept = rows.iter().take_while(|row| row.0 < from).count();
    let later = rows.split_off(kept);
    let holds = rows.last().map(|row| row.1);
    if let Some(rule) = holds.filter(|_| later.first().is_none_or(|row| row.0 > from)) {
        push(rows, from, with(rule));
    }
    for (address, rule) in later {
        push(rows, address, with(rule));
    }
}
