//! Checks a pack from end to end, and describes it for people.

use std::fmt;

use narvi_types::TimeRange;

use crate::{
    ChunkError, ColumnKind, FrameReader, OpenOptions, Pack, ReadAt, Result, SectionInfo, SectionKind, pack::check_head,
};

/// What a check of a whole pack found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Frames looked at.
    pub frames: u32,
    /// Rows in frames without damage.
    pub rows: u64,
    /// Bytes of lines in frames without damage.
    pub line_bytes: u64,
    /// All damage found; empty if the pack is sound.
    pub problems: Vec<ChunkError>,
}

impl VerifyReport {
    /// Whether no damage was found.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }
}

/// Reads all of a pack, checks every checksum, decodes every column, and compares them with the directory. Damage is
/// collected, not returned: the result is an error only if the pack cannot be opened at all. Holds one frame at a time.
///
/// # Errors
/// As [`Pack::open`].
pub fn verify(input: &dyn ReadAt) -> Result<VerifyReport> {
    verify_with(input, &OpenOptions::default())
}

/// As [`verify`], within other limits.
///
/// # Errors
/// As [`Pack::open_with`].
pub fn verify_with(input: &dyn ReadAt, options: &OpenOptions) -> Result<VerifyReport> {
    let pack = Pack::open_with(input, options)?;
    let mut report = VerifyReport::default();
    report.keep(check_head(input));
    for section in pack.sections().iter().filter(|s| s.kind != SectionKind::FRAMES) {
        report.keep(pack.read_section(section, input));
    }
    for frame in 0..pack.frame_count() {
        report.frames += 1;
        let before = report.problems.len();
        if let Some(reader) = report.keep(FrameReader::new(&pack, frame, input)) {
            verify_frame(&reader, frame, &mut report);
            if report.problems.len() == before {
                report.rows += u64::from(reader.info().rows);
                report.line_bytes += u64::from(reader.info().line_bytes);
            }
        }
    }
    Ok(report)
}

fn verify_frame(reader: &FrameReader<&dyn ReadAt>, frame: u32, report: &mut VerifyReport) {
    let info = reader.info();
    let all: Vec<ColumnKind> = info.columns.iter().map(|c| c.kind).collect();
    if report.keep(reader.prefetch(&all)).is_none() {
        return;
    }
    report.keep(reader.lines());
    report.keep(reader.offsets());
    report.keep(reader.metadata());
    for column in info.columns.iter().filter(|c| matches!(c.kind, ColumnKind::Other(_))) {
        report.keep(reader.check_unknown(column));
    }
    let streams = report.keep(reader.streams());
    let Some(times) = report.keep(reader.timestamps(0..info.rows)) else { return };
    let wrong = |detail: &str| ChunkError::Corrupt {
        what: "timestamps",
        frame: Some(frame),
        offset: info.offset,
        detail: detail.to_owned(),
    };
    let range = times.iter().fold(TimeRange::EMPTY, |range, t| range.cover(&TimeRange::new(*t, *t)));
    if range != info.range {
        report.problems.push(wrong("the time range differs from the directory's"));
    }
    let mut rest = times.as_slice();
    for (_, rows) in streams.unwrap_or_default() {
        let Some((block, after)) = rest.split_at_checked(rows as usize) else { return };
        if !block.is_sorted() {
            report.problems.push(wrong("the rows of a block are not sorted"));
            return;
        }
        rest = after;
    }
}

/// What a pack consists of. Its `Display` is a table for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Description {
    /// Format version.
    pub version: u16,
    /// Size of the file.
    pub file_bytes: u64,
    /// Number of tenants.
    pub tenants: u64,
    /// Number of frames.
    pub frames: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of rows.
    pub rows: u64,
    /// Bytes of all lines, uncompressed.
    pub line_bytes: u64,
    /// Oldest and newest timestamp.
    pub range: TimeRange,
    /// The sections.
    pub sections: Vec<SectionInfo>,
    /// The columns, summed over all frames, in file order.
    pub columns: Vec<ColumnSummary>,
}

/// One kind of column, summed over all frames of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnSummary {
    /// What it holds.
    pub kind: ColumnKind,
    /// In how many frames.
    pub frames: u64,
    /// Stored bytes, with checksums.
    pub len: u64,
    /// Decoded bytes.
    pub raw_len: u64,
    /// Names of the codecs found; pages carry their own and are called "pages".
    pub codecs: Vec<&'static str>,
}

/// Describes a pack from its directory alone; reads no column.
pub fn describe(pack: &Pack) -> Description {
    let mut out = Description {
        version: pack.version(),
        file_bytes: pack.file_bytes(),
        tenants: pack.tenants().len() as u64,
        frames: pack.frame_count().into(),
        blocks: 0,
        rows: 0,
        line_bytes: 0,
        range: TimeRange::EMPTY,
        sections: pack.sections().to_vec(),
        columns: Vec::new(),
    };
    for frame in pack.frames() {
        out.blocks += u64::from(frame.blocks);
        out.rows += u64::from(frame.rows);
        out.line_bytes += u64::from(frame.line_bytes);
        out.range = out.range.cover(&frame.range);
        for column in &frame.columns {
            let at = out.columns.iter().position(|c| c.kind == column.kind).unwrap_or_else(|| {
                let (frames, len, raw_len, codecs) = Default::default();
                out.columns.push(ColumnSummary { kind: column.kind, frames, len, raw_len, codecs });
                out.columns.len() - 1
            });
            let summary = &mut out.columns[at];
            summary.frames += 1;
            summary.len += u64::from(column.len);
            summary.raw_len += u64::from(column.raw_len);
            let codec = if column.kind.is_paged() { "pages" } else { column.codec.name() };
            if !summary.codecs.contains(&codec) {
                summary.codecs.push(codec);
            }
        }
    }
    out.columns.sort_by_key(|c| c.kind);
    out
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, file_bytes, tenants, frames, blocks, rows, line_bytes, range, .. } = self;
        writeln!(f, "pack, format version {version}, {file_bytes} bytes")?;
        writeln!(f, "{tenants} tenants, {frames} frames, {blocks} blocks, {rows} rows, {line_bytes} bytes of lines")?;
        if *rows > 0 {
            writeln!(f, "times {} to {} ns", range.min, range.max)?;
        }
        writeln!(f, "\n{:<20} {:>12} {:>12} {:>12} {:>8}  codec", "section", "offset", "stored", "raw", "ratio")?;
        for s in &self.sections {
            let (name, ratio) = (s.kind.to_string(), Ratio(s.len, s.raw_len));
            let required = if s.required { ", required" } else { "" };
            let (offset, len, raw_len, codec) = (s.offset, s.len, s.raw_len, s.codec);
            writeln!(f, "{name:<20} {offset:>12} {len:>12} {raw_len:>12} {ratio:>8}  {codec}{required}")?;
        }
        writeln!(f, "\n{:<20} {:>12} {:>12} {:>12} {:>8}  codecs", "column", "frames", "stored", "raw", "ratio")?;
        for c in &self.columns {
            let (name, ratio, codecs) = (c.kind.name(), Ratio(c.len, c.raw_len), c.codecs.join(", "));
            writeln!(f, "{name:<20} {:>12} {:>12} {:>12} {ratio:>8}  {codecs}", c.frames, c.len, c.raw_len)?;
        }
        Ok(())
    }
}

/// Stored by raw bytes.
struct Ratio(u64, u64);

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == 0 { f.pad("-") } else { f.pad(&format!("{:.3}", self.0 as f64 / self.1 as f64)) }
    }
}
