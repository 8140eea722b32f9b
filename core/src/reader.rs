//! A store that other processes write, read only.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use narvi_logql::Executor;
use narvi_types::Tenant;
use parking_lot::{Mutex, RwLock};

use crate::{
    Error, ErrorKind, IndexLookUps, IndexTables, RemoteHeads, Result, Snapshot, Store,
    deletes::{Book, MarkFiles},
    exchange,
    look_up::AskedCatalog,
    manifest::{Manifest, ManifestStore},
    read::{Catalog, IndexStats, Packs, StoreCatalog, TableFolder, Tables, TenantSource, Threads},
};

/// How a [`Reader`] behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct ReaderSettings {
    /// How old its view of the files may be before a snapshot looks for a newer one.
    pub max_age_ms: u64,
    /// On how many threads one query runs.
    pub query_threads: usize,
}

impl Default for ReaderSettings {
    fn default() -> Self {
        let query_threads = std::thread::available_parallelism().map_or(2, usize::from);
        Self { max_age_ms: 1000, query_threads }
    }
}

/// How a [`Reader`] looks into the index. The default opens tables of a local store where they lie, and others in memory.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct ReaderIndex {
    /// Who is asked what tables hold, instead of opening them.
    pub others: Option<Arc<dyn IndexLookUps>>,
    /// Whether tables are opened all the same when those do not answer.
    pub fallback: bool,
    /// Copies of tables that are opened are kept here, mapped, and not in memory. No other process may use the folder.
    pub folder: Option<TableCopies>,
}

/// A folder of copies of index tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings")]
pub struct TableCopies {
    /// The folder, which is made if it does not exist.
    pub path: PathBuf,
    /// Bytes that it may hold; a table that does not fit is kept in memory.
    pub max_bytes: u64,
}

/// Reads a store that other processes write: its files, and the rows that their writers hold in memory and give out. It
/// writes nothing and needs no disk. Requests to delete hide lines here too; what retention hides before its files
/// are written anew is seen by the process that runs it only. Cheap to clone; all functions block.
#[derive(Clone, Debug)]
pub struct Reader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ReaderSettings,
    manifests: ManifestStore,
    /// The newest manifest seen, and when it was looked for.
    current: RwLock<(Arc<Manifest>, Instant)>,
    /// Held while the store is asked, so that it is asked once.
    looking: Mutex<()>,
    packs: Arc<Packs>,
    tables: Arc<Tables>,
    /// Who is asked what tables hold, and whether they are opened when that fails.
    others: Option<(Arc<dyn IndexLookUps>, bool)>,
    /// Compiled requests to delete, and the rows that they hit.
    book: Book,
    marks: Arc<MarkFiles>,
}

/// The newest manifest that any of the writers knew.
fn newest_known(remote: &[RemoteHeads]) -> Result<u64> {
    if remote.iter().any(|heads| !heads.is_complete()) {
        let text = "a writer's answer ended early: rows in its memory are missing; try again";
        return Err(Error::new(ErrorKind::Unavailable, text));
    }
    Ok(remote.iter().map(RemoteHeads::manifest).max().unwrap_or(0))
}

/// How often a manifest is looked for that a writer has seen: a listing may lag behind.
const LOOKS: u32 = 5;

impl Reader {
    /// Opens a store.
    ///
    /// # Errors
    /// It cannot be reached, or its newest manifest is damaged.
    pub fn open(store: Arc<dyn Store>, settings: ReaderSettings) -> Result<Self> {
        Self::open_with(store, settings, ReaderIndex::default())
    }

    /// Opens a store, with a way of its own to the index.
    ///
    /// # Errors
    /// As for [`Reader::open`]; the folder for tables cannot be made or read.
    pub fn open_with(store: Arc<dyn Store>, settings: ReaderSettings, index: ReaderIndex) -> Result<Self> {
        let folder = index.folder.map(|copies| TableFolder::open(copies.path, copies.max_bytes)).transpose()?;
        let manifests = ManifestStore::new(store.clone());
        let current = RwLock::new((manifests.load()?, Instant::now()));
        let packs = Arc::new(Packs::new(store.clone()));
        let tables = Arc::new(Tables::new(store.clone()).with_folder(folder));
        let others = index.others.map(|others| (others, index.fallback));
        let (book, marks, looking) = (Book::default(), Arc::new(MarkFiles::new(store)), Mutex::default());
        Ok(Self(Arc::new(Inner { settings, manifests, current, looking, packs, tables, others, book, marks })))
    }

    /// The tables that this reader opens, to answer others from them.
    pub fn index_tables(&self) -> IndexTables {
        IndexTables::new(self.0.tables.clone())
    }

    /// What look-ups in the index have taken, those of others through [`Reader::index_tables`] too.
    pub fn index_stats(&self) -> IndexStats {
        self.0.tables.stats()
    }

    /// The number of the newest manifest seen.
    pub fn manifest(&self) -> u64 {
        self.0.current.read().0.sequence
    }

    /// Looks for a newer manifest and gives its number.
    ///
    /// # Errors
    /// The store cannot be reached, or the manifest is damaged.
    pub fn refresh(&self) -> Result<u64> {
        Ok(self.newest(Instant::now())?.sequence)
    }

