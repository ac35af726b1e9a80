//! Labels of a context: of a thread, or of a task of asyncio.
//!
//! One `ContextVar` holds them, as a `bytes` object that the signal handler can read. asyncio
//! copies contexts from task to task by itself, and so the labels.

mod carried;
mod scope;
mod value;
mod variable;

pub(crate) use carried::propagate;
pub(crate) use scope::Labels;
pub(crate) use variable::clear_label;
pub(crate) use variable::current_labels;
pub(crate) use variable::enter_span;
pub(crate) use variable::leave;
pub(crate) use variable::set_label;
