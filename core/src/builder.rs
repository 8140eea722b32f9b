//! How a database is put together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Db, Result, Settings, Store,
    writer::{Background, Setup, Writer},
};

/// Describes a database to open.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    folder: Option<PathBuf>,
    store: Option<Arc<dyn Store>>,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), store: None, settings: Settings::default() }
    }

    /// A database without a data directory: no write-ahead log, and, unless a store is set, everything in memory. Rows that are
    /// not flushed are gone with the process.
    pub fn in_memory() -> Self {
        Self { folder: None, store: None, settings: Settings::default() }
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

    /// Opens the database; see [`Db::open`].
    ///
    /// # Errors
    /// As for [`Db::open`].
    pub fn open(self) -> Result<Db> {
        let writer = Writer::open(Setup { folder: self.folder, store: self.store, settings: self.settings })?;
        let background = Background::start(&writer)?;
        Db::new(writer, background)
    }
}
