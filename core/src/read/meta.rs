//! Questions about streams that read no rows: label names, values, series, counts.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use narvi_logql::Budget;
use narvi_types::{Labels, Matcher, Selector, Tenant, TimeRange};

use super::catalog::{Catalog, FoundBlocks};
use crate::{
    Result,
    deletes::Cuts,
    head::{self, Generation, StreamHead},
};

/// Where one tenant's streams are looked up. Times are compared with those of blocks and heads, not of rows, as in Loki.
pub(crate) struct LabelScan<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) catalog: &'a dyn Catalog,
    pub(crate) generations: &'a [Arc<Generation>],
    pub(crate) range: TimeRange,
    /// What hides rows. Blocks and heads are left out where all rows are hidden; otherwise they count as a whole.
    pub(crate) cuts: &'a Cuts,
}

/// What the blocks and heads of some streams hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// Streams.
    pub streams: u64,
    /// Blocks, and heads of streams.
    pub blocks: u64,
    /// Rows.
    pub entries: u64,
    /// Bytes of their lines.
    pub line_bytes: u64,
}

/// Bytes by stream.
pub(crate) type Volume = BTreeMap<Labels, u64>;

impl LabelScan<'_> {
    /// Label names, sorted.
    pub(crate) fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>> {
        let mut names = head::label_names(self.generations, self.tenant, matchers, &self.range);
        self.catalog.label_names(self.tenant, matchers, self.range, &mut names)?;
        Ok(names.into_iter().collect())
    }

    /// Values of a label, sorted.
    pub(crate) fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>> {
        let mut values = head::label_values(self.generations, self.tenant, name, matchers, &self.range);
        self.catalog.label_values(self.tenant, name, matchers, self.range, &mut values)?;
        Ok(values.into_iter().collect())
    }

    /// The streams that one of the selectors selects, sorted; all streams without a selector.
    pub(crate) fn series(&self, selectors: &[Selector]) -> Result<Vec<Labels>> {
        let all = [Selector::default()];
        let selectors = if selectors.is_empty() { &all[..] } else { selectors };
        let mut series = HashSet::new();
        for selector in selectors {
            series.extend(self.heads(selector).iter().map(|head| head.labels().clone()));
            let found = self.blocks(selector)?;
            // The blocks of one stream lie one behind the other; not all streams have one that is not hidden.
            let mut streams: Vec<u32> = found.blocks.iter().map(|block| block.stream).collect();
            streams.dedup();
            let labels = streams.into_iter().filter_map(|stream| found.streams.get(stream as usize));
            series.extend(labels.cloned());
        }
        let mut series: Vec<_> = series.into_iter().collect();
        series.sort_unstable();
        Ok(series)
    }

    /// Counts of what the selected streams hold.
    pub(crate) fn stats(&self, selector: &Selector) -> Result<StreamStats> {
        let found = self.blocks(selector)?;
        let mut stats = StreamStats { blocks: found.blocks.len() as u64, ..StreamStats::default() };
        let mut streams: HashSet<&Labels> = HashSet::new();
        for block in &found.blocks {
            stats.entries += u64::from(block.block.rows);
            stats.line_bytes += block.block.line_bytes;
            streams.extend(found.streams.get(block.stream as usize));
        }
        let heads = self.heads(selector);
        for head in &heads {
            let snapshot = head.snapshot();
            stats.blocks += 1;
            stats.entries += snapshot.rows;
            stats.line_bytes += snapshot.line_bytes;
            streams.insert(head.labels());
        }
        stats.streams = streams.len() as u64;
        Ok(stats)
    }

    /// Bytes of lines by stream.
    pub(crate) fn volume(&self, selector: &Selector) -> Result<Volume> {
        let found = self.blocks(selector)?;
        let mut volume = Volume::new();
        for block in &found.blocks {
            if let Some(labels) = found.streams.get(block.stream as usize) {
                *volume.entry(labels.clone()).or_default() += block.block.line_bytes;
            }
        }
        for head in self.heads(selector) {
            *volume.entry(head.labels().clone()).or_default() += head.snapshot().line_bytes;
        }
        Ok(volume)
    }

    /// The blocks of the selected streams that are not hidden as a whole. Streams may be left without any.
    fn blocks(&self, selector: &Selector) -> Result<FoundBlocks> {
        let mut found = self.catalog.blocks(self.tenant, selector, self.range, &Budget::unlimited())?;
        if !self.cuts.is_empty() {
            let streams = &found.streams;
            let hidden = |stream: u32, range: &TimeRange| {
                streams.get(stream as usize).is_some_and(|labels| self.cuts.covers(labels, range))
            };
            found.blocks.retain(|block| !hidden(block.stream, &block.block.range));
        }
        Ok(found)
    }

    /// The heads of the selected streams that are not hidden as a whole.
    fn heads(&self, selector: &Selector) -> Vec<Arc<StreamHead>> {
        let generations = self.generations.iter();
        let heads = generations.flat_map(|of| of.select(self.tenant, selector.matchers(), &self.range));
        heads.filter(|head| self.cuts.is_empty() || !self.cuts.covers(head.labels(), &head.range())).collect()
    }
}
