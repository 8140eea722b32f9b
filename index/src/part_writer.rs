//! Writes one part, streaming: first the label names and values, then the series in order with their blocks.

use std::io;

use narvi_types::{
    TimeRange,
    wire::{Reader, Writer},
};
use roaring::RoaringBitmap;

use crate::{
    BlockRef, IndexError, PartStats, Result,
    block::BlocksEncoder,
    format::{Directory, Entry, GROUP_SERIES, Kind, MAX_SERIES, Span},
    keys::KeySetInterner,
    output::{Output, PartEntry},
    postings,
    series::{Pair, SeriesEncoder, decode},
};

/// Postings of as many (series, label) pairs as this are turned round at a time, 4 bytes each; a label is never split.
const PAIRS_AT_ONCE: u64 = 8 << 20;
const FLUSH_BYTES: usize = 1 << 16;

/// Writes the sections of a part in the order values, blocks, series, postings, head: values and blocks, the large
/// ones, go straight to the output; series, a few bytes each, stay in memory until the postings are made from them.
pub(crate) struct PartWriter<'o, 'w, W> {
    out: &'o mut Output<'w, W>,
    start: u64,
    names: Vec<Name>,
    /// Where the values of the current name end in their text.
    ends: Vec<u32>,
    values: Option<Span>,
    series: SeriesEncoder,
    blocks: BlocksEncoder,
    pub(crate) keys: KeySetInterner,
    range: TimeRange,
    pub(crate) stats: PartStats,
}

struct Name {
    name: String,
    values_bytes: u64,
    postings_bytes: u64,
    /// Series of each value.
    counts: Vec<u32>,
}

impl Name {
    fn series(&self) -> u64 {
        self.counts.iter().map(|c| u64::from(*c)).sum()
    }
}

impl<'o, 'w, W: io::Write> PartWriter<'o, 'w, W> {
    /// Starts a part whose blocks all lie in `range`.
    pub(crate) fn new(out: &'o mut Output<'w, W>, range: TimeRange) -> Self {
        Self {
            start: out.position(),
            out,
            names: Vec::new(),
            ends: Vec::new(),
            values: None,
            series: SeriesEncoder::default(),
            blocks: BlocksEncoder::new(range),
            keys: KeySetInterner::default(),
            range,
            stats: PartStats::default(),
        }
    }

    /// Begins the next label name; they come sorted, before any series.
    pub(crate) fn begin_name(&mut self, name: &str) {
        let name = name.to_owned();
        self.names.push(Name { name, values_bytes: 0, postings_bytes: 0, counts: Vec::new() });
    }

    /// Writes the next value of the name begun; they come sorted.
    pub(crate) fn value(&mut self, value: &str) -> Result<()> {
        self.out.put(value.as_bytes())?;
        let end = u64::from(self.ends.last().copied().unwrap_or(0)) + value.len() as u64;
        let limit = u64::from(u32::MAX);
        let end =
            u32::try_from(end).map_err(|_| IndexError::TooLarge { what: "bytes of values of one label", limit })?;
        self.ends.push(end);
        Ok(())
    }

    /// Ends the name begun.
    pub(crate) fn end_name(&mut self) -> Result<()> {
        let text = self.ends.last().copied().unwrap_or(0);
        if let Some(name) = self.names.last_mut() {
            name.values_bytes = u64::from(text) + 4 * self.ends.len() as u64;
            name.counts = vec![0; self.ends.len()];
        }
        self.out.put_u32s(&self.ends)?;
        self.ends.clear();
        Ok(())
    }

    /// Writes the next series; they come sorted. Blocks come sorted by time, at least one, with packs of the output and
    /// key sets of `self.keys`.
    pub(crate) fn series(&mut self, pairs: &[Pair], blocks: &[BlockRef]) -> Result<()> {
        if self.values.is_none() {
            self.values = Some(self.out.end_section());
        }
        self.stats.streams += 1;
        if self.stats.streams > MAX_SERIES {
            return Err(IndexError::TooLarge { what: "series", limit: MAX_SERIES });
        }
        for pair in pairs {
            let name = self.names.get_mut(pair.name as usize);
            if let Some(count) = name.and_then(|n| n.counts.get_mut(pair.value as usize)) {
                *count += 1;
            }
        }
        self.series.push(pairs)?;
        self.blocks.push(blocks)?;
        if self.blocks.data.len() >= FLUSH_BYTES {
            self.out.put(&self.blocks.data)?;
            self.blocks.take();
        }
        self.stats.blocks += blocks.len() as u64;
        for block in blocks {
            self.stats.rows = self.stats.rows.saturating_add(u64::from(block.rows));
            self.stats.line_bytes = self.stats.line_bytes.saturating_add(block.line_bytes);
        }
        Ok(())
    }

