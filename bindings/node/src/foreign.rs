//! Stacks as V8's own profiler tells them, where no signal handler can read them.

use std::sync::Arc;
use std::time::Duration;

use napi_derive::napi;
use sondage::{ForeignFrame, ForeignStack, LabelSet};

use crate::agent;
use crate::fence::fenced;

/// How these stacks are taken, in profiles and in messages.
pub(crate) const SOURCE: &str = "v8-inspector";

/// A stack, and the time that it stands for.
#[napi(object)]
#[derive(Debug)]
pub struct Stack {
    /// The names of its functions, leaf first.
    pub names: Vec<String>,
    /// The file of each.
    pub files: Vec<String>,
    /// The line of each, and the line where its function begins, one after the other; 0 if unknown.
    pub lines: Vec<u32>,
    /// CPU time in nanoseconds.
    pub cpu: f64,
    /// Waiting time in nanoseconds.
    pub waited: f64,
    /// The label set.
    pub labels: u32,
    /// The thread's name.
    pub thread: String,
}

impl Stack {
    fn into_foreign(self) -> ForeignStack {
        let (lines, _) = self.lines.as_chunks::<2>();
        let frames = self.names.iter().zip(&self.files).zip(lines);
        let frames = frames.map(|((name, file), [line, start_line])| ForeignFrame {
            name: Arc::from(name.as_str()),
            file: Arc::from(file.as_str()),
            line: *line,
            start_line: *start_line,
        });
        ForeignStack {
            source: SOURCE,
            frames: frames.collect(),
            labels: LabelSet::from_id(self.labels),
            thread: Arc::from(self.thread),
            cpu: Duration::from_nanos(self.cpu as u64),
            waited: Duration::from_nanos(self.waited as u64),
        }
    }
}

/// Hands stacks over and returns how many found room.
#[napi]
pub fn add_stacks(stacks: Vec<Stack>) -> napi::Result<u32> {
    fenced(0, || {
        let stacks: Vec<_> = stacks.into_iter().map(Stack::into_foreign).collect();
        Ok(agent::ask(|agent| agent.add_foreign(stacks)).map_or(0, |sent| sent as u32))
    })
}
