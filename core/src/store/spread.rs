//! One store made of several, as a list of buckets is: each object lies in the one that its key says.

use std::{ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;

use super::{ObjectInfo, Result, Store, StoreError, StoreErrorKind};

/// Spreads objects over stores by a hash of their keys. The number and order of the stores must stay the same for the life
/// of the data.
#[derive(Debug)]
pub struct SpreadStore {
    stores: Vec<Arc<dyn Store>>,
}

impl SpreadStore {
    /// Puts stores together.
    ///
    /// # Errors
    /// No store at all.
    pub fn new(stores: Vec<Arc<dyn Store>>) -> Result<Self> {
        match stores.is_empty() {
            true => Err(StoreError::new(StoreErrorKind::Unavailable, "there is no store to spread objects over")),
            false => Ok(Self { stores }),
        }
    }

    fn of(&self, key: &str) -> &dyn Store {
        // FNV-1a: never to be changed, or objects are not found again.
        let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        &*self.stores[hash as usize % self.stores.len()]
    }
}

impl Store for SpreadStore {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<()> {
        self.of(key).put(key, parts)
    }

    fn put_if_absent(&self, key: &str, parts: &[Bytes]) -> Result<bool> {
        self.of(key).put_if_absent(key, parts)
    }

    fn get(&self, key: &str) -> Result<Bytes> {
        self.of(key).get(key)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        self.of(key).get_range(key, range)
    }

    fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.of(key).get_ranges(key, ranges)
    }

    fn size(&self, key: &str) -> Result<u64> {
        self.of(key).size(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let mut all = Vec::new();
        for store in &self.stores {
            all.extend(store.list(prefix)?);
        }
        all.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(all)
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.of(key).delete(key)
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.of(key).local_path(key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::SpreadStore;
    use crate::store::{MemoryStore, Store};

    #[test]
    fn objects_are_spread_evenly() {
        let parts: Vec<Arc<dyn Store>> = (0..3).map(|_| Arc::new(MemoryStore::new()) as Arc<dyn Store>).collect();
        let store = SpreadStore::new(parts.clone()).expect("there are stores");
        for n in 0..64 {
            store.put(&format!("packs/{n}"), &["x".into()]).expect("it can be written");
        }
        let sizes: Vec<usize> = parts.iter().map(|part| part.list("packs").expect("it can be listed").len()).collect();
        assert!(sizes.iter().all(|size| *size > 5) && sizes.iter().sum::<usize>() == 64, "{sizes:?}");
        assert!(SpreadStore::new(Vec::new()).is_err());
    }
}
