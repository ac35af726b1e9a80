//! What the agent thread knows of the interpreter in this process.

use super::mixed::Native;
use crate::resolve::{
    CodeSource, Codes, FileIndex, Image, Mappings, Module, PythonFunction, ResolveError,
    all_ranges, ranges_of, variable,
};
use std::ops::Range;

/// The function of CPython that runs Python code. Compilers split parts off it, named after it.
const EVALUATION: &str = "_PyEval_EvalFrameDefault";

/// The variable with the state of CPython's main interpreter, and so with the GIL: from 3.12 on each
/// interpreter has its own, and those of others are not found here.
const RUNTIME: &str = "_PyRuntime";

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
    /// What is found once for each file.
    in_file: Option<(FileIndex, InFile)>,
    /// The evaluation function.
    evaluation: Vec<Range<u64>>,
    /// The mappings of the file.
    own: Vec<Range<u64>>,
    /// The interpreter's state, in which its lock is.
    runtime: Option<Range<u64>>,
}

/// Where things are in the interpreter's file, in addresses of the file.
#[derive(Debug, Default)]
struct InFile {
    evaluation: Vec<Range<u64>>,
    runtime: Option<Range<u64>>,
    /// All functions, once one of them is asked for.
    functions: Option<Vec<Range<u64>>>,
}

impl Interpreted {
    /// Of the interpreter whose evaluation function holds the address `evaluation`.
    pub(crate) fn new(evaluation: Option<u64>, showing: Showing) -> Self {
        Self { evaluation, showing, ..Self::default() }
    }

    /// Where the interpreter's lock is, if that is known.
    pub(super) fn lock(&self) -> Option<&Range<u64>> {
        self.code.runtime.as_ref()
    }

    /// Whether the interpreter's own native frames are shown.
    pub(super) fn shows_internals(&self) -> bool {
        self.showing.internals
    }

    /// Finds the interpreter's code among `modules`, if that was not done for this list.
    pub(super) fn find_code(&mut self, modules: &mut Mappings) {
        let Some(address) = self.evaluation else { return };
        if self.code.revision == modules.revision() {
            return;
        }
        let known = self.code.in_file.take();
        self.code = Code { revision: modules.revision(), ..Code::default() };
        let Some(module) = modules.find(address).cloned() else { return };
        // Every stack leads through it.
        modules.want_table(module.file);
        let in_file = match known {
            Some((file, known)) if file == module.file => known,
            _ => InFile::find(modules, &module, address),
        };
        let here = |range: &Range<u64>| {
            range.start.wrapping_add(module.bias)..range.end.wrapping_add(module.bias)
        };
        self.code.evaluation = in_file.evaluation.iter().map(here).collect();
        self.code.runtime = in_file.runtime.as_ref().map(here);
        self.code.own = modules.of_file(module.file).map(|module| module.range.clone()).collect();
        self.code.in_file = Some((module.file, in_file));
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

    /// Where the interpreter's function that holds an address begins; the address itself, where that
    /// is not known.
    pub(super) fn function_start(&mut self, modules: &mut Mappings, address: u64) -> u64 {
        let (Some(module), Some((file, in_file))) =
            (modules.find(address).cloned(), &mut self.code.in_file)
        else {
            return address;
        };
        if module.file != *file {
            return address;
        }
        let functions = in_file.functions.get_or_insert_with(|| look(modules, *file, all_ranges));
        let address_in_file = address.wrapping_sub(module.bias);
        let after = functions.partition_point(|function| function.start <= address_in_file);
        match functions[..after].last() {
            Some(function) if address_in_file < function.end => {
                function.start.wrapping_add(module.bias)
            }
            _ => address,
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

impl InFile {
    fn find(modules: &mut Mappings, module: &Module, address: u64) -> Self {
        let address = address.wrapping_sub(module.bias);
        look(modules, module.file, |image| {
            let evaluation = ranges_of(image, EVALUATION, address)?;
            Ok(Self { evaluation, runtime: variable(image, RUNTIME)?, functions: None })
        })
    }
}

/// Looks into a file. What cannot be read is told with the modules.
fn look<T: Default>(
    modules: &mut Mappings,
    file: FileIndex,
    read: impl FnOnce(&Image) -> Result<T, ResolveError>,
) -> T {
    let file = modules.file(file);
    let error = match file.open().and_then(|image| read(&image)) {
        Ok(found) => return found,
        Err(error) => format!("{}: {error}", file.path.display()),
    };
    modules.last_error = Some(error);
    T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Modules;

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
        let [range] = &*interpreted.code.evaluation.clone() else { panic!("one function") };
        assert!(range.end - range.start < 4096, "{range:?}");
        assert_eq!(interpreted.classify(range.end - 1), Native::Evaluation);
        assert_eq!(interpreted.classify(range.end), Native::Internal);
        assert_eq!(interpreted.function_start(&mut modules, range.end - 1), range.start);
        assert_eq!(interpreted.function_start(&mut modules, range.start), range.start);
        assert_eq!(interpreted.function_start(&mut modules, 0x10), 0x10);
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
