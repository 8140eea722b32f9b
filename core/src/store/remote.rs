//! A store over the `object_store` crate, whose runtime lives on a thread of its own.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, path::Path,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{ObjectInfo, Result, Store, StoreError, StoreErrorKind, check_key, check_prefix};

type Job = Box<dyn FnOnce(&tokio::runtime::Handle) + Send>;

/// Makes any [`object_store::ObjectStore`] a [`Store`], under a prefix of its own so that others may share the bucket.
///
/// Calls block the calling thread until a runtime on another thread has done the work; that runtime is never entered from
/// outside, so that calls and drop are also allowed on threads of another runtime, which they block.
pub struct ObjectStoreAdapter {
    inner: Arc<dyn ObjectStore>,
    prefix: String,
    jobs: Option<UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl ObjectStoreAdapter {
    /// Starts the runtime. All keys get `prefix` and a slash in front; an empty prefix adds nothing.
    ///
    /// # Errors
    /// A prefix that is no key; the thread or its runtime cannot be started.
    pub fn new(inner: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self> {
        let prefix = prefix.trim_matches('/');
        check_prefix(prefix)?;
        let failed = |e| StoreError::io("cannot start the thread of the object store", e);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)?;
        let (jobs, receiver) = unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("narvi-store".to_owned())
            .spawn(move || drive(runtime, receiver))
            .map_err(failed)?;
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { inner, prefix, jobs: Some(jobs), thread: Some(thread) })
    }

    fn path(&self, key: &str) -> Result<Path> {
        check_key(key)?;
        Path::parse(format!("{}{key}", self.prefix)).map_err(|e| {
            StoreError::new(StoreErrorKind::InvalidKey, format!("'{key}' is no valid object key")).with_source(e)
        })
    }

    /// Runs a future on the runtime and waits for it.
    fn run<T: Send + 'static, F>(&self, make: impl FnOnce(Arc<dyn ObjectStore>) -> F) -> Result<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let closed = || StoreError::new(StoreErrorKind::Closed, "the object store was shut down");
        let (answer, answers) = mpsc::sync_channel(1);
        let future = make(self.inner.clone());
        let job: Job = Box::new(move |runtime| {
            // Nobody waits for the task: its answer comes over the channel, or the channel closes when it panics.
            drop(runtime.spawn(async move { answer.send(future.await) }));
        });
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(closed)?;
        answers.recv().map_err(|_| closed())
    }

    fn put_with(&self, key: &str, parts: &[Bytes], mode: PutMode) -> Result<bool> {
        let path = self.path(key)?;
        let payload: PutPayload = parts.iter().cloned().collect();
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.run(|store| async move { store.put_opts(&path, payload, options).await })? {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(e) => Err(wrap("write", key, e)),
        }
    }
}

impl Store for ObjectStoreAdapter {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<()> {
        self.put_with(key, parts, PutMode::Overwrite).map(|_| ())
    }

    fn put_if_absent(&self, key: &str, parts: &[Bytes]) -> Result<bool> {
        self.put_with(key, parts, PutMode::Create)
    }

    fn get(&self, key: &str) -> Result<Bytes> {
        let path = self.path(key)?;
        self.run(|store| async move { store.get_opts(&path, GetOptions::default()).await?.bytes().await })?
            .map_err(|e| wrap("read", key, e))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            let size = self.size(key)?;
            let fits = range.start == range.end && range.end <= size;
            let error = || StoreError::out_of_range(key, range.start.max(range.end), size);
            return if fits { Ok(Bytes::new()) } else { Err(error()) };
        }
        let path = self.path(key)?;
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let read = self.run(|store| async move { store.get_opts(&path, options).await?.bytes().await })?;
        match read {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
            Err(e @ object_store::Error::NotFound { .. }) => Err(wrap("read", key, e)),
            // Stores differ in how they answer a range beyond the end; the size tells it from other trouble.
            other => match (self.size(key)?, other) {
                (size, _) if size < range.end => Err(StoreError::out_of_range(key, range.end, size)),
                (_, Err(e)) => Err(wrap("read", key, e)),
                (size, Ok(_)) => Err(StoreError::out_of_range(key, range.end, size)),
            },
        }
    }

    fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.iter().any(Range::is_empty) {
            return ranges.iter().map(|range| self.get_range(key, range.clone())).collect();
        }
        let (path, wanted) = (self.path(key)?, ranges.to_vec());
        let read = self.run(|store| async move { store.get_ranges(&path, &wanted).await })?;
        match read {
            Ok(parts) if parts.iter().zip(ranges).all(|(p, r)| p.len() as u64 == r.end - r.start) => Ok(parts),
            // Found out one by one which range is at fault.
            _ => ranges.iter().map(|range| self.get_range(key, range.clone())).collect(),
        }
    }

    fn size(&self, key: &str) -> Result<u64> {
        let path = self.path(key)?;
        let info = self.run(|store| async move { store.head(&path).await })?;
        info.map(|info| info.size).map_err(|e| wrap("look up", key, e))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix)?;
        let whole = format!("{}{prefix}", self.prefix);
        let path = (!whole.is_empty()).then(|| Path::from(whole));
        let listed: Vec<_> = self
            .run(|store| async move { store.list(path.as_ref()).try_collect().await })?
            .map_err(|e| wrap("list", prefix, e))?;
        let info = |meta: object_store::ObjectMeta| {
            let key = meta.location.as_ref().strip_prefix(&self.prefix)?.to_owned();
            let modified = Some(SystemTime::from(meta.last_modified));
            check_key(&key).is_ok().then_some(ObjectInfo { key, bytes: meta.size, modified })
        };
        let mut out: Vec<_> = listed.into_iter().filter_map(info).collect();
        out.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(out)
    }

    fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        match self.run(|store| async move { store.delete(&path).await })? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(wrap("delete", key, e)),
        }
    }
}

impl Drop for ObjectStoreAdapter {
    fn drop(&mut self) {
        // Without a sender the thread ends by itself and takes the runtime along.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for ObjectStoreAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectStoreAdapter({}, prefix '{}')", self.inner, self.prefix)
    }
}

/// The thread that owns the runtime: starts jobs until the last sender is gone. Outside any runtime, so that dropping the
/// runtime here is allowed.
fn drive(runtime: tokio::runtime::Runtime, mut jobs: UnboundedReceiver<Job>) {
    while let Some(job) = jobs.blocking_recv() {
        job(runtime.handle());
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
}

fn wrap(doing: &str, key: &str, error: object_store::Error) -> StoreError {
    let kind = match &error {
        object_store::Error::NotFound { .. } => StoreErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            StoreErrorKind::Denied
        }
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, format!("cannot {doing} object {key}")).with_source(error)
}
