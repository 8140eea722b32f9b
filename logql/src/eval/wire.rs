//! Pairs and labels in the binary form of partials.

use narvi_types::{
    Labels, Metadata, Pairs,
    wire::{Reader, WireError, Writer},
};

/// Appends pairs: their number, then name and value of each.
pub(crate) fn put_pairs<'a>(out: &mut Vec<u8>, pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
    out.put_varint(pairs.clone().count() as u64);
    for (name, value) in pairs {
        out.put_str(name);
        out.put_str(value);
    }
}

fn list<'a>(reader: &mut Reader<'a>) -> Result<Vec<(&'a str, &'a str)>, WireError> {
    let count = reader.count(2, "number of labels")?;
    (0..count).map(|_| Ok((reader.str("label name")?, reader.str("label value")?))).collect()
}

/// Reads labels of a result series.
pub(crate) fn labels(reader: &mut Reader<'_>) -> Result<Labels, WireError> {
    let bad = reader.error("labels");
    Labels::from_result_pairs(list(reader)?).map_err(|_| bad)
}

/// Reads pairs.
pub(crate) fn pairs(reader: &mut Reader<'_>) -> Result<Pairs, WireError> {
    let bad = reader.error("labels");
    Pairs::new(list(reader)?).map_err(|_| bad)
}

/// Reads structured metadata.
pub(crate) fn metadata(reader: &mut Reader<'_>) -> Result<Metadata, WireError> {
    let bad = reader.error("structured metadata");
    Metadata::from_pairs(list(reader)?).map_err(|_| bad)
}
