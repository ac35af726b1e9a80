//! The frames of one stack, as they are shown.

use serde::Serialize;
use sondage::profile::{LocationId, Profile};

/// A frame; the innermost inlined function of an address comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Frame {
    /// The function; empty where it has no name.
    pub(super) function: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) file: String,
    /// 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) line: u32,
    /// The file that was mapped at the address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) module: String,
    /// Without one where it is no native frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
}

fn is_zero(line: &u32) -> bool {
    *line == 0
}

impl Frame {
    /// `work  app.py:12`, `read  libc.so.6`, `0x7f1200  [anonymous]`.
    pub(super) fn to_line(&self) -> String {
        let plain = |text: &str| text.escape_debug().to_string().replace("\\'", "'");
        let address = self.address.as_deref().unwrap_or("?");
        let name = if self.function.is_empty() { address } else { &self.function };
        let module = self.module.rsplit('/').next().unwrap_or_default();
        let place = match (self.file.as_str(), self.line) {
            ("", _) => module.to_owned(),
            (file, 0) => file.to_owned(),
            (file, line) => format!("{file}:{line}"),
        };
        match place.is_empty() {
            true => plain(name),
            false => format!("{}  {}", plain(name), plain(&place)),
        }
    }
}

/// The frames of locations, leaf first.
pub(super) fn of(profile: &Profile, stack: &[LocationId]) -> Vec<Frame> {
    let mut frames = Vec::new();
    for id in stack {
        let location = &profile.locations()[id.index()];
        let text = |id| profile.text(id).to_owned();
        let mapping = &profile.mappings()[location.mapping.index()];
        let module = text(mapping.file);
        let address = (location.address != 0).then(|| format!("{:#x}", location.address));
        if location.lines.is_empty() {
            let (function, file) = (String::new(), String::new());
            frames.push(Frame { function, file, line: 0, module, address });
            continue;
        }
        for line in &location.lines {
            let function = &profile.functions()[line.function.index()];
            frames.push(Frame {
                function: text(function.name),
                file: text(function.file),
                line: line.line,
                module: module.clone(),
                address: address.clone(),
            });
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_function_and_where_it_is() {
        let frame = |function: &str, file: &str, line, module: &str| Frame {
            function: function.to_owned(),
            file: file.to_owned(),
            line,
            module: module.to_owned(),
            address: Some("0x1000".to_owned()),
        };
        for (frame, shown) in [
            (frame("work", "/app/a.py", 12, ""), "work  /app/a.py:12"),
            (frame("read", "", 0, "/usr/lib/libc.so.6"), "read  libc.so.6"),
            (frame("", "", 0, "[anonymous]"), "0x1000  [anonymous]"),
            (frame("a\u{1b}[2J", "", 0, ""), "a\\u{1b}[2J"),
        ] {
            assert_eq!(frame.to_line(), shown);
        }
    }
}
