//! The series of a part: label pairs as numbers, front coded against the series before.

use narvi_types::wire::{Reader, WireError, Writer};

use crate::{
    IndexError, Result,
    format::{GROUP_SERIES, Section},
};

/// One label of a series as numbers: the name's place among the part's names, the value's among the name's values. Both
/// tables are sorted, so that pairs and lists of them compare as the labels do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair {
    pub(crate) name: u32,
    pub(crate) value: u32,
}

/// Encodes series in order.
///
/// ```text
/// per series:  shared varint | rest varint | rest x ( name varint | value varint )
/// ```
/// The first `shared` pairs are those of the series before (none for the first of a group). A name is written as its
/// distance from the one after the name before it.
#[derive(Debug, Default)]
pub(crate) struct SeriesEncoder {
    pub(crate) data: Vec<u8>,
    pub(crate) groups: Vec<u32>,
    last: Vec<Pair>,
    count: u32,
}

impl SeriesEncoder {
    pub(crate) fn push(&mut self, pairs: &[Pair]) -> Result<()> {
        if self.count.is_multiple_of(GROUP_SERIES) {
            self.last.clear();
            self.groups.push(group_offset(self.data.len() as u64, "bytes of series")?);
        }
        let shared = self.last.iter().zip(pairs).take_while(|(a, b)| a == b).count();
        let (same, rest) = pairs.split_at(shared);
        self.data.put_varint(shared as u64);
        self.data.put_varint(rest.len() as u64);
        let mut next = same.last().map_or(0, |p| p.name + 1);
        for pair in rest {
            self.data.put_varint(u64::from(pair.name - next));
            self.data.put_varint(u64::from(pair.value));
            next = pair.name + 1;
        }
        self.last.clear();
        self.last.extend_from_slice(pairs);
        self.count += 1;
        Ok(())
    }
}

/// The offset of a group as its table holds it.
pub(crate) fn group_offset(offset: u64, what: &'static str) -> Result<u32> {
    u32::try_from(offset).map_err(|_| IndexError::TooLarge { what, limit: u64::from(u32::MAX) })
}

/// Reads the next series from `reader` into `pairs`, which hold the series before; gives how many pairs stayed.
/// `values[name]` is the number of values of a name.
pub(crate) fn decode(reader: &mut Reader<'_>, pairs: &mut Vec<Pair>, values: &[u32]) -> Result<usize, WireError> {
    let shared = reader.varint("shared labels")?;
    if shared > pairs.len() as u64 {
        return Err(reader.error("shared labels"));
    }
    pairs.truncate(shared as usize);
    let rest = reader.count(2, "label count")?;
    let mut next = pairs.last().map_or(0, |p| u64::from(p.name) + 1);
    for _ in 0..rest {
        let name = next.saturating_add(reader.varint("label name")?);
        let count = usize::try_from(name).ok().and_then(|n| values.get(n));
        let count = count.ok_or_else(|| reader.error("label name"))?;
        let value = reader.varint("label value")?;
        if value >= u64::from(*count) {
            return Err(reader.error("label value"));
        }
        pairs.push(Pair { name: name as u32, value: value as u32 });
        next = name + 1;
    }
    Ok(shared as usize)
}

/// Walks the series of a part; forwards is cheap, elsewhere costs half a group.
#[derive(Debug)]
pub(crate) struct SeriesCursor<'a> {
    section: &'a Section,
    values: &'a [u32],
    series: u32,
    reader: Reader<'a>,
    /// Where in the section the reader began.
    start: usize,
    /// The id that the reader stands before.
    next: u32,
    pairs: Vec<Pair>,
}

impl<'a> SeriesCursor<'a> {
    pub(crate) fn new(section: &'a Section, values: &'a [u32], series: u32) -> Self {
        Self { section, values, series, reader: Reader::new(&[]), start: 0, next: u32::MAX, pairs: Vec::new() }
    }

    /// The labels of a series.
    pub(crate) fn seek(&mut self, id: u32) -> Result<&[Pair]> {
        if id >= self.series {
            return Err(IndexError::NoSuchSeries { id, series: self.series });
        }
        let group = id / GROUP_SERIES;
        let follows = self.next <= id && self.next.div_ceil(GROUP_SERIES) > group;
        if !follows {
            (self.reader, self.start) = open_group(self.section, self.series, group)?;
            self.next = group * GROUP_SERIES;
        }
        while self.next <= id {
            if self.next.is_multiple_of(GROUP_SERIES) {
                self.pairs.clear();
            }
            let read = decode(&mut self.reader, &mut self.pairs, self.values);
            read.map_err(self.section.wire(self.start))?;
            self.next += 1;
        }
        Ok(&self.pairs)
    }
}

/// A reader at the start of a group of a section that ends in a table of group offsets, and where it begins.
pub(crate) fn open_group(section: &Section, series: u32, group: u32) -> Result<(Reader<'_>, usize)> {
    let table_bytes = series.div_ceil(GROUP_SERIES) as usize * 4;
    let table = section.len().checked_sub(table_bytes).ok_or_else(|| section.corrupt(0, "group table"))?;
    let start = section.u32_at(table, group as usize, "group offset")? as usize;
    let data = section.bytes.get(start..table).ok_or_else(|| section.corrupt(table, "group offset"))?;
    Ok((Reader::new(data), start))
}
