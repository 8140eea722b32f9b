//! The directory at the end of a pack: sections, tenants, frames and their columns.

use std::ops::Range;

use narvi_types::TimeRange;

use crate::{Codec, ColumnKind, SectionKind};

/// One section of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SectionInfo {
    /// What it holds.
    pub kind: SectionKind,
    /// Whether a reader that does not know the kind must refuse the pack.
    pub required: bool,
    /// How it is compressed. The frames section is not compressed as a whole: its columns are.
    pub codec: Codec,
    /// Where it begins in the pack.
    pub offset: u64,
    /// Stored bytes.
    pub len: u64,
    /// Bytes after decompression.
    pub raw_len: u64,
    /// crc32 (IEEE) of the stored bytes; zero for the frames section, whose columns have checksums of their own.
    pub crc32: u32,
}

/// One tenant's part of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantInfo {
    /// Name of the tenant.
    pub name: String,
    /// Its frames.
    pub frames: Range<u32>,
}

/// One frame of a pack, as the directory knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Number of the tenant in [`Pack::tenants`](crate::Pack::tenants).
    pub tenant: u32,
    /// Rows in the frame.
    pub rows: u32,
    /// Blocks in the frame.
    pub blocks: u32,
    /// Bytes of all lines, uncompressed, without line breaks.
    pub line_bytes: u32,
    /// Oldest and newest timestamp.
    pub range: TimeRange,
    /// Where the frame's columns begin in the pack.
    pub offset: u64,
    /// Its columns, in file order.
    pub columns: Vec<ColumnInfo>,
}

impl FrameInfo {
    /// The column of that kind, if the frame has it.
    pub fn column(&self, kind: ColumnKind) -> Option<&ColumnInfo> {
        self.columns.iter().find(|c| c.kind == kind)
    }

    /// Bytes that all columns take in the file, with their checksums.
    pub fn stored_bytes(&self) -> u64 {
        self.columns.iter().map(|c| u64::from(c.len)).sum()
    }
}

/// One column of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnInfo {
    /// What it holds.
    pub kind: ColumnKind,
    /// How it is compressed. Paged columns choose page by page; this is then the codec of the pack.
    pub codec: Codec,
    /// Where it begins, counted from the frame's first byte.
    pub offset: u32,
    /// Stored bytes, with checksums.
    pub len: u32,
    /// Bytes after decompression; for paged columns eight (timestamps) or four (lengths) per row.
    pub raw_len: u32,
    /// Stored bytes of each page, with checksum; empty for columns without pages.
    pub pages: Vec<u32>,
}
