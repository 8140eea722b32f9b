//! A store whose packs are read through a cache.

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use narvi::{ObjectInfo, Store, StoreError};
use narvi_cache::{Cache, CacheError, CacheSettings, Metrics, build};

use crate::sealed;

type Result<T> = std::result::Result<T, StoreError>;

/// The folder of packs: objects that are written once under a name that no other ever has.
const PACKS: &str = "packs/";

/// Larger ranges are not cached: a frame is about 1 MiB, so these are of one huge line, or of a whole pack.
const MAX_RANGE: u64 = 8 << 20;

/// Puts the cache that settings describe before a store, or gives the store as it is if they ask for none. In metrics it is
/// called `chunks`.
///
/// A store of local files gains nothing: its packs are read past this.
///
/// # Errors
/// Settings that cannot be used. A server that cannot be reached is no error.
pub fn chunks(
    store: Arc<dyn Store>,
    settings: &CacheSettings,
    metrics: &Metrics,
) -> std::result::Result<Arc<dyn Store>, CacheError> {
    if !settings.embedded.enabled && settings.memcached.is_none() && settings.redis.is_none() {
        return Ok(store);
    }
    Ok(Arc::new(ChunkCache::new(store, build(settings, "chunks", metrics)?)))
}

/// A store whose packs are read through a cache: ranges, and sizes. All else goes to the store. A range that the cache
/// gives may be of a pack that was deleted since; whoever still reads one is glad of it.
pub struct ChunkCache {
    store: Arc<dyn Store>,
    cache: Arc<dyn Cache>,
}

impl fmt::Debug for ChunkCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl ChunkCache {
    /// Puts a cache before a store.
    pub fn new(store: Arc<dyn Store>, cache: Arc<dyn Cache>) -> Self {
        Self { store, cache }
    }

    /// What the cache has under a key that is right.
    fn cached(&self, keys: &[Bytes]) -> Vec<Option<Bytes>> {
        let found = self.cache.get_many_blocking(keys).into_iter();
        let mut found: Vec<_> = found.zip(keys).map(|(value, key)| sealed::open(key, &value?)).collect();
        found.resize(keys.len(), None);
        found
    }

    fn keep(&self, key: Bytes, value: &[u8]) {
        let sealed = sealed::seal(&key, value);
        self.cache.set_many(vec![(key, sealed)]);
    }
}

fn is_pack(key: &str) -> bool {
    key.starts_with(PACKS)
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// Under what a range is cached; nothing for one that is not.
fn key_of(key: &str, range: &Range<u64>) -> Option<Bytes> {
    let cached = is_pack(key) && (1..=MAX_RANGE).contains(&length(range));
    cached.then(|| format!("{key}@{:x}-{:x}", range.start, range.end).into())
}

/// Under what a size is cached. A key of an object holds no `@`.
fn key_of_size(key: &str) -> Bytes {
    format!("{key}@").into()
}

impl Store for ChunkCache {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<()> {
        self.store.put(key, parts)
    }

    fn put_if_absent(&self, key: &str, parts: &[Bytes]) -> Result<bool> {
        self.store.put_if_absent(key, parts)
    }

    fn get(&self, key: &str) -> Result<Bytes> {
        self.store.get(key)
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let Some(of) = key_of(key, &range) else { return self.store.get_range(key, range) };
        let found = self.cached(std::slice::from_ref(&of)).pop().flatten();
        if let Some(found) = found.filter(|found| found.len() as u64 == length(&range)) {
            return Ok(found);
        }
        let read = self.store.get_range(key, range)?;
        self.keep(of, &read);
        Ok(read)
    }

    fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let keys: Option<Vec<Bytes>> = ranges.iter().map(|range| key_of(key, range)).collect();
        let Some(keys) = keys else { return self.store.get_ranges(key, ranges) };
        let mut found = self.cached(&keys);
        for (found, range) in found.iter_mut().zip(ranges) {
            *found = found.take().filter(|found| found.len() as u64 == length(range));
        }
        let missing: Vec<usize> = (0..ranges.len()).filter(|at| found[*at].is_none()).collect();
        if !missing.is_empty() {
            let wanted: Vec<_> = missing.iter().map(|at| ranges[*at].clone()).collect();
            for (at, read) in missing.into_iter().zip(self.store.get_ranges(key, &wanted)?) {
                self.keep(keys[at].clone(), &read);
                found[at] = Some(read);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn size(&self, key: &str) -> Result<u64> {
        if !is_pack(key) {
            return self.store.size(key);
        }
        let of = key_of_size(key);
        let found = self.cached(std::slice::from_ref(&of)).pop().flatten();
        if let Some(size) = found.and_then(|found| <[u8; 8]>::try_from(&found[..]).ok()) {
            return Ok(u64::from_le_bytes(size));
        }
        let size = self.store.size(key)?;
        self.keep(of, &size.to_le_bytes());
        Ok(size)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.store.list(prefix)
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.store.delete(key)
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.store.local_path(key)
    }
}
