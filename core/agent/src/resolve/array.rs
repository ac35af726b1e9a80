//! Long arrays outside the host's allocator.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;
use object::pod::{self, Pod};

use super::error::{ResolveError, ResolveErrorKind};

/// Bytes that an array begins with.
const LEAST_ROOM: usize = 64 << 10;

/// A growing array of plain values in an anonymous mapping of its own: see
/// [`Bytes`](super::bytes::Bytes) for why.
pub(super) struct Array<T> {
    mapping: Option<MmapMut>,
    /// How many values there are; the rest of the mapping is room.
    len: usize,
    items: PhantomData<T>,
}

impl<T: Pod> Array<T> {
    /// # Errors
    /// [`TooLarge`](ResolveErrorKind::TooLarge) when there is no memory for one more.
    pub(super) fn push(&mut self, item: T) -> Result<(), ResolveError> {
        let place = self.len * size_of::<T>();
        let end = place + size_of::<T>();
        if self.mapping.as_ref().is_none_or(|it| it.len() < end) {
            self.grow()?;
        }
        let Some(mapping) = &mut self.mapping else { return Ok(()) };
        mapping[place..end].copy_from_slice(pod::bytes_of(&item));
        self.len += 1;
        Ok(())
    }

    fn grow(&mut self) -> Result<(), ResolveError> {
        let size = self.mapping.as_ref().map_or(LEAST_ROOM, |it| 2 * it.len());
        let mut mapping = MmapMut::map_anon(size).map_err(|_| {
            let message = format!("no memory for an array of {size} bytes");
            ResolveError::new(ResolveErrorKind::TooLarge, message)
        })?;
        if let Some(old) = &self.mapping {
            mapping[..old.len()].copy_from_slice(old);
        }
        self.mapping = Some(mapping);
        Ok(())
    }
}

// A mapping begins on a page, where every value may begin.
impl<T: Pod> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let Some(mapping) = &self.mapping else { return &[] };
        pod::slice_from_bytes(mapping, self.len).map_or(&[], |it| it.0)
    }
}

impl<T: Pod> DerefMut for Array<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let Some(mapping) = &mut self.mapping else { return &mut [] };
        pod::slice_from_bytes_mut(mapping, self.len).map_or(&mut [], |it| it.0)
    }
}

impl<T> Default for Array<T> {
    fn default() -> Self {
        Self { mapping: None, len: 0, items: PhantomData }
    }
}

impl<T> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::Array;

    #[test]
    fn it_grows_and_keeps_what_it_has() {
        let mut array = Array::default();
        for value in 0..50_000u32 {
            array.push([value, !value]).unwrap();
        }
        assert!(array.iter().zip(0..).all(|(it, value): (_, u32)| *it == [value, !value]));
        array.sort_unstable_by_key(|it| it[1]);
        assert_eq!((array.len(), array[0]), (50_000, [49_999, !49_999]));
    }
}
