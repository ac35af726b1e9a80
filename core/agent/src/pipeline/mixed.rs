//! Native and Python frames of one sample, merged into the stack that a reader expects.
//!
//! The handler writes the native frames first and the Python frames after them, both leaf first.
//! Each call of the evaluation function is one native frame and ran the Python frames up to the
//! next one that says so (its entry).
//!
//! ```text
//! native   memcpy  list_sort  EVAL  call_callback  sort.so  EVAL  Py_RunMain  main
//! Python   key  by_price*  |  page  <module>*                       (* an entry)
//! merged   memcpy  key  by_price  sort.so  page  <module>
//! ```

use sondage_sampler::walk::python::PythonFrame;

/// What a native address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Native {
    /// The function that runs Python code.
    Evaluation,
    /// Another function of the interpreter's own file.
    Internal,
    /// Everything else: extension modules, libraries, the host.
    Other,
}

/// Where the Python frames of a sample's words begin; `None` if there are none.
pub(super) fn python_start(words: &[u64]) -> Option<usize> {
    words.iter().position(|word| PythonFrame::from_word(*word).is_some())
}

/// Merges the `native` words of a sample with its `python` words, both leaf first. Addresses that
/// are returned to are given as the address before, which is in the call.
///
/// The interpreter's internals are hidden unless `internals`: its own functions except the leaf,
/// and everything root-ward of the last call of the evaluation function, which started the thread,
/// if the native frames are `complete`. If not, those Python frames which are left go on where the
/// native frames end.
///
/// Calls of the evaluation function are matched from the leaf. One more of them than there are
/// entries is one that has not made its frame yet, or has given it back: it is the leaf-most. That
/// cannot be told where Python frames are missing at the root.
pub(super) fn merge(
    native: &[u64],
    python: &[u64],
    complete: bool,
    internals: bool,
    classify: &dyn Fn(u64) -> Native,
) -> Vec<u64> {
    let address_at =
        |(depth, word): (usize, &u64)| if depth == 0 { *word } else { word.saturating_sub(1) };
    let native: Vec<(u64, Native)> = native
        .iter()
        .enumerate()
        .map(address_at)
        .map(|address| (address, classify(address)))
        .collect();
    let is_call = |(_, kind): &(u64, Native)| *kind == Native::Evaluation;
    let calls = native.iter().filter(|frame| is_call(frame)).count();
    let last_call = native.iter().rposition(is_call).filter(|_| complete);
    let bootstrap = last_call.map_or(native.len(), |depth| depth + 1);
    let mut frameless = calls.saturating_sub(entries(python));
    let mut python = python;
    let mut merged = Vec::with_capacity(native.len() + python.len());
    for (depth, &(address, kind)) in native.iter().enumerate() {
        if !internals && (python.is_empty() || depth >= bootstrap) {
            break;
        }
        match kind {
            Native::Evaluation if frameless == 0 && !python.is_empty() => {
                let (call, rest) = python.split_at(call_length(python));
                merged.extend_from_slice(call);
                python = rest;
                continue;
            }
            Native::Evaluation => {
                frameless = frameless.saturating_sub(1);
                if !internals {
                    continue;
                }
            }
            Native::Internal if depth > 0 && !internals => continue,
            Native::Internal | Native::Other => {}
        }
        merged.push(address);
    }
    merged.extend_from_slice(python);
    merged
}

/// How many calls of the evaluation function the frames account for: all there can be, where some
/// are missing at the root.
fn entries(python: &[u64]) -> usize {
    let frames = || python.iter().filter_map(|word| PythonFrame::from_word(*word));
    if frames().any(|frame| !matches!(frame, PythonFrame::Code { .. })) {
        return usize::MAX;
    }
    frames().filter(|frame| matches!(frame, PythonFrame::Code { entry: true, .. })).count()
}

