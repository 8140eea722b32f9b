//! Counts what one query, or any other user, got of a cache.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{BoxFuture, Cache};

/// What was asked of a cache and given to it; the names are those of Loki's statistics of queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How often it was asked.
    pub requests: u64,
    /// For how many keys.
    pub entries_requested: u64,
    /// How many it had.
    pub entries_found: u64,
    /// How many it was given.
    pub entries_stored: u64,
    /// Bytes of values that it had.
    pub bytes_received: u64,
    /// Bytes of values that it was given.
    pub bytes_sent: u64,
    /// How long it took to answer.
    pub download_time: Duration,
}

/// A cache that counts for one user. What it is made of is shared, and closed by whoever made that.
#[derive(Debug)]
pub struct Counted {
    inner: Arc<dyn Cache>,
    requests: AtomicU64,
    requested: AtomicU64,
    found: AtomicU64,
    stored: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Counted {
    /// Counts from nothing.
    pub fn new(inner: Arc<dyn Cache>) -> Self {
        let zero = AtomicU64::default;
        Self {
            inner,
            requests: zero(),
            requested: zero(),
            found: zero(),
            stored: zero(),
            received: zero(),
            sent: zero(),
            nanoseconds: zero(),
        }
    }

    /// The counts so far.
    pub fn stats(&self) -> Stats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            requests: read(&self.requests),
            entries_requested: read(&self.requested),
            entries_found: read(&self.found),
            entries_stored: read(&self.stored),
            bytes_received: read(&self.received),
            bytes_sent: read(&self.sent),
            download_time: Duration::from_nanos(read(&self.nanoseconds)),
        }
    }
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

impl Cache for Counted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn get_many<'a>(&'a self, keys: &'a [Bytes]) -> BoxFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            let start = Instant::now();
            let found = self.inner.get_many(keys).await;
            add(&self.requests, 1);
            add(&self.requested, keys.len());
            add(&self.found, found.iter().flatten().count());
            add(&self.received, found.iter().flatten().map(Bytes::len).sum());
            add(&self.nanoseconds, usize::try_from(start.elapsed().as_nanos()).unwrap_or(usize::MAX));
            found
        })
    }

    fn set_many(&self, entries: Vec<(Bytes, Bytes)>) {
        add(&self.stored, entries.len());
        add(&self.sent, entries.iter().map(|(_, value)| value.len()).sum());
        self.inner.set_many(entries);
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.inner.flush()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
