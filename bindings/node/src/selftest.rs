//! The self-test: before frames are read in signal handlers, known ones must be read rightly.

use std::sync::OnceLock;

use napi::bindgen_prelude::{Env, JsValue, Object, Unknown};
use napi_derive::napi;
use sondage::v8::{Layout, SeenFrame, announced, look};

use crate::fence::fenced;
use crate::v8;

/// Where this V8 keeps things, right or wrong.
fn candidate() -> &'static Result<Layout, String> {
    static CANDIDATE: OnceLock<Result<Layout, String>> = OnceLock::new();
    CANDIDATE.get_or_init(v8::layout)
}

/// A frame as it is read.
#[napi(object)]
#[derive(Debug)]
pub struct ReadFrame {
    /// The function's name.
    pub name: String,
    /// The file.
    pub file: String,
    /// The line where the function begins.
    pub start_line: u32,
    /// The line that runs.
    pub line: u32,
    /// What made the code: `ignition`, `sparkplug`, `maglev`, `turbofan` or `builtin`.
    pub tier: String,
    /// Whether a frame of the interpreter is at a call of its function, as it must be.
    pub exact: bool,
}

/// What is read of the calling thread.
#[napi(object)]
#[derive(Debug)]
pub struct Look {
    /// Frames of JavaScript, leaf first.
    pub frames: Vec<ReadFrame>,
    /// How much could not be read, or makes no sense.
    pub lost: u32,
    /// The number of the current label set.
    pub labels: u32,
}

/// Has samples of the calling thread read its isolate. Why that is not possible, otherwise.
#[napi]
pub fn attach_isolate(env: Env) -> napi::Result<Option<String>> {
    fenced(Some("a defect".to_owned()), || {
        if let Err(reason) = candidate() {
            return Ok(Some(reason.clone()));
        }
        if let Err(reason) = v8::attach() {
            return Ok(Some(reason));
        }
        env.add_env_cleanup_hook((), |()| v8::detach())?;
        Ok(None)
    })
}

/// Has labels read from where V8 keeps the store of `storage`, if it can be found with the help of
/// `probe`, a new object.
#[napi]
pub fn find_labels(storage: Object<'_>, probe: Object<'_>) -> napi::Result<bool> {
    fenced(false, || Ok(v8::read_labels(storage.raw(), probe.raw())))
}

/// Undoes [`find_labels`].
#[napi]
pub fn forget_labels() -> napi::Result<()> {
    fenced((), || {
        v8::forget_labels();
        Ok(())
    })
}

/// Reads the frames of who calls this. `changed` puts another value in place of the number of the
/// layout with that name: no such layout may pass.
#[napi]
pub fn look_here(changed: Option<String>, value: Option<i64>) -> napi::Result<Option<Look>> {
    fenced(None, || {
        let Some(layout) = layout(changed, value) else { return Ok(None) };
        let seen = v8::with_attached(|attached, at| look(&layout, attached, at)).flatten();
        Ok(seen.map(|seen| {
            let frames = seen.frames.iter().map(|SeenFrame { frame, tier, exact }| ReadFrame {
                tier: (*tier).to_owned(),
                exact: *exact,
                name: frame.name.to_string(),
                file: frame.file.to_string(),
                start_line: frame.start_line,
                line: frame.line,
            });
            Look {
                frames: frames.collect(),
                lost: u32::try_from(seen.lost).unwrap_or(u32::MAX),
                labels: seen.labels.id(),
            }
        }))
    })
}

/// Reads a string. `changed` as for [`look_here`].
#[napi]
pub fn read_string(
    string: Unknown<'_>,
    changed: Option<String>,
    value: Option<i64>,
) -> napi::Result<Option<String>> {
    fenced(None, || {
        let Some(layout) = layout(changed, value) else { return Ok(None) };
        Ok(sondage::v8::text(&layout, v8::tagged(string.raw())))
    })
}

fn layout(changed: Option<String>, value: Option<i64>) -> Option<Layout> {
    let mut layout = *candidate().as_ref().ok()?;
    if let (Some(name), Some(value)) = (changed, value) {
        let number = layout.each().into_iter().find(|(known, _)| *known == name);
        number.into_iter().for_each(|(_, number)| number.set(value));
    }
    layout.check().is_ok().then_some(layout)
}

/// The numbers of the layout, by name.
#[napi]
pub fn layout_numbers() -> napi::Result<Vec<(String, i64)>> {
    fenced(Vec::new(), || {
        let Ok(mut layout) = candidate().clone() else { return Ok(Vec::new()) };
        let numbers = layout.each().map(|(name, number)| (name.to_owned(), number.get()));
        Ok(numbers.into_iter().collect())
    })
}

/// Has the profiler read frames of JavaScript: the self-test has passed.
#[napi]
pub fn announce_layout() -> napi::Result<()> {
    fenced((), || {
        if let Ok(layout) = candidate() {
            v8::announce(*layout);
        }
        Ok(())
    })
}

/// Whether the profiler reads frames of JavaScript.
#[napi]
pub fn reads_javascript() -> napi::Result<bool> {
    fenced(false, || Ok(announced().is_some()))
}
