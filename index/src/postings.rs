//! Postings: the ids of the series that have one label value, or one label at all.

use narvi_types::wire::{Reader, Writer};
use roaring::RoaringBitmap;

use crate::{IndexError, Result, format::Section};

/// Marks an entry that is the id of the only series, and no offset.
const SINGLE: u32 = 1 << 31;
/// Lists up to this long are delta varints; longer ones are roaring bitmaps.
const MAX_LISTED: u64 = 64;

/// Appends a posting to `data` where it does not fit into its table entry, and gives the entry.
///
/// ```text
/// entry  1 + 31 bits   series id          of a single series
///        0 + 31 bits   offset in data     otherwise
/// data   count varint, then    up to 64:  first id, then gaps less one, as varints
///                              beyond:    length varint, roaring bitmap in the portable format
/// ```
pub(crate) fn encode(ids: &[u32], data: &mut Vec<u8>, written: u64) -> Result<u32> {
    if let [only] = ids {
        return Ok(SINGLE | only);
    }
    let entry = begin(ids.len() as u64, data, written)?;
    if ids.len() as u64 > MAX_LISTED {
        // Ids come sorted from the writer, so that the error case does not arise.
        let bitmap = RoaringBitmap::from_sorted_iter(ids.iter().copied()).unwrap_or_else(|_| ids.iter().collect());
        put_bitmap(bitmap, data)?;
    } else {
        put_list(ids.iter().copied(), data);
    }
    Ok(entry)
}

/// As [`encode`], from a bitmap.
pub(crate) fn encode_bitmap(bitmap: RoaringBitmap, data: &mut Vec<u8>, written: u64) -> Result<u32> {
    if bitmap.len() <= MAX_LISTED {
        return encode(&bitmap.iter().collect::<Vec<_>>(), data, written);
    }
    let entry = begin(bitmap.len(), data, written)?;
    put_bitmap(bitmap, data)?;
    Ok(entry)
}

fn begin(count: u64, data: &mut Vec<u8>, written: u64) -> Result<u32> {
    let offset = u32::try_from(written + data.len() as u64).ok().filter(|offset| *offset < SINGLE);
    data.put_varint(count);
    offset.ok_or(IndexError::TooLarge { what: "bytes of postings of one label", limit: u64::from(SINGLE) })
}

fn put_list(ids: impl Iterator<Item = u32>, data: &mut Vec<u8>) {
    let mut next = 0;
    for id in ids {
        data.put_varint(u64::from(id - next));
        next = id + 1;
    }
}

fn put_bitmap(mut bitmap: RoaringBitmap, data: &mut Vec<u8>) -> Result<()> {
    bitmap.optimize();
    data.put_varint(bitmap.serialized_size() as u64);
    Ok(bitmap.serialize_into(data)?)
}

/// A posting as it lies in the file; decoded when asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Posting<'a> {
    /// One series.
    Single(u32),
    /// A short list: count, then varints.
    List { section: &'a Section, at: usize, count: u64 },
    /// A roaring bitmap of that many bytes.
    Bitmap { section: &'a Section, at: usize, bytes: usize, count: u64 },
}

impl<'a> Posting<'a> {
    /// Reads the entry of a posting whose data begin at byte `data` and end before byte `end` of the section, of a part
    /// of `series` series.
    pub(crate) fn read(section: &'a Section, entry: u32, data: usize, end: usize, series: u32) -> Result<Self> {
        if entry & SINGLE != 0 {
            let id = entry & !SINGLE;
            return if id < series {
                Ok(Self::Single(id))
            } else {
                Err(section.corrupt(end, "series id of a posting"))
            };
        }
        let start = data.saturating_add(entry as usize);
        let bytes = end.checked_sub(start).ok_or_else(|| section.corrupt(start, "postings offset"))?;
        let mut reader = Reader::new(section.slice(start, bytes, "postings offset")?);
        let count = reader.varint("postings count").map_err(section.wire(start))?;
        if count <= MAX_LISTED {
            return Ok(Self::List { section, at: start + reader.offset(), count });
        }
        let bytes = reader.count(1, "bitmap length").map_err(section.wire(start))?;
        Ok(Self::Bitmap { section, at: start + reader.offset(), bytes, count })
    }

    /// How many series, as the file says.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Single(_) => 1,
            Self::List { count, .. } | Self::Bitmap { count, .. } => *count,
        }
    }

    /// Appends the ids of a short posting, each below `series`; gives the bitmap of a long one.
    pub(crate) fn decode(&self, series: u32, ids: &mut Vec<u32>) -> Result<Option<RoaringBitmap>> {
        match *self {
            Self::Single(id) => ids.push(id),
            Self::List { section, at, count } => decode_list(section, at, count, series, ids)?,
            Self::Bitmap { section, at, bytes, .. } => {
                let mut rest = section.slice(at, bytes, "bitmap")?;
                let bitmap = RoaringBitmap::deserialize_from(&mut rest).map_err(|_| section.corrupt(at, "bitmap"))?;
                if !rest.is_empty() || bitmap.max().is_some_and(|id| id >= series) {
                    return Err(section.corrupt(at, "bitmap"));
                }
                return Ok(Some(bitmap));
            }
        }
        Ok(None)
    }

    /// The ids as a bitmap, each below `series`.
    pub(crate) fn bitmap(&self, series: u32) -> Result<RoaringBitmap> {
        let mut ids = Vec::new();
        Ok(match self.decode(series, &mut ids)? {
            Some(bitmap) => bitmap,
            None => ids.into_iter().collect(),
        })
    }
}

fn decode_list(section: &Section, at: usize, count: u64, series: u32, ids: &mut Vec<u32>) -> Result<()> {
    let mut reader = Reader::new(section.bytes.get(at..).unwrap_or_default());
    let mut next = 0u64;
    for _ in 0..count {
        let gap = reader.varint("series id").map_err(section.wire(at))?;
        let id = next.checked_add(gap).filter(|id| *id < u64::from(series));
        let id = id.ok_or_else(|| section.corrupt(at + reader.offset(), "series id"))?;
        ids.push(id as u32);
        next = id + 1;
    }
    Ok(())
}
