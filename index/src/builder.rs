//! Builds a table in memory.

use std::{collections::HashMap, io};

use narvi_types::{Labels, TimeRange};

use crate::{
    BlockRef, IndexError, Result,
    keys::KeySetInterner,
    output::{Packs, TableWriter},
    part_writer::PartWriter,
    series::Pair,
};

/// Collects series and their blocks and writes them as a table. Label names and values are kept once each and series as
/// numbers: a million series of six labels, one of them unique, take some 350 MB until written.
#[derive(Debug, Default)]
pub struct TableBuilder {
    packs: Packs,
    keys: KeySetInterner,
    tenants: HashMap<String, PartBuilder>,
}

impl TableBuilder {
    /// Starts an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of a pack, for [`BlockRef::pack`]; the same name gives the same id.
    pub fn pack(&mut self, name: &str) -> u32 {
        self.packs.intern(name)
    }

    /// The id of a set of structured metadata keys, for [`BlockRef::metadata_keys`]. Order and repetition do not
    /// matter.
    pub fn key_set<'a>(&mut self, keys: impl IntoIterator<Item = &'a str>) -> u32 {
        self.keys.intern(keys)
    }

    /// Adds a block of a stream. Any order of tenants, labels and blocks is fine; an identical block is kept once.
    ///
    /// # Errors
    /// A block without rows or time, or with a pack or key set that this builder did not give; more than a part can
    /// hold.
    pub fn add(&mut self, tenant: &str, labels: &Labels, block: BlockRef) -> Result<()> {
        let refused = if block.pack as usize >= self.packs.names.len() {
            "its pack is none that TableBuilder::pack gave"
        } else if block.metadata_keys >= self.keys.len() {
            "its key set is none that TableBuilder::key_set gave"
        } else if block.rows == 0 {
            "it has no rows"
        } else if block.first_row.checked_add(block.rows).is_none() {
            "its last row exceeds 32 bits"
        } else if block.range.is_empty() {
            "its time range is empty"
        } else {
            let part = match self.tenants.get_mut(tenant) {
                Some(part) => part,
                None => self.tenants.entry(tenant.to_owned()).or_default(),
            };
            let series = part.series(labels)?;
            part.blocks.push((series, block));
            return Ok(());
        };
        Err(IndexError::Block(refused))
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    /// Writes the table into memory.
    ///
    /// # Errors
    /// More than a part can hold.
    pub fn finish(self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.write(&mut out)?;
        Ok(out)
    }

    /// Writes the table, in pieces of at least 64 KiB, and flushes `out`. Syncing is the caller's.
    ///
    /// # Errors
    /// More than a part can hold; the output fails.
    pub fn write(self, out: &mut impl io::Write) -> Result<()> {
        let mut writer = TableWriter::new(out)?;
        let mut tenants: Vec<_> = self.tenants.into_iter().collect();
        tenants.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (tenant, part) in tenants {
            let range = part.blocks.iter().fold(TimeRange::EMPTY, |range, (_, block)| range.cover(&block.range));
            let (entry, _) = part.write(PartWriter::new(&mut writer.out, range), &self.keys)?;
            writer.add_part(&tenant, entry);
        }
        writer.finish(&self.packs.names)?;
        Ok(())
    }
}

/// One tenant's series and blocks; labels are numbered in order of arrival.
#[derive(Debug, Default)]
struct PartBuilder {
    names: HashMap<Box<str>, u32>,
    /// Per name, its values.
    values: Vec<HashMap<Box<str>, u32>>,
    /// The pairs of all series, one series after the other.
    pairs: Vec<Pair>,
    /// Where the pairs of each series end.
    ends: Vec<u32>,
    /// The last series of each label hash; `earlier` leads to those before it.
    hashes: HashMap<u64, u32>,
    earlier: Vec<u32>,
    blocks: Vec<(u32, BlockRef)>,
}

const NONE: u32 = u32::MAX;

