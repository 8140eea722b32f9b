//! The rows of one frame on their way in, before they are encoded.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use narvi_types::{Labels, Metadata, TimeRange};

use crate::{BlockPlace, ChunkError, MAX_FRAME_BYTES, MAX_FRAME_ROWS, MAX_LINE_BYTES, MAX_PAIRS_BYTES, Result, Rows};

/// The rows of one frame before they are encoded.
#[derive(Clone, Debug, Default)]
pub struct FrameRows {
    pub(crate) streams: Vec<(Labels, u32)>,
    pub(crate) timestamps: Vec<i64>,
    pub(crate) lengths: Vec<u32>,
    pub(crate) lines: Vec<u8>,
    pub(crate) metadata: MetadataRows,
    label_bytes: usize,
    pub(crate) range: Option<TimeRange>,
    keys: KeyLists,
}

impl FrameRows {
    /// Makes an empty frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends some rows of one stream as a block; each line is copied once. The place given is that in frame 0.
    ///
    /// # Errors
    /// Rows not sorted by timestamp, a line or metadata above the format's limits, more rows or bytes than a frame can
    /// have, or a range outside of the rows. Nothing is appended then.
    pub fn push<R: Rows + ?Sized>(&mut self, labels: &Labels, rows: &R, range: Range<usize>) -> Result<BlockPlace> {
        let checked = check_rows(labels, rows, range.clone())?;
        let too_large = |what, need, limit| Err(ChunkError::TooLarge { what, frame: None, need, limit });
        let (all_rows, all_bytes) = (self.rows() + range.len(), self.lines.len() as u64 + checked.line_bytes);
        let most_bytes = u64::from(MAX_FRAME_BYTES) + MAX_LINE_BYTES as u64;
        let pairs_bytes = (self.metadata.bytes as u64 + checked.metadata_bytes)
            .max((self.label_bytes + labels.packed().len()) as u64);
        if all_rows > MAX_FRAME_ROWS as usize {
            return too_large("rows", all_rows as u64, MAX_FRAME_ROWS.into());
        }
        if all_bytes > most_bytes {
            return too_large("lines in bytes", all_bytes, most_bytes);
        }
        if pairs_bytes > most_bytes {
            return too_large("metadata or labels in bytes", pairs_bytes, most_bytes);
        }
        Ok(self.push_checked(labels, rows, range))
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// Bytes of the lines so far.
    pub fn line_bytes(&self) -> usize {
        self.lines.len()
    }

    /// What a frame is measured by: lines, metadata or labels, whichever has most bytes.
    pub(crate) fn fill_bytes(&self) -> usize {
        self.lines.len().max(self.metadata.bytes).max(self.label_bytes)
    }

    /// Empties the frame; buffers and shared lists of metadata keys are kept for the next one.
    pub(crate) fn clear(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        let (mut timestamps, mut lengths, mut lines) =
            (std::mem::take(&mut self.timestamps), std::mem::take(&mut self.lengths), std::mem::take(&mut self.lines));
        timestamps.clear();
        lengths.clear();
        lines.clear();
        *self = Self { timestamps, lengths, lines, keys, ..Self::default() };
    }

    /// Appends rows that [`check_rows`] has passed and that fit.
    pub(crate) fn push_checked<R: Rows + ?Sized>(
        &mut self,
        labels: &Labels,
        rows: &R,
        range: Range<usize>,
    ) -> BlockPlace {
        let (first_row, lines_before, count) = (self.rows(), self.lines.len(), range.len());
        self.timestamps.extend(range.clone().map(|row| rows.timestamp(row)));
        for row in range.clone() {
            let line = rows.line(row);
            self.lengths.push(line.len() as u32);
            self.lines.extend_from_slice(line);
        }
        let mut last_set = None;
        for (at, row) in range.enumerate() {
            let pairs = rows.metadata(row);
            let set = self.metadata.push(first_row + at, pairs);
            if set.is_some()
                && set != last_set
                && let Some(pairs) = pairs
            {
                self.keys.add(pairs);
                last_set = set;
            }
        }
        let block = match (self.timestamps.get(first_row), self.timestamps.last()) {
            (Some(min), Some(max)) => TimeRange::new(*min, *max),
            _ => TimeRange::EMPTY,
        };
        if count > 0 {
            self.label_bytes += labels.packed().len();
            self.streams.push((labels.clone(), count as u32));
            self.range = Some(self.range.map_or(block, |range| range.cover(&block)));
        }
        BlockPlace {
            frame: 0,
            first_row: first_row as u32,
            rows: count as u32,
            line_bytes: (self.lines.len() - lines_before) as u64,
            range: block,
            metadata_keys: self.keys.take(),
        }
    }
}

/// What a pass over new rows found.
pub(crate) struct CheckedRows {
    pub(crate) line_bytes: u64,
    /// Bytes of metadata, without that which is the same as in the row before.
    pub(crate) metadata_bytes: u64,
}

/// Checks everything that the caller of a writer guarantees, before anything is appended.
pub(crate) fn check_rows<R: Rows + ?Sized>(labels: &Labels, rows: &R, range: Range<usize>) -> Result<CheckedRows> {
    rows.check()?;
    let too_large = |what, need: usize, limit: usize| {
        Err(ChunkError::TooLarge { what, frame: None, need: need as u64, limit: limit as u64 })
    };
    if range.start > range.end || range.end > rows.len() {
        return Err(ChunkError::OutOfRange { what: "row", asked: range.end as u64, len: rows.len() as u64 });
    }
    if labels.packed().len() > MAX_PAIRS_BYTES {
        return too_large("labels in bytes", labels.packed().len(), MAX_PAIRS_BYTES);
    }
    let (mut line_bytes, mut metadata_bytes) = (0, 0);
    let (mut last, mut last_pairs) = (i64::MIN, None);
    for row in range {
        let (timestamp, len) = (rows.timestamp(row), rows.line(row).len());
        if timestamp < last {
            return Err(ChunkError::Unsorted { row });
        }
        if len > MAX_LINE_BYTES {
            return too_large("line in bytes", len, MAX_LINE_BYTES);
        }
        let pairs = rows.metadata(row).map(|m| m.packed());
        if pairs != last_pairs {
            let len = pairs.map_or(0, str::len);
            if len > MAX_PAIRS_BYTES {
                return too_large("metadata in bytes", len, MAX_PAIRS_BYTES);
            }
            metadata_bytes += len as u64;
            last_pairs = pairs;
        }
        last = timestamp;
        line_bytes += len as u64;
    }
    Ok(CheckedRows { line_bytes, metadata_bytes })
}

/// Metadata of the rows so far; nothing is kept until the first row that has any.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetadataRows {
    pub(crate) sets: Vec<Metadata>,
    pub(crate) ids: Vec<u32>,
    of_set: HashMap<Metadata, u32>,
    bytes: usize,
}

