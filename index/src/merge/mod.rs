//! Merges tables into one, streaming.

mod names;
mod ranks;
mod survivors;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, binary_heap::PeekMut},
    io,
};

use narvi_types::TimeRange;

use self::{names::NameMap, survivors::Survivors};
use crate::{
    BlockRef, Part, Result, Table,
    block::BlocksCursor,
    keys::KeySetInterner,
    output::{Packs, TableWriter},
    part_writer::PartWriter,
    series::{Pair, SeriesCursor},
};

/// What a merge keeps. Every method is asked more than once for the same thing and must answer alike.
pub trait MergeFilter {
    /// Whether to keep this tenant.
    fn tenant(&self, tenant: &str) -> bool {
        let _ = tenant;
        true
    }

    /// Whether to keep blocks of this pack. Asked once per input and pack.
    fn pack(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// Whether to keep this block; its tenant and pack passed already. `pack` and `metadata_keys` are ids of the input.
    fn block(&self, tenant: &str, block: &BlockRef) -> bool {
        let _ = (tenant, block);
        true
    }
}

/// Keeps everything.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct KeepAll;

impl MergeFilter for KeepAll {}

/// What a merge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeSummary {
    /// Tenants written. With none the output is a valid, empty table, which the caller may drop.
    pub tenants: u64,
    /// Series written.
    pub streams: u64,
    /// Blocks written.
    pub blocks: u64,
    /// Blocks of kept tenants that the filter refused.
    pub dropped: u64,
    /// Blocks that stood in an input before, in the same series and alike in every field.
    pub duplicates: u64,
    /// Rows of the blocks written.
    pub rows: u64,
    /// Bytes of the lines of the blocks written.
    pub line_bytes: u64,
    /// Range of the blocks written.
    pub range: TimeRange,
    /// Bytes written.
    pub bytes: u64,
}

/// Merges tables: per tenant by labels, blocks sorted by time, identical blocks once. Packs are told apart by name;
/// packs without a block left are not listed. Reads each input twice, in order, and streams: memory grows with the
/// distinct label values of a tenant (some 15 bytes each, and up to 2 per input) and with series (some 25 bytes), not
/// with blocks. Writes in pieces of at least 64 KiB and flushes `out`; syncing is the caller's.
///
/// # Errors
/// Damage in an input, more than a part can hold, the output fails.
pub fn merge(inputs: &[Table], filter: &impl MergeFilter, out: &mut impl io::Write) -> Result<MergeSummary> {
    let mut writer = TableWriter::new(out)?;
    let mut packs = Packs::default();
    let mut maps: Vec<PackMap<'_>> = inputs.iter().map(|table| PackMap::new(table, filter)).collect();
    let mut summary = MergeSummary {
        tenants: 0,
        streams: 0,
        blocks: 0,
        dropped: 0,
        duplicates: 0,
        rows: 0,
        line_bytes: 0,
        range: TimeRange::EMPTY,
        bytes: 0,
    };
    for tenant in tenants(inputs, filter)? {
        let mut parts = Vec::new();
        for (table, map) in inputs.iter().zip(&mut maps) {
            if let Some(part) = table.part(&tenant)? {
                let survivors = Survivors::find(&part, |block| map.keeps(block) && filter.block(&tenant, block))?;
                summary.dropped += survivors.dropped;
                parts.push((part, survivors, map));
            }
        }
        parts.retain(|(_, survivors, _)| !survivors.range.is_empty());
        if parts.is_empty() {
            continue;
        }
        let range = parts.iter().fold(TimeRange::EMPTY, |range, (_, survivors, _)| range.cover(&survivors.range));
        let keep = |block: &BlockRef| filter.block(&tenant, block);
        let part = PartWriter::new(&mut writer.out, range);
        let merged = merge_parts(&mut parts, &mut packs, &keep, part)?;
        writer.add_part(&tenant, merged.entry);
        summary.tenants += 1;
        summary.streams += merged.stats.streams;
        summary.blocks += merged.stats.blocks;
        summary.rows = summary.rows.saturating_add(merged.stats.rows);
        summary.line_bytes = summary.line_bytes.saturating_add(merged.stats.line_bytes);
        summary.duplicates += merged.duplicates;
        summary.range = summary.range.cover(&range);
    }
    summary.bytes = writer.finish(&packs.names)?;
    Ok(summary)
}

/// The tenants of all inputs that the filter keeps, sorted.
fn tenants(inputs: &[Table], filter: &impl MergeFilter) -> Result<BTreeSet<String>> {
    let mut tenants = BTreeSet::new();
    for table in inputs {
        for tenant in table.tenants() {
            let (tenant, _) = tenant?;
            if !tenants.contains(tenant) && filter.tenant(tenant) {
                tenants.insert(tenant.to_owned());
            }
        }
    }
    Ok(tenants)
}

/// The packs of one input: which are kept, and their numbers in the output once a block needs them.
struct PackMap<'a> {
    names: &'a [String],
    kept: Vec<bool>,
    numbers: Vec<Option<u32>>,
}

impl<'a> PackMap<'a> {
    fn new(table: &'a Table, filter: &impl MergeFilter) -> Self {
        let names = table.packs();
        let kept = names.iter().map(|name| filter.pack(name)).collect();
        Self { names, kept, numbers: vec![None; names.len()] }
    }

    fn keeps(&self, block: &BlockRef) -> bool {
        self.kept.get(block.pack as usize).copied().unwrap_or(false)
    }

