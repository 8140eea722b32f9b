//! Rows of one stream wherever they lie, in time order: what duplicates are looked for in.

use std::sync::Arc;

use bytes::Bytes;
use narvi_chunk::ColumnKind;
use narvi_logql::SourceError;
use narvi_types::{Metadata, TimeRange};

use super::{
    chunk_error,
    packs::{OpenFrame, Packs},
};
use crate::head::HeadPiece;

/// What is read of rows to compare them.
pub(crate) const COMPARED: [ColumnKind; 4] =
    [ColumnKind::Timestamps, ColumnKind::Lengths, ColumnKind::Lines, ColumnKind::Metadata];

/// Rows of one stream: a block of a pack or a piece of a head.
#[derive(Clone, Debug)]
pub(crate) enum StreamRows {
    /// A block.
    Block {
        /// Key of its pack.
        pack: Arc<str>,
        /// Frame in the pack.
        frame: u32,
        /// First row in the frame.
        first_row: u32,
        /// How many rows.
        rows: u32,
        /// Their times.
        range: TimeRange,
    },
    /// A piece of a head.
    Head(Arc<HeadPiece>),
}

impl StreamRows {
    /// First and last time.
    pub(crate) fn range(&self) -> TimeRange {
        match self {
            Self::Block { range, .. } => *range,
            Self::Head(piece) => piece.range,
        }
    }

    /// The pack and the frame that they lie in, if it is one.
    pub(crate) fn frame(&self) -> Option<(Arc<str>, u32)> {
        match self {
            Self::Block { pack, frame, .. } => Some((pack.clone(), *frame)),
            Self::Head(_) => None,
        }
    }

    /// Reads what is needed to compare rows.
    pub(crate) fn open(&self, packs: &Packs) -> Result<OpenRows, SourceError> {
        Ok(match self {
            Self::Block { pack, frame, first_row, rows, .. } => {
                let frame = packs.shared_frame(pack, *frame, &COMPARED)?;
                OpenRows::Block { frame, first_row: *first_row, rows: *rows }
            }
            Self::Head(piece) => OpenRows::Head(piece.clone()),
        })
    }
}

/// [`StreamRows`] that can be looked into.
pub(crate) enum OpenRows {
    Block { frame: Arc<OpenFrame>, first_row: u32, rows: u32 },
    Head(Arc<HeadPiece>),
}

impl OpenRows {
    /// The rows whose time lies in a range, as (time, row), by time.
    pub(crate) fn times_in(&self, range: TimeRange) -> Result<Vec<(i64, u32)>, SourceError> {
        match self {
            Self::Block { frame, first_row, rows } => {
                let all = *first_row..first_row.saturating_add(*rows);
                let times = frame.reader.timestamps(all).map_err(|error| chunk_error(&frame.open.key, &error))?;
                let from = times.partition_point(|t| *t < range.min);
                let to = times.partition_point(|t| *t <= range.max);
                let times = times.get(from..to).unwrap_or(&[]);
                Ok((from as u32..).zip(times).map(|(row, t)| (*t, first_row + row)).collect())
            }
            Self::Head(piece) => {
                let rows = (0u32..).zip(&piece.timestamps).filter(|(_, t)| range.contains(**t));
                let mut rows: Vec<_> = rows.map(|(row, t)| (*t, row)).collect();
                if !piece.sorted {
                    rows.sort_unstable();
                }
                Ok(rows)
            }
        }
    }

    /// The lines and metadata of the rows.
    pub(crate) fn content(&self) -> Result<Content, SourceError> {
        Ok(match self {
            Self::Block { frame, .. } => Content::of_frame(frame)?,
            Self::Head(piece) => Content::Head(piece.clone()),
        })
    }
}

/// Lines and metadata by row.
pub(crate) enum Content {
    Block { buffer: Bytes, offsets: Arc<[u32]>, metadata: Option<Arc<narvi_chunk::MetadataColumn>> },
    Head(Arc<HeadPiece>),
}

impl Content {
    /// The lines and metadata of a frame.
    pub(crate) fn of_frame(frame: &OpenFrame) -> Result<Self, SourceError> {
        let (reader, failed) = (&frame.reader, |error| chunk_error(&frame.open.key, &error));
        Ok(Self::Block {
            buffer: reader.lines().map_err(failed)?,
            offsets: reader.offsets().map_err(failed)?,
            metadata: reader.metadata().map_err(failed)?,
        })
    }

    /// The line and the metadata of a row.
    pub(crate) fn row(&self, row: u32) -> (&[u8], Option<&Metadata>) {
        let row = row as usize;
        match self {
            Self::Block { buffer, offsets, metadata } => {
                let line = match offsets.get(row..row + 2) {
                    Some(&[from, to]) => buffer.get(from as usize..to as usize).unwrap_or(&[]),
                    _ => &[],
                };
                let set = metadata.as_ref().and_then(|column| column.sets.get(*column.ids.get(row)? as usize));
                (line, set.filter(|set| !set.is_empty()))
            }
            Self::Head(piece) => (piece.line(row), piece.row_metadata(row)),
        }
    }
}
