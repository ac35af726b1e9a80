//! What is found at a frame gets a number, and is copied on first sight.

use super::code::{CodeObject, Kind};
use super::definition::{self, NO_FUNCTION, NO_SCRIPT, Source, Tier, Widths, source_hash};
use super::heap::{Heap, small, untag};
use super::text::{Characters, Text};
use crate::interner::{Interner, Key, Room, mix};
use crate::memory::MemoryReader;

/// Characters of a function's and of a script's name that are copied; the rest is left out.
const MAX_NAME: u32 = 512;
const MAX_SCRIPT_NAME: u32 = 2048;

/// Bytes of one table that are copied; beyond, positions are not known.
const MAX_TABLE: u32 = 512 << 10;

/// Functions that optimised code can have inlined.
const MAX_INLINED: i32 = 4096;

/// Elements of a scope's description behind its variables that may be a function's name or range.
const SCOPE_TAIL: u16 = 10;

/// Variables of which a scope's description has the names itself; more are in a table.
const MAX_INLINE_LOCALS: u16 = 75;

/// What keys of the same thing differ by.
const SCRIPT: u64 = 1 << 60;
const FUNCTION: u64 = 2 << 60;
const BYTECODE: u64 = 3 << 60;

/// Gives numbers to what an isolate runs.
#[derive(Debug)]
pub(super) struct Identify<'a, 'l, M> {
    pub(super) heap: &'a mut Heap<'l, M>,
    pub(super) known: &'a Interner,
    /// The isolate's number.
    pub(super) isolate: u32,
}

/// A function, as it is recognised.
#[derive(Clone, Copy, Debug)]
struct Function {
    key: Key,
    /// The script object; 0 for none.
    script: u64,
    name: Text,
    range: Option<(u32, u32)>,
}

impl<M: MemoryReader> Identify<'_, '_, M> {
    /// The number of a function, given what its closures share.
    pub(super) fn function(&mut self, shared: u64) -> Option<u32> {
        let function = self.look_at(shared)?;
        self.number_of(&function)
    }

    fn number_of(&mut self, function: &Function) -> Option<u32> {
        if let Some(number) = self.known.find(function.key) {
            return Some(number);
        }
        let script = match function.script {
            0 => NO_SCRIPT,
            script => self.script(script)?,
        };
        let name = cut(function.name, MAX_NAME);
        let header = definition::function_header(widths(&name), script, function.range);
        let bytes = header_bytes(&header).saturating_add(text_bytes(&name));
        let memory = &mut self.heap.memory;
        self.known.add(function.key, bytes, |room| {
            put_header(room, &header);
            put_text(memory, &name, room)
        })
    }

    /// The number of a function's bytecode.
    pub(super) fn bytecode(&mut self, shared: u64, bytecode: u64) -> Option<u32> {
        let function = self.look_at(shared)?;
        let Key { address, fingerprint } = function.key;
        let key = Key { address: address ^ FUNCTION ^ BYTECODE, fingerprint: mix(fingerprint) };
        if let Some(number) = self.known.find(key) {
            return Some(number);
        }
        let number = self.number_of(&function)?;
        let offset = self.heap.layout.bytecode_positions;
        // Without a table no position is known, as before V8 has made one.
        let table = self.heap.object(bytecode, offset).and_then(|table| self.bytes(table));
        let table = table.unwrap_or_default();
        let length = self.heap.small(bytecode, self.heap.layout.bytecode_length)?;
        let header = definition::bytecode_header(number, u32::try_from(length).ok()?, table.count);
        let bytes = header_bytes(&header).saturating_add(table.bytes());
        let memory = &mut self.heap.memory;
        self.known.add(key, bytes, |room| {
            put_header(room, &header);
            room.copy(memory, table.start, table.bytes())
        })
    }

    /// The number of compiled code. `running` is what the closures share of the function in whose
    /// frame it runs.
    pub(super) fn code(&mut self, code: &CodeObject, running: u64) -> Option<u32> {
        match code.kind {
            Kind::Baseline => self.baseline(code, running),
            Kind::Optimized(tier) => self.optimized(code, tier),
            Kind::Other => None,
        }
    }

    fn baseline(&mut self, code: &CodeObject, running: u64) -> Option<u32> {
        let layout = self.heap.layout;
        let function = self.look_at(running)?;
        let key = self.code_key(code, function.key)?;
        if let Some(number) = self.known.find(key) {
            return Some(number);
        }
        let bytecode = self.heap.object(code.object, layout.code_deoptimization)?;
        if !self.heap.is(bytecode, layout.type_bytecode) {
            return None;
        }
        let number = self.bytecode(running, bytecode)?;
        let offsets = self.heap.object(code.object, layout.code_positions)?;
        let offsets = self.bytes(offsets)?;
        let length = self.heap.small(bytecode, layout.bytecode_length)?;
        let instructions = Characters {
            start: bytecode.wrapping_add(u64::from(layout.bytecode_data)),
            count: u32::try_from(length).ok()?.min(MAX_TABLE),
            width: 1,
            outside: false,
        };
        let header = definition::baseline_header(number, offsets.count, instructions.count);
        let bytes = header_bytes(&header)
            .saturating_add(offsets.bytes())
            .saturating_add(instructions.bytes());
        let memory = &mut self.heap.memory;
        self.known.add(key, bytes, |room| {
            put_header(room, &header);
            room.copy(memory, offsets.start, offsets.bytes())
                && room.copy(memory, instructions.start, instructions.bytes())
        })
    }

