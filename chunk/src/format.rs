//! The numbers of the format: magic, versions, section and column kinds, hard limits. `FORMAT.md` explains them.

use std::fmt;

/// The format that this crate writes. It stays 0, and may change without notice, until the first release.
pub const FORMAT_VERSION: u16 = 0;
/// The oldest format that this crate reads.
pub const OLDEST_READABLE_VERSION: u16 = 0;

/// Longest line that can be stored, in bytes.
pub const MAX_LINE_BYTES: usize = 64 << 20;
/// Most text (names and values) the metadata of one line, or the labels of one stream, may have, in bytes.
pub const MAX_PAIRS_BYTES: usize = 64 << 20;
/// Most rows that one frame can have.
pub const MAX_FRAME_ROWS: u32 = 1 << 20;
/// Largest setting of [`PackOptions::frame_bytes`](crate::PackOptions::frame_bytes).
pub const MAX_FRAME_BYTES: u32 = 64 << 20;
/// Largest setting of [`PackOptions::page_rows`](crate::PackOptions::page_rows).
pub const MAX_PAGE_ROWS: u32 = 1 << 16;

/// First bytes of a pack. The first byte is no text in any encoding that logs come in.
pub(crate) const HEAD_MAGIC: [u8; 6] = *b"\x93NRVP\n";
/// Magic (6), format version (2).
pub(crate) const HEAD_BYTES: usize = 8;
/// Last bytes of a pack.
pub(crate) const TAIL_MAGIC: [u8; 6] = *b"\nPVRN\x93";
/// Directory offset (8), stored length (4), raw length (4), crc32 (4), codec (1), zero (3), footer crc32 (4), version
/// (2), magic (6).
pub(crate) const TAIL_BYTES: usize = 36;
/// Bytes of the checksum that follows each stored column and page.
pub(crate) const CRC_BYTES: usize = 4;

/// What a section holds. Numbers that this version does not know are legal: see
/// [`SectionInfo::required`](crate::SectionInfo).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct SectionKind(pub u16);

impl SectionKind {
    /// The columns of all frames, one frame after the other.
    pub const FRAMES: Self = Self(1);
    /// Reserved: lines split into typed columns and templates.
    pub const TYPED_COLUMNS: Self = Self(2);
    /// Reserved: filters over the n-grams of each frame.
    pub const SKIP_FILTER: Self = Self(3);
    /// Reserved: rows that deletes have removed.
    pub const DELETIONS: Self = Self(4);
    /// Reserved: a compression dictionary shared by all frames.
    pub const DICTIONARY: Self = Self(5);

    /// A name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::FRAMES => "frames",
            Self::TYPED_COLUMNS => "typed columns",
            Self::SKIP_FILTER => "skip filter",
            Self::DELETIONS => "deletions",
            Self::DICTIONARY => "dictionary",
            _ => "unknown",
        }
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

/// What a column of a frame holds, in the order in which columns lie in the file: what is usually read together is
/// adjacent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ColumnKind {
    /// Labels and row count of each block.
    Streams,
    /// Structured metadata; absent when no row of the frame has any.
    Metadata,
    /// Timestamps, in pages.
    Timestamps,
    /// Line lengths, in pages.
    Lengths,
    /// The bytes of all lines.
    Lines,
    /// A column of a later version that this one may ignore.
    Other(u8),
}

impl ColumnKind {
    /// The number in the file. Numbers from 128 on are optional: a reader that does not know them skips them.
    pub fn number(self) -> u8 {
        match self {
            Self::Streams => 1,
            Self::Metadata => 2,
            Self::Timestamps => 3,
            Self::Lengths => 4,
            Self::Lines => 5,
            Self::Other(number) => number,
        }
    }

    /// The kind of that number; `None` if it is unknown and must be understood.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Streams,
            2 => Self::Metadata,
            3 => Self::Timestamps,
            4 => Self::Lengths,
            5 => Self::Lines,
            128.. => Self::Other(number),
            _ => return None,
        })
    }

    /// Whether the column lies in pages that can be read one by one.
    pub fn is_paged(self) -> bool {
        matches!(self, Self::Timestamps | Self::Lengths)
    }

    /// A name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Metadata => "metadata",
            Self::Timestamps => "timestamps",
            Self::Lengths => "lengths",
            Self::Lines => "lines",
            Self::Other(_) => "unknown",
        }
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
