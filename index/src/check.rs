//! Full verification and description of a table, for `narvi check` and `narvi inspect`.

use std::fmt;

use bytes::Bytes;
use narvi_types::TimeRange;
use roaring::RoaringBitmap;

use crate::{
    Cardinality, IndexError, Part, PartStats, Result, Table,
    format::{Directory, HEADER_BYTES, corrupt},
    part::value_of,
};

/// Labels whose values are compared with their postings in one walk over the series: as many as keep the columns, four
/// bytes per label and series, at this many numbers.
const COLUMN_NUMBERS: usize = 16 << 20;

/// Checks every byte and every invariant of a table: that sections fill the file without a gap and match their
/// checksums, that names, values, series and blocks are sorted, that postings and series agree, that references are in
/// range and counts right. Reads the whole file: about a second per million series. Gives what the parts hold, added
/// up.
///
/// # Errors
/// The first damage found.
pub fn verify(bytes: &Bytes) -> Result<PartStats> {
    let table = Table::open(bytes.clone())?;
    let mut total = PartStats::default();
    let mut position = HEADER_BYTES as u64;
    let mut last: Option<&str> = None;
    for index in 0..table.tenant_count() {
        let tenant = table.tenant_at(index)?;
        let entry = table.entry(index)?;
        if last.is_some_and(|last| last >= tenant) || entry.offset != position {
            return Err(corrupt("tenants", entry.offset, 0, "order of tenants"));
        }
        last = Some(tenant);
        let (part_bytes, directory) = table.part_directory(&entry)?;
        check_sections(&directory, &part_bytes, entry.offset, entry.offset)?;
        let part = table.part_at(index)?;
        if part.range() != entry.range {
            return Err(corrupt("tenants", entry.offset, 0, "part time"));
        }
        let stats = check_part(&part)?;
        total.streams += stats.streams;
        total.blocks += stats.blocks;
        total.rows = total.rows.saturating_add(stats.rows);
        total.line_bytes = total.line_bytes.saturating_add(stats.line_bytes);
        position += entry.length;
    }
    let end = check_sections(table.directory(), bytes, 0, position)?;
    let footer = bytes.len() as u64 - crate::format::FOOTER_BYTES as u64;
    if end > footer {
        return Err(corrupt("directory", end, 0, "section range"));
    }
    Ok(total)
}

/// Checks the checksum of every section, known or not, and that they follow each other from `start` on.
fn check_sections(directory: &Directory, bytes: &Bytes, base: u64, start: u64) -> Result<u64> {
    let mut entries = directory.entries.clone();
    entries.sort_by_key(|entry| (entry.offset, entry.length));
    let mut position = start;
    for entry in entries {
        let name = directory.name(entry.kind);
        if base + entry.offset != position {
            return Err(corrupt(name, position, 0, "section range: sections leave a gap or overlap"));
        }
        position += entry.length;
        let section = crate::format::cut(bytes, entry.offset, entry.length);
        let section = section.ok_or_else(|| corrupt(name, base + entry.offset, 0, "section range"))?;
        if crc32fast::hash(section) != entry.crc {
            return Err(IndexError::Checksum { section: name, offset: base + entry.offset });
        }
    }
    Ok(position)
}

pub(crate) fn check_part(part: &Part) -> Result<PartStats> {
    for name in 0..part.name_count() {
        let values = part.values_of(name)?;
        let mut last: Option<&[u8]> = None;
        for value in values.iter(0..values.len()) {
            let value = value?;
            values.text(value)?;
            if value.is_empty() || last.is_some_and(|last| last >= value) {
                return Err(part.corrupt("order of label values"));
            }
            last = Some(value);
        }
    }
    check_series(part)?;
    check_postings(part)?;
    let stats = check_blocks(part)?;
    if stats != part.stats() {
        return Err(part.corrupt("counts of series, blocks, rows or bytes"));
    }
    Ok(stats)
}

fn check_series(part: &Part) -> Result<()> {
    let mut cursor = part.series_cursor();
    let mut last = None;
    for id in 0..part.series_count() {
        let pairs = cursor.seek(id)?.to_vec();
        if last.as_ref().is_some_and(|last| *last >= pairs) {
            return Err(part.corrupt("order of series"));
        }
        last = Some(pairs);
    }
    Ok(())
}

fn check_blocks(part: &Part) -> Result<PartStats> {
    let mut stats = PartStats { streams: u64::from(part.series_count()), ..PartStats::default() };
    let mut range = TimeRange::EMPTY;
    let mut cursor = part.blocks_cursor();
    for id in 0..part.series_count() {
        let mut last = None;
        for block in cursor.seek(id, TimeRange::ALL)? {
            let block = block?;
            if last.is_some_and(|last| last >= block.sort_key()) {
                return Err(part.corrupt("order of blocks"));
            }
            last = Some(block.sort_key());
            range = range.cover(&block.range);
            stats.blocks += 1;
            stats.rows = stats.rows.saturating_add(u64::from(block.rows));
            stats.line_bytes = stats.line_bytes.saturating_add(block.line_bytes);
        }
    }
    if range != part.range() { Err(part.corrupt("part time")) } else { Ok(stats) }
}

