//! The metadata column: distinct sets of pairs, and the number of its set for each row.
//!
//! ```text
//! names and shapes (see `pairs`) | set count, varint | shapes of the sets, varints
//! per name: flag u8 | flag 1: distinct count, varint; number of the value of each set, varints
//!           lengths of the (distinct) values, varints | values
//! flag u8 | flag 1: number of the set of each row, varints
//! ```
//! Flag 0 stands for the numbers 0, 1, 2, ..., which therefore are not written: values that are all different, such as
//! trace identifiers, and rows whose sets are all different. Few sets cost one byte per row, which compresses well.

use std::collections::HashMap;

use narvi_types::{
    Metadata,
    wire::{Reader, Writer},
};

use super::{
    ColumnError,
    pairs::{Shapes, Splitter, id},
};

const COUNTING: u8 = 0;
const NUMBERED: u8 = 1;

/// Appends the column, before compression.
pub(crate) fn encode(sets: &[Metadata], ids: &[u32], out: &mut Vec<u8>) {
    let mut splitter = Splitter::default();
    for set in sets {
        splitter.push(set.iter());
    }
    splitter.write(out);
    out.put_varint(sets.len() as u64);
    for shape in &splitter.lists {
        out.put_varint(u64::from(*shape));
    }
    for values in &splitter.values {
        encode_values(values, out);
    }
    put_ids(ids, sets.len(), None, out);
}

fn encode_values(values: &[&str], out: &mut Vec<u8>) {
    let mut distinct = Vec::new();
    let mut of_value = HashMap::new();
    let ids: Vec<u32> = values
        .iter()
        .map(|value| {
            *of_value.entry(*value).or_insert_with(|| {
                distinct.push(*value);
                distinct.len() as u32 - 1
            })
        })
        .collect();
    put_ids(&ids, distinct.len(), Some(distinct.len()), out);
    for value in &distinct {
        out.put_varint(value.len() as u64);
    }
    for value in &distinct {
        out.put(value.as_bytes());
    }
}

/// Writes the flag and, unless they are just counting, the numbers, which come in order of first appearance.
fn put_ids(ids: &[u32], distinct: usize, count: Option<usize>, out: &mut Vec<u8>) {
    // As many numbers as there are, in order of first appearance, can only be 0, 1, 2 and so on.
    if ids.len() == distinct && ids.iter().enumerate().all(|(at, id)| at == *id as usize) {
        out.put_u8(COUNTING);
        return;
    }
    out.put_u8(NUMBERED);
    if let Some(count) = count {
        out.put_varint(count as u64);
    }
    for id in ids {
        out.put_varint(u64::from(*id));
    }
}

/// Decodes the column of `rows` rows, whose distinct sets may take `limit` bytes in all.
pub(crate) fn decode(raw: &[u8], rows: usize, limit: u64) -> Result<(Vec<Metadata>, Vec<u32>), ColumnError> {
    let mut reader = Reader::new(raw);
    let shapes = Shapes::read(&mut reader)?;
    let count = reader.count(1, "set count")?;
    let (lists, counts) = shapes.read_lists(count, &mut reader)?;
    let mut values = counts.into_iter().map(|count| Values::read(&mut reader, count)).collect::<Result<Vec<_>, _>>()?;

    let ids = match reader.u8("row flag")? {
        COUNTING if rows == count => (0..rows as u32).collect(),
        NUMBERED if rows <= reader.remaining() => {
            (0..rows).map(|_| id(&mut reader, count, "set number")).collect::<Result<Vec<_>, _>>()?
        }
        _ => return Err(reader.error("set numbers").into()),
    };
    if !reader.is_empty() {
        return Err("bytes left after the set numbers".into());
    }

    let mut used = 0_u64;
    let mut sets = Vec::with_capacity(count);
    let mut pairs = Vec::new();
    for shape in lists {
        pairs.clear();
        for name in &shapes.shapes[shape as usize] {
            let pair = (shapes.names[*name as usize], values[*name as usize].next()?);
            used += (pair.0.len() + pair.1.len() + 8) as u64;
            pairs.push(pair);
        }
        if used > limit {
            return Err(ColumnError::TooLarge(used));
        }
        sets.push(Metadata::from_pairs(pairs.iter().copied()).map_err(|e| e.to_string())?);
    }
    Ok((sets, ids))
}

