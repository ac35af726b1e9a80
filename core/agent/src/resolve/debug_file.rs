//! Where distributions put the debug information they strip from a file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use super::image::Image;

/// Room for a file name and its checksum.
const MAX_DEBUG_LINK: u64 = 4096;

/// Opens the separate debug file of `image`: by build id under `root` (`/usr/lib/debug`), or by
/// the name in `.gnu_debuglink` beside the file, in `.debug/` there, or under `root`.
///
/// A file is only taken when its build id equals that of `image`: a file without build id has no
/// debug file that could be trusted to be its own.
pub(crate) fn find(image: &Image, path: &Path, root: &Path) -> Option<Image> {
    let build_id = image.build_id()?;
    let (head, tail) = build_id.split_at_checked(2)?;
    let by_id = root.join(".build-id").join(head).join(format!("{tail}.debug"));
    std::iter::once(by_id)
        .chain(linked(image, path, root))
        .filter_map(|candidate| Image::open_debug(&candidate).ok())
        .find(|candidate| candidate.build_id().as_ref() == Some(&build_id))
}

fn linked(image: &Image, path: &Path, root: &Path) -> Vec<PathBuf> {
    let Ok(Some(bytes)) = image.section_bytes(".gnu_debuglink", MAX_DEBUG_LINK) else {
        return Vec::new();
    };
    let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let plain = !name.is_empty() && !name.contains(&b'/') && name != b"..";
    let Some(directory) = path.parent().filter(|_| plain) else { return Vec::new() };
    let name = OsStr::from_bytes(name);
    let mut paths = vec![directory.join(name), directory.join(".debug").join(name)];
    if let Ok(inside) = directory.strip_prefix("/") {
        paths.push(root.join(inside).join(name));
    }
    paths
}