    fn number(&mut self, pack: u32, packs: &mut Packs) -> u32 {
        match (self.numbers.get_mut(pack as usize), self.names.get(pack as usize)) {
            (Some(number), Some(name)) => *number.get_or_insert_with(|| packs.intern(name)),
            // Cursors give no block whose pack the table does not list.
            _ => 0,
        }
    }
}

struct Merged {
    entry: crate::output::PartEntry,
    stats: crate::PartStats,
    duplicates: u64,
}

type MergePart<'m, 't> = (Part, Survivors, &'m mut PackMap<'t>);

fn merge_parts<W: io::Write>(
    parts: &mut [MergePart<'_, '_>],
    packs: &mut Packs,
    keep: &impl Fn(&BlockRef) -> bool,
    mut writer: PartWriter<'_, '_, W>,
) -> Result<Merged> {
    let inputs: Vec<_> = parts.iter().map(|(part, survivors, _)| (part, survivors)).collect();
    let maps = names::merge_names(&inputs, &mut writer)?;
    let mut heap = BinaryHeap::new();
    let mut cursors = Vec::new();
    for ((part, _, packs), names) in parts.iter_mut().zip(maps) {
        let mut cursor = InputCursor::new(part, packs, names);
        let mut head = Head { pairs: Vec::new(), input: cursors.len() };
        if cursor.advance(&mut head.pairs, keep)? {
            heap.push(Reverse(head));
        }
        cursors.push(cursor);
    }
    let (mut pairs, mut blocks) = (Vec::new(), Vec::new());
    let mut duplicates = 0;
    while let Some(mut top) = heap.peek_mut() {
        if top.0.pairs != pairs && !blocks.is_empty() {
            duplicates += write_series(&mut writer, &pairs, &mut blocks)?;
        }
        if blocks.is_empty() {
            pairs.clone_from(&top.0.pairs);
        }
        let Reverse(head) = &mut *top;
        let Some(cursor) = cursors.get_mut(head.input) else { break };
        cursor.take_blocks(&mut blocks, packs, &mut writer.keys)?;
        if !cursor.advance(&mut head.pairs, keep)? {
            PeekMut::pop(top);
        }
    }
    if !blocks.is_empty() {
        duplicates += write_series(&mut writer, &pairs, &mut blocks)?;
    }
    let (entry, stats) = writer.finish()?;
    Ok(Merged { entry, stats, duplicates })
}

/// Writes one series of the output and empties `blocks`; gives how many duplicates it left out.
fn write_series<W: io::Write>(
    writer: &mut PartWriter<'_, '_, W>,
    pairs: &[Pair],
    blocks: &mut Vec<BlockRef>,
) -> Result<u64> {
    let before = blocks.len();
    blocks.sort_unstable_by_key(BlockRef::sort_key);
    blocks.dedup();
    writer.series(pairs, blocks)?;
    let duplicates = before - blocks.len();
    blocks.clear();
    Ok(duplicates as u64)
}

/// The next series of an input, in numbers of the output.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    pairs: Vec<Pair>,
    input: usize,
}

/// Walks the series of one input that have blocks left.
struct InputCursor<'a, 't> {
    part: &'a Part,
    packs: &'a mut PackMap<'t>,
    names: NameMap,
    series: SeriesCursor<'a>,
    lists: BlocksCursor<'a>,
    next: u32,
    /// The kept blocks of the current series, in numbers of the input.
    blocks: Vec<BlockRef>,
    key_sets: Vec<Option<u32>>,
}

impl<'a, 't> InputCursor<'a, 't> {
    fn new(part: &'a Part, packs: &'a mut PackMap<'t>, names: NameMap) -> Self {
        let (series, lists) = (part.series_cursor(), part.blocks_cursor());
        let key_sets = vec![None; part.key_set_count() as usize];
        Self { part, packs, names, series, lists, next: 0, blocks: Vec::new(), key_sets }
    }

    /// Goes to the next series with a block left and tells its labels in numbers of the output; false at the end.
    fn advance(&mut self, pairs: &mut Vec<Pair>, keep: &impl Fn(&BlockRef) -> bool) -> Result<bool> {
        self.blocks.clear();
        while self.next < self.part.series_count() {
            let id = self.next;
            self.next += 1;
            for block in self.lists.seek(id, TimeRange::ALL)? {
                let block = block?;
                if self.packs.keeps(&block) && keep(&block) {
                    self.blocks.push(block);
                }
            }
            if !self.blocks.is_empty() {
                pairs.clear();
                pairs.extend(self.series.seek(id)?.iter().map(|pair| self.names.map(*pair)));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves the blocks of the current series over, in numbers of the output.
    fn take_blocks(&mut self, to: &mut Vec<BlockRef>, packs: &mut Packs, keys: &mut KeySetInterner) -> Result<()> {
        for mut block in self.blocks.drain(..) {
            block.pack = self.packs.number(block.pack, packs);
            let set = block.metadata_keys;
            let known = self.key_sets.get(set as usize).copied().flatten();
            block.metadata_keys = match known {
                Some(number) => number,
                None => {
                    let number = keys.intern(self.part.key_set(set)?);
                    if let Some(slot) = self.key_sets.get_mut(set as usize) {
                        *slot = Some(number);
                    }
                    number
                }
            };
            to.push(block);
        }
        Ok(())
    }
}
