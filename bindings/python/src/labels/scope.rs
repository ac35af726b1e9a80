//! `with sondage.labels(...)`.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::variable::{Variable, set_of, text, value_of};
use crate::fence::fenced;

/// Labels for a block, a function, or the steps of a generator. May be used again, nested, and by
/// several tasks at once.
#[pyclass(frozen, module = "sondage", name = "labels")]
pub(crate) struct Labels {
    pairs: Vec<(String, String)>,
    /// The value that was current at the last entry, and what was made of it.
    last: Mutex<Option<(Py<PyAny>, Py<PyAny>)>>,
    /// Tokens of the entries that were not left yet.
    entered: Mutex<Vec<Py<PyAny>>>,
}

#[pymethods]
impl Labels {
    #[new]
    #[pyo3(signature = (labels = None, /, **kwargs))]
    fn new(
        labels: Option<&Bound<'_, PyAny>>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut pairs = Vec::new();
        let labels = labels.map(mapping).transpose()?;
        let given = [labels.as_ref(), kwargs].into_iter().flatten();
        for (key, value) in given.flat_map(|given| given.iter()) {
            let Ok(key) = key.extract() else {
                return Err(PyTypeError::new_err("labels must have str keys"));
            };
            pairs.push((key, text(&value)?));
        }
        Ok(Self { pairs, last: Mutex::new(None), entered: Mutex::new(Vec::new()) })
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let this = slf.get();
        fenced(slf.py(), (), || this.enter(slf.py()))?;
        Ok(slf)
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyTuple>) -> PyResult<bool> {
        fenced(py, (), || self.exit(py))?;
        Ok(false)
    }

    /// Wraps a function.
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let decorate = slf.py().import("sondage._decorator")?.getattr("decorate")?;
        decorate.call1((slf, function))
    }

    fn __repr__(&self) -> String {
        let pairs: Vec<_> = self.pairs.iter().map(|(k, v)| format!("{k:?}: {v:?}")).collect();
        format!("sondage.labels({{{}}})", pairs.join(", "))
    }
}

/// A dict, or one made of another mapping.
fn mapping<'py>(labels: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    match labels.cast::<PyDict>() {
        Ok(labels) => Ok(labels.clone()),
        Err(_) if !labels.hasattr("keys")? => {
            Err(PyTypeError::new_err("labels must be a mapping, or keyword arguments"))
        }
        Err(_) => Ok(labels.py().get_type::<PyDict>().call1((labels,))?.cast_into()?),
    }
}

impl Labels {
    fn enter(&self, py: Python<'_>) -> PyResult<()> {
        let variable = Variable::of(py)?;
        let before = variable.value(py)?;
        let value = self.value(&before);
        let token = variable.replace(&value)?.unbind();
        self.entered.lock().unwrap_or_else(PoisonError::into_inner).push(token);
        Ok(())
    }

    /// What these labels make of the current value.
    fn value<'py>(&self, before: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        let py = before.py();
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((from, to)) = &*last()
            && from.is(before)
        {
            return to.bind(py).clone();
        }
        let pairs = self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let value = value_of(py, set_of(before).with(pairs));
        let replaced = last().replace((before.clone().unbind(), value.clone().unbind()));
        // Dropped without the lock: that may run other Python code.
        drop(replaced);
        value
    }

    /// Takes the last entry of the current context back. Several tasks may have entered, each in
    /// its own context; a token of another one is refused.
    fn exit(&self, py: Python<'_>) -> PyResult<()> {
        let variable = Variable::of(py)?;
        let entered = || self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        let mut others = Vec::new();
        loop {
            let token = entered().pop();
            let Some(token) = token else { break };
            if variable.restore(token.bind(py)).is_ok() {
                break;
            }
            others.push(token);
        }
        if !others.is_empty() {
            entered().extend(others.into_iter().rev());
        }
        Ok(())
    }
}
