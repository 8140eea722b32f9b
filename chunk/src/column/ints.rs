//! Pages of integers: distances from the median, bit-packed with exceptions or as compressed byte planes.
//!
//! ```text
//! page:    encoding u8 | median, zigzag varint | body
//! packed:  width u8 | exceptions, varint | per exception: gap varint, high bits varint | rows * width bits
//! planes:  bytes u8 | plane 0 (low bytes of all rows) | plane 1 | ..., all planes compressed together
//! ```
//! `encoding` is 0 for packed, 16 + codec for planes. The number of rows is known to the reader.

use narvi_types::wire::{Reader, Writer};

use super::ColumnError;
use crate::{Codec, Compression, Result, codec};

const PACKED: u8 = 0;
const PLANES: u8 = 16;
/// Packed pages up to this size are not worth trying anything else on.
const SMALL_BYTES: usize = 32;

/// Appends a page. `what` names the column in errors.
pub(crate) fn encode(values: &[i64], compression: Compression, what: &'static str, out: &mut Vec<u8>) -> Result<()> {
    let (median, distances) = distances(values);
    let start = out.len();
    out.put_u8(PACKED);
    out.put_zigzag(median);
    pack(&distances, out);
    let packed_len = out.len() - start;
    if compression == Compression::None || packed_len <= SMALL_BYTES {
        return Ok(());
    }
    let (bytes, planes) = planes(&distances);
    let mut body = Vec::new();
    let codec = codec::compress(compression, what, &planes, &mut body)?;
    // Bits unpack about twice as fast as planes decompress, so planes must earn their place.
    if body.len() + body.len() / 16 + 4 < packed_len {
        out.truncate(start);
        out.put_u8(PLANES + codec.number());
        out.put_zigzag(median);
        out.put_u8(bytes);
        out.put(&body);
    }
    Ok(())
}

/// Appends the `rows` values of a page to `out`.
pub(crate) fn decode(page: &[u8], rows: usize, out: &mut Vec<i64>) -> std::result::Result<(), ColumnError> {
    let mut reader = Reader::new(page);
    let encoding = reader.u8("page encoding")?;
    let median = reader.zigzag("median")?;
    let start = out.len();
    match encoding {
        PACKED => unpack(reader, rows, out)?,
        _ => {
            let codec = encoding.checked_sub(PLANES).and_then(Codec::from_number);
            join_planes(codec.ok_or("unknown page encoding")?, reader, rows, out)?;
        }
    }
    for value in &mut out[start..] {
        let distance = *value as u64;
        *value = median.wrapping_add((distance >> 1) as i64 ^ -((distance & 1) as i64));
    }
    Ok(())
}

/// The median, and the zigzag distance of every value from it. The median and not the least value, because where one
/// stream's rows end and the next one's begin there are outliers to both sides.
fn distances(values: &[i64]) -> (i64, Vec<u64>) {
    let mut sorted = values.to_vec();
    let median = match sorted.len() {
        0 => 0,
        len => *sorted.select_nth_unstable(len / 2).1,
    };
    let zigzag = |v: &i64| {
        let distance = v.wrapping_sub(median);
        (distance << 1 ^ distance >> 63) as u64
    };
    (median, values.iter().map(zigzag).collect())
}

fn bit_len(value: u64) -> usize {
    64 - value.leading_zeros() as usize
}

/// The width for which bits and exceptions together are smallest.
fn best_width(values: &[u64]) -> usize {
    let mut of_len = [0_usize; 65];
    for value in values {
        of_len[bit_len(*value)] += 1;
    }
    let bytes_at = |width: usize| {
        let exceptions: usize =
            of_len.iter().enumerate().skip(width + 1).map(|(len, n)| n * (1 + (len - width).div_ceil(7))).sum();
        (values.len() * width).div_ceil(8) + exceptions
    };
    (0..=64).min_by_key(|width| bytes_at(*width)).unwrap_or(64)
}

/// ```text
/// bit   0          width       2*width
///       | value 0  | value 1   | value 2 ...     the low `width` bits of each; high bits are exceptions
/// ```
fn pack(values: &[u64], out: &mut Vec<u8>) {
    let width = best_width(values);
    out.put_u8(width as u8);
    let high = |value: u64| if width == 64 { 0 } else { value >> width };
    out.put_varint(values.iter().filter(|v| high(**v) != 0).count() as u64);
    let mut last = 0;
    for (at, value) in values.iter().enumerate().filter(|(_, v)| high(**v) != 0) {
        out.put_varint((at - last) as u64);
        out.put_varint(high(*value));
        last = at;
    }
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let (mut pending, mut bits) = (0_u128, 0);
    for value in values {
        pending |= u128::from(value & mask) << bits;
        bits += width;
        if bits >= 64 {
            out.put_u64(pending as u64);
            pending >>= 64;
            bits -= 64;
        }
    }
    out.put(&pending.to_le_bytes()[..bits.div_ceil(8)]);
}

