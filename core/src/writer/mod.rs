//! The write side: pushes, flushes, commits, replay, and those who follow pushes.
//!
//! Locks, in the order in which they are taken: `flushing` (one flush at a time), `rotating`, `active` (for reading by a push, for
//! writing when a generation is frozen), then those of heads, segment, `making` and state, which
//! nothing is taken under.

mod background;
mod files;
mod flush;
mod garbage;
mod open;
mod output;
mod push;
mod replace;
mod rows;
mod stats;
mod tail;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use narvi_types::{Selector, Tenant};
use parking_lot::{Condvar, Mutex, RwLock};

pub(crate) use self::{
    background::Background,
    files::{FileSettings, Files, Only, Output, Points},
    open::Setup,
    stats::SECONDS,
};
use self::{flush::Flushing, tail::Subscribers};
pub use self::{
    open::OpenReport,
    push::{Ack, PushStream},
    stats::{BlockFigures, FlushReason, WalStats, WriterStats},
    tail::{Dropped, Subscription, TailBatch},
};
use crate::{
    Error, ErrorKind, FlushSettings, Result, Settings, WalSync,
    clock::Clock,
    failpoint::Failpoints,
    head::Generation,
    manifest::{ManifestStore, WriterId},
    state::SharedState,
    store::Store,
    wal::{RecordBuilder, Segment, Wal},
};

/// The write side of a database, usable alone: an ingester is one.
#[derive(Debug)]
pub(crate) struct Writer {
    settings: Settings,
    store: Arc<dyn Store>,
    /// Whether other processes may read or write the store.
    shared: bool,
    manifests: ManifestStore,
    id: WriterId,
    wal: Option<Arc<Wal>>,
    state: SharedState,
    active: RwLock<Active>,
    rotating: Mutex<()>,
    /// Segments of frozen generations, which may still want a sync.
    frozen: Mutex<Vec<(u64, Arc<Segment>)>>,
    /// Generations whose segment was found damaged when it was replayed.
    damaged: Mutex<BTreeSet<u64>>,
    flushing: Mutex<Flushing>,
    /// The name of files that a compaction is making.
    making: Mutex<Option<String>>,
    /// Told when memory was given back, and when something happened that the background thread should see.
    pressure: Mutex<Pressure>,
    relieved: Condvar,
    wake: Condvar,
    subscribers: Subscribers,
    /// Buffers for WAL records, used again.
    buffers: Mutex<Vec<RecordBuilder>>,
    closed: AtomicBool,
    clock: Clock,
    report: Mutex<OpenReport>,
    /// What is not counted elsewhere.
    stats: Mutex<WriterStats>,
    wal_records: AtomicU64,
    wal_full_failures: AtomicU64,
    pub(crate) failpoints: Failpoints,
    /// Held for as long as the database is open.
    _lock: Option<open::FolderLock>,
}

/// Where pushes go.
#[derive(Debug)]
struct Active {
    generation: Arc<Generation>,
    segment: Option<Arc<Segment>>,
}

/// What threads tell each other about memory.
#[derive(Debug, Default)]
struct Pressure {
    /// Whether a flush was asked for.
    wanted: bool,
    stop: bool,
}

impl Writer {
    /// Who writes.
    pub(crate) fn id(&self) -> WriterId {
        self.id
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn state(&self) -> &SharedState {
        &self.state
    }

    /// Whether other processes may use the store too.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What was found when the database was opened.
    pub(crate) fn report(&self) -> OpenReport {
        self.report.lock().clone()
    }

    pub(crate) fn subscribe(&self, tenant: &Tenant, selector: Selector) -> Subscription {
        self.subscribers.subscribe(tenant, selector, self.settings.tail_queue_entries)
    }

    /// Refuses pushes from now on. Pushes that are under way end before this returns.
    pub(crate) fn close_pushes(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.tell_relieved();
        drop(self.active.write());
        self.subscribers.close();
    }

    /// The last work of a writer whose threads have ended.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.settings.flush_on_close || self.active.read().segment.is_none() {
            self.flush()?;
        }
        if self.settings.wal.sync != WalSync::Never {
            self.sync_wal()?;
        }
        let active = self.active.read();
        match &self.wal {
            // Nothing was ever written to its segment, and nothing will be.
            Some(wal) if active.generation.is_empty() => wal.remove(active.generation.id()),
            _ => Ok(()),
        }
    }

    /// Wakes pushes that wait for room. Under the lock, so that none misses it between looking and waiting.
    fn tell_relieved(&self) {
        drop(self.pressure.lock());
        self.relieved.notify_all();
    }

    /// Syncs all segments that have something new.
    fn sync_wal(&self) -> Result<()> {
        let Some(wal) = &self.wal else { return Ok(()) };
        let mut segments: Vec<_> = self.frozen.lock().iter().map(|(_, segment)| segment.clone()).collect();
        segments.extend(self.active.read().segment.clone());
        segments.iter().try_for_each(|segment| segment.sync(&wal.poison))
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed, "the database is closed"));
        }
        self.wal.as_ref().map_or(Ok(()), |wal| wal.poison.check())
    }

    /// What is not in files yet.
    fn load(&self) -> Load {
        let stats = self.state.load().generations.iter().map(|generation| generation.stats()).collect::<Vec<_>>();
        Load {
            row_bytes: stats.iter().map(|stats| stats.row_bytes).sum(),
            memory_bytes: stats.iter().map(|stats| stats.memory_bytes).sum(),
        }
    }
}

/// How much is in memory, of one generation or of all.
#[derive(Clone, Copy, Debug)]
struct Load {
    row_bytes: u64,
    memory_bytes: u64,
}

impl Load {
    /// Whether it should be flushed.
    fn is_full(self, settings: &FlushSettings) -> bool {
        self.row_bytes >= settings.generation_bytes || self.memory_bytes >= settings.max_memory_bytes / 4 * 3
    }

    /// Whether no more may come until something was flushed.
    fn is_too_much(self, settings: &FlushSettings) -> bool {
        self.row_bytes >= settings.generation_bytes.saturating_add(settings.max_waiting_bytes)
            || self.memory_bytes >= settings.max_memory_bytes
    }
}
