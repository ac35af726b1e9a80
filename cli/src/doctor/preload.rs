//! Whether `sondage record` finds what it preloads.

use super::check::Check;
use crate::Surroundings;
use crate::library::{Library, PRELOADED};

pub(super) fn library(surroundings: &Surroundings) -> Check {
    const NAME: &str = "preload library";
    match Library::find(PRELOADED, surroundings.library.as_deref()) {
        Ok(library) => Check::ok(NAME, library.path().display().to_string()),
        Err(why) => {
            let remedy = "install libsondage.so beside the command or in ../lib; only `sondage \
                          record` needs it";
            Check::warn(NAME, why, remedy)
        }
    }
}
