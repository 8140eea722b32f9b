//! One tenant's part of a table, opened for reading.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use narvi_types::{
    Labels, TimeRange,
    wire::{Reader, WireError},
};
use roaring::RoaringBitmap;

use crate::{
    BlockRef, Blocks, IndexError, Result,
    block::{BlockLimits, BlocksCursor},
    format::{Directory, GROUP_SERIES, Kind, MAX_SERIES, Section},
    keys::KeySets,
    postings::Posting,
    series::{Pair, SeriesCursor},
    strings::Strings,
};

/// One tenant's part of a table. Series have ids from 0 to `stats().streams - 1`, in the order of their labels; ids are
/// valid within this part only. Cheap to clone; clones share the bytes. Owns what it needs: it may outlive its table.
#[derive(Clone, Debug)]
pub struct Part {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tenant: String,
    stats: PartStats,
    range: TimeRange,
    names: Vec<Name>,
    /// `values[name]` is the number of values of a name: what series are checked against.
    value_counts: Vec<u32>,
    keys: KeySets,
    packs: u32,
    values: Section,
    postings: Section,
    series: Section,
    blocks: Section,
}

/// A label name, and where its values and postings lie in their sections.
#[derive(Debug)]
struct Name {
    name: String,
    values: (usize, usize),
    postings: (usize, usize),
}

/// What a part holds, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartStats {
    /// Series.
    pub streams: u64,
    /// Block references.
    pub blocks: u64,
    /// Rows of all blocks.
    pub rows: u64,
    /// Bytes of all lines of all blocks.
    pub line_bytes: u64,
}

/// How varied a label is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cardinality {
    /// Distinct values.
    pub values: u64,
    /// Series that have the label.
    pub series: u64,
}

impl Part {
    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.inner.tenant
    }

    /// Counts of series, blocks, rows and bytes.
    pub fn stats(&self) -> PartStats {
        self.inner.stats
    }

    /// The smallest range that covers all blocks.
    pub fn range(&self) -> TimeRange {
        self.inner.range
    }

    /// The id of the series with exactly these labels. Costs a binary search over the series.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn find(&self, labels: &Labels) -> Result<Option<u32>> {
        let mut pairs = Vec::new();
        for (name, value) in labels {
            let Some(name) = self.name_id(name) else { return Ok(None) };
            let Ok(value) = self.values_of(name)?.find(value.as_bytes())? else { return Ok(None) };
            pairs.push(Pair { name: name as u32, value: value as u32 });
        }
        let mut cursor = self.series_cursor();
        let (mut low, mut high) = (0, self.series_count());
        while low < high {
            let middle = low + (high - low) / 2;
            match cursor.seek(middle)?.cmp(&pairs) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// The labels of a series.
    ///
    /// # Errors
    /// No such series; damage in what was read.
    pub fn labels(&self, id: u32) -> Result<Labels> {
        self.labels_of(self.series_cursor().seek(id)?)
    }

    /// The labels of many series, in order of id. Decodes sequentially: cheaper than [`Part::labels`] for each.
    pub fn series<'a>(&'a self, ids: &'a RoaringBitmap) -> SeriesIter<'a> {
        SeriesIter { part: self, ids: ids.iter(), cursor: self.series_cursor() }
    }

    /// The blocks of a series, sorted by time.
    ///
    /// # Errors
    /// No such series; damage in what was read.
    pub fn blocks(&self, id: u32) -> Result<Blocks<'_>> {
        self.blocks_in(id, TimeRange::ALL)
    }

    /// The blocks of a series that overlap a time range, sorted by time.
    ///
    /// # Errors
    /// No such series; damage in what was read.
    pub fn blocks_in(&self, id: u32, range: TimeRange) -> Result<Blocks<'_>> {
        self.blocks_cursor().seek(id, range)
    }

    /// The blocks of many series that overlap a time range: in order of series id, then time. Decodes sequentially.
    pub fn blocks_of<'a>(&'a self, ids: &'a RoaringBitmap, range: TimeRange) -> BlockScan<'a> {
        BlockScan { ids: ids.iter(), cursor: self.blocks_cursor(), range, current: None }
    }

    /// The sorted names of a set of structured metadata keys; see [`BlockRef::metadata_keys`].
    ///
    /// # Errors
    /// No such set.
    pub fn key_set(&self, set: u32) -> Result<Vec<&str>> {
        self.inner.keys.get(set).ok_or(IndexError::NoSuchKeySet { set, sets: self.inner.keys.len() })
    }

    /// The label names, sorted: of all series, or of those given.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn label_names(&self, ids: Option<&RoaringBitmap>) -> Result<Vec<&str>> {
        let names = &self.inner.names;
        let Some(ids) = ids else { return Ok(names.iter().map(|n| n.name.as_str()).collect()) };
        let mut found = BTreeSet::new();
        if ids.len() <= names.len() as u64 {
            let mut cursor = self.series_cursor();
            for id in ids {
                found.extend(cursor.seek(id)?.iter().map(|p| p.name as usize));
            }
        } else {
            for name in 0..names.len() {
                if !self.posting(name, None)?.bitmap(self.series_count())?.is_disjoint(ids) {
                    found.insert(name);
                }
            }
        }
        Ok(found.into_iter().filter_map(|name| names.get(name)).map(|n| n.name.as_str()).collect())
    }

    /// The values of a label, sorted: of all series, or of those given.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn label_values(&self, name: &str, ids: Option<&RoaringBitmap>) -> Result<Vec<&str>> {
        let Some(name) = self.name_id(name) else { return Ok(Vec::new()) };
        let values = self.values_of(name)?;
        let Some(ids) = ids else { return (0..values.len()).map(|value| values.get(value)).collect() };
        let mut found = BTreeSet::new();
        // Decoding a series costs about as much as looking into a few postings.
        if ids.len() / 4 <= values.len() as u64 {
            let mut cursor = self.series_cursor();
            for id in ids {
                found.extend(value_of(cursor.seek(id)?, name).map(|v| v as usize));
            }
        } else {
            let mut listed = Vec::new();
            for value in 0..values.len() {
                listed.clear();
                let overlaps = match self.posting(name, Some(value))?.decode(self.series_count(), &mut listed)? {
                    Some(bitmap) => !bitmap.is_disjoint(ids),
                    None => listed.iter().any(|id| ids.contains(*id)),
                };
                if overlaps {
                    found.insert(value);
                }
            }
        }
        found.into_iter().map(|value| values.get(value)).collect()
    }

    /// How many values and series a label has; nothing if no series has it.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn cardinality(&self, name: &str) -> Result<Option<Cardinality>> {
        let Some(name) = self.name_id(name) else { return Ok(None) };
        let series = self.posting(name, None)?.count();
        Ok(Some(Cardinality { values: self.values_of(name)?.len() as u64, series }))
    }
}

