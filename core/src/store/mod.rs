//! Where packs, tables and manifests lie: a small synchronous trait over files, memory and remote object stores.

#[cfg(test)]
mod conformance;
mod error;
mod fault;
pub(crate) use self::local::sync_folder;
mod local;
mod memory;
mod observed;
mod remote;
mod spread;

use std::{fmt, ops::Range, path::PathBuf, time::SystemTime};

use bytes::Bytes;

pub use self::{
    error::{StoreError, StoreErrorKind},
    fault::{Fault, FaultStore},
    local::LocalStore,
    memory::MemoryStore,
    observed::{ObservedStore, StoreOperation},
    remote::ObjectStoreAdapter,
    spread::SpreadStore,
};

/// The result of a store's functions.
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A place for immutable objects under slash-separated keys. Keys are one to 16 segments of `A-Z a-z 0-9 . _ - ! * ' ( )`,
/// none of them `.` or `..` or beginning with `.tmp`, in all at most 512 bytes.
///
/// An object appears whole or not at all, and once a function that writes has returned, it stays after a loss of power.
/// Functions block, may be called from any thread, also from one that runs an async task, and never panic.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Writes an object from its parts, replacing what was there.
    ///
    /// # Errors
    /// No room, no access, store not reachable. The object then holds the old bytes or the new ones.
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<()>;

    /// Writes an object unless there is one; says whether it did. Of several that race, one wins.
    ///
    /// # Errors
    /// As for [`Store::put`]; the object may then exist all the same.
    fn put_if_absent(&self, key: &str, parts: &[Bytes]) -> Result<bool>;

    /// Reads an object.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`]; no access; store not reachable.
    fn get(&self, key: &str) -> Result<Bytes>;

    /// Reads a part of an object.
    ///
    /// # Errors
    /// As for [`Store::get`]; [`StoreErrorKind::OutOfRange`] when the object ends before the range does.
    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes>;

    /// Reads several parts of an object, perhaps at once.
    ///
    /// # Errors
    /// As for [`Store::get_range`].
    fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().map(|range| self.get_range(key, range.clone())).collect()
    }

    /// The size of an object in bytes.
    ///
    /// # Errors
    /// As for [`Store::get`].
    fn size(&self, key: &str) -> Result<u64>;

    /// Lists the objects whose key begins with the segments of `prefix` (all of them for an empty one), sorted by key.
    ///
    /// # Errors
    /// No access; store not reachable.
    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>>;

    /// Deletes an object. One that does not exist is no error.
    ///
    /// # Errors
    /// No access; store not reachable.
    fn delete(&self, key: &str) -> Result<()>;

    /// The local file of an object, if there is one that never changes and so can be mapped.
    fn local_path(&self, key: &str) -> Option<PathBuf> {
        let _ = key;
        None
    }
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by every store")]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, if the store knows.
    pub modified: Option<SystemTime>,
}

const MAX_KEY_BYTES: usize = 512;
const MAX_SEGMENTS: usize = 16;

/// Checks a key, so that none can leave the store's folder or hit a temporary file.
pub(crate) fn check_key(key: &str) -> Result<()> {
    let good_segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && !segment.starts_with(".tmp")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-!*'()".contains(&b))
    };
    if key.len() <= MAX_KEY_BYTES && key.split('/').count() <= MAX_SEGMENTS && key.split('/').all(good_segment) {
        return Ok(());
    }
    Err(StoreError::new(StoreErrorKind::InvalidKey, format!("'{}' is no valid object key", key.escape_default())))
}

/// Checks a prefix of whole segments; empty is fine.
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    if prefix.is_empty() { Ok(()) } else { check_key(prefix) }
}

/// Whether a key lies under a prefix of whole segments.
pub(crate) fn under(key: &str, prefix: &str) -> bool {
    prefix.is_empty() || key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}
