//! The context variable that holds the current labels.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};
use sondage::LabelSet;

use super::value;
use crate::agent;
use crate::fence::fenced;

/// The variable and its methods, looked up once.
pub(super) struct Variable {
    get: Py<PyAny>,
    set: Py<PyAny>,
    reset: Py<PyAny>,
}

static VARIABLE: PyOnceLock<Variable> = PyOnceLock::new();

impl Variable {
    /// The one of this process.
    pub(super) fn of(py: Python<'_>) -> PyResult<&Self> {
        VARIABLE.get_or_try_init(py, || {
            let settings = PyDict::new(py);
            settings.set_item("default", py.None())?;
            let class = py.import("contextvars")?.getattr("ContextVar")?;
            let variable = class.call(("sondage.labels",), Some(&settings))?;
            let method = |name| Ok::<_, PyErr>(variable.getattr(name)?.unbind());
            Ok(Self { get: method("get")?, set: method("set")?, reset: method("reset")? })
        })
    }

    /// The current value: `None`, or the bytes of a label set.
    pub(super) fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get.bind(py).call0()
    }

    /// Makes a value current and returns the token that takes it back.
    pub(super) fn replace<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        // Starts the profiler of a child that a host has forked without Python's knowledge.
        agent::register_thread();
        self.set.bind(value.py()).call1((value,))
    }

    /// Takes a change back. Fails for a token of another context.
    pub(super) fn restore(&self, token: &Bound<'_, PyAny>) -> PyResult<()> {
        self.reset.bind(token.py()).call1((token,)).map(drop)
    }
}

/// The label set that a value of the variable stands for.
pub(super) fn set_of(value: &Bound<'_, PyAny>) -> LabelSet {
    value.cast::<PyBytes>().map_or(LabelSet::EMPTY, |bytes| value::decode(bytes.as_bytes()))
}

/// The value of the variable that stands for a label set.
pub(super) fn value_of(py: Python<'_>, set: LabelSet) -> Bound<'_, PyAny> {
    PyBytes::new(py, &value::encode(set)).into_any()
}

/// A label's value as text: what `str` makes of it.
pub(super) fn text(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(value.str()?.to_cow()?.into_owned())
}

/// Changes the current labels for good.
fn change(py: Python<'_>, change: impl FnOnce(LabelSet) -> LabelSet) -> PyResult<Py<PyAny>> {
    let variable = Variable::of(py)?;
    let set = change(set_of(&variable.value(py)?));
    Ok(variable.replace(&value_of(py, set))?.unbind())
}

/// Sets one label until it is set again, for the current context.
#[pyfunction]
pub(crate) fn set_label(key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let text = text(value)?;
    let py = value.py();
    fenced(py, (), || change(py, |set| set.with([(key, text.as_str())])).map(drop))
}

/// Takes one label out of the current ones.
#[pyfunction]
pub(crate) fn clear_label(py: Python<'_>, key: &str) -> PyResult<()> {
    fenced(py, (), || {
        let without = |set: LabelSet| {
            let pairs = set.pairs();
            let others = pairs.iter().filter(|(name, _)| name != key);
            LabelSet::EMPTY.with(others.map(|(name, value)| (name.as_str(), value.as_str())))
        };
        change(py, without).map(drop)
    })
}

/// The labels of the current context, ids of span and trace included.
#[pyfunction]
pub(crate) fn current_labels(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    fenced(py, PyDict::new(py), || {
        let labels = PyDict::new(py);
        for (key, value) in set_of(&Variable::of(py)?.value(py)?).pairs() {
            labels.set_item(key, value)?;
        }
        Ok(labels)
    })
}

/// Makes a span current beside the labels; `leave` takes it back by the token that is returned. An
/// id of 0 is none.
#[pyfunction]
pub(crate) fn enter_span(py: Python<'_>, span: u64, trace: u128) -> PyResult<Py<PyAny>> {
    fenced(py, py.None(), || change(py, |set| set.with_span(span, Some(trace))))
}

/// Takes back what a token stands for; whether it could: not from another context.
#[pyfunction]
pub(crate) fn leave(token: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = token.py();
    fenced(py, false, || Ok(Variable::of(py)?.restore(token).is_ok()))
}
