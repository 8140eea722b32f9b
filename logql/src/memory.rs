//! A [`Source`] that holds logs in memory: for tests, for small programs, and as an example of a source.
//!
//! ```
//! use narvi_logql::memory::MemorySource;
//! use narvi_types::{Entry, Labels, Timestamp};
//!
//! let mut source = MemorySource::new();
//! let labels = Labels::from_pairs([("app", "api")])?;
//! source.push(&labels, Entry::new(Timestamp::from_secs(1), "started"));
//! assert_eq!(source.rows(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use narvi_types::{Direction, Entry, Labels, Metadata, TimeRange};

use crate::{Batch, Budget, Lines, MetadataColumn, Part, ScanRequest, Segment, Source, SourceError};

/// Logs in memory, by stream. Rows are packed into parts when first asked for after a push; a part holds rows of one or
/// many streams. An entry that is pushed twice is answered once.
#[derive(Debug)]
pub struct MemorySource {
    streams: BTreeMap<Labels, Vec<Entry>>,
    part_rows: usize,
    frames: OnceLock<Vec<Arc<Frame>>>,
}

impl Default for MemorySource {
    fn default() -> Self {
        Self::new()
    }
}

impl MemorySource {
    /// Holds nothing yet.
    pub fn new() -> Self {
        Self::with_part_rows(10_000)
    }

    /// Holds nothing yet, and will have at most so many rows in a part (at least one).
    pub fn with_part_rows(part_rows: usize) -> Self {
        Self { streams: BTreeMap::new(), part_rows: part_rows.max(1), frames: OnceLock::new() }
    }

    /// Adds an entry to a stream, in any order of time.
    pub fn push(&mut self, labels: &Labels, entry: Entry) {
        self.frames = OnceLock::new();
        match self.streams.get_mut(labels) {
            Some(entries) => entries.push(entry),
            None => {
                self.streams.insert(labels.clone(), vec![entry]);
            }
        }
    }

    /// How many entries were pushed.
    pub fn rows(&self) -> usize {
        self.streams.values().map(Vec::len).sum()
    }

    fn frames(&self) -> &[Arc<Frame>] {
        self.frames.get_or_init(|| {
            let mut frames = Vec::new();
            let mut frame = Frame::default();
            for (labels, entries) in &self.streams {
                let mut sorted: Vec<&Entry> = entries.iter().collect();
                sorted.sort_by_key(|entry| entry.timestamp);
                let mut rest = sorted.as_slice();
                // Entries that were seen at the current time; an equal one among them is dead.
                let mut seen: Vec<&Entry> = Vec::new();
                while !rest.is_empty() {
                    let room = self.part_rows - frame.timestamps.len();
                    let (now, later) = rest.split_at(room.min(rest.len()));
                    frame.append(labels, now, &mut seen);
                    rest = later;
                    if frame.timestamps.len() >= self.part_rows {
                        frames.push(Arc::new(std::mem::take(&mut frame)));
                    }
                }
            }
            if !frame.timestamps.is_empty() {
                frames.push(Arc::new(frame));
            }
            frames
        })
    }
}

impl Source for MemorySource {
    fn parts(&self, request: &ScanRequest, budget: &Budget) -> Result<Vec<Box<dyn Part>>, SourceError> {
        budget.check()?;
        let mut parts: Vec<MemoryPart> = Vec::new();
        for frame in self.frames() {
            let wanted = |segment: &&Segment| {
                segment.range.overlaps(&request.range)
                    && request.selector.matches(&segment.labels)
                    && request.shard.is_none_or(|shard| shard.holds(&segment.labels))
            };
            let segments: Vec<_> = frame.segments.iter().filter(wanted).cloned().collect();
            if segments.is_empty() {
                continue;
            }
            let range = segments.iter().fold(TimeRange::EMPTY, |all, segment| all.cover(&segment.range));
            parts.push(MemoryPart { frame: frame.clone(), segments, range });
        }
        match request.direction {
            Direction::Forward => parts.sort_by_key(|part| part.range.min),
            Direction::Backward => parts.sort_by_key(|part| std::cmp::Reverse(part.range.max)),
        }
        Ok(parts.into_iter().map(|part| Box::new(part) as Box<dyn Part>).collect())
    }
}

