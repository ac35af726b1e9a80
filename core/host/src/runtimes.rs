//! Runtimes of a process whose own structures the programs read: where these are, and what the words
//! of samples mean that come of it.

use crate::identities::RESERVED;
use crate::own_word::OwnWord;
use crate::text::{MAX_VALUE, as_name_part, clean};
use crate::thread_local::ContextFiles;
use sondage::LabelSet;
use sondage::resolve::{CodeSource, FileIndex, GoLabels, GoRuntime, KnownFile, Mappings};
use sondage_ebpf::{
    ContextAttributes, ContextPlace, GoInfo, GoLabelText, PythonProcess, RecordedPython,
    python_frames,
};
use sondage_remote::{PythonInfo, RemoteCodes, RemoteMemory};
use std::collections::HashMap;

/// Labels that came before their sample, by thread and time.
#[derive(Debug, Default)]
pub(crate) struct LabelSets {
    waiting: HashMap<u32, (u64, u32)>,
}

impl LabelSets {
    /// Takes labels of a sample that follows, beside others of the same one.
    pub(crate) fn put(&mut self, tid: u32, time: u64, pairs: &[(String, String)]) {
        let before = LabelSet::from_id(self.take(tid, time));
        let pairs: Vec<(String, String)> = pairs.iter().filter_map(own_label).collect();
        let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        self.waiting.insert(tid, (time, before.with(pairs).id()));
    }

    /// The label set of a sample; 0 where nothing was put for it.
    pub(crate) fn take(&mut self, tid: u32, time: u64) -> u32 {
        match self.waiting.remove(&tid) {
            Some((of, set)) if of == time => set,
            _ => 0,
        }
    }
}

/// A label as it is taken from a process; `None` for one that would say who it is or where it runs,
/// also once a backend has spelled its name.
fn own_label((key, value): &(String, String)) -> Option<(String, String)> {
    let spelled = as_name_part(key);
    let is_own = !RESERVED.contains(&spelled.as_str()) && !spelled.starts_with("__");
    let clean = |text: &str| clean(text.as_bytes(), MAX_VALUE);
    is_own.then(|| (clean(key), clean(value)))
}

/// The labels of a goroutine.
pub(crate) fn labels_of_go(words: &[u64]) -> Vec<(String, String)> {
    GoLabelText::read(&bytes_of(words)).map(|text| text.pairs().collect()).unwrap_or_default()
}

fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Files that were looked at: many processes run the same ones.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    go: HashMap<FileIndex, Option<GoInfo>>,
    contexts: ContextFiles,
}

impl Programs {
    fn of(&mut self, file: &KnownFile) -> Option<GoInfo> {
        *self.go.entry(file.index).or_insert_with(|| {
            let runtime = GoRuntime::of(&file.open().ok()?)?;
            let layout = match runtime.labels {
                GoLabels::Absent => return None,
                GoLabels::Map => 1,
                GoLabels::List => 2,
            };
            let GoRuntime { thread_g, g_m, m_curg, g_labels, .. } = runtime;
            Some(GoInfo { thread_g, g_m, m_curg, g_labels, layout })
        })
    }

    /// Forgets files that are gone.
    pub(crate) fn forget(&mut self, is_known: impl Fn(FileIndex) -> bool) {
        self.go.retain(|index, _| is_known(*index));
        self.contexts.forget(is_known);
    }
}

/// An interpreter that is read.
#[derive(Debug)]
struct Python {
    info: PythonInfo,
    memory: RemoteMemory,
    codes: RemoteCodes,
}

/// The runtimes of one process.
#[derive(Debug, Default)]
pub(crate) struct Runtimes {
    go: Option<GoInfo>,
    python: Option<Python>,
    context: Option<ContextPlace>,
}

/// No code objects: the process has no interpreter that is read.
struct NoCodes;

impl CodeSource for NoCodes {
    fn code(&self, _id: u32) -> Option<&[u8]> {
        None
    }

    fn generation(&self) -> u64 {
        0
    }
}

impl Runtimes {
    /// Looks for them among the files of a process.
    pub(crate) fn find(
        pid: u32,
        mappings: &Mappings,
        word: &OwnWord,
        programs: &mut Programs,
    ) -> Self {
        let executable = mappings.iter().next().map(|module| module.file);
        let executable = executable.and_then(|index| mappings.known(index));
        let go = executable.and_then(|file| programs.of(file));
        let memory = RemoteMemory::new(pid);
        let info = mappings
            .files()
            .filter(|file| PythonInfo::may_be_in(file))
            .find_map(|file| PythonInfo::of_file(mappings, file, &memory).ok().flatten());
        let python = info.map(|info| Python { info, memory, codes: RemoteCodes::new() });
        let mut found = Self { go, python, context: None };
        found.find_context(pid, mappings, word, programs);
        found
    }

