//! Sondage for Python: the extension module `sondage._sondage`.
//!
//! The API that people see is written in Python, in the package beside this crate. What is here is
//! what must be quick or must leave no Python frame: labels, the callables that threads start
//! with, and the bridge to the core.
//!
//! Every export goes through [`fence::fenced`]: a defect turns profiling off with one warning, and
//! the program goes on.
#![deny(unsafe_code)]

mod agent;
mod command;
mod ending;
mod fence;
mod interpreter;
mod labels;
mod memory;
mod selftest;
mod settings;
mod stacks;
mod threads;

#[pyo3::pymodule]
mod _sondage {
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }

    #[pymodule_export]
    use crate::agent::finish;
    #[pymodule_export]
    use crate::agent::flush;
    #[pymodule_export]
    use crate::agent::is_running;
    #[pymodule_export]
    use crate::agent::needs_stacks;
    #[pymodule_export]
    use crate::agent::process_forked;
    #[pymodule_export]
    use crate::agent::record;
    #[pymodule_export]
    use crate::agent::start;
    #[pymodule_export]
    use crate::agent::stats;
    #[pymodule_export]
    use crate::agent::stop;
    #[pymodule_export]
    use crate::command::command;
    #[pymodule_export]
    use crate::ending::Exit;
    #[pymodule_export]
    use crate::labels::Labels;
    #[pymodule_export]
    use crate::labels::clear_label;
    #[pymodule_export]
    use crate::labels::current_labels;
    #[pymodule_export]
    use crate::labels::enter_span;
    #[pymodule_export]
    use crate::labels::leave;
    #[pymodule_export]
    use crate::labels::propagate;
    #[pymodule_export]
    use crate::labels::set_label;
    #[pymodule_export]
    use crate::selftest::check_layout;
    #[pymodule_export]
    use crate::selftest::layout_offsets;
    #[pymodule_export]
    use crate::stacks::Stacks;
    #[pymodule_export]
    use crate::threads::StartThread;
}
