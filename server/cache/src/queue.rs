//! Values on their way to a remote cache: bounded in number and bytes, dropped when there are too many.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use crate::{BackgroundSettings, Metrics};

/// How much is sent at once, at most: so many values, or the one that reaches so many bytes.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1 << 20;

/// The queue of one cache.
#[derive(Debug)]
pub(crate) struct Queue {
    name: String,
    settings: BackgroundSettings,
    state: Mutex<State>,
    /// Something came in, or the queue was closed.
    filled: Notify,
    /// Nothing is queued or being sent.
    emptied: Notify,
    length: Gauge,
    queued_bytes: Gauge,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<(Bytes, Bytes)>,
    bytes: usize,
    /// Taken out and not yet sent. They count for the limits.
    sending: usize,
    sending_bytes: usize,
    is_closed: bool,
}

/// Some values, to be sent; they are done with when this is dropped.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    queue: &'a Queue,
    pub(crate) entries: Vec<(Bytes, Bytes)>,
    bytes: usize,
    count: usize,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.sending -= self.count;
        state.sending_bytes -= self.bytes;
        self.queue.show(&state);
        if state.sending == 0 && state.entries.is_empty() {
            self.queue.emptied.notify_waiters();
        }
    }
}

fn size(entry: &(Bytes, Bytes)) -> usize {
    entry.0.len() + entry.1.len()
}

impl Queue {
    pub(crate) fn new(name: String, settings: BackgroundSettings, metrics: Metrics) -> Self {
        let (length, queued_bytes) = metrics.queued(&name);
        let (filled, emptied) = (Notify::new(), Notify::new());
        Self { name, settings, state: Mutex::default(), filled, emptied, length, queued_bytes, metrics }
    }

    fn show(&self, state: &State) {
        self.length.set(i64::try_from(state.entries.len() + state.sending).unwrap_or(i64::MAX));
        self.queued_bytes.set(i64::try_from(state.bytes + state.sending_bytes).unwrap_or(i64::MAX));
    }

    /// Takes values in. Those that do not fit are dropped and counted.
    pub(crate) fn push(&self, entries: Vec<(Bytes, Bytes)>) {
        let (mut dropped, mut dropped_bytes) = (0, 0);
        let mut state = self.state.lock();
        for entry in entries {
            let size = size(&entry);
            let has_room = state.entries.len() + state.sending < self.settings.max_entries
                && state.bytes + state.sending_bytes + size <= self.settings.max_bytes;
            if has_room && !state.is_closed {
                state.bytes += size;
                state.entries.push_back(entry);
            } else {
                dropped += 1;
                dropped_bytes += size;
            }
        }
        self.show(&state);
        let is_closed = state.is_closed;
        drop(state);
        self.filled.notify_one();
        if dropped > 0 {
            self.metrics.dropped(&self.name, if is_closed { "closed" } else { "full" }, dropped, dropped_bytes);
        }
    }

    /// The next values to send; nothing once the queue is closed and empty.
    pub(crate) async fn next(&self) -> Option<Batch<'_>> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.state.lock();
                if let Some(batch) = self.take(&mut state) {
                    let more = !state.entries.is_empty();
                    drop(state);
                    if more {
                        // Another worker, if there is one, need not wait for this one.
                        self.filled.notify_one();
                    }
                    return Some(batch);
                }
                if state.is_closed {
                    // So that the other workers learn of it too.
                    self.filled.notify_one();
                    return None;
                }
            }
            filled.await;
        }
    }

    fn take(&self, state: &mut State) -> Option<Batch<'_>> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < BATCH && bytes < BATCH_BYTES {
            let Some(entry) = state.entries.pop_front() else { break };
            bytes += size(&entry);
            entries.push(entry);
        }
        let count = entries.len();
        state.bytes -= bytes;
        state.sending += count;
        state.sending_bytes += bytes;
        // Not made for nothing: its drop takes the lock.
        (count > 0).then(|| Batch { queue: self, entries, bytes, count })
    }

    /// Waits until nothing is queued or being sent.
    pub(crate) async fn flush(&self) {
        loop {
            let emptied = self.emptied.notified();
            {
                let state = self.state.lock();
                if state.entries.is_empty() && state.sending == 0 {
                    return;
                }
            }
            emptied.await;
        }
    }

    /// Takes nothing in any more.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.filled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::future::poll_immediate;

    use super::{BATCH, Queue};
    use crate::{BackgroundSettings, Metrics, block_on};

    fn queue(max_entries: usize, max_bytes: usize) -> Queue {
        Queue::new("q".to_owned(), BackgroundSettings { workers: 1, max_entries, max_bytes }, Metrics::default())
    }

    fn values(count: usize) -> Vec<(Bytes, Bytes)> {
        (0..count).map(|n| (Bytes::from(format!("{n:04}")), Bytes::from_static(b"123456"))).collect()
    }

    #[test]
    fn keeps_what_has_room_until_it_is_sent() {
        let queue = queue(3, 1_000);
        queue.push(values(5));
        block_on(async {
            let batch = queue.next().await.expect("there are three");
            assert_eq!(batch.entries.len(), 3);
            queue.push(values(1));
            assert_eq!(queue.length.get(), 3, "what is being sent takes room");
            let mut flush = Box::pin(queue.flush());
            assert_eq!(poll_immediate(&mut flush).await, None);
            drop(batch);
            flush.await;
            assert_eq!((queue.length.get(), queue.queued_bytes.get()), (0, 0));
            queue.push(values(1));
            assert_eq!(queue.queued_bytes.get(), 10);
        });
        let queue = self::queue(100, 25);
        queue.push(values(5));
        assert_eq!(queue.length.get(), 2);
    }

    #[test]
    fn sends_in_batches_and_ends_when_closed() {
        let queue = queue(10_000, 1 << 30);
        queue.push(values(BATCH + 1));
        queue.push(vec![("large".into(), vec![0; 2 << 20].into()), ("next".into(), "".into())]);
        queue.close();
        queue.push(values(1));
        let mut lengths = Vec::new();
        block_on(async {
            while let Some(batch) = queue.next().await {
                lengths.push(batch.entries.len());
            }
            assert!(queue.next().await.is_none());
        });
        assert_eq!(lengths, [BATCH, 2, 1]);
    }
}
