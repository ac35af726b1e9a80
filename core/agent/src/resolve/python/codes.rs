//! Code objects that were met, with their texts decoded once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sondage_sampler::walk::python::CodeDefinition;

use super::line_table::line_at;
use super::text::read_text;

/// Characters of a name and of a file's name.
const MAX_NAME: usize = 1024;
const MAX_FILE: usize = 4096;

/// Bytes of texts that are kept: those of some 50,000 functions.
const MAX_BYTES: usize = 8 << 20;

/// What an entry takes beside its texts.
const ENTRY_BYTES: usize = 96;

/// Where the copies of code objects lie, by the numbers that frames have.
pub trait CodeSource {
    /// The copy of a code object, in the form of [`CodeDefinition`]; `None` for a number that was
    /// not given out since the last reset.
    fn code(&self, id: u32) -> Option<&[u8]>;

    /// A number that changes whenever the numbers of code objects are given out anew.
    fn generation(&self) -> u64;
}

/// A function as its code object tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonFunction {
    /// The qualified name from 3.11 on, the name before: `Cart.total`, `<module>`.
    pub name: Arc<str>,
    /// The file, as the compiler was told; maybe no file at all: `<string>`.
    pub file: Arc<str>,
    /// The line of the `def` or of its first decorator; 0 if unknown.
    pub first_line: u32,
}

/// The functions of one interpreter, decoded when they are first asked for. Bounded: beyond some
/// 8 MiB of texts everything is forgotten and decoded again.
#[derive(Debug, Default)]
pub struct Codes {
    generation: u64,
    functions: HashMap<u32, PythonFunction>,
    texts: HashSet<Arc<str>>,
    bytes: usize,
}

impl Codes {
    /// The function of code object `id` and the line of its instruction `unit`, 0 for none.
    /// `None` where the source has no such code or it cannot be read.
    pub fn resolve(
        &mut self,
        source: &dyn CodeSource,
        id: u32,
        unit: u32,
    ) -> Option<(PythonFunction, u32)> {
        if source.generation() != self.generation || self.bytes > MAX_BYTES {
            *self = Self { generation: source.generation(), ..Self::default() };
        }
        let code = CodeDefinition::parse(source.code(id)?)?;
        let function = match self.functions.get(&id) {
            Some(known) => known.clone(),
            None => self.add(id, &code),
        };
        Some((function, line_at(&code, unit).unwrap_or(0)))
    }

    fn add(&mut self, id: u32, code: &CodeDefinition<'_>) -> PythonFunction {
        let name = read_text(code.name, MAX_NAME);
        let file = read_text(code.file, MAX_FILE);
        let function = PythonFunction {
            name: self.text(name.as_deref().unwrap_or("[unknown]")),
            file: self.text(file.as_deref().unwrap_or("")),
            first_line: u32::try_from(code.first_line).unwrap_or(0),
        };
        self.bytes += ENTRY_BYTES;
        self.functions.insert(id, function.clone());
        function
    }

    /// The one copy of a text: many functions share their file's name.
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let new: Arc<str> = Arc::from(text);
        self.bytes += text.len() + ENTRY_BYTES;
        self.texts.insert(new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sondage_sampler::walk::python::{CodeShape, LineTable};

    struct Source {
        codes: Vec<Vec<u8>>,
        generation: u64,
    }

    impl CodeSource for Source {
        fn code(&self, id: u32) -> Option<&[u8]> {
            self.codes.get(id as usize).map(Vec::as_slice)
        }

        fn generation(&self) -> u64 {
            self.generation
        }
    }

    fn code(name: &str, file: &str) -> Vec<u8> {
        let shape = CodeShape {
            first_line: 5,
            format: LineTable::Ranges,
            name: (1, name.len() as u32),
            file: (1, file.len() as u32),
            line_table: 4,
        };
        let mut bytes: Vec<u8> = shape.header().into_iter().flat_map(u64::to_ne_bytes).collect();
        bytes.extend(name.bytes().chain(file.bytes()).chain([4, 0, 4, 2]));
        bytes
    }

    #[test]
    fn functions_are_those_of_the_generation_that_numbered_them() {
        let (first, second) = (code("f", "/app/a.py"), code("g", "/app/a.py"));
        let mut source = Source { codes: vec![first, second.clone()], generation: 1 };
        let mut codes = Codes::default();
        let (function, line) = codes.resolve(&source, 0, 2).unwrap();
        assert_eq!((&*function.name, &*function.file), ("f", "/app/a.py"));
        assert_eq!((function.first_line, line), (5, 7));
        let (other, line) = codes.resolve(&source, 1, 9).unwrap();
        assert!(Arc::ptr_eq(&function.file, &other.file), "one copy of a file's name");
        assert_eq!(line, 0, "beyond the table");
        assert_eq!(codes.resolve(&source, 2, 0), None);

        source = Source { codes: vec![second], generation: 2 };
        assert_eq!(&*codes.resolve(&source, 0, 0).unwrap().0.name, "g");
    }

    #[test]
    fn texts_beyond_the_bound_are_forgotten_and_read_again() {
        let file = "x".repeat(MAX_FILE);
        let codes =
            (0..5_000).map(|number| code(&format!("f{number}"), &format!("{number}{file}")));
        let source = Source { codes: codes.collect(), generation: 0 };
        let mut codes = Codes::default();
        for id in 0..5_000 {
            let (function, _) = codes.resolve(&source, id, 0).unwrap();
            assert_eq!(*function.name, format!("f{id}"));
            assert!(codes.bytes <= MAX_BYTES + 2 * MAX_FILE * 4);
        }
        assert!(codes.functions.len() < 3_000, "{}", codes.functions.len());
    }
}
