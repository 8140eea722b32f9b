//! Segments of the write-ahead log; as given, and with right checksums.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narvi::inspect_wal;
use narvi_fuzz::repair_wal;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    for _ in 0..2 {
        if let Ok(found) = inspect_wal(&bytes) {
            assert!(found.torn_bytes <= bytes.len() as u64 && found.line_bytes <= bytes.len() as u64);
            assert!(found.records <= bytes.len() as u64 / 20);
        }
        repair_wal(&mut bytes);
    }
});
