//! A file's bytes by their addresses.

use crate::resolve::image::Image;
use crate::resolve::paged::{Pages, Reader};

/// Where the byte at an address lies in the file, and how many of its segment's bytes follow.
pub(super) fn offset_of(image: &Image, address: u64) -> Option<(u64, u64)> {
    let length = image.source.len();
    image.load_segments().find_map(|segment| {
        let at = address.checked_sub(segment.address)?;
        let left = segment.file_size.checked_sub(at).filter(|left| *left > 0)?;
        let offset = segment.offset.checked_add(at)?;
        offset.checked_add(left).is_some_and(|end| end <= length).then_some((offset, left))
    })
}

/// From the byte at an address to the end of its segment.
pub(super) fn reader_at<'p>(
    image: &Image,
    pages: &'p Pages<'_>,
    address: u64,
) -> Option<Reader<'p>> {
    let (offset, left) = offset_of(image, address)?;
    Some(Reader::of_file(pages, offset, left))
}