/// What the rest of the crate asks of a part; names and values go by number.
impl Part {
    pub(crate) fn open(tenant: &str, bytes: &Bytes, directory: &Directory, packs: usize) -> Result<Self> {
        let head = directory.section(bytes, Kind::Head)?.checked()?;
        let values = directory.section(bytes, Kind::Values)?;
        let postings = directory.section(bytes, Kind::Postings)?;
        let series = directory.section(bytes, Kind::Series)?;
        let blocks = directory.section(bytes, Kind::Blocks)?;
        let parsed = Head::decode(&mut Reader::new(&head.bytes)).map_err(head.wire(0))?;
        // A series takes two bytes at least, so that a count that is believed bounds what is allocated by it.
        let groups = parsed.stats.streams.div_ceil(u64::from(GROUP_SERIES)) * 4;
        let least = parsed.stats.streams.saturating_mul(2).saturating_add(groups);
        if parsed.stats.streams > MAX_SERIES || least > series.len() as u64 {
            return Err(head.corrupt(0, "series count"));
        }
        let end = |spans: fn(&Name) -> (usize, usize)| parsed.names.last().map_or(0, |n| spans(n).0 + spans(n).1);
        if end(|n| n.values) > values.len() || end(|n| n.postings) > postings.len() {
            return Err(head.corrupt(0, "bytes of values or postings"));
        }
        let Head { stats, range, names, value_counts, keys } = parsed;
        let packs = u32::try_from(packs).unwrap_or(u32::MAX);
        let tenant = tenant.to_owned();
        let inner = Inner { tenant, stats, range, names, value_counts, keys, packs, values, postings, series, blocks };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Damage found by comparing sections; it has no place of its own but the part.
    pub(crate) fn corrupt(&self, what: &'static str) -> IndexError {
        self.inner.values.corrupt(0, what)
    }

    pub(crate) fn series_count(&self) -> u32 {
        self.inner.stats.streams as u32
    }

    pub(crate) fn name_count(&self) -> usize {
        self.inner.names.len()
    }

    pub(crate) fn name(&self, name: usize) -> &str {
        self.inner.names.get(name).map_or("", |n| &n.name)
    }

    pub(crate) fn name_id(&self, name: &str) -> Option<usize> {
        self.inner.names.binary_search_by(|n| n.name.as_str().cmp(name)).ok()
    }

    pub(crate) fn value_count(&self, name: usize) -> u32 {
        self.inner.value_counts.get(name).copied().unwrap_or(0)
    }

    pub(crate) fn values_of(&self, name: usize) -> Result<Strings<'_>> {
        let (start, len) = self.inner.names.get(name).map_or((0, 0), |n| n.values);
        Strings::new(&self.inner.values, start, len, self.value_count(name) as usize)
    }