impl PartBuilder {
    /// The number of a series, in order of arrival.
    fn series(&mut self, labels: &Labels) -> Result<u32> {
        let start = self.pairs.len();
        for (name, value) in labels {
            let name = intern(&mut self.names, name);
            if name as usize >= self.values.len() {
                self.values.push(HashMap::new());
            }
            let value = self.values.get_mut(name as usize).map_or(0, |values| intern(values, value));
            self.pairs.push(Pair { name, value });
        }
        let hash = labels.hash64();
        let newest = self.hashes.get(&hash).copied().unwrap_or(NONE);
        let mut known = newest;
        while known != NONE {
            if self.pairs_of(known) == self.pairs.get(start..).unwrap_or_default() {
                self.pairs.truncate(start);
                return Ok(known);
            }
            known = self.earlier.get(known as usize).copied().unwrap_or(NONE);
        }
        let limit = u64::from(NONE);
        let end = u32::try_from(self.pairs.len()).ok().filter(|_| self.ends.len() < NONE as usize);
        let Some(end) = end else {
            self.pairs.truncate(start);
            return Err(IndexError::TooLarge { what: "labels of all series", limit });
        };
        let id = self.ends.len() as u32;
        self.ends.push(end);
        self.earlier.push(newest);
        self.hashes.insert(hash, id);
        Ok(id)
    }

    fn pairs_of(&self, series: u32) -> &[Pair] {
        let span = self.span_of(series);
        self.pairs.get(span).unwrap_or_default()
    }

    fn span_of(&self, series: u32) -> std::ops::Range<usize> {
        let series = series as usize;
        let end = self.ends.get(series).copied().unwrap_or(0);
        let start = series.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        start as usize..end as usize
    }

    fn write<W: io::Write>(
        mut self,
        mut writer: PartWriter<'_, '_, W>,
        keys: &KeySetInterner,
    ) -> Result<(crate::output::PartEntry, crate::PartStats)> {
        (self.hashes, self.earlier) = (HashMap::new(), Vec::new());
        self.write_names(&mut writer)?;
        let mut order: Vec<u32> = (0..self.ends.len() as u32).collect();
        order.sort_unstable_by(|a, b| self.pairs_of(*a).cmp(self.pairs_of(*b)));

        self.blocks.sort_unstable_by_key(|(series, block)| (*series, block.sort_key()));
        self.blocks.dedup();
        let mut starts = Vec::with_capacity(order.len());
        let mut at = 0;
        for series in 0..order.len() as u32 {
            starts.push(at);
            at += self.blocks.iter().skip(at).take_while(|(s, _)| *s == series).count();
        }
        let mut key_sets = vec![None; keys.len() as usize];
        let mut list = Vec::new();
        for series in order {
            let start = starts.get(series as usize).copied().unwrap_or(0);
            list.clear();
            for (_, block) in self.blocks.iter().skip(start).take_while(|(s, _)| *s == series) {
                let mut block = *block;
                if let Some(id) = key_sets.get_mut(block.metadata_keys as usize) {
                    let set = block.metadata_keys;
                    block.metadata_keys = *id.get_or_insert_with(|| writer.keys.intern(keys.keys(set)));
                }
                list.push(block);
            }
            writer.series(self.pairs_of(series), &list)?;
        }
        writer.finish()
    }

    /// Writes names and values in order and renumbers the pairs to match.
    fn write_names<W: io::Write>(&mut self, writer: &mut PartWriter<'_, '_, W>) -> Result<()> {
        let mut names: Vec<_> = std::mem::take(&mut self.names).into_iter().collect();
        names.sort_unstable();
        let mut name_ranks = vec![0; names.len()];
        let mut value_ranks = vec![Vec::new(); names.len()];
        for (rank, (name, number)) in names.iter().enumerate() {
            let number = *number as usize;
            let mut values: Vec<_> =
                self.values.get_mut(number).map(std::mem::take).unwrap_or_default().into_iter().collect();
            values.sort_unstable();
            writer.begin_name(name);
            let mut ranks = vec![0; values.len()];
            for (rank, (value, number)) in values.iter().enumerate() {
                writer.value(value)?;
                set(&mut ranks, *number as usize, rank as u32);
            }
            writer.end_name()?;
            set(&mut name_ranks, number, rank as u32);
            set(&mut value_ranks, number, ranks);
        }
        for pair in &mut self.pairs {
            let name = pair.name as usize;
            pair.value = value_ranks.get(name).and_then(|r| r.get(pair.value as usize)).copied().unwrap_or(0);
            pair.name = name_ranks.get(name).copied().unwrap_or(0);
        }
        // Ranks follow the names' order, as the labels of each series do: its pairs need no sorting.
        Ok(())
    }
}

fn set<T>(slots: &mut [T], at: usize, value: T) {
    if let Some(slot) = slots.get_mut(at) {
        *slot = value;
    }
}

fn intern(map: &mut HashMap<Box<str>, u32>, text: &str) -> u32 {
    if let Some(id) = map.get(text) {
        return *id;
    }
    let id = map.len() as u32;
    map.insert(text.into(), id);
    id
}
