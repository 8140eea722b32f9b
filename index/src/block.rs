//! The block reference: where the rows of one stream lie, and their summary.

use narvi_types::TimeRange;

/// Where a block lies, and the summary that lets a query count it without opening its pack. Complete by nature: a field
/// more is a new format version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct BlockRef {
    /// The pack: an index into the table's list of pack names ([`crate::Table::packs`]).
    pub pack: u32,
    /// The frame within the pack.
    pub frame: u32,
    /// The first row within the frame.
    pub first_row: u32,
    /// Number of rows; `first_row + rows` fits 32 bits.
    pub rows: u32,
    /// Bytes of all lines, before any compression.
    pub line_bytes: u64,
    /// First and last timestamp, both inside; never empty.
    pub range: TimeRange,
    /// The set of structured metadata keys that the rows carry: an id to ask [`crate::Part::key_set`] for. 0 is the empty
    /// set. While building, an id that [`crate::TableBuilder::key_set`] gave.
    pub metadata_keys: u32,
}

impl BlockRef {
    /// The order in which a series' blocks stand: by time, then place.
    pub(crate) fn sort_key(&self) -> (i64, i64, u32, u32, u32) {
        (self.range.min, self.range.max, self.pack, self.frame, self.first_row)
    }
}
