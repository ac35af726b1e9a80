//! What a process says of itself: its process context (OTEP 4719), and whether a Sondage of its own
//! runs in it.

use sondage::context::ProcessContext;
use sondage_remote::{RemoteMemory, inner_number};
use sondage_sampler::MARKER_PREFIX;

/// A process that says nothing is asked so often: one that just began may say it a moment later.
const LOOKS: u32 = 3;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct OwnWord {
    context: Option<ProcessContext>,
    /// An agent of Sondage runs in it.
    has_agent: bool,
    looks: u32,
}

impl OwnWord {
    /// Of a process that is just learned.
    pub(crate) fn of(pid: u32) -> Self {
        let mut word = Self::default();
        word.look(pid);
        word
    }

    /// Looks again at a profile, where there is something to see. Returns whether it says something
    /// else.
    pub(crate) fn look_again(&mut self, pid: u32) -> bool {
        let silent = self.context.is_none() && !self.has_agent;
        !(silent && self.looks >= LOOKS) && self.look(pid)
    }

    /// Looks now. Returns whether it says something else.
    pub(crate) fn look(&mut self, pid: u32) -> bool {
        self.looks += 1;
        let maps = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        let maps = String::from_utf8_lossy(&maps);
        let memory = RemoteMemory::new(pid);
        let context = ProcessContext::find(&maps, |address, buffer| {
            let bytes = memory.bytes(address, buffer.len());
            bytes.map(|bytes| buffer.copy_from_slice(&bytes)).is_some()
        });
        let has_agent = maps.lines().filter_map(agent_of).any(|agent| is_number_of(agent, pid));
        let changed = context != self.context || has_agent != self.has_agent;
        (self.context, self.has_agent) = (context, has_agent);
        changed
    }

    /// Its process context.
    pub(crate) fn context(&self) -> Option<&ProcessContext> {
        self.context.as_ref()
    }

    /// Names of the keys of its threads' attributes, where these publish contexts.
    pub(crate) fn thread_keys(&self) -> Option<&[String]> {
        self.context.as_ref()?.thread_keys.as_deref()
    }

    /// Whether its CPU time is in profiles of its own: an agent runs in it, and has not said that
    /// it takes no samples.
    pub(crate) fn samples_itself(&self) -> bool {
        match self.context.as_ref().and_then(ProcessContext::engine) {
            Some(engine) => engine != "none",
            None => self.has_agent,
        }
    }
}

/// The number of the process in which an agent placed the mark that a line of maps is of.
fn agent_of(line: &str) -> Option<u32> {
    let (_, mark) = line.split_once(MARKER_PREFIX)?;
    mark.split(':').next()?.parse().ok()
}

/// Whether a process calls itself by this number, in its own pid namespace or in this one. Another
/// one's mark was inherited over a fork.
fn is_number_of(number: u32, pid: u32) -> bool {
    let inner = || inner_number(pid, pid.cast_signed());
    number == pid || inner() == number.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(engine: Option<&str>, has_agent: bool) -> OwnWord {
        let attributes = engine.map(|engine| ("sondage.engine".to_owned(), engine.to_owned()));
        let attributes = attributes.into_iter().collect();
        let context = Some(ProcessContext { attributes, ..ProcessContext::default() });
        OwnWord { context, has_agent, looks: 1 }
    }

    #[test]
    fn a_process_is_left_out_while_its_own_agent_takes_samples() {
        assert!(!saying(None, false).samples_itself(), "another SDK's context");
        assert!(!saying(Some("none"), true).samples_itself(), "handed over");
        assert!(saying(Some("timer"), true).samples_itself());
        assert!(saying(None, true).samples_itself());
        assert!(!OwnWord::default().samples_itself());
    }

    #[test]
    fn a_mark_counts_for_the_process_that_placed_it() {
        let line = "7f00-7f01 ---p 00000000 00:01 9   /memfd:sondage-agent:17:0.1.0 (deleted)";
        assert_eq!(agent_of(line), Some(17));
        assert_eq!(agent_of("7f00-7f01 ---p 00000000 00:01 9   /memfd:other:17:0.1.0"), None);
        let own = std::process::id();
        assert!(is_number_of(own, own));
        assert!(!is_number_of(own + 1, own));
    }

    #[test]
    fn a_silent_process_is_asked_three_times() {
        let own = std::process::id();
        let mut word = OwnWord::of(own);
        (0..5).for_each(|_| assert!(!word.look_again(own)));
        assert_eq!((word.looks, word.context().is_none()), (LOOKS, true));
    }
}
