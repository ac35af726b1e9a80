//! URLs and paths in scripts and in source maps.

use std::borrow::Cow;

use crate::resolve::error::ResolveError;
use crate::resolve::error::ResolveErrorKind;
use crate::resolve::percent::percent_decoded;

/// Bytes of a location and of the root in front of it; longer ones are none.
const MAX_LOCATION: usize = 8 << 10;

/// The file that a script's name stands for: `/app/a b.js` for `file:///app/a%20b.js?v=1` (ES
/// modules) and for `/app/a b.js` (CommonJS, where nothing is encoded). `None` for what is no
/// file: `node:fs`, `evalmachine.<anonymous>`, `webpack://app/a.js`.
pub(super) fn script_path(url: &str) -> Option<Cow<'_, str>> {
    if url.starts_with('/') {
        return Some(Cow::Borrowed(url));
    }
    let (scheme, rest) = split_scheme(url)?;
    scheme.eq_ignore_ascii_case("file").then(|| file_path(rest)).flatten()
}

/// The folder that a file stands in: `/app` for `/app/a.js`.
pub(super) fn folder_of(path: &str) -> Option<&str> {
    path.rfind('/').map(|slash| &path[..slash])
}

/// The file that a script in `folder` names as its map.
///
/// # Errors
/// For a map that would have to be fetched, and for one beside a script that has no place.
pub(super) fn map_path(folder: Option<&str>, url: &str) -> Result<String, ResolveError> {
    let missing = |why: &str| ResolveError::new(ResolveErrorKind::Missing, format!("{why}: {url}"));
    if url.len() > MAX_LOCATION {
        return Err(ResolveError::too_large("its URL", url.len() as u64, MAX_LOCATION as u64));
    }
    let path = match split_scheme(url) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => file_path(rest),
        None if !url.starts_with("//") => Some(decoded(without_query(url))),
        _ => None,
    };
    let path = path.ok_or_else(|| missing("it is no file, and nothing is fetched"))?;
    match folder {
        _ if path.starts_with('/') => Ok(normal(&path)),
        Some(folder) => Ok(normal(&format!("{folder}/{path}"))),
        None => Err(missing("the script is no file beside which it could be")),
    }
}

/// How people know an original file, from what a map in `folder` says of it:
///
/// - a path or a `file:` URL becomes a normal path: `../src/a.ts` in `/app/dist` is
///   `/app/src/a.ts`. Without a folder it stays relative.
/// - `webpack://app/./src/a.ts?1a2b`, `webpack-internal:///./src/a.ts` and
///   `turbopack:///[project]/src/a.ts` are `src/a.ts`: the path in the project, which is what
///   repositories and editors know; the name of the bundle and the number that tells two kinds of
///   one module apart are dropped.
/// - any other URL stays as it is.
///
/// `None` for a source without a name or with one of more than 8 KiB.
pub(super) fn source_name(folder: Option<&str>, root: &str, source: &str) -> Option<String> {
    if source.is_empty() || root.len() + source.len() > MAX_LOCATION {
        return None;
    }
    let whole = if root.is_empty() || source.starts_with('/') || split_scheme(source).is_some() {
        Cow::Borrowed(source)
    } else {
        Cow::Owned(format!("{}/{source}", root.trim_end_matches('/')))
    };
    let name = match split_scheme(&whole) {
        Some(("file", rest)) => file_path(rest).map_or_else(|| whole.to_string(), |p| normal(&p)),
        Some(("webpack" | "webpack-internal" | "turbopack", rest)) => in_project(rest),
        Some(_) => whole.into_owned(),
        None => match (folder, decoded(&whole)) {
            (Some(folder), path) if !path.starts_with('/') => normal(&format!("{folder}/{path}")),
            (_, path) => normal(&path),
        },
    };
    (!name.is_empty()).then_some(name)
}

/// As [`percent_decoded`], where the result is a text.
fn decoded(text: &str) -> Cow<'_, str> {
    match percent_decoded(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned),
    }
}

/// The scheme of a URL and what follows its colon. One letter is a drive, not a scheme.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let first = scheme.bytes().next()?;
    let is_scheme = scheme.len() > 1 && first.is_ascii_alphabetic() && scheme.bytes().all(allowed);
    is_scheme.then_some((scheme, rest))
}

/// The path of a `file:` URL on this machine, from what follows `file:`.
fn file_path(rest: &str) -> Option<Cow<'_, str>> {
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    path.starts_with('/').then(|| decoded(without_query(path)))
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// The path in the project, from what follows `webpack:`.
fn in_project(rest: &str) -> String {
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/').map_or(rest, |(_bundle, path)| path),
        None => rest,
    };
    let path = path.split('?').next().unwrap_or(path);
    normal(path.strip_prefix("[project]/").unwrap_or(path))
}

