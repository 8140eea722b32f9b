//! The block reference: where the rows of one stream lie, and their summary; and how a part stores them.

use narvi_types::{
    TimeRange,
    wire::{Reader, WireError, Writer},
};

use crate::{
    IndexError, Result,
    format::{GROUP_SERIES, Section},
    series::{group_offset, open_group},
};

/// Where a block lies, and the summary that lets a query count it without opening its pack. Complete by nature: a field
/// more is a new format version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct BlockRef {
    /// The pack: an index into the table's list of pack names ([`crate::Table::packs`]).
    pub pack: u32,
    /// The frame within the pack.
    pub frame: u32,
    /// The first row within the frame.
    pub first_row: u32,
    /// Number of rows, at least one; `first_row + rows` fits 32 bits.
    pub rows: u32,
    /// Bytes of all lines, before any compression.
    pub line_bytes: u64,
    /// First and last timestamp, both inside; never empty.
    pub range: TimeRange,
    /// The set of structured metadata keys that the rows carry: an id to ask [`crate::Part::key_set`] for. 0 is the
    /// empty set. While building, an id that [`crate::TableBuilder::key_set`] gave.
    pub metadata_keys: u32,
}

impl BlockRef {
    /// The order in which a series' blocks stand: by time, then place, then the rest so that equal ones are neighbours.
    pub(crate) fn sort_key(&self) -> (i64, i64, u32, u32, u32, u32, u64, u32) {
        let Self { pack, frame, first_row, rows, line_bytes, range, metadata_keys } = *self;
        (range.min, range.max, pack, frame, first_row, rows, line_bytes, metadata_keys)
    }

    /// What the first block of a group is predicted from.
    fn origin(range: TimeRange) -> Self {
        Self { pack: 0, frame: 0, first_row: 0, rows: 0, line_bytes: 0, range, metadata_keys: 0 }
    }
}

/// What decoded blocks are checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockLimits {
    pub(crate) series: u32,
    pub(crate) packs: u32,
    pub(crate) key_sets: u32,
    /// Range of the part; where the deltas of a group start from.
    pub(crate) range: TimeRange,
}

const SAME_PACK: u8 = 1;
const SAME_FRAME: u8 = 1 << 1;
const NEXT_ROW: u8 = 1 << 2;
const SAME_KEYS: u8 = 1 << 3;
const MORE: u8 = 1 << 4;
const UNUSED: u8 = 0b1110_0000;
/// Flags, rows, bytes, and the two ends of the range.
const MIN_BLOCK_BYTES: usize = 5;

/// Encodes the block lists of series in order.
///
/// ```text
/// per series:  block | if MORE: count varint | bytes varint | count x block
/// block:       flags u8 | pack varint unless SAME_PACK | frame zigzag unless SAME_FRAME
///              | first row varint unless NEXT_ROW | rows varint | line bytes varint | min zigzag | max - min varint | key set varint unless SAME_KEYS
/// ```
/// `frame` and `min` are differences. A first block is told against the first block of the series before, the first one
/// of a group against an all-zero block at the part's earliest time; each later block against the one before it.
#[derive(Debug)]
pub(crate) struct BlocksEncoder {
    /// Encoded and not yet taken by the writer.
    pub(crate) data: Vec<u8>,
    pub(crate) groups: Vec<u32>,
    taken: u64,
    origin: BlockRef,
    last: BlockRef,
    count: u32,
    rest: Vec<u8>,
}

impl BlocksEncoder {
    pub(crate) fn new(range: TimeRange) -> Self {
        let origin = BlockRef::origin(range);
        Self { data: Vec::new(), groups: Vec::new(), taken: 0, origin, last: origin, count: 0, rest: Vec::new() }
    }

    /// Forgets data that was written out.
    pub(crate) fn take(&mut self) {
        self.taken += self.data.len() as u64;
        self.data.clear();
    }

    /// Appends the sorted blocks of the next series; there is at least one.
    pub(crate) fn push(&mut self, blocks: &[BlockRef]) -> Result<()> {
        let Some((first, rest)) = blocks.split_first() else {
            return Err(IndexError::Block("a series without blocks"));
        };
        if self.count.is_multiple_of(GROUP_SERIES) {
            self.groups.push(group_offset(self.taken + self.data.len() as u64, "bytes of block references")?);
            self.last = self.origin;
        }
        put_block(&mut self.data, first, &self.last, !rest.is_empty());
        if !rest.is_empty() {
            self.rest.clear();
            let mut last = first;
            for block in rest {
                put_block(&mut self.rest, block, last, false);
                last = block;
            }
            self.data.put_varint(rest.len() as u64);
            self.data.put_blob(&self.rest);
        }
        self.last = *first;
        self.count += 1;
        Ok(())
    }
}

fn put_block(out: &mut Vec<u8>, block: &BlockRef, last: &BlockRef, more: bool) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let next_row = last.first_row.wrapping_add(last.rows);
    let flags = flag(block.pack == last.pack, SAME_PACK)
        | flag(block.frame == last.frame, SAME_FRAME)
        | flag(block.first_row == next_row, NEXT_ROW)
        | flag(block.metadata_keys == last.metadata_keys, SAME_KEYS)
        | flag(more, MORE);
    out.put_u8(flags);
    if flags & SAME_PACK == 0 {
        out.put_varint(u64::from(block.pack));
    }
    if flags & SAME_FRAME == 0 {
        out.put_zigzag(i64::from(block.frame) - i64::from(last.frame));
    }
    if flags & NEXT_ROW == 0 {
        out.put_varint(u64::from(block.first_row));
    }
    out.put_varint(u64::from(block.rows));
    out.put_varint(block.line_bytes);
    // Differences wrap: any two 64-bit times have one.
    out.put_zigzag(block.range.min.wrapping_sub(last.range.min));
    out.put_varint(block.range.max.wrapping_sub(block.range.min) as u64);
    if flags & SAME_KEYS == 0 {
        out.put_varint(u64::from(block.metadata_keys));
    }
}

