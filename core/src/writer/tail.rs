//! Those who follow pushes: each has a bounded queue.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use narvi_types::{Entry, Labels, Selector, Tenant, Timestamp};
use parking_lot::{Condvar, Mutex, RwLock};

use super::PushStream;

/// Lines of one stream, as they were pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TailBatch {
    /// The stream.
    pub labels: Labels,
    /// Its new lines.
    pub entries: Vec<Entry>,
}

/// A line that did not fit into the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The stream.
    pub labels: Labels,
    /// Its time.
    pub timestamp: Timestamp,
}

impl Dropped {
    /// A line of a stream.
    pub fn new(labels: Labels, timestamp: Timestamp) -> Self {
        Self { labels, timestamp }
    }
}

/// Follows the pushes to selected streams of one tenant. Dropping it ends that. May be used from several threads.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
}

/// All subscriptions of a database.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    all: RwLock<Vec<Weak<Queue>>>,
    /// How many there are, so that pushes without any cost one load.
    count: AtomicUsize,
}

#[derive(Debug)]
struct Queue {
    tenant: Tenant,
    selector: Selector,
    max_entries: usize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<TailBatch>,
    entries: usize,
    bytes: usize,
    dropped: Vec<Dropped>,
    dropped_count: u64,
    closed: bool,
}

/// Bytes of lines that may wait for one reader.
const MAX_WAITING_BYTES: usize = 16 << 20;
/// Dropped lines that are listed one by one, of some 24 bytes each; the rest is only counted.
const MAX_LISTED: usize = 50_000;

impl Subscription {
    /// Waits for the next batch, in the order of pushes. Nothing when none came in time, or the database was closed and all
    /// is read.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<TailBatch> {
        let deadline = Instant::now().checked_add(timeout);
        let mut waiting = self.queue.waiting.lock();
        loop {
            if let Some(batch) = waiting.batches.pop_front() {
                waiting.entries -= batch.entries.len();
                waiting.bytes -= batch.entries.iter().map(|e| e.line.len()).sum::<usize>();
                return Some(batch);
            }
            if waiting.closed {
                return None;
            }
            match deadline {
                Some(deadline) if self.queue.changed.wait_until(&mut waiting, deadline).timed_out() => {
                    if waiting.batches.is_empty() {
                        return None;
                    }
                }
                Some(_) => {}
                None => self.queue.changed.wait(&mut waiting),
            }
        }
    }

    /// The next batch, if one is there.
    pub fn try_recv(&self) -> Option<TailBatch> {
        self.recv_timeout(Duration::ZERO)
    }

    /// Takes the list of the lines dropped since the last call, and how many there were in all: the list ends after
    /// fifty thousand.
    pub fn take_dropped(&self) -> (Vec<Dropped>, u64) {
        let mut waiting = self.queue.waiting.lock();
        (std::mem::take(&mut waiting.dropped), std::mem::take(&mut waiting.dropped_count))
    }

    /// Whether nothing more can come.
    pub fn is_closed(&self) -> bool {
        let waiting = self.queue.waiting.lock();
        waiting.closed && waiting.batches.is_empty()
    }
}

impl Subscribers {
    pub(crate) fn subscribe(&self, tenant: &Tenant, selector: Selector, max_entries: usize) -> Subscription {
        let queue = Arc::new(Queue {
            tenant: tenant.clone(),
            selector,
            max_entries,
            waiting: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut all = self.all.write();
        all.retain(|queue| queue.strong_count() > 0);
        all.push(Arc::downgrade(&queue));
        self.count.store(all.len(), Ordering::SeqCst);
        Subscription { queue }
    }

    /// Hands out what was just applied. Lines are copied, so that a slow reader does not hold whole requests in memory.
    pub(crate) fn publish(&self, tenant: &Tenant, streams: &[PushStream]) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let queues: Vec<_> = self.all.read().iter().filter_map(Weak::upgrade).collect();
        if queues.len() < self.count.load(Ordering::SeqCst) {
            let mut all = self.all.write();
            all.retain(|queue| queue.strong_count() > 0);
            self.count.store(all.len(), Ordering::SeqCst);
        }
        for queue in queues.iter().filter(|queue| queue.tenant == *tenant) {
            for stream in streams.iter().filter(|stream| queue.selector.matches(&stream.labels)) {
                queue.offer(stream);
            }
        }
    }

    /// Tells all that nothing more will come.
    pub(crate) fn close(&self) {
        for queue in self.all.read().iter().filter_map(Weak::upgrade) {
            queue.waiting.lock().closed = true;
            queue.changed.notify_all();
        }
    }
}

impl Queue {
    fn offer(&self, stream: &PushStream) {
        let mut waiting = self.waiting.lock();
        let mut taken = Vec::new();
        for entry in &stream.entries {
            if waiting.entries >= self.max_entries || waiting.bytes + entry.line.len() > MAX_WAITING_BYTES {
                waiting.dropped_count += 1;
                if waiting.dropped.len() < MAX_LISTED {
                    waiting.dropped.push(Dropped { labels: stream.labels.clone(), timestamp: entry.timestamp });
                }
                continue;
            }
            waiting.entries += 1;
            waiting.bytes += entry.line.len();
            taken.push(Entry { line: Bytes::copy_from_slice(&entry.line), ..entry.clone() });
        }
        if !taken.is_empty() {
            waiting.batches.push_back(TailBatch { labels: stream.labels.clone(), entries: taken });
            self.changed.notify_one();
        }
    }
}
