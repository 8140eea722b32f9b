//! From matchers and a time range to block references: the index tables that a manifest names.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use narvi_index::{BlockRef, IndexError, Part, Table};
use narvi_logql::Budget;
use narvi_types::{Labels, Matcher, Selector, Tenant, TimeRange};
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::look_ups::{IndexStats, Watch};
use crate::{
    Error, ErrorKind, Result,
    manifest::{FileEntry, Manifest},
    store::Store,
};

/// Finds blocks. A querier without a disk asks another process; a database looks into its own tables.
pub(crate) trait Catalog: std::fmt::Debug + Send + Sync {
    /// The blocks of the selected streams that overlap the range.
    ///
    /// # Errors
    /// A table cannot be read or is damaged; the budget is used up.
    fn blocks(&self, tenant: &Tenant, selector: &Selector, range: TimeRange, budget: &Budget) -> Result<FoundBlocks>;

    /// Adds the label names of streams that may have rows in the range.
    ///
    /// # Errors
    /// As for [`Catalog::blocks`].
    fn label_names(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()>;

    /// Adds the values of a label.
    ///
    /// # Errors
    /// As for [`Catalog::blocks`].
    fn label_values(
        &self,
        tenant: &Tenant,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()>;
}

/// Blocks by stream, and the packs that they lie in.
#[derive(Debug, Default)]
pub(crate) struct FoundBlocks {
    /// The streams that have blocks, in no order.
    pub(crate) streams: Vec<Labels>,
    /// Keys of packs.
    pub(crate) packs: Vec<Arc<str>>,
    /// The blocks; table by table, so that what was written earlier comes earlier.
    pub(crate) blocks: Vec<FoundBlock>,
}

/// One block.
#[derive(Clone, Debug)]
pub(crate) struct FoundBlock {
    /// Index into [`FoundBlocks::streams`].
    pub(crate) stream: u32,
    /// Index into [`FoundBlocks::packs`].
    pub(crate) pack: u32,
    /// The reference; its own pack and key set numbers are those of its table and not used here.
    pub(crate) block: BlockRef,
    /// Names in its rows' structured metadata, sorted.
    pub(crate) metadata_keys: Arc<[Arc<str>]>,
}

/// How many blocks are found between two looks at the budget.
const BLOCKS_PER_CHECK: usize = 4096;

/// The tables of one manifest.
#[derive(Clone, Debug)]
pub(crate) struct StoreCatalog {
    manifest: Arc<Manifest>,
    tables: Arc<Tables>,
}

/// Open tables, shared by the catalogs of all manifests.
#[derive(Debug)]
pub(crate) struct Tables {
    store: Arc<dyn Store>,
    open: Mutex<HashMap<String, Table>>,
    watch: Watch,
}

impl Tables {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, open: Mutex::default(), watch: Watch::default() }
    }

    /// Opens a table: maps the file of a local store, fetches an object.
    pub(crate) fn open(&self, file: &FileEntry) -> Result<Table> {
        if let Some(table) = self.open.lock().get(&file.key) {
            return Ok(table.clone());
        }
        let bytes = match self.store.local_path(&file.key) {
            Some(path) => crate::mmap::map_committed(&path)
                .map_err(|error| Error::io(format!("cannot open index table {}", path.display()), error))?,
            None => self.store.get(&file.key)?,
        };
        let table = Table::open(bytes).map_err(|error| index_error(&file.key, &error))?;
        self.open.lock().insert(file.key.clone(), table.clone());
        Ok(table)
    }

    /// What look-ups have taken.
    pub(crate) fn stats(&self) -> IndexStats {
        self.watch.stats()
    }

    /// Closes the tables that a manifest does not name.
    pub(crate) fn retain(&self, manifest: &Manifest) {
        let named: BTreeSet<&str> = manifest.tables.iter().map(|file| file.key.as_str()).collect();
        self.open.lock().retain(|key, _| named.contains(key.as_str()));
    }
}

pub(crate) fn index_error(key: &str, error: &IndexError) -> Error {
    Error::new(ErrorKind::Corrupt, format!("index table {key} cannot be used: {error}"))
}

impl StoreCatalog {
    pub(crate) fn new(manifest: Arc<Manifest>, tables: Arc<Tables>) -> Self {
        Self { manifest, tables }
    }

    /// The tables that may have blocks of the tenant in the range, with the tenant's part.
    fn parts(&self, tenant: &Tenant, range: TimeRange) -> Result<Vec<(&FileEntry, Table, Part)>> {
        let mut parts = Vec::new();
        for file in &self.manifest.tables {
            if file.tenant.as_ref().is_some_and(|only| only != tenant) || !file.range.overlaps(&range) {
                continue;
            }
            let table = self.tables.open(file)?;
            let part = table.part(tenant.as_str()).map_err(|error| index_error(&file.key, &error))?;
            if let Some(part) = part.filter(|part| part.range().overlaps(&range)) {
                parts.push((file.as_ref(), table, part));
            }
        }
        Ok(parts)
    }
}

