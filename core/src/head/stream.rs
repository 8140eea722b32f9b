//! The head of one stream in one generation: sealed pieces and an open one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use narvi_types::{Entry, Labels, TimeRange};
use parking_lot::Mutex;

use super::piece::{HeadPiece, OpenPiece};

/// Rows of one stream in one generation, in the order of their arrival.
#[derive(Debug)]
pub(crate) struct StreamHead {
    labels: Labels,
    /// The stream's number in the generation, by which WAL records name it.
    id: u32,
    /// Whether the WAL holds a record that says which labels the number stands for.
    in_wal: AtomicBool,
    body: Mutex<Body>,
}

#[derive(Debug, Default)]
struct Body {
    sealed: Vec<Arc<HeadPiece>>,
    open: OpenPiece,
    range: Option<TimeRange>,
    rows: u64,
    line_bytes: u64,
}

/// What a stream's head held at one moment. Shares the rows.
#[derive(Clone, Debug)]
pub(crate) struct StreamSnapshot {
    /// In the order of arrival.
    pub(crate) pieces: Vec<Arc<HeadPiece>>,
    /// Rows in all pieces.
    pub(crate) rows: u64,
    /// Bytes of all lines.
    pub(crate) line_bytes: u64,
}

impl StreamHead {
    pub(crate) fn new(labels: Labels, id: u32) -> Self {
        Self { labels, id, in_wal: AtomicBool::new(false), body: Mutex::default() }
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn is_in_wal(&self) -> bool {
        self.in_wal.load(Ordering::Acquire)
    }

    /// Called once a record that defines the stream is in the file, so that whoever sees it writes behind that record.
    pub(crate) fn set_in_wal(&self) {
        self.in_wal.store(true, Ordering::Release);
    }

    /// Appends rows; readers see all of them or none.
    pub(crate) fn append(&self, entries: &[Entry]) {
        let mut body = self.body.lock();
        let bytes = entries.iter().map(|e| e.line.len()).sum::<usize>();
        if body.open.has_room(bytes) && bytes <= super::PIECE_BYTES {
            body.open.reserve(entries.len(), bytes);
        }
        for entry in entries {
            let len = entry.line.len();
            if !body.open.has_room(len) {
                body.seal();
            }
            body.open.reserve(1, len);
            body.open.push_entry(entry);
            let ts = entry.timestamp.as_ns();
            let range = body.range.unwrap_or(TimeRange::EMPTY).cover(&TimeRange::new(ts, ts));
            body.range = Some(range);
            body.line_bytes += len as u64;
        }
        body.rows += entries.len() as u64;
        if body.open.is_full() {
            body.seal();
        }
    }

    /// Says what it holds without holding it: for a head that lies in another process, of which only this is known.
    pub(crate) fn count(&self, range: TimeRange, rows: u64, line_bytes: u64) {
        let mut body = self.body.lock();
        (body.range, body.rows, body.line_bytes) = (Some(range), rows, line_bytes);
    }

    /// Whether it has rows in a time range, as far as its first and last time tell.
    pub(crate) fn overlaps(&self, range: &TimeRange) -> bool {
        self.range().overlaps(range)
    }

    /// First and last time; empty without rows.
    pub(crate) fn range(&self) -> TimeRange {
        self.body.lock().range.unwrap_or(TimeRange::EMPTY)
    }

    /// Shares what is there now. Seals the open piece; copies no line, except of pieces so small that joining them
    /// with their neighbour saves readers more.
    pub(crate) fn snapshot(&self) -> StreamSnapshot {
        let mut body = self.body.lock();
        body.seal();
        StreamSnapshot { pieces: body.sealed.clone(), rows: body.rows, line_bytes: body.line_bytes }
    }
}

impl Body {
    fn seal(&mut self) {
        if self.open.rows() == 0 {
            return;
        }
        let mut piece = self.open.seal();
        while let Some(last) = self.sealed.pop_if(|last| last.joins(&piece)) {
            piece = last.join(&piece);
        }
        self.sealed.push(Arc::new(piece));
    }
}
