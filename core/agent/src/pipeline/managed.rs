//! A runtime whose frames lie on the native stack, and how stacks with such frames are shown.

use super::frames::SourceFrame;
use super::java::Java;
use super::javascript::Scripted;
use crate::profile::LossCause;
use crate::resolve::{CodeSource, FileIndex, Mappings};
use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// A frame of a stack as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shown {
    /// A native address, of which only the name is shown.
    Named(u64),
    /// A native address.
    Native(u64),
    /// Frames of the runtime, leaf first.
    Source(Rc<[SourceFrame]>),
    /// A frame with this name alone.
    Placeholder(&'static str),
    /// A frame that could not be read.
    Lost,
}

/// What the agent thread knows of such a runtime.
pub(super) trait Managed: Debug {
    /// Whether a word of a sample is a frame of the runtime.
    fn is_frame(&self, word: u64) -> bool;

    /// How long unwind tables wait after the start: the host pays for them, and a short-lived one for
    /// nothing, where stacks have their roots without.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether a stack is to be shown by this.
    fn has_part_in(&self, words: &[u64]) -> bool {
        words.iter().any(|word| self.is_frame(*word))
    }

    /// Finds the runtime's file among `modules`, if that was not done for this list.
    fn find_code(&mut self, modules: &mut Mappings);

    /// How a stack is shown, leaf first. A native frame that is returned to is given as the address
    /// before, which is in the call.
    fn shown(&mut self, words: &[u64], source: &dyn CodeSource) -> Vec<Shown>;

    /// The frame in place of one that could not be read, and under which cause it is counted.
    fn lost(&self) -> (&'static str, LossCause);

    /// Says that what was read of the source files may have changed since the last time.
    fn look_again(&mut self) {}

    /// What went wrong with the source files.
    fn error(&self) -> Option<&str> {
        None
    }
}

/// The runtime's own file, whose native frames are hidden where they are not the leaf.
#[derive(Debug, Default)]
pub(super) struct OwnFile {
    /// The list of modules by which the mappings were found.
    revision: u64,
    file: Option<FileIndex>,
    mappings: Vec<Range<u64>>,
}

impl OwnFile {
    /// Finds the mappings of the file that holds `address`, if that was not done for this list, and
    /// asks for its table: every stack leads through it. Returns the file, with the address of the
    /// process at which it begins, if it is another than before.
    pub(super) fn find(
        &mut self,
        modules: &mut Mappings,
        address: u64,
    ) -> Option<(FileIndex, u64)> {
        if self.revision == modules.revision() {
            return None;
        }
        self.revision = modules.revision();
        let module = modules.find(address).cloned()?;
        modules.want_table(module.file);
        self.mappings = modules.of_file(module.file).map(|module| module.range.clone()).collect();
        let known = self.file.replace(module.file);
        (known != Some(module.file)).then_some((module.file, module.bias))
    }

    /// Whether an address is in it.
    pub(super) fn holds(&self, address: u64) -> bool {
        self.mappings.iter().any(|range| range.contains(&address))
    }
}

/// What was announced of such a runtime.
pub(super) fn managed(
    v8: Option<crate::v8::Announced>,
    hotspot: Option<&'static crate::hotspot::Announced>,
    internals: bool,
) -> Option<Box<dyn Managed>> {
    match (v8, hotspot) {
        (Some(v8), _) => Some(Box::new(Scripted::new(v8, internals))),
        (None, Some(hotspot)) => Some(Box::new(Java::new(Cow::Borrowed(hotspot), internals))),
        (None, None) => None,
    }
}
