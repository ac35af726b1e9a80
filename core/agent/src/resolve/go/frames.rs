//! Names, files and lines, with the calls that were inlined.

use std::borrow::Cow;

use gimli::Reader as _;

use super::assembly::Kind;
use super::find::Place;
use super::function::{Function, Functions};
use super::header::Version;
use super::memory::reader_at;
use crate::resolve::image::Image;
use crate::resolve::paged::Pages;
use crate::resolve::symbols::Detail;

/// Calls inlined into each other at one instruction.
const MAX_INLINED: usize = 128;

/// One frame of an address, as Go's own tracebacks show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoFrame {
    pub(crate) name: String,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) start_line: Option<u32>,
}

/// Looks addresses up in a Go program's table.
pub(crate) struct Names<'p> {
    image: &'p Image,
    pages: &'p Pages<'p>,
    functions: Functions<'p>,
    version: Version,
    trees: Option<u64>,
}

/// An inlined call, `runtime.inlinedCall`.
struct Call {
    name: u32,
    /// An instruction of the caller, from the function's start.
    parent: u32,
    start_line: Option<u32>,
}

impl<'p> Names<'p> {
    pub(crate) fn new(image: &'p Image, pages: &'p Pages<'p>, place: &Place) -> Self {
        let functions = place.functions(pages);
        let version = functions.header.version;
        Self { image, pages, functions, version, trees: place.trees }
    }

    /// The frames of an address (in the file's own address space), innermost first; `None` where
    /// Go knows nothing of it. With [`Detail::Names`] there is one, without file and line.
    pub(crate) fn frames_at(&self, address: u64, detail: Detail) -> Option<Vec<GoFrame>> {
        let function = self.function(address)?;
        // Code of another language has a name here and nothing else.
        self.functions.depths(&function)?;
        let name = self.functions.name(&function)?;
        if detail == Detail::Names {
            let start_line = function.start_line;
            return Some(vec![GoFrame { name, file: None, line: None, start_line }]);
        }
        let mut frames = Vec::new();
        let mut at = address;
        while frames.len() < MAX_INLINED
            && let Some((inlined, parent)) = self.inlined(&function, at)
        {
            frames.push(inlined);
            at = parent;
        }
        frames.push(self.frame(&function, at, name, function.start_line));
        Some(frames)
    }

    /// The function at an address. Where a signal's handler returns to was not called: what comes
    /// before it stands for it.
    fn function(&self, address: u64) -> Option<Function> {
        let index = self.functions.find(address)?;
        let function = self.functions.function(index)?;
        if address.checked_add(1) == Some(function.code.end)
            && let Some(next) = self.functions.function(index + 1)
            && let Some(name) = self.functions.short_name(&next)
            && Kind::of(&name, next.flags) == Kind::Signal
        {
            return Some(next);
        }
        Some(function)
    }

    fn frame(
        &self,
        function: &Function,
        at: u64,
        name: String,
        start_line: Option<u32>,
    ) -> GoFrame {
        let file = self.functions.file(function, at);
        GoFrame { name, file, line: self.functions.line(function, at), start_line }
    }

    /// The inlined call that an instruction belongs to, and an instruction of its caller.
    fn inlined(&self, function: &Function, at: u64) -> Option<(GoFrame, u64)> {
        let number = self.functions.inlined_call(function, at)?;
        let call = self.call(function.inlined_calls?, number)?;
        let parent = function.code.start.checked_add(call.parent.into())?;
        // What makes no sense is not what was taken for a tree.
        let name = self.functions.name_at(call.name)?;
        let frame = self.frame(function, at, name, call.start_line);
        function.code.contains(&parent).then_some((frame, parent))
    }

    fn call(&self, tree: u64, number: u32) -> Option<Call> {
        let size = if self.version >= Version::Go120 { 16 } else { 20 };
        let base = if self.version >= Version::Go118 { self.trees? } else { 0 };
        let address = base.checked_add(tree)?.checked_add(u64::from(number) * size)?;
        let mut reader = reader_at(self.image, self.pages, address)?;
        if self.version >= Version::Go120 {
            reader.skip(4).ok()?;
            let (name, parent) = (reader.read_u32().ok()?, reader.read_u32().ok()?);
            let start_line = reader.read_u32().ok().filter(|line| (1..1 << 30).contains(line));
            return Some(Call { name, parent, start_line });
        }
        reader.skip(12).ok()?;
        let (name, parent) = (reader.read_u32().ok()?, reader.read_u32().ok()?);
        Some(Call { name, parent, start_line: None })
    }
}

/// A function's name as Go's tracebacks and profiles have it: type arguments are left out.
/// `slices.Sort[go.shape.[]int]` gives `slices.Sort[...]`.
pub(crate) fn readable(name: &str) -> Cow<'_, str> {
    match (name.find('['), name.rfind(']')) {
        (Some(from), Some(to)) if from < to => {
            Cow::Owned(format!("{}[...]{}", &name[..from], &name[to + 1..]))
        }
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn type_arguments_are_left_out() {
        assert_eq!(readable("a/b.F[go.shape.[]int].func1"), "a/b.F[...].func1");
        for name in ["main.main", "]a[", "a[", "", "main.(*T).F"] {
            assert_eq!(readable(name), name);
        }
    }
}
