use std::fmt;
use std::ops::Deref;

use memmap2::MmapMut;

use super::error::ResolveError;
use super::error::ResolveErrorKind;

/// Buffers of at least this many bytes stand outside the host's allocator.
const OWN_MAPPING: usize = 64 << 10;

/// Bytes read from a file.
///
/// Big ones stand in an anonymous mapping of their own (never in a mapping of the file): dropping
/// them gives the memory back to the system at once, whatever allocator the host uses. glibc's
/// would keep megabytes, and would change how the host's own big allocations are served.
pub struct Bytes(Buffer);

enum Buffer {
    Heap(Vec<u8>),
    Mapping(MmapMut),
}

impl Bytes {
    /// `size` bytes, zero.
    ///
    /// # Errors
    /// [`TooLarge`](ResolveErrorKind::TooLarge) when there is no memory for them.
    pub(crate) fn zeroed(size: usize) -> Result<Self, ResolveError> {
        let no_memory = || {
            let message = format!("no memory for {size} bytes");
            ResolveError::new(ResolveErrorKind::TooLarge, message)
        };
        if size >= OWN_MAPPING {
            let mapping = MmapMut::map_anon(size).map_err(|_| no_memory())?;
            return Ok(Self(Buffer::Mapping(mapping)));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| no_memory())?;
        bytes.resize(size, 0);
        Ok(Self(Buffer::Heap(bytes)))
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Buffer::Heap(bytes) => bytes,
            Buffer::Mapping(bytes) => bytes,
        }
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self(Buffer::Heap(Vec::new()))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Buffer::Heap(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Buffer::Heap(bytes) => bytes,
            Buffer::Mapping(bytes) => bytes,
        }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
