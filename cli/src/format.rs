//! File formats, told by the end of a file's name.

use std::path::Path;

use sondage::profile::{Profile, folded, html, pprof, speedscope};

use crate::error::Error;
use crate::file;

/// How a profile is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    PprofGz,
    Pprof,
    Folded,
    Speedscope,
    Html,
}

impl Format {
    /// Every format with the end of its files' names.
    const ALL: [(&'static str, Self); 6] = [
        (".pb.gz", Self::PprofGz),
        (".pb", Self::Pprof),
        (".folded", Self::Folded),
        // As async-profiler calls them.
        (".collapsed", Self::Folded),
        (".speedscope.json", Self::Speedscope),
        (".html", Self::Html),
    ];

    /// The format that a file's name asks for.
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let known = Self::known(path);
        known.ok_or_else(|| {
            let allowed: Vec<_> = Self::ALL.iter().map(|(end, _)| *end).collect();
            let allowed = allowed.join(", ");
            Error::usage(format!("{}: allowed ends of the name: {allowed}", path.display()))
        })
    }

    /// Whether profiles are read in this format too.
    fn is_read(self) -> bool {
        matches!(self, Self::PprofGz | Self::Pprof | Self::Folded)
    }

    fn known(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy();
        Self::ALL.iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| *format)
    }

    /// A profile in this format. A folded file holds `column` only.
    pub(crate) fn encode(
        self,
        profile: &Profile,
        column: usize,
    ) -> Result<Vec<u8>, sondage::Error> {
        Ok(match self {
            Self::PprofGz => pprof::encode_gz(profile),
            Self::Pprof => pprof::encode(profile),
            Self::Folded => folded::encode(profile, column)?.into_bytes(),
            Self::Speedscope => speedscope::encode(profile)?.into_bytes(),
            Self::Html => html::encode(profile).into_bytes(),
        })
    }
}

/// Whether the end of a file's name says that a profile may be read from it.
pub(crate) fn is_readable(path: &Path) -> bool {
    Format::known(path).is_some_and(Format::is_read)
}

/// Reads a profile: folded stacks or pprof, gzipped or not, as the name says; by another name, as it
/// looks.
pub(crate) fn read(path: &Path) -> Result<Profile, Error> {
    let decoded = match Format::known(path) {
        Some(Format::Speedscope | Format::Html) => {
            let message = "can be written but not read; keep the .pb.gz file";
            return Err(Error::of_file(path, message));
        }
        Some(Format::Folded) => folded::decode(&file::read(path)?),
        Some(Format::PprofGz | Format::Pprof) => pprof::decode(&file::read(path)?),
        None => {
            let bytes = file::read(path)?;
            if is_text(&bytes) { folded::decode(&bytes) } else { pprof::decode(&bytes) }
        }
    };
    decoded.map_err(|error| Error::of_file(path, format!("not a readable profile: {error}")))
}

/// Whether it is text: a pprof file begins with a control character, gzipped or not.
fn is_text(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| !first.is_ascii_control())
}

/// The position of the column to use: the one of a kind, or the profile's own.
pub(crate) fn column(profile: &Profile, kind: Option<&str>) -> Result<usize, Error> {
    let Some(kind) = kind else { return Ok(profile.default_column()) };
    profile.column(kind).ok_or_else(|| {
        let kinds =
            profile.sample_types().iter().map(|column| column.kind.escape_debug().to_string());
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        Error::usage(format!("--type {kind}: the profile has {kinds}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_tells_the_format() {
        assert_eq!(Format::of(Path::new("a/b.pb.gz")).unwrap(), Format::PprofGz);
        assert_eq!(Format::of(Path::new("b.collapsed")).unwrap(), Format::Folded);
        assert_eq!(Format::of(Path::new("b.speedscope.json")).unwrap(), Format::Speedscope);
        let error = Format::of(Path::new("b.json")).unwrap_err();
        assert_eq!(error.code, 2);
        assert!(error.message.contains(".speedscope.json"), "{}", error.message);
    }
}
