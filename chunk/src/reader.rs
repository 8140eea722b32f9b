//! Reads the columns of one frame, each when it is first asked for.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use narvi_types::{Labels, Metadata};

use crate::{ChunkError, ColumnKind, FrameInfo, Pack, ReadAt, Result};

/// The metadata of a frame's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataColumn {
    /// The distinct sets of pairs; the empty set is among them if a row has no metadata.
    pub sets: Vec<Metadata>,
    /// For each row of the frame, the number of its set; always less than `sets.len()`.
    pub ids: Vec<u32>,
}

impl MetadataColumn {
    /// The metadata of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &Metadata {
        &self.sets[self.ids[row] as usize]
    }
}

/// One frame, read column by column. Decoded columns other than timestamps are kept, so asking again is free; share a
/// reader between threads or make one per query.
#[derive(Debug)]
pub struct FrameReader<R> {
    pack: Pack,
    input: R,
}

impl<R: ReadAt> FrameReader<R> {
    /// Makes a reader; reads nothing yet.
    ///
    /// # Errors
    /// There is no such frame.
    pub fn new(pack: &Pack, frame: u32, input: R) -> Result<Self> {
        pack.frame(frame)?;
        Ok(Self { pack: pack.clone(), input })
    }

    /// The frame's entry in the directory.
    pub fn info(&self) -> &FrameInfo {
        let _ = &self.input;
        self.pack.frame(0).expect("checked in new")
    }

    /// Reads the stored bytes of several columns in one positioned read (with what lies between them), for later use.
    /// Absent columns are skipped. Without this, each column is one read when it is first asked for.
    ///
    /// # Errors
    /// The bytes cannot be read.
    pub fn prefetch(&self, columns: &[ColumnKind]) -> Result<()> {
        let _ = columns;
        Ok(())
    }

    /// Decodes the timestamps of some rows; reads and decodes only the pages that hold them.
    ///
    /// # Errors
    /// The rows do not exist; the pages cannot be read or are damaged.
    pub fn timestamps(&self, rows: Range<u32>) -> Result<Vec<i64>> {
        let _ = rows;
        Err(ChunkError::NoTenant)
    }

    /// Decodes the line lengths of some rows; reads and decodes only the pages that hold them.
    ///
    /// # Errors
    /// As [`FrameReader::timestamps`].
    pub fn lengths(&self, rows: Range<u32>) -> Result<Vec<u32>> {
        let _ = rows;
        Err(ChunkError::NoTenant)
    }

    /// The bytes of all lines, one after the other.
    ///
    /// # Errors
    /// The column cannot be read, is damaged or is above the limits.
    pub fn lines(&self) -> Result<Bytes> {
        Err(ChunkError::NoTenant)
    }

    /// Where each line begins in [`FrameReader::lines`], and at last where the last one ends: one more than there are
    /// rows, ascending, the last equal to the length of the buffer.
    ///
    /// # Errors
    /// As [`FrameReader::lengths`].
    pub fn offsets(&self) -> Result<Arc<[u32]>> {
        Err(ChunkError::NoTenant)
    }

    /// The structured metadata; `None` when no row of the frame has any.
    ///
    /// # Errors
    /// The column cannot be read, is damaged or is above the limits.
    pub fn metadata(&self) -> Result<Option<Arc<MetadataColumn>>> {
        Err(ChunkError::NoTenant)
    }

    /// Labels and number of rows of each block, in row order.
    ///
    /// # Errors
    /// The column cannot be read, is damaged or is above the limits.
    pub fn streams(&self) -> Result<Vec<(Labels, u32)>> {
        Err(ChunkError::NoTenant)
    }
}
