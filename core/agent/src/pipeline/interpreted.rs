//! What the agent thread knows of the interpreter in this process.

use super::mixed::Native;
use crate::resolve::{CodeSource, Codes, FileIndex, Modules, PythonFunction, ranges_of};
use std::ops::Range;

/// The function of CPython that runs Python code. Compilers split parts off it, named after it.
const EVALUATION: &str = "_PyEval_EvalFrameDefault";

/// How Python frames are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Showing {
    /// Whether the interpreter's own native frames are shown.
    pub(crate) internals: bool,
    /// Beginnings of file names whose Python frames are hidden, unless they are the leaf.
    pub(crate) hidden: Vec<String>,
}

/// The interpreter's code, and the code objects that samples named.
#[derive(Debug, Default)]
pub(crate) struct Interpreted {
    /// An address in the evaluation function; `None` without an interpreter.
    evaluation: Option<u64>,
    showing: Showing,
    codes: Codes,
    code: Code,
}

/// Where the interpreter's code is, by one list of modules.
#[derive(Debug, Default)]
struct Code {
    revision: u64,
    /// The evaluation function, in addresses of the file, which are found once for each file.
    in_file: Option<(FileIndex, Vec<Range<u64>>)>,
    /// The same in addresses of the process.
    evaluation: Vec<Range<u64>>,
    /// The mappings of the file.
    own: Vec<Range<u64>>,
}

impl Interpreted {
    /// Of the interpreter whose evaluation function holds the address `evaluation`.
    pub(crate) fn new(evaluation: Option<u64>, showing: Showing) -> Self {
        Self { evaluation, showing, ..Self::default() }
    }

    /// Whether the interpreter's own native frames are shown.
    pub(super) fn shows_internals(&self) -> bool {
        self.showing.internals
    }

    /// Finds the interpreter's code among `modules`, if that was not done for this list.
    pub(super) fn find_code(&mut self, modules: &mut Modules) {
        let Some(address) = self.evaluation else { return };
        if self.code.revision == modules.revision() {
            return;
        }
        let known = self.code.in_file.take();
        self.code = Code { revision: modules.revision(), ..Code::default() };
        let Some(module) = modules.find(address).cloned() else { return };
        let ranges = match known {
            Some((file, ranges)) if file == module.file => ranges,
            _ => evaluation_ranges(modules, &module, address),
        };
        let here = |range: &Range<u64>| {
            range.start.wrapping_add(module.bias)..range.end.wrapping_add(module.bias)
        };
        self.code.evaluation = ranges.iter().map(here).collect();
        self.code.own = modules.of_file(module.file).map(|module| module.range.clone()).collect();
        self.code.in_file = Some((module.file, ranges));
    }

    /// What a native address belongs to.
    pub(super) fn classify(&self, address: u64) -> Native {
        let holds = |ranges: &[Range<u64>]| ranges.iter().any(|range| range.contains(&address));
        if holds(&self.code.evaluation) {
            Native::Evaluation
        } else if holds(&self.code.own) {
            Native::Internal
        } else {
            Native::Other
        }
    }

    /// The function and the line of a Python frame.
    pub(super) fn function(
        &mut self,
        source: &dyn CodeSource,
        code: u32,
        unit: u32,
    ) -> Option<(PythonFunction, u32)> {
        self.codes.resolve(source, code, unit)
    }

    /// Whether frames of a file are hidden where they are not the leaf.
    pub(super) fn hides(&self, file: &str) -> bool {
        self.showing.hidden.iter().any(|prefix| file.starts_with(prefix.as_str()))
    }
}

/// The evaluation function in addresses of its file. What cannot be read is told with the modules.
fn evaluation_ranges(
    modules: &mut Modules,
    module: &crate::resolve::Module,
    address: u64,
) -> Vec<Range<u64>> {
    let file = modules.file(module.file);
    let found = file.open();
    let found =
        found.and_then(|image| ranges_of(&image, EVALUATION, address.wrapping_sub(module.bias)));
    let error = match found {
        Ok(ranges) => return ranges,
        Err(error) => format!("{}: {error}", file.path.display()),
    };
    modules.last_error = Some(error);
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function that stands in for the evaluation function: whatever holds the address.
    #[inline(never)]
    fn stand_in(number: u64) -> u64 {
        std::hint::black_box(number) + 1
    }

    #[test]
    fn the_code_of_the_interpreter_is_that_of_the_file_which_holds_the_announced_address() {
        let mut modules = Modules::default();
        modules.refresh();
        let address = stand_in as fn(u64) -> u64 as usize as u64;
        let mut interpreted = Interpreted::new(Some(address), Showing::default());
        assert_eq!(interpreted.classify(address), Native::Other, "not looked for yet");
        interpreted.find_code(&mut modules);
        assert_eq!(interpreted.classify(address), Native::Evaluation);
        let other = Interpreted::new as fn(Option<u64>, Showing) -> Interpreted as usize as u64;
        assert_eq!(interpreted.classify(other), Native::Internal);
        assert_eq!(interpreted.classify(0x10), Native::Other);
        let [range] = interpreted.code.evaluation.as_slice() else { panic!("one function") };
        assert!(range.end - range.start < 4096, "{range:?}");
        assert_eq!(interpreted.classify(range.end - 1), Native::Evaluation);
        assert_eq!(interpreted.classify(range.end), Native::Internal);
    }

    #[test]
    fn without_an_interpreter_no_address_is_one_of_its() {
        let mut modules = Modules::default();
        modules.refresh();
        let mut interpreted = Interpreted::default();
        interpreted.find_code(&mut modules);
        let address = stand_in as fn(u64) -> u64 as usize as u64;
        assert_eq!(interpreted.classify(address), Native::Other);
        assert_eq!(stand_in(1), 2);
    }
}