impl MetadataRows {
    /// Whether any row has metadata.
    pub(crate) fn is_present(&self) -> bool {
        !self.sets.is_empty()
    }

    /// Appends the metadata of that row, which is the next one; gives the number of its set, if it has pairs.
    fn push(&mut self, row: usize, pairs: Option<&Metadata>) -> Option<u32> {
        let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else {
            if self.is_present() {
                let none = self.id(&Metadata::default());
                self.ids.push(none);
            }
            return None;
        };
        if self.ids.is_empty() && row > 0 {
            let none = self.id(&Metadata::default());
            self.ids.resize(row, none);
        }
        let id = match self.ids.last() {
            Some(last) if self.sets[*last as usize] == *pairs => *last,
            _ => self.id(pairs),
        };
        self.ids.push(id);
        Some(id)
    }

    fn id(&mut self, pairs: &Metadata) -> u32 {
        if let Some(id) = self.of_set.get(pairs) {
            return *id;
        }
        let id = self.sets.len() as u32;
        self.bytes += pairs.packed().len();
        self.sets.push(pairs.clone());
        self.of_set.insert(pairs.clone(), id);
        id
    }
}

/// Sorted lists of metadata keys, each list and each key kept once.
#[derive(Clone, Debug, Default)]
struct KeyLists {
    names: HashSet<Arc<str>>,
    lists: HashSet<Arc<[Arc<str>]>>,
    current: Vec<Arc<str>>,
}

impl KeyLists {
    /// Most names that are kept for sharing: a sender that invents keys must not fill the memory.
    const MOST_NAMES: usize = 1 << 14;

    /// Adds the keys of a row to the list of the current block.
    fn add(&mut self, pairs: &Metadata) {
        for (name, _) in pairs.iter() {
            let Err(at) = self.current.binary_search_by(|key| (**key).cmp(name)) else { continue };
            let shared = self.names.get(name).cloned().unwrap_or_else(|| {
                let shared: Arc<str> = name.into();
                self.names.insert(shared.clone());
                shared
            });
            self.current.insert(at, shared);
        }
    }

    /// Ends the list of the current block.
    fn take(&mut self) -> Arc<[Arc<str>]> {
        if self.names.len() > Self::MOST_NAMES || self.lists.len() > Self::MOST_NAMES {
            self.names.clear();
            self.lists.clear();
        }
        let list = self.lists.get(self.current.as_slice()).cloned().unwrap_or_else(|| {
            let list: Arc<[Arc<str>]> = self.current.as_slice().into();
            self.lists.insert(list.clone());
            list
        });
        self.current.clear();
        list
    }
}