    /// Looks where threads have their contexts, if the process says that they have some. Returns
    /// whether that is somewhere else than before.
    pub(crate) fn find_context(
        &mut self,
        pid: u32,
        mappings: &Mappings,
        word: &OwnWord,
        programs: &mut Programs,
    ) -> bool {
        let memory = RemoteMemory::new(pid);
        let place = word.thread_keys().and_then(|_| programs.contexts.place(mappings, &memory));
        std::mem::replace(&mut self.context, place) != place
    }

    /// What the programs are told.
    pub(crate) fn for_programs(&self) -> sondage_ebpf::Runtimes {
        let python = self
            .python
            .as_ref()
            .and_then(|python| PythonProcess::new(&python.info.outside, python.info.slot?));
        sondage_ebpf::Runtimes { go: self.go, python, context: self.context }
    }

    /// Whether there is an interpreter that had not begun to run code when it was looked for.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.python.as_ref().is_some_and(|python| python.info.slot.is_none())
    }

    /// Where CPython runs code.
    pub(crate) fn evaluation(&self) -> Option<u64> {
        Some(self.python.as_ref()?.info.outside.evaluation())
    }

    /// Turns the frames that the programs recorded of Python into words as a handler writes them.
    /// `None` where there are none.
    pub(crate) fn words(&mut self, recorded: &[u64]) -> Option<Vec<u64>> {
        let (start, frames) = python_frames(recorded);
        if start == recorded.len() {
            return None;
        }
        let mut words = recorded.get(..start).unwrap_or_default().to_vec();
        let Some(Python { info, memory, codes }) = &mut self.python else { return Some(words) };
        words.extend(frames.map(|frame| match frame {
            RecordedPython::Code(frame) => {
                let fresh = || {
                    memory.forget();
                    memory.clone()
                };
                codes.frame(&info.outside, fresh, frame).to_word()
            }
            RecordedPython::Other(frame) => frame.to_word(),
        }));
        Some(words)
    }

    /// Where the numbers in Python's frames lead.
    pub(crate) fn codes(&self) -> &dyn CodeSource {
        match &self.python {
            Some(python) => &python.codes,
            None => &NoCodes,
        }
    }

    /// Gives numbers out anew where many are used. What has them must have its names before.
    pub(crate) fn turn(&mut self) {
        if let Some(python) = &mut self.python
            && python.codes.fill()
        {
            python.codes.turn();
        }
    }
}

/// The attributes of a thread's context, with their keys' names, and whether some key has none.
pub(crate) fn labels_of_context(words: &[u64], keys: &[String]) -> (Vec<(String, String)>, bool) {
    let bytes = bytes_of(words);
    let Some(attributes) = ContextAttributes::read(&bytes) else { return (Vec::new(), false) };
    let mut unknown = false;
    let mut pairs = Vec::new();
    for (index, value) in attributes.pairs() {
        match keys.get(usize::from(index)) {
            Some(key) => pairs.push((key.clone(), value)),
            None => unknown = true,
        }
    }
    (pairs, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_their_keys_names_and_say_when_one_is_not_known() {
        let keys = ["route".to_owned(), "tenant".to_owned()];
        let words =
            [u64::from_ne_bytes(*b"\x08\0\0\0\x01\x02ab"), u64::from_ne_bytes(*b"\0\x02/x....")];
        let (pairs, unknown) = labels_of_context(&words, &keys);
        let expected = [("tenant", "ab"), ("route", "/x")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert!(!unknown);
        let (pairs, unknown) = labels_of_context(&words, &keys[..1]);
        assert_eq!((pairs.len(), unknown), (1, true));
        assert_eq!(labels_of_context(&words[..1], &keys), (Vec::new(), false));
    }

    #[test]
    fn labels_of_one_sample_are_put_together_and_say_nothing_of_the_process() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut sets = LabelSets::default();
        sets.put(7, 100, &[pair("route", "/a\n"), pair("pod", "other"), pair("__x", "y")]);
        sets.put(7, 100, &[pair("host.side", "b"), pair("service.name", "bank")]);
        let set = LabelSet::from_id(sets.take(7, 100)).pairs();
        assert_eq!(set, [pair("host.side", "b"), pair("route", "/a\u{fffd}")]);
        sets.put(7, 200, &[pair("route", "/a")]);
        assert_eq!(sets.take(7, 300), 0, "of another sample");
    }
}