    fn optimized(&mut self, code: &CodeObject, tier: Tier) -> Option<u32> {
        let layout = self.heap.layout;
        let shared = self.heap.optimized_shared(code.object)?;
        let function = self.look_at(shared)?;
        let key = self.code_key(code, function.key)?;
        if let Some(number) = self.known.find(key) {
            return Some(number);
        }
        let number = self.number_of(&function)?;
        let positions = self.heap.object(code.object, layout.code_positions)?;
        let positions = self.bytes(positions).unwrap_or_default();
        let data = self.heap.object(code.object, layout.code_deoptimization)?;
        let count = small(self.heap.element(data, layout.inlined_count)?)?;
        let count = if (0..=MAX_INLINED).contains(&count) { count as u32 } else { return None };
        let literals = untag(self.heap.element(data, layout.literals)?);
        let literals = self.heap.current(literals);
        let inlining = untag(self.heap.element(data, layout.inlining_positions)?);
        let inlining = self.heap.current(inlining);
        let inlining = match count {
            0 => Characters::default(),
            _ => self.bytes(inlining).unwrap_or_default(),
        };
        let header = {
            let inlined = (inlining.count, count);
            definition::optimized_header((tier, code.size), number, positions.count, inlined)
        };
        let bytes = header_bytes(&header)
            .saturating_add(positions.bytes())
            .saturating_add(inlining.bytes())
            .saturating_add((count as usize).saturating_mul(4));
        let known = self.known;
        known.add(key, bytes, |room| {
            put_header(room, &header);
            let memory = &mut self.heap.memory;
            if !room.copy(memory, positions.start, positions.bytes())
                || !room.copy(memory, inlining.start, inlining.bytes())
            {
                return false;
            }
            for index in 0..count as u16 {
                let shared = self.heap.element(literals, index).map_or(0, untag);
                let shared = self.heap.current(shared);
                let inlined = match self.heap.is(shared, layout.type_shared) {
                    true => self.function(shared).unwrap_or(NO_FUNCTION),
                    false => NO_FUNCTION,
                };
                room.put(u64::from(inlined), 4);
            }
            true
        })
    }

    /// What compiled code is recognised by: where it is, whose it is, and the beginning of its
    /// tables.
    fn code_key(&mut self, code: &CodeObject, owner: Key) -> Option<Key> {
        let layout = self.heap.layout;
        let table = self.heap.object(code.object, layout.code_positions).unwrap_or(0);
        let mut hash = owner.fingerprint ^ u64::from(code.size) ^ u64::from(code.flags) << 32;
        for offset in [8u16, 16, 24] {
            hash = mix(hash ^ self.heap.word(table, offset).unwrap_or(0));
        }
        Some(Key { address: code.start, fingerprint: mix(hash ^ owner.address) })
    }

    /// Looks at what closures share: name, script, and where in it the function is. For the shape of
    /// a scope's description see V8's `scope-info.tq`.
    fn look_at(&mut self, shared: u64) -> Option<Function> {
        let heap = &mut *self.heap;
        let layout = heap.layout;
        let script = heap.object(shared, layout.shared_script).unwrap_or(0);
        let script = if heap.is(script, layout.type_script) { script } else { 0 };
        let named = heap.object(shared, layout.shared_name)?;
        let (name, range) = match heap.is(named, layout.type_scope) {
            true => scope(heap, named),
            false => (named, None),
        };
        let beginning = if name == 0 { 0 } else { heap.beginning(name) };
        let name = if name == 0 { Text::default() } else { heap.text(name).unwrap_or_default() };
        let id = match script {
            0 => u32::MAX,
            script => heap.small(script, layout.script_id)? as u32,
        };
        let (start, end) = range.unwrap_or((u32::MAX, u32::MAX));
        let place = u64::from(start) | u64::from(end) << 32;
        let key = self.key(FUNCTION, id, mix(place) ^ beginning);
        Some(Function { key, script, name, range })
    }

    /// Of the same thing in many isolates each key must be looked for at another place.
    fn key(&self, kind: u64, id: u32, what: u64) -> Key {
        let address = kind | u64::from(self.isolate & 0x0fff_ffff) << 32 | u64::from(id);
        Key { address, fingerprint: mix(what ^ mix(address)) }
    }

