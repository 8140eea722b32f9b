//! Open index tables.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use narvi_index::Table;
use parking_lot::Mutex;

use super::{
    catalog::index_error,
    look_ups::{IndexStats, Watch},
    table_folder::TableFolder,
};
use crate::{Error, Result, manifest::Manifest, store::Store};

/// Open tables, shared by the catalogs of all manifests.
#[derive(Debug)]
pub(crate) struct Tables {
    store: Arc<dyn Store>,
    /// Where copies are kept, so that they need not lie in memory.
    folder: Option<TableFolder>,
    open: Mutex<HashMap<String, Table>>,
    /// Tables that are being fetched: those that want one wait for the first.
    fetching: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    pub(crate) watch: Watch,
}

impl Tables {
    /// Opens tables of a store. Those of a local one are mapped, others fetched into memory.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, folder: None, open: Mutex::default(), fetching: Mutex::default(), watch: Watch::default() }
    }

    /// Keeps copies of fetched tables in a folder.
    pub(crate) fn with_folder(self, folder: Option<TableFolder>) -> Self {
        Self { folder, ..self }
    }

    /// Opens a table: maps the file of a local store, fetches an object.
    pub(crate) fn open(&self, key: &str) -> Result<Table> {
        if let Some(table) = self.open.lock().get(key) {
            return Ok(table.clone());
        }
        let turn = self.fetching.lock().entry(key.to_owned()).or_default().clone();
        let _turn = turn.lock();
        if let Some(table) = self.open.lock().get(key) {
            return Ok(table.clone());
        }
        let opened = self.fetch(key);
        self.fetching.lock().remove(key);
        let table = opened?;
        self.open.lock().insert(key.to_owned(), table.clone());
        Ok(table)
    }

    fn fetch(&self, key: &str) -> Result<Table> {
        let open = |bytes: Bytes| Table::open(bytes).map_err(|error| index_error(key, &error));
        if let Some(path) = self.store.local_path(key) {
            let mapped = crate::mmap::map_committed(&path);
            return open(
                mapped.map_err(|error| Error::io(format!("cannot open index table {}", path.display()), error))?,
            );
        }
        let Some(folder) = &self.folder else { return open(self.store.get(key)?) };
        if let Some(table) = folder.get(key).and_then(|bytes| Table::open(bytes).ok()) {
            return Ok(table);
        }
        let bytes = self.store.get(key)?;
        // What is no table is not kept.
        let table = open(bytes.clone())?;
        match folder.keep(key, bytes) {
            Some((mapped, dropped)) => {
                // A mapped file takes room for as long as it is mapped.
                self.open.lock().retain(|key, _| !dropped.contains(key));
                open(mapped)
            }
            // A folder that is full or cannot be written costs memory and no answer.
            None => Ok(table),
        }
    }

    #[cfg(test)]
    pub(crate) fn open_count(&self) -> usize {
        self.open.lock().len()
    }

    /// What look-ups have taken.
    pub(crate) fn stats(&self) -> IndexStats {
        self.watch.stats()
    }

    /// Closes the tables that a manifest does not name, and removes their copies.
    pub(crate) fn retain(&self, manifest: &Manifest) {
        let named: BTreeSet<&str> = manifest.tables.iter().map(|file| file.key.as_str()).collect();
        self.open.lock().retain(|key, _| named.contains(key.as_str()));
        if let Some(folder) = &self.folder {
            folder.retain(&named);
        }
    }
}
