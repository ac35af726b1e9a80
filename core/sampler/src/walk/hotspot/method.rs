//! Methods get numbers, and are copied on first sight.

use super::code_cache::{Blob, Code};
use super::definition::Lengths;
use crate::interner::{Interner, Key, mix};
use crate::memory::MemoryReader;

/// Bytes of one name that are copied; the rest is left out.
const MAX_TEXT: u16 = 1024;

/// Bytes of a table of lines that are copied; of a longer one no line is known.
const MAX_LINES: u32 = 64 << 10;

/// The flag that says that a method has lines.
const HAS_LINES: u32 = 1;

/// A byte that says that two numbers follow.
const ESCAPE: u8 = 0xff;

/// What names a method, as it is recognised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    method: u64,
    /// What never changes of it.
    pub(super) constant: u64,
    pool: u64,
    class: u64,
    /// Symbols.
    class_name: u64,
    name: u64,
}

impl<M: MemoryReader> Code<'_, M> {
    /// Whether compiled code is that of the native method with which a virtual thread leaves its
    /// carrier.
    pub(super) fn yields(&mut self, blob: &Blob) -> bool {
        let method = self.word(blob.address, self.layout.compiled_method);
        let Some(method) = method.and_then(|method| self.method(method)) else { return false };
        self.is_symbol(method.class_name, b"jdk/internal/vm/Continuation")
            && self.is_symbol(method.name, b"doYield")
    }

    fn is_symbol(&mut self, symbol: u64, text: &[u8]) -> bool {
        let length = self.short(symbol, self.layout.symbol_length);
        let body = symbol.wrapping_add(u64::from(self.layout.symbol_body));
        length.map(usize::from) == Some(text.len()) && self.is_text(body, text)
    }

    /// Looks at a method; `None` for what is none.
    #[inline(always)]
    pub(super) fn method(&mut self, method: u64) -> Option<Method> {
        if method < 4096 || method & 7 != 0 {
            return None;
        }
        let layout = self.layout;
        let constant = self.pointer(method, layout.method_constant)?;
        let pool = self.pointer(constant, layout.constant_pool)?;
        let class = self.pointer(pool, layout.pool_class)?;
        let class_name = self.pointer(class, layout.class_name)?;
        let name = self.short(constant, layout.constant_name)?;
        let name = self.constant(pool, name)?;
        Some(Method { method, constant, pool, class, class_name, name })
    }

    /// The symbol with this number among the constants of a class.
    #[inline(always)]
    fn constant(&mut self, pool: u64, number: u16) -> Option<u64> {
        let offset =
            u64::from(self.layout.pool_size).wrapping_add(u64::from(number).wrapping_mul(8));
        let symbol = self.memory.word(pool.wrapping_add(offset))?;
        (symbol >= 4096 && symbol & 7 == 0).then_some(symbol)
    }

    /// The bytecode of a method: its first address, and one past the last.
    #[inline(always)]
    pub(super) fn bytecode(&mut self, method: &Method) -> Option<core::ops::Range<u64>> {
        let size = self.short(method.constant, self.layout.constant_code_size)?;
        let start = method.constant.wrapping_add(u64::from(self.layout.constant_size));
        Some(start..start.wrapping_add(u64::from(size)))
    }

    /// The number of a method.
    #[inline(always)]
    pub(super) fn number(&mut self, known: &Interner, method: &Method) -> Option<u32> {
        let names = mix(method.class_name).wrapping_add(method.name);
        let fingerprint = mix(names ^ mix(method.constant));
        let key = Key { address: method.method, fingerprint };
        known.find(key).or_else(|| self.add(known, key, method))
    }

    #[cold]
    fn add(&mut self, known: &Interner, key: Key, method: &Method) -> Option<u32> {
        let layout = self.layout;
        let signature = self.short(method.constant, layout.constant_signature)?;
        let signature = self.constant(method.pool, signature)?;
        let of = if layout.source_file_in_class { method.class } else { method.pool };
        let file = match self.short(of, layout.source_file)? {
            0 => 0,
            file => self.constant(method.pool, file)?,
        };
        let symbols = [method.class_name, method.name, signature, file];
        let mut lengths = Lengths::default();
        for (length, symbol) in lengths.texts.iter_mut().zip(symbols) {
            if symbol != 0 {
                *length = self.short(symbol, layout.symbol_length)?.min(MAX_TEXT);
            }
        }
        let bytecode = self.bytecode(method)?;
        lengths.lines = self.lines(method, bytecode.end);
        let code_size = bytecode.end.wrapping_sub(bytecode.start) as u16;
        let header = lengths.header(code_size, layout.unsigned5_excluded);
        let body = u64::from(layout.symbol_body);
        known.add(key, lengths.bytes(), |room| {
            header.into_iter().for_each(|word| room.put(word, 8));
            let mut texts = lengths.texts.into_iter().zip(symbols);
            texts.all(|(length, symbol)| {
                room.copy(&mut self.memory, symbol.wrapping_add(body), usize::from(length))
            }) && room.copy(&mut self.memory, bytecode.end, lengths.lines as usize)
        })
    }

    /// Bytes of the table of lines that begins at an address, behind the bytecode; 0 where there is
    /// none.
    fn lines(&mut self, method: &Method, start: u64) -> u32 {
        let flags = self.short(method.constant, self.layout.constant_flags);
        if flags.is_none_or(|flags| u32::from(flags) & HAS_LINES == 0) {
            return 0;
        }
        let mut at = start;
        while at.wrapping_sub(start) < u64::from(MAX_LINES) {
            let Some(byte) = self.memory.byte(at) else { return 0 };
            at = at.wrapping_add(1);
            if byte == 0 {
                return at.wrapping_sub(start) as u32;
            }
            if byte == ESCAPE
                && (self.unsigned5(&mut at).is_none() || self.unsigned5(&mut at).is_none())
            {
                return 0;
            }
        }
        0
    }

    /// A compressed number of 1 to 5 bytes (`UNSIGNED5`): bytes of 192 and more say that another
    /// follows, which counts 64 times as much.
    #[inline(always)]
    pub(super) fn unsigned5(&mut self, at: &mut u64) -> Option<u32> {
        let excluded = u32::from(self.layout.unsigned5_excluded);
        let mut number = 0u32;
        for shift in [0, 6, 12, 18, 24] {
            let byte = u32::from(self.memory.byte(*at)?);
            *at = at.wrapping_add(1);
            number = number.wrapping_add(byte.checked_sub(excluded)?.wrapping_shl(shift));
            if byte < 192 {
                break;
            }
        }
        Some(number)
    }
}
