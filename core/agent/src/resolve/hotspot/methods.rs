//! Methods that were met, with their names decoded once.

use std::collections::HashMap;
use std::sync::Arc;

use sondage_sampler::walk::hotspot::Definition;

use super::lines::lines;
use super::names;
use crate::resolve::CodeSource;

/// Methods that are remembered.
const MAX_METHODS: usize = 1 << 16;

/// A method, and the line that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaMethod {
    /// The class and the method: `java.util.HashMap.get`.
    pub name: Arc<str>,
    /// The source file with the folder of its package: `java/util/HashMap.java`; empty if unknown.
    pub file: Arc<str>,
    /// The lowest line of the method that does something; 0 if unknown.
    pub start_line: u32,
    /// The line that runs; 0 if unknown.
    pub line: u32,
}

/// The methods of the virtual machine, decoded when they are first asked for.
#[derive(Debug, Default)]
pub struct Methods {
    generation: u64,
    names: HashMap<u32, (Arc<str>, Arc<str>)>,
}

impl Methods {
    /// The method with this number at an instruction. `None` where the source has no such method,
    /// or it cannot be read.
    pub fn resolve(
        &mut self,
        source: &dyn CodeSource,
        number: u32,
        place: Option<u16>,
    ) -> Option<JavaMethod> {
        if self.generation != source.generation() || self.names.len() > MAX_METHODS {
            *self = Self { generation: source.generation(), ..Self::default() };
        }
        let method = Definition::parse(source.code(number)?)?;
        let names = self.names.entry(number).or_insert_with(|| decode(&method));
        let (name, file) = names.clone();
        let lines = lines(&method, place);
        Some(JavaMethod { name, file, start_line: lines.first, line: lines.at })
    }
}

fn decode(method: &Definition<'_>) -> (Arc<str>, Arc<str>) {
    let class = names::text(method.class);
    let name = format!("{}.{}", names::class(&class), names::text(method.method));
    let file = names::file(&class, &names::text(method.file));
    (name.into(), file.into())
}
