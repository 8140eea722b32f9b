//! Merged rows of one stream on their way into a pack.

use std::ops::Range;

use narvi_chunk::Rows;
use narvi_types::Metadata;

use super::frames::Frame;

/// Rows of one stream, copied out of frames, sorted by time.
#[derive(Debug, Default)]
pub(super) struct MergedRows {
    times: Vec<i64>,
    lines: Vec<u8>,
    ends: Vec<usize>,
    /// As long as `times`, or empty while no row has metadata.
    metadata: Vec<Metadata>,
    metadata_bytes: usize,
}

impl MergedRows {
    /// Appends rows of a frame.
    pub(super) fn push(&mut self, frame: &Frame, rows: Range<usize>) {
        let (before, start) = (self.times.len(), self.lines.len());
        self.times.extend_from_slice(frame.times.get(rows.clone()).unwrap_or(&[]));
        let (lines, ends) = frame.lines(rows.clone());
        self.lines.extend_from_slice(lines);
        self.ends.extend(ends.map(|end| start + end));
        if frame.has_metadata() {
            self.metadata.resize_with(before, Metadata::default);
            let sets = rows.map(|row| frame.metadata(row).cloned().unwrap_or_default());
            self.metadata.extend(sets);
            self.metadata_bytes += self.metadata.iter().skip(before).map(|set| set.packed().len()).sum::<usize>();
        } else if !self.metadata.is_empty() {
            self.metadata.resize_with(self.times.len(), Metadata::default);
        }
    }

    /// What a frame is measured by: bytes of lines or of metadata.
    pub(super) fn fill_bytes(&self) -> usize {
        self.lines.len().max(self.metadata_bytes)
    }

    /// Empties it; the buffers are kept.
    pub(super) fn clear(&mut self) {
        self.times.clear();
        self.lines.clear();
        self.ends.clear();
        self.metadata.clear();
        self.metadata_bytes = 0;
    }
}

impl Rows for MergedRows {
    fn len(&self) -> usize {
        self.times.len()
    }

    fn timestamp(&self, row: usize) -> i64 {
        self.times[row]
    }

    fn line(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.lines[start..self.ends[row]]
    }

    fn metadata(&self, row: usize) -> Option<&Metadata> {
        self.metadata.get(row).filter(|set| !set.is_empty())
    }
}
