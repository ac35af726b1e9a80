//! Threads that are sampled from their first instant.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::agent;
use crate::fence::guarded;

/// Stands for the function by which `threading` starts threads, and lets each register itself.
/// Native, so that no frame of ours is on any stack.
#[pyclass(frozen, module = "sondage")]
pub(crate) struct StartThread {
    original: Py<PyAny>,
}

#[pymethods]
impl StartThread {
    #[new]
    fn new(original: Py<PyAny>) -> Self {
        Self { original }
    }

    /// What it stands for.
    #[getter]
    fn original(&self, py: Python<'_>) -> Py<PyAny> {
        self.original.clone_ref(py)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let Ok(body) = args.get_item(0) else { return self.original.call(py, args, kwargs) };
        let first = Bound::new(py, Body { body: body.unbind() })?.into_any();
        let rest = args.iter().skip(1);
        let args = PyTuple::new(py, std::iter::once(first).chain(rest).collect::<Vec<_>>())?;
        self.original.call(py, args, kwargs)
    }
}

/// What the new thread runs.
#[pyclass(frozen, module = "sondage")]
struct Body {
    body: Py<PyAny>,
}

#[pymethods]
impl Body {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        guarded(agent::register_thread);
        self.body.call(py, args, kwargs)
    }
}
