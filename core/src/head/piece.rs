//! A piece of a head: rows of one stream in the order of their arrival, immutable and shared.

use bytes::{Bytes, BytesMut};
use narvi_logql::MetadataColumn;
use narvi_types::{Entry, Metadata, TimeRange};
use std::collections::HashMap;

/// Rows of one stream as they arrived. Lines lie one behind the other in `buffer`, in row order, without gaps.
#[derive(Debug)]
pub(crate) struct HeadPiece {
    /// Nanoseconds, one per row.
    pub(crate) timestamps: Vec<i64>,
    /// Where in the buffer each row's line starts.
    pub(crate) starts: Vec<u32>,
    /// Bytes of each row's line.
    pub(crate) lengths: Vec<u32>,
    /// The lines.
    pub(crate) buffer: Bytes,
    /// Structured metadata, if any row has some; the first set is the empty one.
    pub(crate) metadata: Option<MetadataColumn>,
    /// First and last time.
    pub(crate) range: TimeRange,
    /// Whether times never go back.
    pub(crate) sorted: bool,
    /// Whether times always go forward, so that no row can be the duplicate of another in this piece.
    pub(crate) distinct: bool,
}

/// Bytes of lines after which a piece is sealed. Bounds what growing a buffer copies, and `u32` offsets hold.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// Rows after which a piece is sealed.
pub(crate) const PIECE_ROWS: usize = 16 << 10;
/// Pieces below this many bytes are joined with their neighbour when readers seal often.
const SMALL_BYTES: usize = 64 << 10;

impl HeadPiece {
    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// The line of a row; empty for a row out of range.
    pub(crate) fn line(&self, row: usize) -> &[u8] {
        let (Some(&start), Some(&len)) = (self.starts.get(row), self.lengths.get(row)) else { return &[] };
        self.buffer.get(start as usize..start as usize + len as usize).unwrap_or(&[])
    }

    /// The structured metadata of a row, if it has any.
    pub(crate) fn row_metadata(&self, row: usize) -> Option<&Metadata> {
        let column = self.metadata.as_ref()?;
        column.sets.get(*column.ids.get(row)? as usize).filter(|set| !set.is_empty())
    }

    /// Whether it pays to join this piece with one of `rows` rows that follows: it is small and not much larger, so that
    /// every row is copied a logarithmic number of times.
    pub(crate) fn joins(&self, next: &Self) -> bool {
        self.buffer.len() + next.buffer.len() <= SMALL_BYTES && self.rows() <= 2 * next.rows()
    }

    /// One piece with the rows of two.
    pub(crate) fn join(&self, next: &Self) -> Self {
        let mut open = OpenPiece::default();
        open.reserve(self.rows() + next.rows(), self.buffer.len() + next.buffer.len());
        for piece in [self, next] {
            for row in 0..piece.rows() {
                let metadata = piece.row_metadata(row).cloned().unwrap_or_default();
                open.push(piece.timestamps[row], piece.line(row), &metadata);
            }
        }
        open.seal()
    }
}

/// A piece that still grows.
#[derive(Debug, Default)]
pub(crate) struct OpenPiece {
    timestamps: Vec<i64>,
    starts: Vec<u32>,
    lengths: Vec<u32>,
    buffer: BytesMut,
    metadata: Option<Box<OpenMetadata>>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    range: TimeRange,
    sorted: bool,
    distinct: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { range: TimeRange::EMPTY, sorted: true, distinct: true }
    }
}

#[derive(Debug)]
struct OpenMetadata {
    column: MetadataColumn,
    ids: HashMap<Metadata, u32>,
}

impl OpenPiece {
    pub(crate) fn rows(&self) -> usize {
        self.timestamps.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= PIECE_BYTES || self.timestamps.len() >= PIECE_ROWS
    }

    /// Whether the rows fit without the piece growing past its size; an empty piece takes any row.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.timestamps.is_empty() || (!self.is_full() && self.buffer.len() + bytes <= 2 * PIECE_BYTES)
    }

    /// Grows by a half, or to what is needed if that is more: streams of few rows stay small.
    pub(crate) fn reserve(&mut self, rows: usize, bytes: usize) {
        fn grow<T>(column: &mut Vec<T>, rows: usize) {
            if column.capacity() - column.len() < rows {
                column.reserve_exact(rows.max(column.len() / 2).min(PIECE_ROWS.max(rows)));
            }
        }
        grow(&mut self.timestamps, rows);
        grow(&mut self.starts, rows);
        grow(&mut self.lengths, rows);
        if self.buffer.capacity() - self.buffer.len() < bytes {
            // `BytesMut` doubles by itself; a fresh buffer of the wanted size keeps small streams small.
            let len = self.buffer.len();
            let mut larger = BytesMut::with_capacity(len + bytes.max(len / 2));
            larger.extend_from_slice(&self.buffer);
            self.buffer = larger;
        }
    }

    pub(crate) fn push_entry(&mut self, entry: &Entry) {
        self.push(entry.timestamp.as_ns(), &entry.line, &entry.metadata);
    }

    /// Appends a row; the caller has checked [`OpenPiece::has_room`].
    pub(crate) fn push(&mut self, timestamp: i64, line: &[u8], metadata: &Metadata) {
        let shape = &mut self.shape;
        shape.sorted &= shape.range.is_empty() || timestamp >= shape.range.max;
        shape.distinct &= shape.range.is_empty() || timestamp > shape.range.max;
        shape.range = shape.range.cover(&TimeRange::new(timestamp, timestamp));
        if self.metadata.is_some() || !metadata.is_empty() {
            let rows = self.timestamps.len();
            self.metadata.get_or_insert_with(|| Box::new(OpenMetadata::new(rows))).push(metadata);
        }
        self.timestamps.push(timestamp);
        self.starts.push(self.buffer.len() as u32);
        self.lengths.push(line.len() as u32);
        self.buffer.extend_from_slice(line);
    }

    /// Takes the rows out; what room is left in the buffer stays for the rows to come. Copies no line.
    pub(crate) fn seal(&mut self) -> HeadPiece {
        let shape = std::mem::take(&mut self.shape);
        HeadPiece {
            timestamps: std::mem::take(&mut self.timestamps),
            starts: std::mem::take(&mut self.starts),
            lengths: std::mem::take(&mut self.lengths),
            buffer: self.buffer.split().freeze(),
            metadata: self.metadata.take().map(|open| open.column),
            range: shape.range,
            sorted: shape.sorted,
            distinct: shape.distinct,
        }
    }
}

impl OpenMetadata {
    /// Starts with `rows` rows that have none.
    fn new(rows: usize) -> Self {
        let column = MetadataColumn { sets: vec![Metadata::default()], ids: vec![0; rows] };
        Self { column, ids: HashMap::from([(Metadata::default(), 0)]) }
    }

    fn push(&mut self, metadata: &Metadata) {
        let sets = &mut self.column.sets;
        let id = match sets.last() {
            Some(last) if last == metadata => sets.len() as u32 - 1,
            _ => *self.ids.entry(metadata.clone()).or_insert_with(|| {
                sets.push(metadata.clone());
                sets.len() as u32 - 1
            }),
        };
        self.column.ids.push(id);
    }
}
