//! One frame: the rows on their way in, and its encoding as a pure function.

use bytes::Bytes;
use narvi_types::Labels;

use crate::{BlockPlace, ChunkError, FrameInfo, PackOptions, Result, Rows};

/// The rows of one frame before they are encoded.
#[derive(Clone, Debug, Default)]
pub struct FrameRows {}

impl FrameRows {
    /// Makes an empty frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends rows of one stream as a block; each line is copied once. The place is that in frame 0.
    ///
    /// # Errors
    /// Rows not sorted by timestamp, a line or metadata above the format's limits. Nothing is appended then.
    pub fn push<R: Rows + ?Sized>(
        &mut self,
        labels: &Labels,
        rows: &R,
        range: std::ops::Range<usize>,
    ) -> Result<BlockPlace> {
        let _ = (labels, rows, range);
        Err(ChunkError::NoTenant)
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        0
    }

    /// Bytes of the lines so far.
    pub fn line_bytes(&self) -> usize {
        0
    }
}

/// A frame ready to be put into a pack.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    /// The stored columns, one after the other.
    pub bytes: Bytes,
    /// The frame's entry; `tenant` and `offset` are set by the pack that takes it.
    pub info: FrameInfo,
}

/// Encodes a frame. A pure function of its arguments, so frames can be encoded on many threads and then handed to
/// [`PackWriter::push_frame`](crate::PackWriter::push_frame) in order.
///
/// # Errors
/// The compressor failed.
pub fn encode_frame(rows: &FrameRows, options: &PackOptions) -> Result<EncodedFrame> {
    let _ = (rows, options);
    Err(ChunkError::NoTenant)
}
