//! From matchers and a time range to block references: the index tables that a manifest names.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use narvi_index::{BlockRef, IndexError, Part, Table};
use narvi_logql::Budget;
use narvi_types::{Labels, Matcher, Selector, Tenant, TimeRange};
use roaring::RoaringBitmap;

use super::{look_ups::Watch, tables::Tables};
use crate::{
    Error, ErrorKind, Result,
    manifest::{FileEntry, Manifest},
};

/// Finds blocks. A querier without a disk asks another process; a database looks into its own tables. What is implemented
/// finds; what is called counts that too.
pub(crate) trait Catalog: std::fmt::Debug + Send + Sync {
    /// Where look-ups are counted.
    fn watch(&self) -> &Watch;

    /// What [`Catalog::blocks`] gives.
    fn find_blocks(
        &self,
        tenant: &Tenant,
        selector: &Selector,
        range: TimeRange,
        budget: &Budget,
    ) -> Result<FoundBlocks>;

    /// What [`Catalog::label_names`] adds.
    fn find_names(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()>;

    /// What [`Catalog::label_values`] adds.
    fn find_values(
        &self,
        tenant: &Tenant,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()>;

    /// The blocks of the selected streams that overlap the range.
    ///
    /// # Errors
    /// A table cannot be read or is damaged; the budget is used up.
    fn blocks(&self, tenant: &Tenant, selector: &Selector, range: TimeRange, budget: &Budget) -> Result<FoundBlocks> {
        self.watch().measure(|stats| &mut stats.blocks, || self.find_blocks(tenant, selector, range, budget))
    }

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
    ) -> Result<()> {
        self.watch().measure(|stats| &mut stats.label_names, || self.find_names(tenant, matchers, range, out))
    }

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
    ) -> Result<()> {
        self.watch().measure(|stats| &mut stats.label_values, || self.find_values(tenant, name, matchers, range, out))
    }
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
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) tables: Arc<Tables>,
}

pub(crate) fn index_error(key: &str, error: &IndexError) -> Error {
    Error::new(ErrorKind::Corrupt, format!("index table {key} cannot be used: {error}"))
}

impl StoreCatalog {
    pub(crate) fn new(manifest: Arc<Manifest>, tables: Arc<Tables>) -> Self {
        Self { manifest, tables }
    }

    /// The tables that may have blocks of the tenant in the range.
    pub(crate) fn files(&self, tenant: &Tenant, range: TimeRange) -> impl Iterator<Item = &FileEntry> {
        let tables = self.manifest.tables.iter().map(Arc::as_ref);
        tables.filter(move |file| file.tenant.as_ref().is_none_or(|only| only == tenant) && file.range.overlaps(&range))
    }

    /// Those tables, with the tenant's part.
    fn parts(&self, tenant: &Tenant, range: TimeRange) -> Result<Vec<(&FileEntry, Table, Part)>> {
        let mut parts = Vec::new();
        for file in self.files(tenant, range) {
            let table = self.tables.open(&file.key)?;
            let part = table.part(tenant.as_str()).map_err(|error| index_error(&file.key, &error))?;
            if let Some(part) = part.filter(|part| part.range().overlaps(&range)) {
                parts.push((file, table, part));
            }
        }
        Ok(parts)
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

impl Catalog for StoreCatalog {
    fn watch(&self) -> &Watch {
        &self.tables.watch
    }

    fn find_blocks(
        &self,
        tenant: &Tenant,
        selector: &Selector,
        range: TimeRange,
        budget: &Budget,
    ) -> Result<FoundBlocks> {
        let parts = self.parts(tenant, range)?;
        let mut finder = Finder::new(parts.len());
        for (file, table, part) in &parts {
            finder.add_table(table, part, selector.matchers(), range, budget).map_err(|why| why.of(&file.key))?;
        }
        Ok(finder.found)
    }

    fn find_names(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        self.collect(tenant, matchers, range, out, |part, series| part.label_names(series))
    }

    fn find_values(
        &self,
        tenant: &Tenant,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        self.collect(tenant, matchers, range, out, |part, series| part.label_values(name, series))
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

/// Why a table gave no blocks.
pub(crate) enum FindError {
    Table(IndexError),
    Other(Error),
}

impl FindError {
    /// As the error of a table.
    pub(crate) fn of(self, key: &str) -> Error {
        match self {
            Self::Table(error) => index_error(key, &error),
            Self::Other(error) => error,
        }
    }
}

impl From<IndexError> for FindError {
    fn from(error: IndexError) -> Self {
        Self::Table(error)
    }
}

/// Collects the blocks of several tables, or of what others found in them.
#[derive(Debug)]
pub(crate) struct Finder {
    pub(crate) found: FoundBlocks,
    /// With one table every series is another stream; with several they have to be recognised.
    known: Option<HashMap<Labels, u32>>,
}

impl Finder {
    /// Finds blocks in so many tables.
    pub(crate) fn new(tables: usize) -> Self {
        Self { found: FoundBlocks::default(), known: (tables > 1).then(HashMap::new) }
    }

    /// The number of a stream, which each table names at most once.
    pub(crate) fn stream(&mut self, labels: Labels) -> u32 {
        let next = self.found.streams.len() as u32;
        if let Some(known) = &mut self.known {
            let stream = *known.entry(labels.clone()).or_insert(next);
            if stream != next {
                return stream;
            }
        }
        self.found.streams.push(labels);
        next
    }

    /// Adds the blocks of selected streams of a table that overlap a range.
    pub(crate) fn add_table(
        &mut self,
        table: &Table,
        part: &Part,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<(), FindError> {
        let first_pack = self.found.packs.len() as u32;
        self.found.packs.extend(table.packs().iter().map(|key| Arc::from(key.as_str())));
        let mut key_sets: HashMap<u32, Arc<[Arc<str>]>> = HashMap::new();
        let series = part.select(matchers)?;
        let mut labels = part.series(&series);
        let mut current: Option<(u32, u32)> = None;
        for item in part.blocks_of(&series, range) {
            let (id, block) = item?;
            if self.found.blocks.len().is_multiple_of(BLOCKS_PER_CHECK) {
                budget.check().map_err(|error| FindError::Other(error.into()))?;
            }
            let stream = match current {
                Some((last, stream)) if last == id => stream,
                _ => {
                    let stream = self.stream(seek(&mut labels, id)?);
                    current = Some((id, stream));
                    stream
                }
            };
            let metadata_keys = match key_sets.get(&block.metadata_keys) {
                Some(keys) => keys.clone(),
                None => {
                    let names = part.key_set(block.metadata_keys)?;
                    let keys: Arc<[Arc<str>]> = names.into_iter().map(Arc::from).collect();
                    key_sets.insert(block.metadata_keys, keys.clone());
                    keys
                }
            };
            self.found.blocks.push(FoundBlock { stream, pack: first_pack + block.pack, block, metadata_keys });
        }
        Ok(())
    }
}
