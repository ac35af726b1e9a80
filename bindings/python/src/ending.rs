//! The end of a process by `os._exit`, which runs neither Python's exit functions nor the C
//! library's: forked workers end so.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::agent;
use crate::fence::guarded;

/// Stands for `os._exit`: delivers the last profile, then calls it.
#[pyclass(frozen, module = "sondage")]
pub(crate) struct Exit {
    original: Py<PyAny>,
}

#[pymethods]
impl Exit {
    #[new]
    fn new(original: Py<PyAny>) -> Self {
        Self { original }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        // With the interpreter's lock: nobody goes on in a process that was to end at once.
        guarded(agent::deliver_last);
        self.original.call(py, args, kwargs)
    }
}
