//! Pages of timestamps: the first, then scaled differences as a page of integers.
//!
//! ```text
//! page:  first, zigzag varint | scale, varint (1 or more) | page of (rows - 1) integers (see `ints`)
//! ```
//! A timestamp is the one before it plus scale times the integer, modulo 2^64: the difference of two `i64` always has a
//! representation. The scale is the greatest common divisor, so that milliseconds cost no bits for nanoseconds.

use narvi_types::wire::{Reader, Writer};

use super::{ColumnError, ints};
use crate::{Compression, Result};

/// Appends a page of at least one timestamp.
pub(crate) fn encode(times: &[i64], compression: Compression, out: &mut Vec<u8>) -> Result<()> {
    let Some(first) = times.first() else { return Ok(()) };
    let mut deltas: Vec<i64> = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    // A divisor of 2^63 has no positive i64; it occurs only with i64::MIN and is not worth a special case.
    let scale = i64::try_from(common_divisor(&deltas)).unwrap_or(1).max(1);
    if scale > 1 {
        deltas.iter_mut().for_each(|delta| *delta /= scale);
    }
    out.put_zigzag(*first);
    out.put_varint(scale as u64);
    ints::encode(&deltas, compression, "timestamps", out)
}

/// Appends the `rows` timestamps of a page to `out`.
pub(crate) fn decode(page: &[u8], rows: usize, out: &mut Vec<i64>) -> std::result::Result<(), ColumnError> {
    let Some(deltas) = rows.checked_sub(1) else { return Ok(()) };
    let mut reader = Reader::new(page);
    let mut time = reader.zigzag("first timestamp")?;
    let scale = i64::try_from(reader.varint("scale")?).map_err(|_| "scale above 2^63")?;
    out.push(time);
    let start = out.len();
    ints::decode(reader.bytes(reader.remaining(), "page")?, deltas, out)?;
    for value in &mut out[start..] {
        time = time.wrapping_add(value.wrapping_mul(scale));
        *value = time;
    }
    Ok(())
}

/// The greatest common divisor of all values, 0 if all are 0. Stops as soon as it is 1; costs one division per value
/// once the divisor has settled.
fn common_divisor(values: &[i64]) -> u64 {
    let mut divisor = 0;
    for value in values {
        let (mut a, mut b) = (value.unsigned_abs(), divisor);
        if b != 0 && a % b == 0 {
            continue;
        }
        while b != 0 {
            (a, b) = (b, a % b);
        }
        divisor = a;
        if divisor == 1 {
            break;
        }
    }
    divisor
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decode, encode};
    use crate::Compression;

    fn check(times: &[i64]) -> usize {
        let mut page = Vec::new();
        encode(times, Compression::Zstd(1), &mut page).expect("encodes");
        let mut back = Vec::new();
        decode(&page, times.len(), &mut back).expect("decodes");
        assert_eq!(back, times);
        page.len()
    }

    proptest! {
        #[test]
        fn any_times_round_trip(times: Vec<i64>) {
            check(&times);
        }

        #[test]
        fn scaled_times_round_trip(start: i64, scale: i64, steps in proptest::collection::vec(-5..50_i64, 0..300)) {
            let mut time = start;
            check(&steps.iter().map(|s| { time = time.wrapping_add(s.wrapping_mul(scale)); time }).collect::<Vec<_>>());
        }

        #[test]
        fn random_bytes_do_no_harm(page: Vec<u8>, rows in 0..5000_usize) {
            let mut out = Vec::new();
            if decode(&page, rows, &mut out).is_ok() {
                prop_assert_eq!(out.len(), rows);
            }
        }
    }

    #[test]
    fn extremes_round_trip() {
        check(&[i64::MIN, i64::MAX, i64::MIN, 0, i64::MIN, -1, 1]);
        check(&[i64::MIN, 0]);
        check(&[0, i64::MIN, 0, i64::MIN]);
        check(&[]);
    }

    #[test]
    fn regular_times_cost_nearly_nothing() {
        let seconds: Vec<i64> = (0..4096).map(|row| 1_700_000_000_000_000_000 + row * 15_000_000_000).collect();
        assert!(check(&seconds) < 32);
        let millis: Vec<i64> =
            (0..4096).map(|row| 1_700_000_000_000_000_000 + (row * 15_000 + row * 7919 % 20) * 1_000_000).collect();
        assert!(check(&millis) < 4096, "{} bytes", check(&millis));
    }
}
