//! Where the bytes of a pack come from.

use std::{io, sync::Arc};

use bytes::Bytes;

use crate::{ChunkError, Result};

/// Bytes that can be read at any place: a file, an object in a store, a buffer. Implemented by users of this crate.
///
/// The contents must not change while a pack is open; packs never do.
pub trait ReadAt: Send + Sync {
    /// Reads exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// Fewer bytes are there, or the storage failed.
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes>;

    /// Length of the whole, in bytes.
    fn size(&self) -> u64;
}

impl ReadAt for Bytes {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let start = usize::try_from(offset).ok().filter(|start| *start <= self.len());
        match start.and_then(|start| Some((start, start.checked_add(len)?))) {
            Some((start, end)) if end <= self.len() => Ok(self.slice(start..end)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        (**self).read_at(offset, len)
    }

    fn size(&self) -> u64 {
        (**self).size()
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        (**self).read_at(offset, len)
    }

    fn size(&self) -> u64 {
        (**self).size()
    }
}

/// Reads, and does not trust the implementation to give what was asked for.
pub(crate) fn read_exact(input: &dyn ReadAt, what: &'static str, offset: u64, len: usize) -> Result<Bytes> {
    let failed = |source| ChunkError::Io { what, offset, len: len as u64, source };
    let bytes = input.read_at(offset, len).map_err(failed)?;
    if bytes.len() == len { Ok(bytes) } else { Err(failed(io::ErrorKind::UnexpectedEof.into())) }
}
