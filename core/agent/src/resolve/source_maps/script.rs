use std::borrow::Cow;

use super::location::script_path;

/// A script, as V8 knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScriptText<'a> {
    /// Its name: `file:///app/dist/server.js` for an ES module, `/app/dist/server.js` for
    /// CommonJS, and many things that are no file: `node:fs`, `evalmachine.<anonymous>`, none.
    pub(crate) url: &'a str,
    /// What V8 runs, where the caller has it: ts-node and tsx compile in memory, and then the
    /// file is another text. Without it the comment is looked for in the file.
    pub(crate) text: Option<&'a str>,
}

impl ScriptText<'_> {
    /// The file that the script's name stands for, whether or not there is one.
    pub(super) fn path(&self) -> Option<Cow<'_, str>> {
        script_path(self.url)
    }
}