    /// Takes a view of a tenant's rows in files, at most as old as the settings allow.
    ///
    /// # Errors
    /// As for [`Reader::refresh`].
    pub fn snapshot(&self, tenant: &Tenant) -> Result<Snapshot> {
        self.snapshot_with(tenant, Vec::new())
    }

    /// Takes a view of a tenant's rows in files and in the memory of the writers that were asked. Each row is there once,
    /// also if it was flushed since, and if several writers hold it.
    ///
    /// # Errors
    /// As for [`Reader::refresh`]; [`ErrorKind::Unavailable`] when what a writer gave is not complete, or when the manifest
    /// that it knew does not show in the store.
    pub fn snapshot_with(&self, tenant: &Tenant, remote: Vec<RemoteHeads>) -> Result<Snapshot> {
        let manifest = self.at_least(newest_known(&remote)?)?;
        Ok(self.view(tenant, remote, &manifest, &manifest))
    }

    /// As [`Reader::snapshot_with`], without the rows in files.
    ///
    /// # Errors
    /// As for [`Reader::snapshot_with`].
    pub fn snapshot_of_memory(&self, tenant: &Tenant, remote: Vec<RemoteHeads>) -> Result<Snapshot> {
        let manifest = self.at_least(newest_known(&remote)?)?;
        Ok(self.view(tenant, remote, &manifest, &Arc::default()))
    }

    /// Takes a view of a tenant's rows in files as of a manifest, or a newer one: that which a writer knew when it told what
    /// is in its memory.
    ///
    /// # Errors
    /// As for [`Reader::snapshot_with`].
    pub fn snapshot_since(&self, tenant: &Tenant, manifest: u64) -> Result<Snapshot> {
        let manifest = self.at_least(manifest)?;
        Ok(self.view(tenant, Vec::new(), &manifest, &manifest))
    }

    /// Rows in memory, and in the files of a manifest, with what the newest one hides.
    fn view(
        &self,
        tenant: &Tenant,
        remote: Vec<RemoteHeads>,
        newest: &Arc<Manifest>,
        files: &Arc<Manifest>,
    ) -> Snapshot {
        let imported = exchange::import(tenant, remote, files);
        let cuts = self.0.book.cuts(newest, tenant, None);
        let own = StoreCatalog::new(files.clone(), self.0.tables.clone());
        let catalog: Arc<dyn Catalog> = match self.0.others.clone() {
            Some((others, fallback)) => Arc::new(AskedCatalog { own, others, fallback }),
            None => Arc::new(own),
        };
        let source = TenantSource {
            tenant: tenant.clone(),
            catalog,
            generations: imported.generations,
            packs: self.0.packs.clone(),
            cuts,
            marks: self.0.marks.clone(),
        };
        Snapshot { source, _charges: imported.charges }
    }

    /// A number that changes whenever the requests to delete lines of a tenant do, and 0 where there are none; at most as
    /// old as the settings allow. Views that are taken later know these requests, or newer ones.
    ///
    /// # Errors
    /// As for [`Reader::refresh`].
    pub fn deletes_version(&self, tenant: &Tenant) -> Result<u64> {
        Ok(self.at_least(0)?.deletes_version(tenant))
    }

    /// Runs queries on as many threads as the settings allow.
    pub fn executor(&self) -> impl Executor + use<> {
        Threads::new(self.0.settings.query_threads)
    }

    /// The tables of the newest manifest seen.
    #[cfg(test)]
    pub(crate) fn table_keys(&self) -> Vec<String> {
        self.0.current.read().0.tables.iter().map(|file| file.key.clone()).collect()
    }

    fn at_least(&self, known: u64) -> Result<Arc<Manifest>> {
        let mut fresh = Instant::now().checked_sub(Duration::from_millis(self.0.settings.max_age_ms));
        for look in 0..LOOKS {
            let manifest = match fresh {
                Some(since) => self.newest(since)?,
                // The clock of the machine began less than the age allowed ago.
                None => self.0.current.read().0.clone(),
            };
            if manifest.sequence >= known {
                return Ok(manifest);
            }
            if look > 0 {
                std::thread::sleep(Duration::from_millis(20 << look));
            }
            fresh = Some(Instant::now());
        }
        let text = format!("the store does not show manifest {known} yet, which a writer has seen; try again");
        Err(Error::new(ErrorKind::Unavailable, text))
    }

    /// The manifest, looked for since that time.
    fn newest(&self, since: Instant) -> Result<Arc<Manifest>> {
        let current =
            || Some(self.0.current.read().clone()).filter(|(_, at)| *at >= since).map(|(manifest, _)| manifest);
        if let Some(manifest) = current() {
            return Ok(manifest);
        }
        let _looking = self.0.looking.lock();
        if let Some(manifest) = current() {
            return Ok(manifest);
        }
        let at = Instant::now();
        let found = self.0.manifests.load()?;
        let mut state = self.0.current.write();
        if found.sequence > state.0.sequence {
            self.0.packs.retain(&found);
            self.0.tables.retain(&found);
            state.0 = found;
        }
        state.1 = at;
        Ok(state.0.clone())
    }
}
