//! A store in memory, for tests and for databases that shall not outlive the process.

use std::{collections::BTreeMap, ops::Range, time::SystemTime};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{ObjectInfo, Result, Store, StoreError, check_key, check_prefix, under};

/// Keeps objects in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: RwLock<BTreeMap<String, Object>>,
}

#[derive(Debug)]
struct Object {
    bytes: Bytes,
    modified: SystemTime,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn object(parts: &[Bytes]) -> Object {
        let bytes = match parts {
            [one] => one.clone(),
            many => many.concat().into(),
        };
        Object { bytes, modified: SystemTime::now() }
    }
}

impl Store for MemoryStore {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<()> {
        check_key(key)?;
        self.objects.write().insert(key.to_owned(), Self::object(parts));
        Ok(())
    }

    fn put_if_absent(&self, key: &str, parts: &[Bytes]) -> Result<bool> {
        check_key(key)?;
        let mut objects = self.objects.write();
        if objects.contains_key(key) {
            return Ok(false);
        }
        objects.insert(key.to_owned(), Self::object(parts));
        Ok(true)
    }

    fn get(&self, key: &str) -> Result<Bytes> {
        check_key(key)?;
        self.objects.read().get(key).map(|o| o.bytes.clone()).ok_or_else(|| StoreError::not_found(key))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.get(key)?;
        let size = bytes.len() as u64;
        if range.start > range.end || range.end > size {
            return Err(StoreError::out_of_range(key, range.end.max(range.start), size));
        }
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    fn size(&self, key: &str) -> Result<u64> {
        self.get(key).map(|bytes| bytes.len() as u64)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix)?;
        let objects = self.objects.read();
        let info = |(key, object): (&String, &Object)| ObjectInfo {
            key: key.clone(),
            bytes: object.bytes.len() as u64,
            modified: Some(object.modified),
        };
        Ok(objects.iter().filter(|(key, _)| under(key, prefix)).map(info).collect())
    }

    fn delete(&self, key: &str) -> Result<()> {
        check_key(key)?;
        self.objects.write().remove(key);
        Ok(())
    }
}
