//! The rights that the host agent keeps once its programs are loaded.

use caps::{CapSet, Capability, CapsHashSet};

/// What is used for as long as the agent runs, with what for: maps of tables come and go; other
/// processes' mappings, environment and memory are looked at; their files are opened by their
/// mappings; files that only their users may read, such as names of code made at run time; names of
/// the kernel's functions.
const KEPT: [Capability; 5] = [
    Capability::CAP_BPF,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_CHECKPOINT_RESTORE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_SYSLOG,
];

/// Gives up every right but those that the running agent uses, for this thread and for those that
/// it starts. Returns the names of what was given up.
///
/// # Errors
/// The kernel's, as text.
pub(crate) fn give_up_the_rest() -> Result<Vec<String>, String> {
    let text = |error: caps::errors::CapsError| error.to_string();
    let held = caps::read(None, CapSet::Permitted).map_err(text)?;
    let kept: CapsHashSet = KEPT.into_iter().filter(|right| held.contains(right)).collect();
    caps::clear(None, CapSet::Ambient).map_err(text)?;
    caps::clear(None, CapSet::Inheritable).map_err(text)?;
    caps::set(None, CapSet::Effective, &kept).map_err(text)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(text)?;
    let mut gone: Vec<String> = held.difference(&kept).map(ToString::to_string).collect();
    gone.sort();
    Ok(gone)
}
