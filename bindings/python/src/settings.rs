//! Arguments of `sondage.start` as text for the core's parser, which knows what is allowed.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyList, PyTuple};
use sondage::Config;

/// Arguments that are not called like their variable in lower case.
const NAMES: &[(&str, &str)] = &[
    ("service_name", "SERVICE"),
    ("memory", "HEAP"),
    ("memory_limit", "MEMORY"),
    ("symbol_memory_limit", "SYMBOL_MEMORY"),
    ("spool_limit", "SPOOL_BYTES"),
];

/// The configuration that the environment and `arguments` make; `None` stands for an argument that
/// was not given. Where nobody names the service, it is called like `program`.
pub(crate) fn config(arguments: &Bound<'_, PyDict>, program: Option<String>) -> PyResult<Config> {
    let mut builder = Config::builder().process_environment();
    for (name, value) in arguments.iter().filter(|(_, value)| !value.is_none()) {
        let name: String = name.extract()?;
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let variable = known.map_or_else(|| name.to_ascii_uppercase(), |(_, v)| (*v).to_owned());
        builder = builder.argument(&variable, &name, &text(&name, &value)?);
    }
    let config = builder.build();
    let mut config = config.map_err(|error| PyValueError::new_err(error.to_string()))?;
    if let Some(program) = program
        && config.service_name == Config::default().service_name
    {
        config.service_name = program;
    }
    Ok(config)
}

/// A value as its variable would say it.
fn text(name: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(pairs) = value.cast::<PyDict>() {
        return pairs_text(pairs);
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let parts = value.try_iter()?.map(|part| text(name, &part?));
        let parts = parts.collect::<PyResult<Vec<_>>>()?;
        // An empty variable is one that is not set; no target has a word of its own.
        return Ok(if parts.is_empty() { "none".to_owned() } else { parts.join(",") });
    }
    if value.is_instance_of::<PyBool>() {
        return Ok(if value.is_truthy()? { "true" } else { "false" }.to_owned());
    }
    if value.is_instance_of::<PyFloat>() && DURATIONS.contains(&name) {
        let seconds: f64 = value.extract()?;
        if seconds.is_finite() && seconds >= 0.0 {
            return Ok(format!("{:.0}ms", seconds * 1000.0));
        }
    }
    if value.hasattr("__fspath__")? {
        return value.call_method0("__fspath__")?.extract();
    }
    Ok(value.str()?.to_cow()?.into_owned())
}

/// Arguments that are times, in seconds where they are numbers.
const DURATIONS: [&str; 3] = ["interval", "exit_timeout", "file_age"];

/// `key=value,key=value`, with `%` for what may not stand there.
fn pairs_text(pairs: &Bound<'_, PyDict>) -> PyResult<String> {
    let mut texts = Vec::new();
    for (key, value) in pairs.iter() {
        let key: String =
            key.extract().map_err(|_| PyTypeError::new_err("labels must have str keys"))?;
        let value = value.str()?;
        texts.push(format!("{}={}", escaped(&key), escaped(&value.to_cow()?)));
    }
    Ok(texts.join(","))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