    fn script(&mut self, script: u64) -> Option<u32> {
        let layout = self.heap.layout;
        let id = self.heap.small(script, layout.script_id)? as u32;
        let key = self.key(SCRIPT, id, 0);
        if let Some(number) = self.known.find(key) {
            return Some(number);
        }
        let name = self.heap.object(script, layout.script_name).unwrap_or(0);
        let name = cut(self.heap.text(name).unwrap_or_default(), MAX_SCRIPT_NAME);
        let source = self.heap.object(script, layout.script_source).unwrap_or(0);
        let source = self.source(source).unwrap_or_default();
        let header = definition::script_header(widths(&name), id, source);
        let bytes = header_bytes(&header).saturating_add(text_bytes(&name));
        let memory = &mut self.heap.memory;
        self.known.add(key, bytes, |room| {
            put_header(room, &header);
            put_text(memory, &name, room)
        })
    }

    fn source(&mut self, source: u64) -> Option<Source> {
        let text = self.heap.text(source)?;
        let [first, second] = text.runs;
        if second.count != 0 {
            return None;
        }
        let memory = &mut self.heap.memory;
        let hash = source_hash(first.count, |index| {
            let offset = u64::from(index).wrapping_mul(u64::from(first.width));
            let bytes = memory.bytes_from(first.start.wrapping_add(offset))?;
            Some(if first.width == 1 { u16::from(bytes as u8) } else { bytes as u16 })
        })?;
        let outside = first.outside.then_some(first.start);
        Some(Source { count: first.count, width: first.width, outside, hash })
    }

    /// The bytes of an array of bytes; none of one that is too large.
    fn bytes(&mut self, array: u64) -> Option<Characters> {
        let count = u32::try_from(self.heap.small(array, self.heap.layout.array_length)?).ok()?;
        let start = array.wrapping_add(u64::from(self.heap.layout.byte_array_data));
        let count = if count <= MAX_TABLE { count } else { 0 };
        Some(Characters { start, count, width: 1, outside: false })
    }
}

/// The name (0 for none) and the range that a scope's description tells.
fn scope<M: MemoryReader>(heap: &mut Heap<'_, M>, scope: u64) -> (u64, Option<(u32, u32)>) {
    let layout = heap.layout;
    let scope = scope.wrapping_add(8);
    let element = |heap: &mut Heap<'_, M>, index: u16| heap.word(scope, index.wrapping_mul(8));
    let position = |word: Option<u64>| word.and_then(small).and_then(|at| u32::try_from(at).ok());
    let mut range = None;
    if layout.scope_first == layout.scope_locals.wrapping_add(3) {
        let start = position(element(heap, layout.scope_locals.wrapping_add(1)));
        let end = position(element(heap, layout.scope_locals.wrapping_add(2)));
        range = start.zip(end);
    }
    let locals = element(heap, layout.scope_locals).and_then(small).unwrap_or(0);
    let locals = u16::try_from(locals).unwrap_or(0);
    let names =
        if locals < MAX_INLINE_LOCALS { locals.wrapping_mul(2) } else { locals.wrapping_add(1) };
    let first = layout.scope_first.wrapping_add(names);
    let (mut name, mut named) = (0, false);
    // Small integers in a row; the last two of them are the range.
    let mut run: (u32, i32, i32) = (0, -1, -1);
    for index in first..first.wrapping_add(SCOPE_TAIL) {
        let Some(word) = element(heap, index) else { break };
        if let Some(number) = small(word) {
            run = (run.0.wrapping_add(1), run.2, number);
            continue;
        }
        if range.is_none() && run.0 >= 2 && 0 <= run.1 && run.1 < run.2 {
            range = Some((run.1 as u32, run.2 as u32));
            break;
        }
        run = (0, -1, -1);
        let object = heap.current(untag(word));
        if !heap.is_string(object) {
            // What comes then, such as the variables of a module, are no names of the function.
            named = true;
        } else if !named && heap.length(object) != Some(0) {
            (name, named) = (object, true);
        }
        if named && range.is_some() {
            break;
        }
    }
    (name, range)
}

fn cut(text: Text, count: u32) -> Text {
    let [first, second] = text.runs;
    let first = first.up_to(count);
    Text { runs: [first, second.up_to(count.saturating_sub(first.count))] }
}

fn widths(text: &Text) -> Widths {
    text.runs.map(|run| (run.width, run.bytes() as u32))
}

fn text_bytes(text: &Text) -> usize {
    text.runs.iter().fold(0, |sum, run| sum.saturating_add(run.bytes()))
}

fn header_bytes(header: &[u64]) -> usize {
    size_of_val(header)
}

fn put_header(room: &mut Room<'_>, header: &[u64]) {
    header.iter().for_each(|word| room.put(*word, 8));
}

fn put_text<M: MemoryReader>(memory: &mut M, text: &Text, room: &mut Room<'_>) -> bool {
    text.runs.iter().all(|run| room.copy(memory, run.start, run.bytes()))
}
