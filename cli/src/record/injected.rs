//! What a recorded program and its children find in their environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::Command;

use super::session::Session;
use crate::error::Error;

/// What records them, apart from the library by the packages for their languages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Injected<'a> {
    /// The library, where it can be preloaded.
    pub(crate) library: Option<&'a Path>,
    /// The folder whose `sitecustomize` starts the profiler of the Python package.
    pub(crate) python: Option<&'a Path>,
    /// The file by which the package for Node.js starts its profiler.
    pub(crate) node: Option<&'a Path>,
    /// The library that the preloaded one loads into virtual machines for Java.
    pub(crate) jvm: Option<&'a Path>,
}

impl Injected<'_> {
    /// Puts it into the command's environment, beside what is there already.
    pub(crate) fn put_into(&self, command: &mut Command, session: &Session) -> Result<(), Error> {
        command.env("SONDAGE_RECORD_DIR", session.directory());
        if let Some(library) = self.library {
            let library = session.preloadable(library)?.into_os_string();
            command.env("LD_PRELOAD", before_others(library, given("LD_PRELOAD")));
        }
        if let Some(folder) = self.python {
            let path = before_others(folder.as_os_str().to_owned(), given("PYTHONPATH"));
            command.env("SONDAGE_RECORD_PYTHON", folder).env("PYTHONPATH", path);
        }
        if let Some(file) = self.node {
            let options = required_last(given("NODE_OPTIONS"), file.as_os_str());
            command.env("SONDAGE_RECORD_NODE", file).env("NODE_OPTIONS", options);
        }
        if let Some(library) = self.jvm {
            command.env("SONDAGE_RECORD_JVM", library);
        }
        Ok(())
    }
}

fn given(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}

/// A path with one entry more, which comes first.
fn before_others(mut first: OsString, others: Option<OsString>) -> OsString {
    if let Some(others) = others {
        first.push(":");
        first.push(others);
    }
    first
}

/// `NODE_OPTIONS` with one file more to load before the program. It comes last: what others
/// require, such as a loader of source maps, is there when it is loaded.
fn required_last(others: Option<OsString>, file: &OsStr) -> OsString {
    let mut options = others.unwrap_or_default();
    if !options.is_empty() {
        options.push(" ");
    }
    options.push("--require ");
    options.push(quoted(file));
    options
}

/// A word as `NODE_OPTIONS` has it: blanks divide words outside of double quotes, and within them a
/// backslash takes the next character as it is.
fn quoted(word: &OsStr) -> OsString {
    if !word.as_bytes().iter().any(|byte| b" \"".contains(byte)) {
        return word.to_owned();
    }
    let mut quoted = vec![b'"'];
    for byte in word.as_bytes() {
        if b"\"\\".contains(byte) {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_before_those_that_were_there() {
        let path = before_others("/own".into(), Some("/a:/b".into()));
        assert_eq!(path, "/own:/a:/b");
        assert_eq!(before_others("/own".into(), None), "/own");
    }

    #[test]
    fn options_of_node_stay_and_a_file_with_blanks_or_quotes_is_one_word() {
        let options = |others: Option<&str>, file: &str| {
            required_last(others.map(OsString::from), OsStr::new(file)).into_string().unwrap()
        };
        assert_eq!(options(None, "/a/auto.cjs"), "--require /a/auto.cjs");
        assert_eq!(options(None, r"/a\b/auto.cjs"), r"--require /a\b/auto.cjs");
        assert_eq!(
            options(Some("--max-http-header-size=9000"), "/a b/auto.cjs"),
            r#"--max-http-header-size=9000 --require "/a b/auto.cjs""#
        );
        assert_eq!(options(None, r#"/a "b\c/auto.cjs"#), r#"--require "/a \"b\\c/auto.cjs""#);
    }
}