impl Catalog for StoreCatalog {
    fn blocks(&self, tenant: &Tenant, selector: &Selector, range: TimeRange, budget: &Budget) -> Result<FoundBlocks> {
        let look_up = || self.find_blocks(tenant, selector, range, budget);
        self.tables.watch.measure(|stats| &mut stats.blocks, look_up)
    }

    fn label_names(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        let look_up = || self.collect(tenant, matchers, range, out, |part, series| part.label_names(series));
        self.tables.watch.measure(|stats| &mut stats.label_names, look_up)
    }

    fn label_values(
        &self,
        tenant: &Tenant,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        let look_up = || self.collect(tenant, matchers, range, out, |part, series| part.label_values(name, series));
        self.tables.watch.measure(|stats| &mut stats.label_values, look_up)
    }
}

impl StoreCatalog {
    fn find_blocks(
        &self,
        tenant: &Tenant,
        selector: &Selector,
        range: TimeRange,
        budget: &Budget,
    ) -> Result<FoundBlocks> {
        let parts = self.parts(tenant, range)?;
        let mut found = FoundBlocks::default();
        // With one table every series is another stream; with several they have to be recognised.
        let mut known: Option<HashMap<Labels, u32>> = (parts.len() > 1).then(HashMap::new);
        for (file, table, part) in &parts {
            let failed = |error: IndexError| index_error(&file.key, &error);
            let first_pack = found.packs.len() as u32;
            found.packs.extend(table.packs().iter().map(|key| Arc::from(key.as_str())));
            let mut key_sets: HashMap<u32, Arc<[Arc<str>]>> = HashMap::new();
            let series = part.select(selector.matchers()).map_err(failed)?;
            let mut labels = part.series(&series);
            let mut current: Option<(u32, u32)> = None;
            for item in part.blocks_of(&series, range) {
                let (id, block) = item.map_err(failed)?;
                if found.blocks.len() % BLOCKS_PER_CHECK == 0 {
                    budget.check().map_err(Error::from)?;
                }
                let stream = match current {
                    Some((last, stream)) if last == id => stream,
                    _ => {
                        let labels = seek(&mut labels, id).map_err(failed)?;
                        let stream = intern(&mut found.streams, known.as_mut(), labels);
                        current = Some((id, stream));
                        stream
                    }
                };
                let metadata_keys = match key_sets.get(&block.metadata_keys) {
                    Some(keys) => keys.clone(),
                    None => {
                        let names = part.key_set(block.metadata_keys).map_err(failed)?;
                        let keys: Arc<[Arc<str>]> = names.into_iter().map(Arc::from).collect();
                        key_sets.insert(block.metadata_keys, keys.clone());
                        keys
                    }
                };
                found.blocks.push(FoundBlock { stream, pack: first_pack + block.pack, block, metadata_keys });
            }
        }
        Ok(found)
    }

    /// Adds what `look_up` finds in each part: among all series, or those that pass the matchers.
    fn collect(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
        look_up: impl for<'a> Fn(&'a Part, Option<&RoaringBitmap>) -> narvi_index::Result<Vec<&'a str>>,
    ) -> Result<()> {
        for (file, _, part) in self.parts(tenant, range)? {
            let failed = |error: IndexError| index_error(&file.key, &error);
            let series = (!matchers.is_empty()).then(|| part.select(matchers)).transpose().map_err(failed)?;
            out.extend(look_up(&part, series.as_ref()).map_err(failed)?.into_iter().map(str::to_owned));
        }
        Ok(())
    }
}

/// Steps to a series that the iterator has not passed yet.
fn seek(series: &mut impl Iterator<Item = narvi_index::Result<(u32, Labels)>>, id: u32) -> narvi_index::Result<Labels> {
    loop {
        match series.next() {
            Some(Ok((at, labels))) if at == id => return Ok(labels),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            // Blocks come in the order of the same series, so this is damage; without labels the stream is still read.
            None => return Ok(Labels::default()),
        }
    }
}

fn intern(streams: &mut Vec<Labels>, known: Option<&mut HashMap<Labels, u32>>, labels: Labels) -> u32 {
    let next = streams.len() as u32;
    if let Some(known) = known {
        let stream = *known.entry(labels.clone()).or_insert(next);
        if stream != next {
            return stream;
        }
    }
    streams.push(labels);
    next
}
