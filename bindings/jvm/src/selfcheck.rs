//! Whether what the virtual machine says of itself is true: frames and compiled code are read by it,
//! and compared with what the machine tells by its own interfaces.

use crate::jvmti::{Frame, Jvmti, MethodName};
use sondage::hotspot::{Check, Facts, SeenFrame};

/// What was found to be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch(pub(crate) String);

/// Compares the calling thread's frames of Java with what the machine tells. Returns how many there
/// are.
pub(crate) fn check_thread(jvmti: Jvmti, facts: &Facts, thread: u64) -> Result<usize, Mismatch> {
    let told = jvmti.stack_trace().map_err(|error| Mismatch(format!("{error:?}")))?;
    let mut check = Check::new().ok_or_else(|| Mismatch("no memory".to_owned()))?;
    let seen = check.thread(facts, thread);
    if seen.len() != told.len() {
        let (seen, told) = (seen.len(), told.len());
        return Err(Mismatch(format!("{seen} frames are read, {told} are told")));
    }
    compare(jvmti, &seen, &told)?;
    Ok(seen.len())
}

/// Compares what is read of compiled code with what the machine tells of its addresses when it was made.
pub(crate) fn check_code(
    jvmti: Jvmti,
    facts: &Facts,
    places: impl Iterator<Item = (u64, Vec<Frame>)>,
) -> Result<(), Mismatch> {
    let mut check = Check::new().ok_or_else(|| Mismatch("no memory".to_owned()))?;
    for (pc, told) in places {
        let seen = check.code(facts, pc);
        if seen.len() != told.len() {
            let (seen, told) = (seen.len(), told.len());
            return Err(Mismatch(format!("{seen} methods are read at {pc:#x}, {told} are told")));
        }
        compare(jvmti, &seen, &told)?;
    }
    Ok(())
}

fn compare(jvmti: Jvmti, seen: &[Option<SeenFrame>], told: &[Frame]) -> Result<(), Mismatch> {
    for (seen, told) in seen.iter().zip(told) {
        // The machine ends, or has unloaded the class meanwhile.
        let Ok(name) = jvmti.method_name(told.method) else { return Ok(()) };
        let same = seen.as_ref().is_some_and(|seen| is_same(seen, &name, told.location));
        if !same {
            return Err(Mismatch(format!(
                "{seen:?} is read, {name:?} at {} is told",
                told.location
            )));
        }
    }
    Ok(())
}

fn is_same(seen: &SeenFrame, name: &MethodName, location: i64) -> bool {
    // The machine tells -1 for a method that is not written in Java.
    let place = seen.place.map_or(-1, i64::from);
    let place = place == location || location == -1 || (seen.place.is_none() && location == 0);
    // Hidden classes have an address in their name, which is told with another separator.
    let class = [b"L", &*seen.class, b";"].concat();
    let class = class == name.class || name.class.contains(&b'.');
    class && place && seen.method == name.method && seen.signature == name.signature
}