    /// Writes what is left of the part; at least one series was written.
    pub(crate) fn finish(mut self) -> Result<(PartEntry, PartStats)> {
        let values = match self.values {
            Some(values) => values,
            None => self.out.end_section(),
        };
        self.out.put(&self.blocks.data)?;
        self.out.put_u32s(&self.blocks.groups)?;
        let blocks = self.out.end_section();
        self.out.put(&self.series.data)?;
        self.out.put_u32s(&self.series.groups)?;
        let series = self.out.end_section();
        self.write_postings()?;
        let postings = self.out.end_section();
        let head = self.encode_head();
        self.out.put(&head)?;
        let head = self.out.end_section();

        let sections = [
            (Kind::Head, head),
            (Kind::Values, values),
            (Kind::Postings, postings),
            (Kind::Series, series),
            (Kind::Blocks, blocks),
        ];
        let relative = |span: Span| Span { offset: span.offset - self.start, ..span };
        let entries = sections.map(|(kind, span)| Entry::required(kind, relative(span)));
        let directory = Directory::encode(&entries);
        self.out.put(&directory)?;
        self.out.end_section();
        let entry = PartEntry {
            offset: self.start,
            length: self.out.position() - self.start,
            directory_length: directory.len() as u32,
            directory_crc: crc32fast::hash(&directory),
            range: self.range,
        };
        Ok((entry, self.stats))
    }

    fn write_postings(&mut self) -> Result<()> {
        let values: Vec<u32> = self.names.iter().map(|n| n.counts.len() as u32).collect();
        let mut next = 0;
        while next < self.names.len() {
            let first = next;
            let mut pairs = 0;
            while let Some(name) = self.names.get(next) {
                pairs += name.series();
                if next > first && pairs > PAIRS_AT_ONCE {
                    break;
                }
                next += 1;
            }
            let inverted = self.invert(first, next, &values)?;
            for (name, label) in self.names.iter_mut().skip(first).zip(inverted) {
                name.postings_bytes = write_label(self.out, &name.counts, label)?;
            }
        }
        Ok(())
    }

    /// Collects the series ids of each value of the names `first..end`, by one walk over the series.
    fn invert(&self, first: usize, end: usize, values: &[u32]) -> Result<Vec<Inverted>> {
        let names = self.names.get(first..end).unwrap_or_default();
        let mut labels: Vec<_> = names.iter().map(Inverted::new).collect();
        let mut reader = Reader::new(&self.series.data);
        let mut pairs = Vec::new();
        for id in 0..self.stats.streams as u32 {
            if id.is_multiple_of(GROUP_SERIES) {
                pairs.clear();
            }
            let read = decode(&mut reader, &mut pairs, values);
            read.map_err(|e| crate::format::corrupt("series", self.start, e.offset, e.what))?;
            for pair in &pairs {
                let label = (pair.name as usize).checked_sub(first).and_then(|at| labels.get_mut(at));
                if let Some(label) = label {
                    label.push(pair.value, id);
                }
            }
        }
        Ok(labels)
    }

    /// ```text
    /// streams varint | blocks varint | rows varint | line bytes varint | min i64 | max i64
    /// names: count varint, each: name | values varint | bytes of values varint | bytes of postings varint
    /// key sets: see keys.rs
    /// ```
    fn encode_head(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for count in [self.stats.streams, self.stats.blocks, self.stats.rows, self.stats.line_bytes] {
            out.put_varint(count);
        }
        out.put_i64(self.range.min);
        out.put_i64(self.range.max);
        out.put_varint(self.names.len() as u64);
        for name in &self.names {
            out.put_str(&name.name);
            out.put_varint(name.counts.len() as u64);
            out.put_varint(name.values_bytes);
            out.put_varint(name.postings_bytes);
        }
        self.keys.encode(&mut out);
        out
    }
}

/// The series of one label, by value.
struct Inverted {
    /// Ids of the series of value 0, then of value 1, and so on, each run rising.
    ids: Vec<u32>,
    /// Where the next id of each value goes.
    cursors: Vec<u32>,
    /// All series that have the label.
    any: RoaringBitmap,
}

impl Inverted {
    fn new(name: &Name) -> Self {
        let mut next = 0;
        let mut cursors = Vec::with_capacity(name.counts.len());
        for count in &name.counts {
            cursors.push(next);
            next += count;
        }
        Self { ids: vec![0; next as usize], cursors, any: RoaringBitmap::new() }
    }

    fn push(&mut self, value: u32, id: u32) {
        if let Some(cursor) = self.cursors.get_mut(value as usize) {
            if let Some(slot) = self.ids.get_mut(*cursor as usize) {
                *slot = id;
            }
            *cursor += 1;
            self.any.insert(id);
        }
    }
}

/// Writes the postings of one label: data, then the table of entries, one per value and one for all series that have
/// the label. Gives the bytes written.
fn write_label<W: io::Write>(out: &mut Output<'_, W>, counts: &[u32], label: Inverted) -> Result<u64> {
    let start = out.position();
    let mut data = Vec::new();
    let mut entries = Vec::with_capacity(counts.len() + 1);
    let mut rest = label.ids.as_slice();
    for count in counts {
        let (ids, after) = rest.split_at_checked(*count as usize).unwrap_or((rest, &[]));
        rest = after;
        entries.push(postings::encode(ids, &mut data, out.position() - start)?);
        if data.len() >= FLUSH_BYTES {
            out.put(&data)?;
            data.clear();
        }
    }
    entries.push(postings::encode_bitmap(label.any, &mut data, out.position() - start)?);
    out.put(&data)?;
    out.put_u32s(&entries)?;
    Ok(out.position() - start)
}
