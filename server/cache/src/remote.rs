//! What memcached and Redis have in common: sealed values, a queue of writes, a runtime of their own, counts.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::runtime::{Handle, Runtime};

use crate::{
    BackgroundSettings, BoxFuture, Cache, Metrics,
    envelope::{Envelope, WireKey},
    queue::Queue,
};

/// How long closing waits for what is queued.
const CLOSING: Duration = Duration::from_secs(5);

/// A server, or several, that keep bytes under keys.
pub(crate) trait Backend: Send + Sync + 'static {
    /// The values of keys: at each place what could be had until the deadline.
    fn get<'a>(&'a self, keys: &'a [Bytes], deadline: Instant) -> BoxFuture<'a, Fetched>;

    /// Stores values; how many could not be, with their bytes.
    fn set(&self, entries: Vec<(Bytes, Bytes)>) -> BoxFuture<'_, Lost>;
}

/// What a backend had.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) values: Vec<Option<Bytes>>,
    /// Whether a part of it could not be asked.
    pub(crate) failed: bool,
}

/// What a backend did not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Server down, slow, or talking nonsense.
    pub(crate) failed: usize,
    /// Too large, or refused by a server that is well.
    pub(crate) refused: usize,
    /// Bytes of both.
    pub(crate) bytes: usize,
}

impl std::ops::AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.failed += other.failed;
        self.refused += other.refused;
        self.bytes += other.bytes;
    }
}

/// A runtime of a cache. It is never waited for, so that it may be dropped anywhere, on the threads of another one too.
pub(crate) struct Io(Option<Runtime>);

impl Io {
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("narvi-cache")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A cache over the network.
pub(crate) struct Remote {
    name: String,
    envelope: Envelope,
    backend: Arc<dyn Backend>,
    queue: Arc<Queue>,
    max_wait: Duration,
    metrics: Metrics,
    is_closed: std::sync::atomic::AtomicBool,
    io: Io,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("name", &self.name).field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Remote {
    pub(crate) fn new(
        name: String,
        (envelope, backend, io): (Envelope, Arc<dyn Backend>, Io),
        background: &BackgroundSettings,
        max_wait: Duration,
        metrics: &Metrics,
    ) -> Self {
        let queue = Arc::new(Queue::new(name.clone(), background.clone(), metrics.clone()));
        for _ in 0..background.workers.clamp(1, 64) {
            let (name, backend, queue, metrics) = (name.clone(), backend.clone(), queue.clone(), metrics.clone());
            if let Some(handle) = io.handle() {
                handle.spawn(async move { write(&name, &*backend, &queue, &metrics).await });
            }
        }
        let is_closed = false.into();
        Self { name, envelope, backend, queue, max_wait, metrics: metrics.clone(), is_closed, io }
    }

    async fn fetch(&self, keys: &[WireKey]) -> Fetched {
        let nothing = || Fetched { values: vec![None; keys.len()], failed: true };
        let Some(handle) = self.io.handle().filter(|_| !self.is_closed.load(std::sync::atomic::Ordering::Relaxed))
        else {
            return nothing();
        };
        let sent: Vec<Bytes> = keys.iter().map(|key| key.sent.clone()).collect();
        let (backend, deadline) = (self.backend.clone(), Instant::now() + self.max_wait);
        // A task, so that it runs on the runtime that has the connections, whatever polls the caller. It ends soon by
        // itself.
        let fetched = handle.spawn(async move { backend.get(&sent, deadline).await }).await;
        fetched.unwrap_or_else(|_| nothing())
    }
}

/// Sends what is queued.
async fn write(name: &str, backend: &dyn Backend, queue: &Queue, metrics: &Metrics) {
    while let Some(mut batch) = queue.next().await {
        let start = Instant::now();
        let lost = backend.set(std::mem::take(&mut batch.entries)).await;
        metrics.stored(name, lost.failed > 0, start.elapsed());
        for (reason, count) in [("failed", lost.failed), ("refused", lost.refused)] {
            if count > 0 {
                metrics.dropped(name, reason, count, 0);
            }
        }
        if lost.bytes > 0 {
            metrics.dropped(name, "failed", 0, lost.bytes);
        }
    }
}

impl Cache for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn get_many<'a>(&'a self, keys: &'a [Bytes]) -> BoxFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            if keys.is_empty() {
                return Vec::new();
            }
            let start = Instant::now();
            let wire: Vec<WireKey> = keys.iter().map(|key| self.envelope.key(key)).collect();
            let Fetched { mut values, failed } = self.fetch(&wire).await;
            values.resize(keys.len(), None);
            let (mut found, mut corrupt) = (0, 0);
            for (key, value) in wire.iter().zip(&mut values) {
                let Some(sealed) = value.take() else { continue };
                *value = self.envelope.open(key, &sealed);
                *(if value.is_some() { &mut found } else { &mut corrupt }) += 1;
            }
            if corrupt > 0 {
                self.metrics.corrupt(&self.name, corrupt);
                tracing::warn!(cache = %self.name, values = corrupt, "damaged values in the cache, taken for misses");
            }
            self.metrics.fetched(&self.name, keys.len(), found, failed, start.elapsed());
            values
        })
    }

    fn set_many(&self, entries: Vec<(Bytes, Bytes)>) {
        let sealed = entries.iter().map(|(key, value)| {
            let key = self.envelope.key(key);
            let sealed = self.envelope.seal(&key, value);
            (key.sent, sealed)
        });
        self.queue.push(sealed.collect());
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.queue.flush())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.queue.close();
            let queue = self.queue.clone();
            if let Some(handle) = self.io.handle() {
                let drained = handle.spawn(async move { tokio::time::timeout(CLOSING, queue.flush()).await });
                if !matches!(drained.await, Ok(Ok(()))) {
                    tracing::warn!(cache = %self.name, "closed with values not yet sent");
                }
            }
            self.is_closed.store(true, std::sync::atomic::Ordering::Relaxed);
        })
    }
}