/// Compares each label's postings with the series: every posting holds series with that value only, and together they
/// hold as many as there are.
fn check_postings(part: &Part) -> Result<()> {
    let series = part.series_count();
    let at_once = (COLUMN_NUMBERS / (series as usize).max(1)).max(1);
    for first in (0..part.name_count()).step_by(at_once) {
        let names = first..part.name_count().min(first + at_once);
        let mut columns = vec![vec![u32::MAX; series as usize]; names.len()];
        let mut cursor = part.series_cursor();
        for id in 0..series {
            let pairs = cursor.seek(id)?;
            for (column, name) in columns.iter_mut().zip(names.clone()) {
                if let (Some(slot), Some(value)) = (column.get_mut(id as usize), value_of(pairs, name)) {
                    *slot = value;
                }
            }
        }
        for (column, name) in columns.iter().zip(names) {
            check_label(part, name, column)?;
        }
    }
    Ok(())
}

fn check_label(part: &Part, name: usize, column: &[u32]) -> Result<()> {
    let fail = || part.corrupt("postings: they disagree with the series");
    let mut have = 0u64;
    let mut ids = Vec::new();
    for value in 0..part.value_count(name) {
        ids.clear();
        let posting = part.posting(name, Some(value as usize))?;
        if let Some(bitmap) = posting.decode(part.series_count(), &mut ids)? {
            ids.extend(bitmap);
        }
        if ids.is_empty() || ids.len() as u64 != posting.count() {
            return Err(fail());
        }
        if ids.iter().any(|id| column.get(*id as usize) != Some(&value)) {
            return Err(fail());
        }
        have += ids.len() as u64;
    }
    let any: RoaringBitmap =
        (0..).zip(column).filter(|(_, value)| **value != u32::MAX).map(|(id, _): (u32, _)| id).collect();
    let posting = part.posting(name, None)?;
    if have == any.len() && posting.count() == have && posting.bitmap(part.series_count())? == any {
        Ok(())
    } else {
        Err(fail())
    }
}

/// What a table is made of. Its `Display` is what `narvi inspect` prints.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Description {
    /// Format version of the file.
    pub version: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Names of the packs.
    pub packs: Vec<String>,
    /// The parts, sorted by tenant.
    pub parts: Vec<PartDescription>,
}

/// What a part is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartDescription {
    /// The tenant.
    pub tenant: String,
    /// Offset in the file.
    pub offset: u64,
    /// Range of its blocks.
    pub range: TimeRange,
    /// What it holds.
    pub stats: PartStats,
    /// Its sections: name and bytes.
    pub sections: Vec<(String, u64)>,
    /// Its labels: name, distinct values, series that have it.
    pub labels: Vec<(String, Cardinality)>,
}

/// Describes a table. Opens every part.
///
/// # Errors
/// Damage in what was read.
pub fn describe(bytes: &Bytes) -> Result<Description> {
    let table = Table::open(bytes.clone())?;
    let mut parts = Vec::new();
    for index in 0..table.tenant_count() {
        let entry = table.entry(index)?;
        let (_, directory) = table.part_directory(&entry)?;
        let part = table.part_at(index)?;
        let mut labels = Vec::new();
        for name in part.label_names(None)? {
            labels.push((name.to_owned(), part.cardinality(name)?.unwrap_or_default()));
        }
        let sections = directory.entries.iter().map(|e| (directory.name(e.kind).to_owned(), e.length)).collect();
        let (tenant, range, stats) = (part.tenant().to_owned(), part.range(), part.stats());
        parts.push(PartDescription { tenant, offset: entry.offset, range, stats, sections, labels });
    }
    Ok(Description { version: table.version(), bytes: bytes.len() as u64, packs: table.packs().to_vec(), parts })
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, bytes, packs, parts } = self;
        let counts = (packs.len(), parts.len());
        writeln!(f, "index table, format version {version}, {bytes} bytes, {} packs, {} tenants", counts.0, counts.1)?;
        for (at, pack) in packs.iter().enumerate() {
            writeln!(f, "pack {at}: {pack}")?;
        }
        for part in parts {
            let PartStats { streams, blocks, rows, line_bytes } = part.stats;
            writeln!(f, "tenant {} at byte {}", part.tenant, part.offset)?;
            writeln!(f, "  {streams} streams, {blocks} blocks, {rows} rows, {line_bytes} bytes of lines")?;
            writeln!(f, "  from {} to {} ns", part.range.min, part.range.max)?;
            for (section, bytes) in &part.sections {
                writeln!(f, "  section {section}: {bytes} bytes")?;
            }
            for (name, Cardinality { values, series }) in &part.labels {
                writeln!(f, "  label {name}: {values} values in {series} streams")?;
            }
        }
        Ok(())
    }
}