/// The columns of a part and all its segments.
#[derive(Debug, Default)]
struct Frame {
    segments: Vec<Segment>,
    timestamps: Vec<i64>,
    buffer: Vec<u8>,
    starts: Vec<u32>,
    lengths: Vec<u32>,
    metadata: MetadataColumn,
    sets: HashMap<Metadata, u32>,
    dead: Vec<u32>,
}

impl Frame {
    fn append<'a>(&mut self, labels: &Labels, entries: &[&'a Entry], seen: &mut Vec<&'a Entry>) {
        let first = self.timestamps.len() as u32;
        let mut segment = Segment::new(labels.clone(), first..first, TimeRange::EMPTY, 0);
        let mut keys: Vec<&str> = Vec::new();
        for entry in entries {
            let row = self.timestamps.len() as u32;
            let ts = entry.timestamp.as_ns();
            if seen.first().is_some_and(|other| other.timestamp != entry.timestamp) {
                seen.clear();
            }
            if seen.contains(entry) {
                self.dead.push(row);
                segment.exact = false;
            }
            seen.push(entry);
            self.timestamps.push(ts);
            self.starts.push(self.buffer.len() as u32);
            self.lengths.push(entry.line.len() as u32);
            self.buffer.extend_from_slice(&entry.line);
            let next = self.metadata.sets.len() as u32;
            let set = *self.sets.entry(entry.metadata.clone()).or_insert_with(|| {
                self.metadata.sets.push(entry.metadata.clone());
                next
            });
            self.metadata.ids.push(set);
            keys.extend(entry.metadata.iter().map(|(name, _)| name));
            segment.rows.end = row + 1;
            segment.range = segment.range.cover(&TimeRange::new(ts, ts));
            segment.line_bytes += entry.line.len() as u64;
        }
        keys.sort_unstable();
        keys.dedup();
        segment.metadata_keys = keys.into_iter().map(Arc::from).collect();
        self.segments.push(segment);
    }
}

#[derive(Debug)]
struct MemoryPart {
    frame: Arc<Frame>,
    segments: Vec<Segment>,
    range: TimeRange,
}

impl Part for MemoryPart {
    fn range(&self) -> TimeRange {
        self.range
    }

    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn open(&self, budget: &Budget) -> Result<Box<dyn Batch + '_>, SourceError> {
        let rows = self.segments.iter().map(|segment| segment.rows.len() as u64).sum();
        budget.read(self.segments.iter().map(|segment| segment.line_bytes).sum(), rows)?;
        Ok(Box::new(MemoryBatch(&self.frame)))
    }
}

#[derive(Debug)]
struct MemoryBatch<'a>(&'a Frame);

impl Batch for MemoryBatch<'_> {
    fn timestamps(&self) -> Result<&[i64], SourceError> {
        Ok(&self.0.timestamps)
    }

    fn lengths(&self) -> Result<&[u32], SourceError> {
        Ok(&self.0.lengths)
    }

    fn lines(&self) -> Result<Lines<'_>, SourceError> {
        Ok(Lines { buffer: &self.0.buffer, starts: &self.0.starts, lengths: &self.0.lengths, contiguous: true })
    }

    fn metadata(&self) -> Result<Option<&MetadataColumn>, SourceError> {
        let any = self.0.metadata.sets.iter().any(|set| !set.is_empty());
        Ok(any.then_some(&self.0.metadata))
    }

    fn dead_rows(&self) -> Result<&[u32], SourceError> {
        Ok(&self.0.dead)
    }
}