/// Reads a block told against `last`; whether more follow.
fn read_block(reader: &mut Reader<'_>, last: &BlockRef, limits: &BlockLimits) -> Result<(BlockRef, bool), WireError> {
    let flags = reader.u8("block flags")?;
    if flags & UNUSED != 0 {
        return Err(reader.error("block flags"));
    }
    let below = |reader: &mut Reader<'_>, limit: u32, what: &'static str| {
        let value = reader.varint(what)?;
        if value < u64::from(limit) { Ok(value as u32) } else { Err(reader.error(what)) }
    };
    let mut block = BlockRef { first_row: last.first_row.wrapping_add(last.rows), ..*last };
    if flags & SAME_PACK == 0 {
        block.pack = reader.varint("pack")?.try_into().map_err(|_| reader.error("pack"))?;
    }
    if flags & SAME_FRAME == 0 {
        let frame = i64::from(last.frame).checked_add(reader.zigzag("frame")?);
        block.frame = frame.and_then(|f| f.try_into().ok()).ok_or_else(|| reader.error("frame"))?;
    }
    if flags & NEXT_ROW == 0 {
        block.first_row = below(reader, u32::MAX, "first row")?;
    }
    block.rows = below(reader, u32::MAX, "rows")?;
    block.line_bytes = reader.varint("line bytes")?;
    block.range.min = last.range.min.wrapping_add(reader.zigzag("block time")?);
    block.range.max = block.range.min.wrapping_add(reader.varint("block duration")? as i64);
    if flags & SAME_KEYS == 0 {
        block.metadata_keys = reader.varint("key set")?.try_into().map_err(|_| reader.error("key set"))?;
    }
    let fits = block.pack < limits.packs
        && block.metadata_keys < limits.key_sets
        && block.rows > 0
        && block.first_row.checked_add(block.rows).is_some()
        && !block.range.is_empty();
    if fits { Ok((block, flags & MORE != 0)) } else { Err(reader.error("block")) }
}

/// Walks the block lists of a part; forwards is cheap, elsewhere costs half a group of first blocks.
#[derive(Clone, Debug)]
pub(crate) struct BlocksCursor<'a> {
    section: &'a Section,
    limits: BlockLimits,
    reader: Reader<'a>,
    start: usize,
    /// The series that the reader stands before.
    next: u32,
    last: BlockRef,
}

impl<'a> BlocksCursor<'a> {
    pub(crate) fn new(section: &'a Section, limits: BlockLimits) -> Self {
        let last = BlockRef::origin(limits.range);
        Self { section, limits, reader: Reader::new(&[]), start: 0, next: u32::MAX, last }
    }

    /// The blocks of a series that overlap a range.
    pub(crate) fn seek(&mut self, id: u32, range: TimeRange) -> Result<Blocks<'a>> {
        let series = self.limits.series;
        if id >= series {
            return Err(IndexError::NoSuchSeries { id, series });
        }
        let group = id / GROUP_SERIES;
        if self.next > id || self.next.div_ceil(GROUP_SERIES) <= group {
            (self.reader, self.start) = open_group(self.section, series, group)?;
            self.next = group * GROUP_SERIES;
        }
        loop {
            let (rest, count) = self.read_list().map_err(self.section.wire(self.start))?;
            self.next += 1;
            if self.next > id {
                let (section, limits, reader) = (self.section, self.limits, Reader::new(rest));
                let start = self.start + self.reader.offset() - rest.len();
                return Ok(Blocks { first: true, last: self.last, count, range, section, limits, reader, start });
            }
        }
    }

    /// Reads one first block into `last`; gives the bytes and the count of the blocks after it.
    fn read_list(&mut self) -> Result<(&'a [u8], usize), WireError> {
        if self.next.is_multiple_of(GROUP_SERIES) {
            self.last = BlockRef::origin(self.limits.range);
        }
        let (first, more) = read_block(&mut self.reader, &self.last, &self.limits)?;
        self.last = first;
        if !more {
            return Ok((&[], 0));
        }
        let count = self.reader.count(MIN_BLOCK_BYTES, "block count")?;
        let rest = self.reader.blob("block list")?;
        Ok((rest, count))
    }
}

/// Iterates over the blocks of one series that overlap a range, sorted by time; see [`crate::Part::blocks`]. Ends after
/// the first error.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    first: bool,
    last: BlockRef,
    /// Blocks not read yet, beyond the first.
    count: usize,
    range: TimeRange,
    section: &'a Section,
    limits: BlockLimits,
    reader: Reader<'a>,
    start: usize,
}

impl Iterator for Blocks<'_> {
    type Item = Result<BlockRef>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.first {
                self.first = false;
            } else {
                self.count = self.count.checked_sub(1)?;
                match read_block(&mut self.reader, &self.last, &self.limits) {
                    Ok((block, _)) => self.last = block,
                    Err(e) => {
                        self.count = 0;
                        return Some(Err(self.section.wire(self.start)(e)));
                    }
                }
            }
            if self.last.range.min > self.range.max {
                self.count = 0;
                return None;
            }
            if self.last.range.overlaps(&self.range) {
                return Some(Ok(self.last));
            }
        }
    }
}
