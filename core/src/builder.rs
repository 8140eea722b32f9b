//! How a database is put together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Db, Result, Retention, Settings, Store,
    retention::{KeepAll, SharedRetention},
    writer::{Background, Setup, Writer},
};

/// Describes a database to open.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    folder: Option<PathBuf>,
    store: Option<Arc<dyn Store>>,
    settings: Settings,
    retention: SharedRetention,
    upkeep: bool,
}

impl Builder {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), ..Self::in_memory() }
    }

    /// A database without a data directory: no write-ahead log, and, unless a store is set, everything in memory. Rows that are
    /// not flushed are gone with the process.
    pub fn in_memory() -> Self {
        let retention = SharedRetention(Arc::new(KeepAll));
        Self { folder: None, store: None, settings: Settings::default(), retention, upkeep: true }
    }

    /// Keeps packs, tables and manifests in this store instead of the data directory.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Replaces the default settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Says how long rows are kept. Without this, only requests to delete remove any.
    pub fn retention(mut self, retention: Arc<dyn Retention>) -> Self {
        self.retention = SharedRetention(retention);
        self
    }

    /// Says whether the database tends its store from the start, which is the default: merges files, applies retention,
    /// completes requests to delete, deletes files of no use. Of several processes that write one store, one should; see
    /// [`Db::set_upkeep`]. Without, a database reads, flushes what is pushed to it, and changes nothing else.
    pub fn upkeep(mut self, allowed: bool) -> Self {
        self.upkeep = allowed;
        self
    }

    /// Opens the database; see [`Db::open`].
    ///
    /// # Errors
    /// As for [`Db::open`].
    pub fn open(self) -> Result<Db> {
        let Self { folder, store, settings, retention, upkeep } = self;
        let writer = Writer::open(Setup { folder, store, settings, upkeep })?;
        let background = Background::start(&writer)?;
        Db::new(writer, background, retention, upkeep)
    }
}