/// The values of one name.
struct Values<'a> {
    distinct: Vec<&'a str>,
    /// Where the numbers are read from; `None` if they count.
    ids: Option<Reader<'a>>,
    taken: usize,
}

impl<'a> Values<'a> {
    fn read(reader: &mut Reader<'a>, count: usize) -> Result<Self, ColumnError> {
        let (distinct, ids) = match reader.u8("value flag")? {
            COUNTING => (count, None),
            NUMBERED => {
                let distinct = reader.count(1, "distinct values")?;
                let ids = reader.clone();
                for _ in 0..count {
                    reader.varint("value number")?;
                }
                (distinct, Some(ids))
            }
            _ => return Err(reader.error("value flag").into()),
        };
        if distinct > reader.remaining() {
            return Err(reader.error("value lengths").into());
        }
        let mut lengths = reader.clone();
        for _ in 0..distinct {
            reader.varint("value length")?;
        }
        let mut values = Vec::with_capacity(distinct);
        for _ in 0..distinct {
            let len = usize::try_from(lengths.varint("value length")?).unwrap_or(usize::MAX);
            let value = reader.bytes(len, "value")?;
            values.push(std::str::from_utf8(value).map_err(|_| "metadata value is not UTF-8")?);
        }
        Ok(Self { distinct: values, ids, taken: 0 })
    }

    fn next(&mut self) -> Result<&'a str, ColumnError> {
        let at = match &mut self.ids {
            Some(ids) => id(ids, self.distinct.len(), "value number")? as usize,
            None => self.taken,
        };
        self.taken += 1;
        self.distinct.get(at).copied().ok_or_else(|| "more sets than values".into())
    }
}

#[cfg(test)]
mod tests {
    use narvi_types::Metadata;
    use proptest::prelude::*;

    use super::{decode, encode};
    use crate::column::ColumnError;

    const LIMIT: u64 = 1 << 20;

    fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
        proptest::collection::vec((prop_oneof!["[ab]", ".{0,4}"], prop_oneof!["[xy]", ".{0,12}"]), 0..5)
    }

    fn set(pairs: &[(String, String)]) -> Metadata {
        Metadata::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))).expect("valid")
    }

    proptest! {
        #[test]
        fn any_sets_round_trip(
            sets in proptest::collection::vec(pairs(), 1..40),
            rows in proptest::collection::vec(any::<proptest::sample::Index>(), 0..100),
            counting: bool,
        ) {
            let sets: Vec<_> = sets.iter().map(|s| set(s)).collect();
            let ids: Vec<u32> =
                if counting { (0..sets.len() as u32).collect() }
                else { rows.iter().map(|row| row.index(sets.len()) as u32).collect() };
            let mut raw = Vec::new();
            encode(&sets, &ids, &mut raw);
            prop_assert_eq!(decode(&raw, ids.len(), LIMIT), Ok((sets, ids.clone())));
            prop_assert!(decode(&raw, ids.len() + 1, LIMIT).is_err());
        }

        #[test]
        fn random_bytes_do_no_harm(raw: Vec<u8>, rows in 0..300_usize) {
            let _ = decode(&raw, rows, LIMIT);
        }
    }

    #[test]
    fn shared_values_cannot_explode() {
        let long = "x".repeat(4000);
        let sets: Vec<_> = (0..1000)
            .map(|n| Metadata::from_pairs([("long", long.as_str()), ("n", n.to_string().as_str())]).expect("valid"))
            .collect();
        let mut raw = Vec::new();
        encode(&sets, &(0..1000).collect::<Vec<_>>(), &mut raw);
        assert!(raw.len() < 20_000);
        assert!(matches!(decode(&raw, 1000, LIMIT), Err(ColumnError::TooLarge(_))));
    }

    #[test]
    fn unique_values_cost_their_text_alone() {
        let sets: Vec<_> = (0..1000)
            .map(|n| Metadata::from_pairs([("trace_id", format!("{n:032x}").as_str())]).expect("valid"))
            .collect();
        let mut raw = Vec::new();
        encode(&sets, &(0..1000).collect::<Vec<_>>(), &mut raw);
        assert!(raw.len() < 1000 * 34 + 50, "{}", raw.len());
    }
}
