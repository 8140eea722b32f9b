//! Writes packs: collects rows into frames, encodes them, and ends with the directory.

use std::sync::Arc;

use bytes::Bytes;
use narvi_types::{Labels, TimeRange};

use crate::{ChunkError, EncodedFrame, PackOptions, Result, Rows, SectionKind};

/// Where a block was put, and its summary for the index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockPlace {
    /// Number of the frame in the pack.
    pub frame: u32,
    /// First row in the frame.
    pub first_row: u32,
    /// How many rows.
    pub rows: u32,
    /// Bytes of the lines.
    pub line_bytes: u64,
    /// Oldest and newest timestamp.
    pub range: TimeRange,
    /// Names of all metadata keys in the block, sorted, each once. Blocks with the same keys share the list.
    pub metadata_keys: Arc<[Arc<str>]>,
}

/// Writes one pack. Memory: the open frame uncompressed, closed frames compressed until they are drained.
#[derive(Debug)]
pub struct PackWriter {
    options: PackOptions,
}

impl PackWriter {
    /// Starts a pack.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn new(options: PackOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { options })
    }

    /// Starts a tenant's part; the open frame is closed. Naming the current tenant again does nothing. A tenant that gets
    /// no rows leaves no trace.
    ///
    /// # Errors
    /// The tenant was written before, with another one since; the open frame cannot be encoded.
    pub fn tenant(&mut self, name: &str) -> Result<()> {
        let _ = name;
        Ok(())
    }

    /// Appends rows of one stream, sorted by timestamp. A block that is large is split over several frames; then several
    /// places are given, in row order. No rows give no place. For good compression, come sorted by labels.
    ///
    /// # Errors
    /// No tenant, rows not sorted, a line or metadata above the format's limits (nothing is appended then), or a frame
    /// that cannot be encoded (the pack is then of no use).
    pub fn block<R: Rows + ?Sized>(&mut self, labels: &Labels, rows: &R) -> Result<Vec<BlockPlace>> {
        let _ = (labels, rows, &self.options);
        Err(ChunkError::NoTenant)
    }

    /// Appends a frame that was encoded elsewhere to the current tenant's part, and gives its number; the open frame is
    /// closed before.
    ///
    /// # Errors
    /// No tenant; the open frame cannot be encoded.
    pub fn push_frame(&mut self, frame: EncodedFrame) -> Result<u32> {
        let _ = frame;
        Err(ChunkError::NoTenant)
    }

    /// Adds a section beside the frames; it is written after them.
    ///
    /// # Errors
    /// The compressor failed.
    pub fn section(&mut self, kind: SectionKind, required: bool, raw: &[u8]) -> Result<()> {
        let _ = (kind, required, raw);
        Ok(())
    }

    /// Bytes of lines appended so far.
    pub fn line_bytes(&self) -> u64 {
        0
    }

    /// Bytes of the pack made so far (without the open frame and the directory), drained or not.
    pub fn stored_bytes(&self) -> u64 {
        0
    }

    /// Takes the bytes that are ready, in file order, so that they can be written out and forgotten.
    pub fn drain(&mut self) -> Vec<Bytes> {
        Vec::new()
    }

    /// Closes the open frame, writes the directory, and gives all bytes that were not drained, in file order.
    ///
    /// # Errors
    /// The compressor failed.
    pub fn finish(self) -> Result<Vec<Bytes>> {
        Ok(Vec::new())
    }
}