    /// The series with a value of a label, or with the label at all.
    pub(crate) fn posting(&self, name: usize, value: Option<usize>) -> Result<Posting<'_>> {
        let section = &self.inner.postings;
        let (start, len) = self.inner.names.get(name).map_or((0, 0), |n| n.postings);
        let count = self.value_count(name) as usize;
        let entries = count.checked_add(1).and_then(|entries| entries.checked_mul(4));
        let data = entries.and_then(|entries| len.checked_sub(entries));
        let table = start + data.ok_or_else(|| section.corrupt(start, "postings table"))?;
        let entry = section.u32_at(table, value.unwrap_or(count), "postings entry")?;
        Posting::read(section, entry, start, table, self.series_count())
    }

    pub(crate) fn series_cursor(&self) -> SeriesCursor<'_> {
        SeriesCursor::new(&self.inner.series, &self.inner.value_counts, self.series_count())
    }

    pub(crate) fn blocks_cursor(&self) -> BlocksCursor<'_> {
        let Inner { packs, keys, range, blocks, .. } = &*self.inner;
        let (series, key_sets) = (self.series_count(), keys.len());
        BlocksCursor::new(blocks, BlockLimits { series, packs: *packs, key_sets, range: *range })
    }

    pub(crate) fn key_set_count(&self) -> u32 {
        self.inner.keys.len()
    }

    fn labels_of(&self, pairs: &[Pair]) -> Result<Labels> {
        let mut texts = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let name = pair.name as usize;
            texts.push((self.name(name), self.values_of(name)?.get(pair.value as usize)?));
        }
        Ok(Labels::from_pairs(texts)?)
    }
}

/// The number of the value that a series has of a name.
pub(crate) fn value_of(pairs: &[Pair], name: usize) -> Option<u32> {
    pairs.iter().find(|p| p.name as usize == name).map(|p| p.value)
}

/// The decoded head section.
struct Head {
    stats: PartStats,
    range: TimeRange,
    names: Vec<Name>,
    value_counts: Vec<u32>,
    keys: KeySets,
}

impl Head {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let stats = PartStats {
            streams: reader.varint("series count")?,
            blocks: reader.varint("block count")?,
            rows: reader.varint("row count")?,
            line_bytes: reader.varint("line bytes")?,
        };
        let range = TimeRange::new(reader.i64("part time")?, reader.i64("part time")?);
        let count = reader.count(5, "label name count")?;
        let mut names: Vec<Name> = Vec::with_capacity(count);
        let mut value_counts = Vec::with_capacity(count);
        let (mut values_at, mut postings_at) = (0usize, 0usize);
        for _ in 0..count {
            let name = reader.str("label name")?.to_owned();
            if names.last().is_some_and(|last| last.name >= name) {
                return Err(reader.error("order of label names"));
            }
            let values = reader.varint("value count")?;
            value_counts.push(u32::try_from(values).map_err(|_| reader.error("value count"))?);
            let values = span(reader, &mut values_at, "bytes of values")?;
            names.push(Name { name, values, postings: span(reader, &mut postings_at, "bytes of postings")? });
        }
        let keys = KeySets::decode(reader)?;
        if reader.is_empty() {
            Ok(Self { stats, range, names, value_counts, keys })
        } else {
            Err(reader.error("head end"))
        }
    }
}

/// The next span of a section whose spans follow one another.
fn span(reader: &mut Reader<'_>, at: &mut usize, what: &'static str) -> Result<(usize, usize), WireError> {
    let len = usize::try_from(reader.varint(what)?).map_err(|_| reader.error(what))?;
    let start = *at;
    *at = start.checked_add(len).ok_or_else(|| reader.error(what))?;
    Ok((start, len))
}

/// Iterates over series and their labels in order of id; see [`Part::series`].
pub struct SeriesIter<'a> {
    part: &'a Part,
    ids: roaring::bitmap::Iter<'a>,
    cursor: SeriesCursor<'a>,
}

impl Iterator for SeriesIter<'_> {
    type Item = Result<(u32, Labels)>;

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.ids.next()?;
        let pairs = self.cursor.seek(id);
        Some(pairs.and_then(|pairs| self.part.labels_of(pairs)).map(|labels| (id, labels)))
    }
}

/// Iterates over the blocks of many series; see [`Part::blocks_of`]. An error ends the series it belongs to; the next
/// series follows.
pub struct BlockScan<'a> {
    ids: roaring::bitmap::Iter<'a>,
    cursor: BlocksCursor<'a>,
    range: TimeRange,
    current: Option<(u32, Blocks<'a>)>,
}

impl Iterator for BlockScan<'_> {
    type Item = Result<(u32, BlockRef)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((id, blocks)) = &mut self.current
                && let Some(block) = blocks.next()
            {
                return Some(block.map(|block| (*id, block)));
            }
            let id = self.ids.next()?;
            match self.cursor.seek(id, self.range) {
                Ok(blocks) => self.current = Some((id, blocks)),
                Err(e) => {
                    self.current = None;
                    return Some(Err(e));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
