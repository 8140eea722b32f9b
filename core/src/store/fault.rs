//! A store that fails on purpose, for tests of whatever stands on a store.

use std::{
    fmt,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use super::{ObjectInfo, Result, Store, StoreError, StoreErrorKind};

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// With an error, before anything was done.
    Before(StoreErrorKind),
    /// With an error, though the step was done: as when an answer is lost on the way.
    After(StoreErrorKind),
}

type Plan = dyn Fn(u64, &str, &str) -> Option<Fault> + Send + Sync;

/// Wraps a store and lets chosen steps fail. Steps count from 0, every call of the trait but `local_path` is one.
pub struct FaultStore {
    inner: Arc<dyn Store>,
    steps: AtomicU64,
    plan: Box<Plan>,
}

impl FaultStore {
    /// `plan` is asked before each step, with its number, the function's name and the key, how it shall fail.
    pub fn new(inner: Arc<dyn Store>, plan: impl Fn(u64, &str, &str) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { inner, steps: AtomicU64::new(0), plan: Box::new(plan) }
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    fn step<T>(&self, name: &str, key: &str, run: impl FnOnce(&dyn Store) -> Result<T>) -> Result<T> {
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        let failed = |kind| StoreError::new(kind, format!("injected fault in {name} of {key}"));
        match (self.plan)(step, name, key) {
            None => run(&*self.inner),
            Some(Fault::Before(kind)) => Err(failed(kind)),
            Some(Fault::After(kind)) => {
                run(&*self.inner)?;
                Err(failed(kind))
            }
        }
    }
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Store for FaultStore {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<()> {
        self.step("put", key, |s| s.put(key, parts))
    }

    fn put_if_absent(&self, key: &str, parts: &[Bytes]) -> Result<bool> {
        self.step("put_if_absent", key, |s| s.put_if_absent(key, parts))
    }

    fn get(&self, key: &str) -> Result<Bytes> {
        self.step("get", key, |s| s.get(key))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        self.step("get_range", key, |s| s.get_range(key, range))
    }

    fn size(&self, key: &str) -> Result<u64> {
        self.step("size", key, |s| s.size(key))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.step("list", prefix, |s| s.list(prefix))
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.step("delete", key, |s| s.delete(key))
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.inner.local_path(key)
    }
}
