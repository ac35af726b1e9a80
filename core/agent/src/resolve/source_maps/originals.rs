use super::kept::Kept;
use super::load::load;
use super::map::Original;
use super::script::ScriptText;
use super::stamp::ScriptStamp;
use super::stamp::Seen;

/// Bytes of a script's name; longer ones, such as modules in data URLs, have no map.
const MAX_URL: usize = 4096;

/// The source maps of one process' scripts.
///
/// Maps are read when they are first asked for, and again when the script or the map has changed:
/// see [`look_again`](Self::look_again).
/// Kept are at most 64 of them and 16 MiB, and up to 2 MiB on scripts that have none. A bigger map
/// serves the positions that are asked first, and no others. Not for the host's
/// threads: a map of 32 MiB takes long to read, and up to 100 MiB while it is.
#[derive(Debug, Default)]
pub(crate) struct SourceMaps {
    kept: Kept,
    last_error: Option<String>,
}

impl SourceMaps {
    /// Says that scripts and maps may have changed: what is asked next is answered by another look at
    /// the files, once a script.
    pub(crate) fn look_again(&mut self) {
        self.kept.look_again();
    }

    /// Where one position of a script comes from; see [`originals`](Self::originals).
    pub(crate) fn original(
        &mut self,
        script: &ScriptText<'_>,
        line: u32,
        column: u32,
    ) -> Option<Original> {
        self.originals(script, &[(line, column)]).pop().flatten()
    }

    /// Where positions of a script come from, each a line and a column as V8 has them: 0-based,
    /// columns in UTF-16 units. `None` for a script without a usable map, for a position before
    /// the first that its line maps, and for one that comes from no file.
    ///
    /// To learn what a function was called, ask for where its name begins.
    pub(crate) fn originals(
        &mut self,
        script: &ScriptText<'_>,
        positions: &[(u32, u32)],
    ) -> Vec<Option<Original>> {
        let nothing = || vec![None; positions.len()];
        let url = script.url;
        if url.len() > MAX_URL {
            return nothing();
        }
        if let Some(known) = self.kept.looked_at(url) {
            return known.originals(positions);
        }
        let Some(stamp) = ScriptStamp::of(script) else { return nothing() };
        if let Some(known) = self.kept.get(url, &stamp) {
            return known.originals(positions);
        }
        let loaded = load(script);
        let seen = Seen { script: stamp, map: loaded.file };
        match loaded.map {
            Ok(Some(map)) => {
                let originals = map.originals(positions);
                if !self.kept.keep(url, seen, map) {
                    self.last_error = Some(format!("{url}: its source map is too large to keep"));
                }
                return originals;
            }
            Ok(None) => {}
            Err(error) => self.last_error = Some(error.to_string()),
        }
        self.kept.keep_mapless(url, seen);
        nothing()
    }

    /// About what is kept takes in memory: at most 18 MiB.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// Why the last map that could not be used could not, in a sentence that names it.
    pub(crate) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }
}
