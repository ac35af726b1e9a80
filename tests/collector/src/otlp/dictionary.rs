//! Looking things up in the tables that the profiles of one message share.

use std::collections::BTreeMap;

use super::message::{AnyValue, Attribute, Dictionary, Value};
use crate::record::{Frame, ValueType};

/// A dictionary whose every index was checked.
pub(super) struct Tables<'a>(&'a Dictionary);

/// The entry at an index.
fn get<'a, T>(table: &'a [T], index: i32, what: &str) -> Result<&'a T, String> {
    let found = usize::try_from(index).ok().and_then(|index| table.get(index));
    found.ok_or_else(|| format!("{what} {index} is not in the table of {}", table.len()))
}

/// Whether a table begins with the entry that means "none".
fn begins_with_none<T: Default + PartialEq>(table: &[T], what: &str) -> Result<(), String> {
    match table.first() {
        Some(first) if *first == T::default() => Ok(()),
        Some(_) => Err(format!("{what}[0] is not the zero value")),
        None => Err(format!("{what} is empty")),
    }
}

impl<'a> Tables<'a> {
    pub(super) fn new(dictionary: &'a Dictionary) -> Result<Self, String> {
        begins_with_none(&dictionary.mappings, "mapping_table")?;
        begins_with_none(&dictionary.locations, "location_table")?;
        begins_with_none(&dictionary.functions, "function_table")?;
        begins_with_none(&dictionary.links, "link_table")?;
        begins_with_none(&dictionary.strings, "string_table")?;
        begins_with_none(&dictionary.attributes, "attribute_table")?;
        begins_with_none(&dictionary.stacks, "stack_table")?;
        let tables = Self(dictionary);
        tables.check()?;
        Ok(tables)
    }

    /// Everything in the tables, used or not: a server may look at all of it.
    fn check(&self) -> Result<(), String> {
        for attribute in self.0.attributes.iter().skip(1) {
            self.attribute(attribute)?;
        }
        for mapping in &self.0.mappings {
            self.string(mapping.file)?;
            self.labels(&mapping.attributes)?;
        }
        for function in &self.0.functions {
            self.string(function.name)?;
            self.string(function.system_name)?;
            self.string(function.file)?;
        }
        for (index, location) in self.0.locations.iter().enumerate() {
            get(&self.0.mappings, location.mapping, "mapping")?;
            self.labels(&location.attributes)?;
            if index > 0 {
                self.frames(i32::try_from(index).unwrap_or(i32::MAX))?;
            }
        }
        for index in 0..self.0.stacks.len() {
            self.stack(i32::try_from(index).unwrap_or(i32::MAX))?;
        }
        for index in 1..self.0.links.len() {
            self.link(i32::try_from(index).unwrap_or(i32::MAX))?;
        }
        Ok(())
    }

    fn string(&self, index: i32) -> Result<String, String> {
        get(&self.0.strings, index, "string").cloned()
    }

    pub(super) fn value_type(&self, kind: i32, unit: i32) -> Result<ValueType, String> {
        if kind == 0 {
            return Err("a value type without a name".into());
        }
        Ok(ValueType { kind: self.string(kind)?, unit: self.string(unit)? })
    }

    pub(super) fn stack(&self, index: i32) -> Result<Vec<Frame>, String> {
        let stack = get(&self.0.stacks, index, "stack")?;
        let mut frames = Vec::new();
        for &location in &stack.locations {
            if location == 0 {
                return Err("a stack holds location 0, which means none".into());
            }
            frames.extend(self.frames(location)?);
        }
        Ok(frames)
    }

    fn frames(&self, location: i32) -> Result<Vec<Frame>, String> {
        let location = get(&self.0.locations, location, "location")?;
        if location.lines.is_empty() {
            return Ok(vec![Frame::default()]);
        }
        let mut frames = Vec::new();
        for line in &location.lines {
            if line.function == 0 {
                return Err("a line names function 0, which means none".into());
            }
            let function = get(&self.0.functions, line.function, "function")?;
            let as_parca = get(&self.0.functions, line.function - 1, "function")?;
            frames.push(Frame {
                function: self.string(function.name)?,
                file: self.string(function.file)?,
                line: line.line,
                parca_function: Some(self.string(as_parca.name)?),
            });
        }
        Ok(frames)
    }

    pub(super) fn link(&self, index: i32) -> Result<Option<(String, String)>, String> {
        let link = get(&self.0.links, index, "link")?;
        if index == 0 {
            return Ok(None);
        }
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (trace, span) = (&link.trace_id, &link.span_id);
        // A span alone keeps Pyroscope 1.x from making a series of each trace.
        if !matches!(trace.len(), 0 | 16) || span.len() != 8 || span.iter().all(|it| *it == 0) {
            return Err(format!("link {index} has ids of a wrong length"));
        }
        Ok(Some((hex(trace), hex(span))))
    }

    pub(super) fn labels(&self, indices: &[i32]) -> Result<BTreeMap<String, String>, String> {
        let mut labels = BTreeMap::new();
        for &index in indices {
            if index == 0 {
                return Err("attribute 0, which means none, is used".into());
            }
            let (key, value) = self.attribute(get(&self.0.attributes, index, "attribute")?)?;
            if labels.insert(key.clone(), value).is_some() {
                return Err(format!("the attribute {key} is given twice"));
            }
        }
        Ok(labels)
    }

    fn attribute(&self, attribute: &Attribute) -> Result<(String, String), String> {
        let key = self.string(attribute.key)?;
        self.string(attribute.unit)?;
        if key.is_empty() {
            return Err("an attribute without a name".into());
        }
        let value = text(attribute.value.as_ref()).map_err(|reason| format!("{key}: {reason}"))?;
        Ok((key, value))
    }
}

/// A plain value as text.
pub(super) fn text(value: Option<&AnyValue>) -> Result<String, String> {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::Text(text)) => Ok(text.clone()),
        Some(Value::Bool(value)) => Ok(value.to_string()),
        Some(Value::Int(value)) => Ok(value.to_string()),
        Some(Value::Double(value)) => Ok(value.to_string()),
        Some(Value::TextIndex(_)) => Err("string_value_strindex, which servers lose".into()),
        Some(Value::Array(_) | Value::List(_) | Value::Bytes(_)) => {
            Err("a value that is no text and no number, which servers drop".into())
        }
        None => Err("no value".into()),
    }
}