/// `path` without `.`, `..` and empty parts, as far as they can be undone.
fn normal(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if absolute { format!("/{joined}") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_files_by_path_and_by_url() {
        let path = |url| script_path(url).map(Cow::into_owned);
        assert_eq!(path("/app/50%25 a?.js").as_deref(), Some("/app/50%25 a?.js"));
        assert_eq!(path("file:///app/50%25%20a.js").as_deref(), Some("/app/50% a.js"));
        assert_eq!(path("file:///a.mjs?v=1#x").as_deref(), Some("/a.mjs"));
        assert_eq!(path("file://localhost/a.js").as_deref(), Some("/a.js"));
        assert_eq!(path("file:///%ff%zz%4.js").as_deref(), Some("/%ff%zz%4.js"));
        let none =
            ["", "node:fs", "evalmachine.<anonymous>", "webpack://a/./b.js", "file://h/a.js"];
        for url in none.into_iter().chain(["http://h/a.js", "a.js", "file:", "data:,x", ":", "é:"])
        {
            assert_eq!(path(url), None, "{url}");
        }
    }

    #[test]
    fn maps_are_files_beside_the_script() {
        let path = |folder, url| map_path(folder, url).map_err(|error| error.to_string());
        let beside = |url| path(Some("/app/dist"), url).unwrap();
        assert_eq!(beside("a.js.map"), "/app/dist/a.js.map");
        assert_eq!(beside("./x/../../maps/a%20b.map?v=1"), "/app/maps/a b.map");
        assert_eq!(beside("/maps/a.map"), "/maps/a.map");
        assert_eq!(beside("file:///maps/a.map"), "/maps/a.map");
        assert_eq!(beside("../../../../etc/x"), "/etc/x");
        assert_eq!(path(Some(""), "a.map").as_deref(), Ok("/a.map"), "in the root folder");
        for url in ["https://cdn/a.map", "//cdn/a.map", "file://host/a.map"] {
            assert!(path(Some("/app"), url).unwrap_err().contains("nothing is fetched"), "{url}");
        }
        assert!(path(None, "a.map").unwrap_err().contains("no file beside"));
        assert!(path(Some("/"), &"x".repeat(MAX_LOCATION + 1)).is_err());
    }

    #[test]
    fn sources_are_named_as_people_know_them() {
        let name = |root, source| source_name(Some("/app/dist"), root, source).unwrap();
        assert_eq!(name("", "../src/a.ts"), "/app/src/a.ts");
        assert_eq!(name("", "a%20b.ts"), "/app/dist/a b.ts");
        assert_eq!(name("../src/", "./x/a.ts"), "/app/src/x/a.ts");
        assert_eq!(name("../src", "/abs/a.ts"), "/abs/a.ts");
        assert_eq!(name("/", "a.ts"), "/a.ts");
        assert_eq!(name("file:///src", "a.ts"), "/src/a.ts");
        assert_eq!(name("", "file:///src/../a%2Bb.ts"), "/a+b.ts");
        assert_eq!(name("", "webpack://app/./src/a.ts"), "src/a.ts");
        assert_eq!(name("", "webpack:///./src/a.vue?1a2b"), "src/a.vue");
        assert_eq!(name("webpack://app/", "./src/a.ts"), "src/a.ts");
        assert_eq!(name("", "webpack://app/webpack/bootstrap"), "webpack/bootstrap");
        assert_eq!(name("", "webpack://app/../lib/a.ts"), "../lib/a.ts");
        assert_eq!(name("", "webpack:////abs/a.ts"), "/abs/a.ts");
        assert_eq!(name("", "webpack-internal:///./src/a.ts"), "src/a.ts");
        assert_eq!(name("", "turbopack:///[project]/src/a.ts"), "src/a.ts");
        assert_eq!(name("", "https://host/a/../b.ts"), "https://host/a/../b.ts");
        assert_eq!(name("", "file://host/b.ts"), "file://host/b.ts");
        assert_eq!(name("", "node:internal/fs"), "node:internal/fs");
        assert_eq!(source_name(None, "", "../src/./a.ts").unwrap(), "../src/a.ts");
        assert_eq!(source_name(None, "", "../a/../../b.ts").unwrap(), "../../b.ts");
        for nothing in ["", ".", "webpack://", &"x".repeat(MAX_LOCATION + 1)] {
            assert_eq!(source_name(None, "", nothing), None);
        }
    }
}
