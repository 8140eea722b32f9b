//! The database: a writer and what queries need, over one data directory or one store.

use std::{path::Path, sync::Arc};

use narvi_types::{Selector, Tenant};

use crate::{
    Ack, Builder, CompactionSummary, IndexStats, MaintenanceStats, OpenReport, PushStream, Result, RetentionSummary,
    Settings, Subscription, WriterStats,
    deletes::{Book, MarkFiles},
    maintain::{self, Maintainer, Parts},
    read::{Packs, Tables},
    retention::{Horizon, SharedRetention},
    state::{SharedState, State},
    writer::{Background, Writer},
};

/// A log store. Cheap to clone; all clones are one database, which is shut down when the last one is dropped. All functions
/// block, and may be called from any thread, also from inside an async task (which they then block).
#[derive(Clone, Debug)]
pub struct Db {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share. Dropping it closes the database.
#[derive(Debug)]
pub(crate) struct Inner {
    maintenance: maintain::Background,
    background: Background,
    pub(crate) writer: Arc<Writer>,
    packs: Arc<Packs>,
    tables: Arc<Tables>,
    /// Compiled requests to delete, and the rows that they hit.
    book: Arc<Book>,
    marks: Arc<MarkFiles>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever wants to know of errors calls `close`.
        let _ = self.close();
    }
}

impl Inner {
    fn close(&self) -> Result<()> {
        self.writer.close_pushes();
        self.maintenance.stop();
        self.background.stop();
        self.writer.finish()
    }
}

impl Db {
    /// Opens the database in a folder, which is made if it does not exist. Rows that were acknowledged and not flushed are
    /// read back from the write-ahead log.
    ///
    /// # Errors
    /// [`Locked`](crate::ErrorKind::Locked) when another process has it open; [`Denied`](crate::ErrorKind::Denied);
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when the newest manifest is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// Starts to describe a database in a folder.
    pub fn builder(path: impl AsRef<Path>) -> Builder {
        Builder::new(path.as_ref())
    }

    pub(crate) fn new(
        writer: Arc<Writer>,
        background: Background,
        retention: SharedRetention,
        allowed: bool,
    ) -> Result<Self> {
        let packs = Arc::new(Packs::new(writer.store().clone()));
        let tables = Arc::new(Tables::new(writer.store().clone()));
        let marks = Arc::new(MarkFiles::new(writer.store().clone()));
        let book = Arc::new(Book::default());
        let parts = Parts {
            writer: writer.clone(),
            tables: tables.clone(),
            packs: packs.clone(),
            book: book.clone(),
            marks: marks.clone(),
            retention,
            allowed,
        };
        let maintenance = maintain::Background::start(Maintainer::new(parts))?;
        Ok(Self { inner: Arc::new(Inner { maintenance, background, writer, packs, tables, book, marks }) })
    }

    /// Adds lines. When it returns, all of them are in the write-ahead log and in the answers of queries that begin
    /// thereafter, and survive the death of the process; what else they survive is told by [`Ack::wait`].
    ///
    /// Any time is accepted, and any order. A line that is there already, with the same time and structured metadata in
    /// the same stream, is answered once. Costs a copy of each line into the log and one into memory.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): no labels, a line too long; nothing was added.
    /// [`Busy`](crate::ErrorKind::Busy): flushing does not keep up. [`Full`](crate::ErrorKind::Full): no room for the log.
    /// [`Poisoned`](crate::ErrorKind::Poisoned): a sync failed before. In these cases some lines may have been added when
    /// there were more than 8 MiB; pushing them all again is right.
    pub fn push(&self, tenant: &Tenant, streams: Vec<PushStream>) -> Result<Ack> {
        self.inner.writer.push(tenant, streams)
    }

    /// Writes everything that was pushed before the call into packs and the index, and commits it. Returns when that
    /// is done, after at least one attempt.
    ///
    /// # Errors
    /// The store fails or is full. Nothing is lost; the flush is tried again in the background.
    pub fn flush(&self) -> Result<()> {
        self.inner.writer.flush()
    }

    /// Shuts the database down: stops the background threads, flushes if the settings say so, and syncs the write-ahead
    /// log. Pushes by other clones are refused from then on; queries are not. The data directory is unlocked when the last
    /// clone is dropped.
    ///
    /// # Errors
    /// What could not be flushed or synced; it stays in the write-ahead log, if there is one.
    pub fn close(&self) -> Result<()> {
        self.inner.close()
    }

    /// Follows pushes to streams of a tenant, from now on. Entries wait in a bounded queue; those that do not fit are dropped
    /// and counted.
    pub fn subscribe(&self, tenant: &Tenant, selector: Selector) -> Subscription {
        self.inner.writer.subscribe(tenant, selector)
    }

