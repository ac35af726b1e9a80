//! A file whose code runs in a process, and opening it.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::cache::ModuleKey;
use super::error::ResolveError;
use super::error::ResolveErrorKind;
use super::image::Image;
use super::reach::Proof;
use super::reach::Reach;
use super::source::FileIdentity;

/// The running executable, also after its file was replaced or deleted.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// A file whose code runs in the process.
#[derive(Clone, Debug, Default)]
pub struct ModuleFile {
    /// Its path, as `/proc/PID/maps` tells it.
    pub path: PathBuf,
    /// The file that is mapped, as `/proc/PID/maps` tells; another one at `path` is refused.
    pub identity: Option<FileIdentity>,
    /// Its GNU build id in lower-case hex, as read from memory; another one in the file is
    /// refused.
    pub build_id: Option<String>,
    /// Its bytes, for an image without a file (the vDSO); `path` then only names it.
    pub bytes: Option<Arc<[u8]>>,
    /// How it is reached, for a file that another process has mapped.
    pub reach: Option<Reach>,
}

impl ModuleFile {
    pub(super) fn key(&self) -> ModuleKey {
        match &self.build_id {
            Some(id) => ModuleKey::BuildId(id.clone()),
            None => ModuleKey::File(self.path.clone(), self.identity),
        }
    }

    /// Opens the file, checked to be the one mapped. The running executable is found also after it
    /// was replaced or deleted.
    pub(crate) fn open(&self) -> Result<Image, ResolveError> {
        if let Some(bytes) = &self.bytes {
            return self.check(Image::from_bytes(bytes.clone())?);
        }
        if let Some(reach) = &self.reach {
            return self.open_through(reach);
        }
        let opened = Image::open(&self.path, self.identity).and_then(|image| self.check(image));
        match &opened {
            Err(error) if self.identity.is_some() && is_gone(error) => {
                let own = Image::open(Path::new(OWN_EXECUTABLE), self.identity);
                own.and_then(|image| self.check(image)).or(opened)
            }
            _ => opened,
        }
    }

    fn open_through(&self, reach: &Reach) -> Result<Image, ResolveError> {
        let (source, proof) = reach.open(&self.path, self.identity)?;
        let image = Image::of_mapped(source)?;
        if proof == Proof::Inode && (self.build_id.is_none() || image.build_id() != self.build_id) {
            return Err(ResolveError::new(
                ResolveErrorKind::Replaced,
                "nothing shows that this file is the one that is mapped",
            ));
        }
        self.check(image)
    }

    fn check(&self, image: Image) -> Result<Image, ResolveError> {
        match (&self.build_id, image.build_id()) {
            (Some(mapped), Some(on_disk)) if *mapped != on_disk => Err(ResolveError::new(
                ResolveErrorKind::Replaced,
                format!("the file has build id {on_disk}, what is mapped has {mapped}"),
            )),
            _ => Ok(image),
        }
    }
}

fn is_gone(error: &ResolveError) -> bool {
    matches!(error.kind(), ResolveErrorKind::Missing | ResolveErrorKind::Replaced)
}
