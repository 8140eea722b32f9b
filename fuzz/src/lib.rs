//! What fuzz targets share: checksums that are made right again. Without that, hardly an input would come past the
//! checksums of our formats to the decoders behind them.
#![forbid(unsafe_code)]

mod cuts;
mod index;
mod pack;

pub use crate::{cuts::Queries, index::repair_table, pack::repair_pack};

/// The number in the little-endian bytes at `at`, if they are there.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?)).ok()
}

fn put_crc(bytes: &mut [u8], at: usize, crc: u32) -> Option<()> {
    bytes.get_mut(at..at.checked_add(4)?)?.copy_from_slice(&crc.to_le_bytes());
    Some(())
}

/// Makes the last four bytes the checksum of all before them, as a manifest has it.
pub fn repair_manifest(bytes: &mut [u8]) {
    if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
        *crc = crc32fast::hash(body).to_le_bytes();
    }
}

/// Bytes of a segment's head and of a record's.
const SEGMENT_HEAD: usize = 32;
const RECORD_HEAD: usize = 20;

/// Makes the checksums of a segment of the write-ahead log right: of its head, and of the records that follow it, as long
/// as each begins where the one before ends.
pub fn repair_wal(bytes: &mut [u8]) {
    let _ = wal(bytes);
}

fn wal(bytes: &mut [u8]) -> Option<()> {
    let crc = crc32fast::hash(bytes.get(..SEGMENT_HEAD - 4)?);
    put_crc(bytes, SEGMENT_HEAD - 4, crc)?;
    let (writer, generation) = (u64_at(bytes, 12)? as u64, u64_at(bytes, 20)? as u64);
    let salt = (writer ^ generation.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let mut at = SEGMENT_HEAD;
    loop {
        let payload = at + RECORD_HEAD;
        let len = u32_at(bytes, at + 4)? as usize;
        // A record that is cut off is seldom of interest: it takes what is left.
        let len = len.min(bytes.len().checked_sub(payload)?);
        bytes.get_mut(at + 4..at + 8)?.copy_from_slice(&(len as u32).to_le_bytes());
        let crc = crc32fast::hash(bytes.get(payload..payload + len)?);
        put_crc(bytes, at + 12, crc)?;
        let mut head = crc32fast::Hasher::new();
        head.update(&salt.to_le_bytes());
        head.update(bytes.get(at..at + 16)?);
        put_crc(bytes, at + 16, head.finalize())?;
        at = payload + len;
    }
}

/// The queries whose plans the target for partial results knows; the number of one is the first byte of an input.
pub const PARTIAL_QUERIES: [&str; 10] = [
    r#"{a="b"}"#,
    r#"{a="b"} | json"#,
    r#"count_over_time({a="b"}[5m])"#,
    r#"sum by (x) (rate({a="b"} | json [5m]))"#,
    r#"avg_over_time({a="b"} | json | unwrap x [5m]) by (y)"#,
    r#"quantile_over_time(0.9, {a="b"} | json | unwrap x [5m]) by (y)"#,
    r#"topk(2, sum by (x) (count_over_time({a="b"} | json [5m])))"#,
    r#"first_over_time({a="b"} | json | unwrap x [5m])"#,
    r#"stddev_over_time({a="b"} | json | unwrap x [5m])"#,
    r#"rate_counter({a="b"} | json | unwrap x [5m])"#,
];
