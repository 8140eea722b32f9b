//! The rows of one frame of a pack as a part of a query.

use std::{cell::OnceCell, sync::Arc};

use bytes::Bytes;
use narvi_chunk::ColumnKind;
use narvi_logql::{Batch, Budget, Charge, Columns, Lines, MetadataColumn, Part, Segment, SourceError};
use narvi_types::TimeRange;

use super::{
    catalog::Catalog,
    chunk_error,
    dead::repeated,
    packs::{OpenFrame, Packs},
    rows::{COMPARED, Content, StreamRows},
};
use crate::deletes::{Judge, RowCuts};

/// The wanted blocks of one frame.
#[derive(Debug)]
pub(crate) struct FramePart {
    /// Keeps the manifest that names the pack: while a reader holds it, the pack is not deleted.
    pub(crate) _catalog: Arc<dyn Catalog>,
    pub(crate) packs: Arc<Packs>,
    pub(crate) pack: Arc<str>,
    pub(crate) frame: u32,
    pub(crate) range: TimeRange,
    pub(crate) columns: Columns,
    /// By first row.
    pub(crate) segments: Vec<Segment>,
    /// Whether later places are compared with it.
    pub(crate) compared: bool,
    /// For segments that are not exact, by index: the earlier places that share times with it.
    pub(crate) earlier: Vec<(usize, Vec<StreamRows>)>,
    /// For segments that are not exact, by index: what hides rows.
    pub(crate) cuts: Vec<(usize, RowCuts)>,
}

impl Part for FramePart {
    fn range(&self) -> TimeRange {
        self.range
    }

    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn open(&self, budget: &Budget) -> Result<Box<dyn Batch + '_>, SourceError> {
        let shared = self.compared || !self.earlier.is_empty();
        let frame = match shared {
            true => self.packs.shared_frame(&self.pack, self.frame, &COMPARED)?,
            false => self.packs.frame(&self.pack, self.frame)?,
        };
        let rows = frame.reader.info().rows;
        // The index and the pack may disagree when one of them is damaged.
        if self.segments.iter().any(|s| s.rows.end > rows) {
            let message = format!(
                "{} is damaged: frame {} has {rows} rows, the index refers to row {}",
                frame.open.key,
                self.frame,
                self.segments.iter().map(|s| s.rows.end).max().unwrap_or(0),
            );
            return Err(SourceError::Corrupt(message));
        }
        if !shared {
            frame.prefetch(&wanted(self.columns))?;
        }
        let charge = budget.charge(0)?;
        Ok(Box::new(FrameBatch {
            part: self,
            budget: budget.clone(),
            charge: std::cell::RefCell::new(charge),
            rows,
            frame,
            timestamps: OnceCell::new(),
            lengths: OnceCell::new(),
            offsets: OnceCell::new(),
            buffer: OnceCell::new(),
            metadata: OnceCell::new(),
            dead: OnceCell::new(),
        }))
    }
}

fn wanted(columns: Columns) -> Vec<ColumnKind> {
    let mut kinds = Vec::new();
    if columns.timestamps {
        kinds.push(ColumnKind::Timestamps);
    }
    if columns.lengths || columns.lines {
        kinds.push(ColumnKind::Lengths);
    }
    if columns.lines {
        kinds.push(ColumnKind::Lines);
    }
    if columns.metadata {
        kinds.push(ColumnKind::Metadata);
    }
    kinds
}

struct FrameBatch<'a> {
    part: &'a FramePart,
    budget: Budget,
    charge: std::cell::RefCell<Charge>,
    rows: u32,
    frame: Arc<OpenFrame>,
    timestamps: OnceCell<Vec<i64>>,
    lengths: OnceCell<Vec<u32>>,
    offsets: OnceCell<Arc<[u32]>>,
    buffer: OnceCell<Bytes>,
    metadata: OnceCell<Option<MetadataColumn>>,
    dead: OnceCell<Vec<u32>>,
}

/// `OnceCell::get_or_try_init`, which is not stable yet.
fn init<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T, SourceError>) -> Result<&T, SourceError> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

impl FrameBatch<'_> {
    fn grow(&self, bytes: u64) -> Result<(), SourceError> {
        Ok(self.charge.borrow_mut().grow(bytes)?)
    }

    fn failed(&self) -> impl Fn(narvi_chunk::ChunkError) -> SourceError + '_ {
        |error| chunk_error(&self.frame.open.key, &error)
    }

    fn offsets(&self) -> Result<&Arc<[u32]>, SourceError> {
        init(&self.offsets, || {
            self.grow(4 * u64::from(self.rows))?;
            self.frame.reader.offsets().map_err(self.failed())
        })
    }

    fn find_dead(&self) -> Result<Vec<u32>, SourceError> {
        let mut dead = Vec::new();
        for (at, earlier) in &self.part.earlier {
            let Some(segment) = self.part.segments.get(*at) else { continue };
            let rows = segment.rows.clone();
            let times = self.timestamps()?;
            let own: Vec<_> = rows.filter_map(|row| Some((*times.get(row as usize)?, row))).collect();
            let content = || Content::of_frame(&self.frame);
            dead.extend(repeated(&own, &content, earlier, &self.part.packs)?);
        }
        let mut judge = Judge::new(&self.budget);
        for (at, cuts) in &self.part.cuts {
            let Some(segment) = self.part.segments.get(*at) else { continue };
            cuts.dead(&mut judge, self, segment, &mut dead)?;
        }
        dead.sort_unstable();
        dead.dedup();
        Ok(dead)
    }
}

impl Batch for FrameBatch<'_> {
    fn timestamps(&self) -> Result<&[i64], SourceError> {
        Ok(init(&self.timestamps, || {
            self.grow(8 * u64::from(self.rows))?;
            self.frame.reader.timestamps(0..self.rows).map_err(self.failed())
        })?)
    }

    fn lengths(&self) -> Result<&[u32], SourceError> {
        Ok(init(&self.lengths, || {
            self.grow(4 * u64::from(self.rows))?;
            self.frame.reader.lengths(0..self.rows).map_err(self.failed())
        })?)
    }

    fn lines(&self) -> Result<Lines<'_>, SourceError> {
        let buffer = init(&self.buffer, || {
            let bytes = u64::from(self.frame.reader.info().line_bytes);
            self.grow(bytes)?;
            self.budget.read(bytes, u64::from(self.rows))?;
            self.frame.reader.lines().map_err(self.failed())
        })?;
        let lengths = self.lengths()?;
        let offsets = self.offsets()?;
        let starts = offsets.get(..lengths.len()).unwrap_or(&[]);
        Ok(Lines { buffer, starts, lengths, contiguous: true })
    }

    fn metadata(&self) -> Result<Option<&MetadataColumn>, SourceError> {
        let column = init(&self.metadata, || {
            let Some(column) = self.frame.reader.metadata().map_err(self.failed())? else { return Ok(None) };
            let text: usize = column.sets.iter().map(|set| set.packed().len() + 24).sum();
            self.grow(text as u64 + 4 * column.ids.len() as u64)?;
            Ok(Some(MetadataColumn { sets: column.sets.clone(), ids: column.ids.clone() }))
        })?;
        Ok(column.as_ref())
    }

    fn dead_rows(&self) -> Result<&[u32], SourceError> {
        if self.part.earlier.is_empty() && self.part.cuts.is_empty() {
            return Ok(&[]);
        }
        Ok(init(&self.dead, || self.find_dead())?)
    }
}