/// The frames of the leaf-most call: up to its entry, or to what stands for missing frames.
fn call_length(python: &[u64]) -> usize {
    let ends = |word: &u64| {
        !matches!(PythonFrame::from_word(*word), Some(PythonFrame::Code { entry: false, .. }))
    };
    python.iter().position(ends).map_or(python.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Native frames by name; those that are returned to lie one byte further.
    const NAMES: [&str; 12] = [
        "EVAL",
        "i.vectorcall",
        "i.list_sort",
        "i.run_main",
        "memcpy",
        "ext.sort",
        "main",
        "start",
        "i.gen_send",
        "i.dealloc",
        "qsort",
        "host_loop",
    ];

    fn address(name: &str) -> u64 {
        0x1000 + 0x10 * NAMES.iter().position(|known| *known == name).unwrap() as u64
    }

    fn classify(address: u64) -> Native {
        match NAMES[((address - 0x1000) / 0x10) as usize] {
            "EVAL" => Native::Evaluation,
            name if name.starts_with("i.") => Native::Internal,
            _ => Native::Other,
        }
    }

    /// `f` is a frame, `f*` an entry, `?` frames that are lost, `…` frames that were cut.
    fn python_word(name: &str) -> u64 {
        let frame = match name {
            "?" => PythonFrame::Unreadable,
            "…" => PythonFrame::Truncated,
            name => PythonFrame::Code {
                code: u32::from(name.as_bytes()[0]),
                unit: 0,
                entry: name.ends_with('*'),
            },
        };
        frame.to_word()
    }

    fn shown(word: u64) -> String {
        match PythonFrame::from_word(word) {
            Some(PythonFrame::Code { code, .. }) => char::from_u32(code).unwrap().to_string(),
            Some(PythonFrame::Unreadable) => "?".to_owned(),
            Some(PythonFrame::Truncated) => "…".to_owned(),
            Some(PythonFrame::WaitsForGil) => "gil".to_owned(),
            None => NAMES[((word - 0x1000) / 0x10) as usize].to_owned(),
        }
    }

    /// `~` at the end of the native frames: the walk did not reach the root.
    fn merged(native: &str, python: &str, internals: bool) -> String {
        let complete = !native.ends_with('~');
        let native = native.trim_end_matches('~');
        let returned = |(depth, name)| address(name) + u64::from(depth > 0) * 4;
        let native: Vec<u64> = native.split_whitespace().enumerate().map(returned).collect();
        let python: Vec<u64> = python.split_whitespace().map(python_word).collect();
        let words: Vec<u64> = native.iter().chain(&python).copied().collect();
        assert_eq!(python_start(&words).unwrap_or(words.len()), native.len());
        let merged = merge(&native, &python, complete, internals, &classify);
        merged.into_iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn python_frames_stand_where_the_evaluation_function_ran_them() {
        for (what, native, python, expected) in [
            ("plain", "EVAL i.run_main main start", "f g h*", "f g h"),
            ("a C function at the leaf", "memcpy i.list_sort EVAL main", "f*", "memcpy f"),
            ("an internal leaf", "i.list_sort i.vectorcall EVAL main", "f*", "i.list_sort f"),
            ("nested", "EVAL i.vectorcall EVAL i.run_main main", "f g* h m*", "f g h m"),
            (
                "Python calls C calls Python",
                "memcpy EVAL i.vectorcall qsort ext.sort i.vectorcall EVAL i.run_main main",
                "k* f m*",
                "memcpy k qsort ext.sort f m",
            ),
            ("the prologue of a call", "EVAL i.vectorcall EVAL main", "f m*", "f m"),
            (
                "the prologue of a call from an extension",
                "EVAL i.vectorcall ext.sort i.vectorcall EVAL main",
                "f*",
                "ext.sort f",
            ),
            ("the end of a call", "memcpy i.dealloc EVAL i.vectorcall EVAL", "f*", "memcpy f"),
            ("a generator", "EVAL i.gen_send i.vectorcall EVAL main", "g* f*", "g f"),
            ("an extension's thread", "EVAL i.vectorcall host_loop start", "f*", "f"),
            ("Python only", "", "f g*", "f g"),
            ("no call in sight", "ext.sort main", "f*", "ext.sort main f"),
        ] {
            assert_eq!(merged(native, python, false), expected, "{what}");
        }
    }

    #[test]
    fn what_one_side_lacks_at_the_root_the_other_side_has() {
        for (what, native, python, expected) in [
            (
                "native ends in an extension",
                "memcpy ext.sort ~",
                "f g* m*",
                "memcpy ext.sort f g m",
            ),
            (
                "native ends between calls",
                "EVAL i.vectorcall ext.sort ~",
                "k* f m*",
                "k ext.sort f m",
            ),
            ("all Python frames lost", "memcpy i.list_sort EVAL main", "?", "memcpy ?"),
            ("lost at the root", "EVAL ext.sort EVAL main", "k* ?", "k ext.sort ?"),
            ("lost beyond the last call", "EVAL main", "k* ?", "k ?"),
            ("cut", "EVAL i.vectorcall EVAL qsort EVAL main", "f g* h …", "f g h …"),
        ] {
            assert_eq!(merged(native, python, false), expected, "{what}");
        }
    }

    #[test]
    fn internals_are_shown_when_asked_for_and_calls_without_a_frame_too() {
        for (native, python, expected) in [
            (
                "i.list_sort EVAL i.vectorcall EVAL i.run_main main",
                "f* m*",
                "i.list_sort f i.vectorcall m i.run_main main",
            ),
            ("EVAL i.vectorcall EVAL main", "m*", "EVAL i.vectorcall m main"),
            ("EVAL i.vectorcall EVAL main", "?", "? i.vectorcall EVAL main"),
            ("i.list_sort ~", "f* m*", "i.list_sort f m"),
        ] {
            assert_eq!(merged(native, python, true), expected);
        }
    }

    #[test]
    fn no_frame_is_lost_or_made_up_whatever_the_words_are() {
        let mut random = 1u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        for _ in 0..20_000 {
            let count = next(8);
            let native: Vec<u64> =
                (0..count).map(|_| 0x1001 + 0x10 * next(NAMES.len() as u64)).collect();
            let count = next(6) + 1;
            let names = ["f", "g", "f*", "g*", "?", "…"];
            let python: Vec<u64> =
                (0..count).map(|_| python_word(names[next(6) as usize])).collect();
            let complete = next(2) == 0;
            let all = merge(&native, &python, complete, true, &classify);
            let kept: Vec<u64> = all
                .iter()
                .copied()
                .filter(|word| PythonFrame::from_word(*word).is_some())
                .collect();
            assert_eq!(kept, python);
            let folded = merge(&native, &python, complete, false, &classify);
            let kept: Vec<u64> = folded
                .iter()
                .copied()
                .filter(|word| PythonFrame::from_word(*word).is_some())
                .collect();
            assert_eq!(kept, python);
            assert!(folded.len() <= all.len());
        }
    }
}