    /// What was read back from the write-ahead log when the database was opened, and what damage was found in it.
    pub fn open_report(&self) -> OpenReport {
        self.inner.writer.report()
    }

    /// Deletes files that no one can want any more: those of flushes that were never committed, and those that commits took
    /// out, once [`Settings::garbage_grace_secs`] are over. Gives their number. Opening a database does it too.
    ///
    /// # Errors
    /// The store fails; the rest is left for the next time. The database is closed or its upkeep off.
    pub fn collect_garbage(&self) -> Result<usize> {
        self.inner.maintenance.maintainer.collect_garbage()
    }

    /// Merges files once: the lowest level of which there are enough
    /// ([`CompactionSettings::tables_per_level`](crate::CompactionSettings::tables_per_level)) into the next one, dropping
    /// rows that are stored twice. A thread does it by itself unless the settings say no; waits for it if it is at work.
    /// Queries and pushes go on meanwhile. Costs reading and writing the files, and memory as the settings say.
    ///
    /// # Errors
    /// The store fails or is full, the database is closed or its upkeep off. Nothing is lost; trying again is right. Damaged files are no
    /// error: they are left as they are, and told of.
    pub fn compact(&self) -> Result<CompactionSummary> {
        self.inner.maintenance.maintainer.compact()
    }

    /// Applies retention ([`Builder::retention`]) and completes requests to delete, once. A thread does it by itself unless
    /// the settings say no.
    ///
    /// Rows that are older than their stream's period when this begins are not answered by any query that begins
    /// thereafter; index look-ups that count by whole blocks may still count them until their files are written anew. Files
    /// of which all rows are dead are taken out unread, others are written anew when more than
    /// [`RetentionSettings::rewrite_percent`](crate::RetentionSettings::rewrite_percent) of their rows are too old, or a
    /// request that can no longer be cancelled hits one. Such a request is then processed, unless files are damaged that may
    /// hold its lines. The bytes of files taken out are free after [`Settings::garbage_grace_secs`]. Until this has run
    /// after the database was opened, rows that are too old and not removed yet are answered.
    ///
    /// # Errors
    /// The store fails or is full, the database is closed or its upkeep off. Trying again is right.
    pub fn apply_retention(&self) -> Result<RetentionSummary> {
        self.inner.maintenance.maintainer.apply_retention()
    }

    /// Says whether this database tends its store from now on: [`Db::compact`], [`Db::apply_retention`],
    /// [`Db::collect_garbage`] and the thread that does them. What is under way when that ends is given up soon, without a
    /// trace; this does not wait for it. Several processes that tend one store at once do no harm, since each change is
    /// committed only if no other came first; but they do the same work twice.
    pub fn set_upkeep(&self, allowed: bool) {
        self.inner.maintenance.maintainer.allow(allowed);
    }

    /// Whether this database tends its store.
    pub fn upkeep(&self) -> bool {
        self.inner.maintenance.maintainer.is_allowed()
    }

    /// What merging and deleting files has done since the database was opened.
    pub fn maintenance_stats(&self) -> MaintenanceStats {
        self.inner.maintenance.maintainer.stats()
    }

    /// What pushes and flushes have done since the database was opened.
    pub fn writer_stats(&self) -> WriterStats {
        self.inner.writer.stats()
    }

    /// What look-ups in the index have taken since the database was opened.
    pub fn index_stats(&self) -> IndexStats {
        self.inner.tables.stats()
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        self.inner.writer.settings()
    }

    /// What a query works on: taken once, it stays the same however long the query takes.
    pub(crate) fn state(&self) -> Arc<State> {
        self.shared_state().load()
    }

    pub(crate) fn shared_state(&self) -> &SharedState {
        self.inner.writer.state()
    }

    pub(crate) fn packs(&self) -> &Arc<Packs> {
        &self.inner.packs
    }

    pub(crate) fn tables(&self) -> &Arc<Tables> {
        &self.inner.tables
    }

    pub(crate) fn book(&self) -> &Book {
        &self.inner.book
    }

    pub(crate) fn marks(&self) -> &Arc<MarkFiles> {
        &self.inner.marks
    }

    /// What retention hides of a tenant, as of the last run of the upkeep.
    pub(crate) fn horizon(&self, tenant: &Tenant) -> Option<Horizon> {
        self.inner.maintenance.maintainer.horizon(tenant)
    }

    #[cfg(test)]
    pub(crate) fn store(&self) -> &Arc<dyn crate::Store> {
        self.inner.writer.store()
    }
}
