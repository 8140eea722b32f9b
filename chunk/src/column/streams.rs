//! The streams column: labels and row count of each block.
//!
//! ```text
//! names and shapes (see `pairs`) | row counts, varints | shapes of the blocks, varints
//! per name: shared prefix lengths, varints | suffix lengths, varints | suffixes
//! ```
//! A value is the first bytes of the value that the same name had before it, and a suffix. With blocks sorted by labels
//! little but the differing digits is left.

use narvi_types::{
    Labels,
    wire::{Reader, Writer},
};

use super::{
    ColumnError,
    pairs::{Shapes, Splitter},
};

/// Appends the column, before compression.
pub(crate) fn encode(streams: &[(Labels, u32)], out: &mut Vec<u8>) {
    let mut splitter = Splitter::default();
    for (labels, _) in streams {
        splitter.push(labels.iter());
    }
    splitter.write(out);
    for (_, rows) in streams {
        out.put_varint(u64::from(*rows));
    }
    for shape in &splitter.lists {
        out.put_varint(u64::from(*shape));
    }
    for values in &splitter.values {
        let mut last: &[u8] = b"";
        let mut suffixes = Vec::with_capacity(values.len());
        for value in values {
            let value = value.as_bytes();
            let shared = value.iter().zip(last).take_while(|(a, b)| a == b).count();
            out.put_varint(shared as u64);
            suffixes.push(&value[shared..]);
            last = value;
        }
        for suffix in &suffixes {
            out.put_varint(suffix.len() as u64);
        }
        for suffix in &suffixes {
            out.put(suffix);
        }
    }
}

/// Decodes the column of `blocks` blocks, whose labels may take `limit` bytes in all.
pub(crate) fn decode(raw: &[u8], blocks: usize, limit: u64) -> Result<Vec<(Labels, u32)>, ColumnError> {
    let mut reader = Reader::new(raw);
    let shapes = Shapes::read(&mut reader)?;
    if blocks > reader.remaining() {
        return Err(reader.error("row counts").into());
    }
    let mut rows = Vec::with_capacity(blocks);
    for _ in 0..blocks {
        let error = reader.error("row count");
        rows.push(u32::try_from(reader.varint("row count")?).map_err(|_| error)?);
    }
    let (lists, counts) = shapes.read_lists(blocks, &mut reader)?;
    let mut values = counts.into_iter().map(|count| Values::open(&mut reader, count)).collect::<Result<Vec<_>, _>>()?;
    if !reader.is_empty() {
        return Err("bytes left after the last value".into());
    }
    let mut used = 0_u64;
    let mut streams = Vec::with_capacity(blocks);
    for (shape, rows) in lists.iter().zip(rows) {
        let shape = &shapes.shapes[*shape as usize];
        for name in shape {
            let value = values[*name as usize].advance()?;
            used += (value + shapes.names[*name as usize].len() + 8) as u64;
            if used > limit {
                return Err(ColumnError::TooLarge(used));
            }
        }
        let pairs = shape.iter().map(|name| Ok((shapes.names[*name as usize], values[*name as usize].text()?)));
        let pairs = pairs.collect::<Result<Vec<_>, ColumnError>>()?;
        streams.push((Labels::from_pairs(pairs).map_err(|e| e.to_string())?, rows));
    }
    Ok(streams)
}

/// The values of one name, one after the other.
struct Values<'a> {
    shared: Reader<'a>,
    lengths: Reader<'a>,
    suffixes: Reader<'a>,
    value: Vec<u8>,
}

impl<'a> Values<'a> {
    /// Takes the part of one name with `count` values off the reader.
    fn open(reader: &mut Reader<'a>, count: usize) -> Result<Self, ColumnError> {
        if count.checked_mul(2).is_none_or(|need| need > reader.remaining()) {
            return Err(reader.error("values").into());
        }
        let shared = reader.clone();
        for _ in 0..count {
            reader.varint("shared length")?;
        }
        let lengths = reader.clone();
        let mut bytes = 0_u64;
        for _ in 0..count {
            bytes = bytes.saturating_add(reader.varint("suffix length")?);
        }
        let suffixes = reader.clone();
        reader.bytes(usize::try_from(bytes).unwrap_or(usize::MAX), "suffixes")?;
        Ok(Self { shared, lengths, suffixes, value: Vec::new() })
    }

    /// Goes to the next value and gives its length.
    fn advance(&mut self) -> Result<usize, ColumnError> {
        let shared = usize::try_from(self.shared.varint("shared length")?).unwrap_or(usize::MAX);
        if shared > self.value.len() {
            return Err(self.shared.error("shared length").into());
        }
        let suffix = usize::try_from(self.lengths.varint("suffix length")?).unwrap_or(usize::MAX);
        self.value.truncate(shared);
        self.value.extend_from_slice(self.suffixes.bytes(suffix, "suffix")?);
        Ok(self.value.len())
    }

    fn text(&self) -> Result<&str, ColumnError> {
        std::str::from_utf8(&self.value).map_err(|_| ColumnError::from("label value is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use narvi_types::Labels;
    use proptest::prelude::*;

    use super::{decode, encode};
    use crate::column::ColumnError;

    const LIMIT: u64 = 1 << 20;

    proptest! {
        #[test]
        fn any_streams_round_trip(
            streams in proptest::collection::vec(
                (proptest::collection::btree_map(".{1,8}", ".{0,20}", 0..6), any::<u32>()), 0..50),
        ) {
            let streams: Vec<_> = streams.iter().map(|(labels, rows)| {
                let pairs = labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
                (Labels::from_pairs(pairs).expect("valid"), *rows)
            }).collect();
            let mut raw = Vec::new();
            encode(&streams, &mut raw);
            prop_assert_eq!(decode(&raw, streams.len(), LIMIT), Ok(streams.clone()));
            prop_assert!(decode(&raw, streams.len() + 1, LIMIT).is_err());
        }

        #[test]
        fn random_bytes_do_no_harm(raw: Vec<u8>, blocks in 0..300_usize) {
            let _ = decode(&raw, blocks, LIMIT);
        }
    }

    #[test]
    fn front_coding_cannot_explode() {
        let labels = Labels::from_pairs([("a", "x".repeat(1000).as_str())]).expect("valid");
        let mut raw = Vec::new();
        encode(&vec![(labels, 1); 2000], &mut raw);
        assert!(raw.len() < 16_000);
        assert!(matches!(decode(&raw, 2000, LIMIT), Err(ColumnError::TooLarge(_))));
    }
}
