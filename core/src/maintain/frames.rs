//! Reads the frames of the packs of one input, one after the other.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use narvi_chunk::{ColumnKind, FrameReader, MetadataColumn};
use narvi_index::BlockRef;
use narvi_logql::{self as logql, Batch, Lines, Segment, SourceError};
use narvi_types::{Labels, Metadata, Tenant};

use super::{ahead::Ahead, inputs::Input, stop::Stop, switch::Switch};
use crate::{
    Error, ErrorKind,
    deletes::{Judge, RowCuts},
    read::Packs,
};

/// A frame with all its columns.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) times: Vec<i64>,
    lines: Bytes,
    /// One more than there are rows.
    offsets: Arc<[u32]>,
    metadata: Option<Arc<MetadataColumn>>,
    /// What only filters need, made when first asked for.
    columns: OnceLock<Columns>,
}

/// Columns of a frame as filters read them.
#[derive(Debug)]
struct Columns {
    lengths: Vec<u32>,
    metadata: Option<logql::MetadataColumn>,
    metadata_keys: Arc<[Arc<str>]>,
}

impl Frame {
    pub(super) fn line(&self, row: usize) -> &[u8] {
        self.lines(row..row + 1).0
    }

    /// The lines of some rows as one piece, and where each one ends in it.
    pub(super) fn lines(&self, rows: Range<usize>) -> (&[u8], impl Iterator<Item = usize> + '_) {
        let offsets = self.offsets.get(rows.start..=rows.end).unwrap_or(&[]);
        let start = offsets.first().map_or(0, |start| *start as usize);
        let end = offsets.last().map_or(start, |end| *end as usize);
        let ends = offsets.get(1..).unwrap_or(&[]).iter().map(move |end| *end as usize - start);
        (self.lines.get(start..end).unwrap_or(&[]), ends)
    }

    /// How many rows from `start` on equal those of another frame from `other_start` on, in time, line and metadata; at most
    /// `most`, which both have.
    pub(super) fn same_rows(&self, start: usize, other: &Self, other_start: usize, most: usize) -> usize {
        let own = self.times.get(start..start + most).unwrap_or(&[]);
        let theirs = other.times.get(other_start..other_start + most).unwrap_or(&[]);
        let mut same = own.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        let length = |frame: &Self, row: usize| match frame.offsets.get(row..row + 2) {
            Some(&[from, to]) => to.checked_sub(from),
            _ => None,
        };
        let lengths = |row: &usize| {
            let own = length(self, start + row);
            own.is_some() && own == length(other, other_start + row)
        };
        same = (0..same).take_while(lengths).count();
        let (own, ends) = self.lines(start..start + same);
        let (theirs, _) = other.lines(other_start..other_start + same);
        if own != theirs {
            let first = own.iter().zip(theirs).take_while(|(a, b)| a == b).count();
            same = ends.take_while(|end| *end <= first).count();
        }
        if self.has_metadata() || other.has_metadata() {
            let equal = |row: &usize| self.metadata(start + row) == other.metadata(other_start + row);
            same = (0..same).take_while(equal).count();
        }
        same
    }

    /// The metadata of a row, if it has any.
    pub(super) fn metadata(&self, row: usize) -> Option<&Metadata> {
        let column = self.metadata.as_ref()?;
        let set = column.sets.get(*column.ids.get(row)? as usize);
        set.filter(|set| !set.is_empty())
    }

    /// Whether a row has metadata at all.
    pub(super) fn has_metadata(&self) -> bool {
        self.metadata.is_some()
    }

    /// The dead rows of a block of a stream, ascending.
    pub(super) fn dead(
        &self,
        labels: &Labels,
        block: &BlockRef,
        cuts: &RowCuts,
        judge: &mut Judge,
    ) -> Result<Vec<u32>, Stop> {
        let rows = block.first_row..block.first_row + block.rows;
        let mut segment = Segment::new(labels.clone(), rows, block.range, block.line_bytes);
        segment.metadata_keys = self.columns().metadata_keys.clone();
        let mut dead = Vec::new();
        cuts.dead(judge, self, &segment, &mut dead).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("cannot tell which rows are deleted: {error}"))
        })?;
        dead.sort_unstable();
        dead.dedup();
        Ok(dead)
    }

    fn columns(&self) -> &Columns {
        self.columns.get_or_init(|| {
            let metadata = self.metadata.as_deref();
            let sets = metadata.into_iter().flat_map(|column| &column.sets);
            let names = sets.flat_map(|set| set.iter().map(|(name, _)| name));
            let names: BTreeSet<&str> = names.collect();
            Columns {
                lengths: self.offsets.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect(),
                metadata: metadata
                    .map(|column| logql::MetadataColumn { sets: column.sets.clone(), ids: column.ids.clone() }),
                metadata_keys: names.into_iter().map(Arc::from).collect(),
            }
        })
    }
}

