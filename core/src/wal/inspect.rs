//! What a segment of the write-ahead log holds, for people and for checks.

use std::{collections::BTreeSet, io::Cursor, path::Path};

use narvi_types::TimeRange;

use super::{replay::replay_from, segment::SegmentHead};
use crate::Result;

/// The contents of one segment, as [`inspect_wal`] found them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WalSummary {
    /// Format version, writer and generation, unless the segment's head is damaged.
    pub head: Option<(u16, u64, u64)>,
    /// Whole records.
    pub records: u64,
    /// Distinct tenants of these records.
    pub tenants: u64,
    /// Rows, duplicates included.
    pub rows: u64,
    /// Bytes of their lines.
    pub line_bytes: u64,
    /// First and last time of the rows.
    pub range: TimeRange,
    /// Damage found, one sentence each; empty for a torn tail.
    pub damage: Vec<String>,
    /// Bytes behind the last whole record, of a record that was never acknowledged.
    pub torn_bytes: u64,
}

/// Reads the bytes of a segment, every record that is whole, as opening a database would. Without a sound head no record is
/// found: what tells records from pushed bytes is derived from it.
///
/// # Errors
/// A version that this build does not read.
pub fn inspect_wal(bytes: &[u8]) -> Result<WalSummary> {
    let head = SegmentHead::decode(bytes).map(|head| (head.version, head.writer.0, head.generation));
    let (mut tenants, mut rows, mut line_bytes, mut range) = (BTreeSet::new(), 0, 0, TimeRange::EMPTY);
    let replayed =
        replay_from(Cursor::new(bytes), bytes.len() as u64, Path::new("(in memory)"), 0, &mut |tenant, streams| {
            tenants.insert(tenant);
            for entry in streams.iter().flat_map(|stream| &stream.entries) {
                let ts = entry.timestamp.as_ns();
                rows += 1;
                line_bytes += entry.line.len() as u64;
                range = range.cover(&TimeRange::new(ts, ts));
            }
        })?;
    let (records, damage, torn_bytes) = (replayed.records, replayed.damage, replayed.torn_bytes);
    Ok(WalSummary { head, records, tenants: tenants.len() as u64, rows, line_bytes, range, damage, torn_bytes })
}

#[cfg(test)]
mod tests {
    use super::inspect_wal;

    #[test]
    fn a_segment_is_summed_up() {
        let golden = include_bytes!("../../tests/golden/wal-v0.bin");
        let whole = inspect_wal(golden).expect("readable");
        assert!(whole.head.is_some() && whole.records > 0 && whole.rows >= whole.records, "{whole:?}");
        assert!(whole.damage.is_empty() && whole.torn_bytes == 0, "{whole:?}");
        let cut = inspect_wal(&golden[..golden.len() - 1]).expect("readable");
        assert_eq!(cut.records, whole.records - 1);
        assert!(cut.torn_bytes > 0);
    }
}
