//! Functions that run elsewhere, under the labels of where they were handed over.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::variable::Variable;
use crate::fence::fenced;

/// A function with the labels that it is to run under. Native, so that no frame of ours is on the
/// stack.
#[pyclass(frozen, module = "sondage")]
struct Carried {
    function: Py<PyAny>,
    value: Py<PyAny>,
}

#[pymethods]
impl Carried {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let value = self.value.bind(py);
        let token = fenced(py, None, || Variable::of(py)?.replace(value).map(Some))?;
        let outcome = self.function.call(py, args, kwargs);
        if let Some(token) = token {
            fenced(py, (), || Variable::of(py)?.restore(&token))?;
        }
        outcome
    }

    /// The function itself.
    #[getter]
    fn __wrapped__(&self, py: Python<'_>) -> Py<PyAny> {
        self.function.clone_ref(py)
    }
}

/// A function that runs `function` under the labels that are current now, in whichever thread.
#[pyfunction]
pub(crate) fn propagate<'py>(function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = function.py();
    fenced(py, function.clone(), || {
        let value = Variable::of(py)?.value(py)?;
        if value.is_none() {
            return Ok(function.clone());
        }
        let carried = Carried { function: function.clone().unbind(), value: value.unbind() };
        Ok(Bound::new(py, carried)?.into_any())
    })
}