fn unpack(mut reader: Reader<'_>, rows: usize, out: &mut Vec<i64>) -> std::result::Result<(), ColumnError> {
    let width = usize::from(reader.u8("bit width")?);
    if width > 64 {
        return Err("bit width above 64".into());
    }
    let count = reader.count(2, "exceptions")?;
    let mut exceptions = reader.clone();
    for _ in 0..count {
        reader.varint("exception gap")?;
        reader.varint("exception value")?;
    }
    let packed_len = (rows * width).div_ceil(8);
    // Padded, so that a whole word can be read at every row.
    let mut packed = reader.bytes(packed_len, "packed values")?.to_vec();
    if !reader.is_empty() {
        return Err("bytes left after the packed values".into());
    }
    packed.resize(packed_len + 16, 0);

    let start = out.len();
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    if width == 0 {
        out.resize(start + rows, 0);
    } else if width <= 57 {
        out.extend((0..rows).map(|row| (word(&packed, row * width) & mask) as i64));
    } else {
        out.extend((0..rows).map(|row| (wide_word(&packed, row * width) & mask) as i64));
    }
    let mut at = 0_u64;
    for _ in 0..count {
        at = at.saturating_add(exceptions.varint("exception gap")?);
        let high = exceptions.varint("exception value")?;
        let slot = usize::try_from(at).ok().filter(|at| *at < rows).and_then(|at| out.get_mut(start + at));
        let fits = width < 64 && bit_len(high) + width <= 64;
        match slot {
            Some(slot) if fits => *slot |= (high << width) as i64,
            _ => return Err("exception out of range".into()),
        }
    }
    Ok(())
}

/// At least 57 bits from a bit offset on.
#[inline(always)]
fn word(bytes: &[u8], bit: usize) -> u64 {
    let eight = bytes[bit / 8..].first_chunk::<8>().expect("padded by 16 bytes");
    u64::from_le_bytes(*eight) >> (bit % 8)
}

/// 64 bits from a bit offset on.
#[inline(always)]
fn wide_word(bytes: &[u8], bit: usize) -> u64 {
    let sixteen = bytes[bit / 8..].first_chunk::<16>().expect("padded by 16 bytes");
    (u128::from_le_bytes(*sixteen) >> (bit % 8)) as u64
}

/// The low bytes of all values, then their second bytes, and so on, as far as any value reaches. Entropy coders like
/// bytes of one kind together.
fn planes(values: &[u64]) -> (u8, Vec<u8>) {
    let all = values.iter().fold(0, |all, v| all | v);
    let bytes = bit_len(all).div_ceil(8);
    let mut out = Vec::with_capacity(bytes * values.len());
    for plane in 0..bytes {
        out.extend(values.iter().map(|v| (v >> (8 * plane)) as u8));
    }
    (bytes as u8, out)
}

fn join_planes(
    codec: Codec,
    mut reader: Reader<'_>,
    rows: usize,
    out: &mut Vec<i64>,
) -> std::result::Result<(), ColumnError> {
    let bytes = usize::from(reader.u8("plane count")?);
    if bytes > 8 {
        return Err("more than eight planes".into());
    }
    let body = reader.bytes(reader.remaining(), "planes")?;
    let planes = codec::decompress(codec, body, rows * bytes)?;
    let start = out.len();
    out.resize(start + rows, 0);
    if rows > 0 {
        for (plane, bytes) in planes.chunks_exact(rows).enumerate() {
            for (value, byte) in out[start..].iter_mut().zip(bytes) {
                *value |= (u64::from(*byte) << (8 * plane)) as i64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{decode, encode};
    use crate::Compression;

    fn check(values: &[i64]) -> usize {
        let mut least = usize::MAX;
        for compression in [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd(3)] {
            let mut page = Vec::new();
            encode(values, compression, "test", &mut page).expect("encodes");
            let mut back = Vec::new();
            decode(&page, values.len(), &mut back).expect("decodes");
            assert_eq!(back, values, "{compression:?}");
            least = least.min(page.len());
        }
        least
    }

    proptest! {
        #[test]
        fn any_values_round_trip(values: Vec<i64>) {
            check(&values);
        }

        #[test]
        fn values_of_any_width_round_trip(
            bits in 0..64_u32, values in proptest::collection::vec(any::<u64>(), 0..300),
        ) {
            check(&values.iter().map(|v| (v >> (63 - bits)) as i64).collect::<Vec<_>>());
        }

        #[test]
        fn outliers_round_trip(
            values in proptest::collection::vec(prop_oneof![20 => 0..100_i64, 1 => any::<i64>()], 0..5000),
        ) {
            check(&values);
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
    fn pages_are_small() {
        assert!(check(&[15_000; 4096]) <= 8, "a constant costs nothing");
        let jumps: Vec<i64> = (0..4096).map(|row| if row % 20 == 0 { -300_000 - row } else { 15_000 }).collect();
        assert!(check(&jumps) < 1000, "{} bytes for 205 outliers", check(&jumps));
        let bytes: Vec<i64> = (0..4096).map(|row| row * 7919 % 256).collect();
        assert!(check(&bytes) < 4200);
    }
}
