//! Settings of the writer and limits of the reader: plain data.

use crate::{
    ChunkError, Codec, Result,
    format::{MAX_FRAME_BYTES, MAX_FRAME_ROWS, MAX_LINE_BYTES, MAX_PAGE_ROWS, MAX_PAIRS_BYTES},
};

/// How columns are compressed when they are written. A column that does not shrink is stored as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all; numbers are bit-packed all the same.
    None,
    /// Snappy, the raw block format.
    Snappy,
    /// LZ4, the block format.
    Lz4,
    /// Zstandard of that level, -7 to 22; 1 to 3 are meant for writing, more for compaction.
    Zstd(i32),
}

impl Compression {
    /// The codec that readers will need.
    pub fn codec(self) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Snappy => Codec::Snappy,
            Self::Lz4 => Codec::Lz4,
            Self::Zstd(_) => Codec::Zstd,
        }
    }
}

/// How a pack is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct PackOptions {
    /// Compression of the columns.
    pub compression: Compression,
    /// Bytes of lines (or of metadata, or of labels) after which a frame is closed.
    pub frame_bytes: u32,
    /// Rows after which a frame is closed.
    pub frame_rows: u32,
    /// Rows in a page of timestamps or lengths, the least that is decoded at once.
    pub page_rows: u32,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { compression: Compression::Zstd(1), frame_bytes: 1 << 20, frame_rows: 1 << 18, page_rows: 4096 }
    }
}

impl PackOptions {
    /// Checks every setting against what the format can hold.
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |name, value: u32, max: u32| {
            Err(ChunkError::BadOption { name, value: value.into(), min: 1, max: max.into() })
        };
        if let Compression::Zstd(level) = self.compression
            && !(-7..=22).contains(&level)
        {
            return Err(ChunkError::BadOption { name: "zstd level", value: level.into(), min: -7, max: 22 });
        }
        match self {
            s if s.frame_bytes == 0 || s.frame_bytes > MAX_FRAME_BYTES => {
                bad("frame_bytes", s.frame_bytes, MAX_FRAME_BYTES)
            }
            s if s.frame_rows == 0 || s.frame_rows > MAX_FRAME_ROWS => bad("frame_rows", s.frame_rows, MAX_FRAME_ROWS),
            s if s.page_rows == 0 || s.page_rows > MAX_PAGE_ROWS => bad("page_rows", s.page_rows, MAX_PAGE_ROWS),
            _ => Ok(()),
        }
    }
}

/// How much a reader may allocate for one piece of a pack. The defaults admit everything that a [`PackWriter`](crate::PackWriter)
/// (crate::PackWriter) writes; a host short of memory may set less and then gets [`ChunkError::TooLarge`] for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct DecodeLimits {
    /// Most bytes that one decoded column may take (lines; expanded metadata; expanded labels).
    pub max_column_bytes: u64,
    /// Most rows in one frame.
    pub max_frame_rows: u32,
    /// Most bytes of the decoded directory, and of one decoded section beside the frames.
    pub max_directory_bytes: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_column_bytes: 2 * (u64::from(MAX_FRAME_BYTES) + MAX_LINE_BYTES as u64 + MAX_PAIRS_BYTES as u64),
            max_frame_rows: MAX_FRAME_ROWS,
            max_directory_bytes: 256 << 20,
        }
    }
}