impl Batch for Frame {
    fn timestamps(&self) -> Result<&[i64], SourceError> {
        Ok(&self.times)
    }

    fn lengths(&self) -> Result<&[u32], SourceError> {
        Ok(&self.columns().lengths)
    }

    fn lines(&self) -> Result<Lines<'_>, SourceError> {
        let lengths = &self.columns().lengths;
        let starts = self.offsets.get(..lengths.len()).unwrap_or(&[]);
        Ok(Lines { buffer: &self.lines, starts, lengths, contiguous: true })
    }

    fn metadata(&self) -> Result<Option<&logql::MetadataColumn>, SourceError> {
        Ok(self.columns().metadata.as_ref())
    }

    fn dead_rows(&self) -> Result<&[u32], SourceError> {
        Ok(&[])
    }
}

/// The frames of one input. Keeps the last one: blocks are asked for in the order in which they lie in the packs.
pub(super) struct Frames<'a> {
    input: &'a Input,
    packs: &'a Packs,
    switch: &'a Switch,
    /// Bytes that may be fetched in advance.
    ahead_bytes: usize,
    /// The pack that is being read.
    pack: Option<(u32, Arc<Ahead>)>,
    last: Option<(u32, u32, Arc<Frame>)>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(input: &'a Input, packs: &'a Packs, switch: &'a Switch, ahead_bytes: usize) -> Self {
        Self { input, packs, switch, ahead_bytes, pack: None, last: None }
    }

    /// The frame of a block of a tenant.
    ///
    /// # Errors
    /// The pack is damaged or not what the index says; it cannot be reached; the database is being closed.
    pub(super) fn of_block(&mut self, tenant: &Tenant, block: &BlockRef) -> Result<Arc<Frame>, Stop> {
        let frame = match &self.last {
            Some((pack, number, frame)) if (*pack, *number) == (block.pack, block.frame) => frame.clone(),
            _ => {
                // The old one goes first: at most one frame of each input is held, and one that is being merged.
                self.last = None;
                let frame = Arc::new(self.read(tenant, block)?);
                self.last = Some((block.pack, block.frame, frame.clone()));
                frame
            }
        };
        let rows = block.first_row as usize..block.first_row as usize + block.rows as usize;
        let times = frame.times.get(rows).unwrap_or(&[]);
        let (range, sorted) = (block.range, times.is_sorted());
        if !sorted || (times.first(), times.last()) != (Some(&range.min), Some(&range.max)) {
            let (table, number, row) = (&self.input.file.key, block.frame, block.first_row);
            let why = format!("the rows from {row} on of frame {number} are not those that {table} describes");
            return Err(self.damaged(block, &why));
        }
        Ok(frame)
    }

    fn read(&mut self, tenant: &Tenant, block: &BlockRef) -> Result<Frame, Stop> {
        self.switch.check()?;
        // Whoever waits for a processor goes first.
        std::thread::yield_now();
        let table = &self.input.file.key;
        let Some(key) = self.input.packs.get(block.pack as usize) else {
            return Err(Stop::damaged(table, format!("index table {table} refers to a pack that it does not name")));
        };
        let open = self.packs.open(key).map_err(|error| Stop::opening(table, error))?;
        let failed = |error| Stop::reading(table, key, error);
        let ahead = match &self.pack {
            Some((pack, ahead)) if *pack == block.pack => ahead.clone(),
            _ => Arc::new(Ahead::new(open.input.clone(), self.ahead_bytes)),
        };
        self.pack = Some((block.pack, ahead.clone()));
        let reader = FrameReader::new(&open.pack, block.frame, ahead).map_err(failed)?;
        let owner = open.pack.tenants().get(reader.info().tenant as usize).map(|owner| owner.name.as_str());
        if owner != Some(tenant.as_str()) {
            let why = format!("frame {} is not of tenant {tenant}, as {table} has it", block.frame);
            return Err(self.damaged(block, &why));
        }
        let all = [ColumnKind::Metadata, ColumnKind::Timestamps, ColumnKind::Lengths, ColumnKind::Lines];
        reader.prefetch(&all).map_err(failed)?;
        Ok(Frame {
            times: reader.timestamps(0..reader.info().rows).map_err(failed)?,
            lines: reader.lines().map_err(failed)?,
            offsets: reader.offsets().map_err(failed)?,
            metadata: reader.metadata().map_err(failed)?,
            columns: OnceLock::new(),
        })
    }

    fn damaged(&self, block: &BlockRef, why: &str) -> Stop {
        let pack = self.input.packs.get(block.pack as usize).map_or("?", |key| &**key);
        Stop::damaged(&self.input.file.key, format!("{pack} is damaged: {why}"))
    }
}
