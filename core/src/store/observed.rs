//! A store that tells how long each operation took and how it ended.

use std::{
    fmt,
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{ObjectInfo, Result, Store, StoreErrorKind};

/// What an observer is told of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreOperation {
    /// `put`, `get`, `head`, `list` or `delete`.
    pub name: &'static str,
    /// How it ended, as an HTTP status would say it.
    pub status: u16,
    /// How long it took, retries included.
    pub time: Duration,
}

/// Tells an observer of every operation of another store.
pub struct ObservedStore<F> {
    inner: Arc<dyn Store>,
    observer: F,
}

impl<F: Fn(StoreOperation) + Send + Sync + 'static> ObservedStore<F> {
    /// Observes a store. The observer is called on the thread that did the operation.
    pub fn new(inner: Arc<dyn Store>, observer: F) -> Self {
        Self { inner, observer }
    }

    fn tell<T>(&self, name: &'static str, work: impl FnOnce(&dyn Store) -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let done = work(&*self.inner);
        let status = match done.as_ref().map_err(|error| error.kind()) {
            Ok(_) => 200,
            Err(StoreErrorKind::NotFound) => 404,
            Err(StoreErrorKind::OutOfRange) => 416,
            Err(StoreErrorKind::Denied) => 403,
            Err(StoreErrorKind::InvalidKey) => 400,
            Err(StoreErrorKind::Full) => 507,
            Err(_) => 500,
        };
        (self.observer)(StoreOperation { name, status, time: started.elapsed() });
        done
    }
}

impl<F> fmt::Debug for ObservedStore<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<F: Fn(StoreOperation) + Send + Sync + 'static> Store for ObservedStore<F> {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<()> {
        self.tell("put", |store| store.put(key, parts))
    }

    fn put_if_absent(&self, key: &str, parts: &[Bytes]) -> Result<bool> {
        self.tell("put", |store| store.put_if_absent(key, parts))
    }

    fn get(&self, key: &str) -> Result<Bytes> {
        self.tell("get", |store| store.get(key))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        self.tell("get", |store| store.get_range(key, range))
    }

    fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.tell("get", |store| store.get_ranges(key, ranges))
    }

    fn size(&self, key: &str) -> Result<u64> {
        self.tell("head", |store| store.size(key))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.tell("list", |store| store.list(prefix))
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.tell("delete", |store| store.delete(key))
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.inner.local_path(key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::ObservedStore;
    use crate::store::{MemoryStore, Store};

    #[test]
    fn every_operation_is_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let of_store = told.clone();
        let observer = move |operation: super::StoreOperation| {
            of_store.lock().expect("no panic").push((operation.name, operation.status));
        };
        let store = ObservedStore::new(Arc::new(MemoryStore::new()), observer);
        store.put("a", &["x".into()]).expect("it can be written");
        assert!(store.get("b").is_err());
        assert_eq!(*told.lock().expect("no panic"), [("put", 200), ("get", 404)]);
    }
}
