//! The rows of one stream over all its pieces: sorted by time, stable by arrival, without duplicates.

use std::{collections::HashSet, ops::Range, sync::Arc};

use narvi_chunk::Rows;
use narvi_types::Metadata;

use crate::head::HeadPiece;

/// The rows of one stream in the order in which they are stored. Copies no line.
#[derive(Debug)]
pub(crate) struct SortedRows {
    pieces: Vec<Arc<HeadPiece>>,
    /// Piece and row in it.
    order: Vec<(u32, u32)>,
}

/// Groups of rows at one time from which on duplicates are looked for with a set.
const LARGE_GROUP: usize = 16;

impl SortedRows {
    /// Sorts the rows of pieces that are in the order of arrival.
    pub(crate) fn new(pieces: Vec<Arc<HeadPiece>>) -> Self {
        let order = pieces
            .iter()
            .enumerate()
            .flat_map(|(at, piece)| (0..piece.rows() as u32).map(move |row| (at as u32, row)))
            .collect();
        let sorted = pieces.iter().all(|piece| piece.sorted)
            && pieces.windows(2).all(|pair| pair[0].range.max <= pair[1].range.min);
        let distinct = pieces.iter().all(|piece| piece.distinct)
            && pieces.windows(2).all(|pair| pair[0].range.max < pair[1].range.min);
        let mut rows = Self { pieces, order };
        if !sorted {
            let pieces = &rows.pieces;
            rows.order.sort_by_key(|(piece, row)| pieces[*piece as usize].timestamps[*row as usize]);
        }
        if !distinct {
            rows.remove_duplicates();
        }
        rows
    }

    /// Keeps the first of rows that are alike.
    fn remove_duplicates(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        let mut kept = 0;
        let mut start = 0;
        while let Some(&first) = order.get(start) {
            let time = self.time(first);
            let len = order[start..].iter().take_while(|place| self.time(**place) == time).count();
            let group = kept;
            let mut seen: HashSet<(&[u8], Option<&Metadata>)> = HashSet::new();
            for at in start..start + len {
                let place = order[at];
                let row = self.content(place);
                let known = if len < LARGE_GROUP {
                    order[group..kept].iter().any(|other| self.content(*other) == row)
                } else {
                    !seen.insert(row)
                };
                if !known {
                    order[kept] = place;
                    kept += 1;
                }
            }
            start += len;
        }
        order.truncate(kept);
        self.order = order;
    }

    fn time(&self, (piece, row): (u32, u32)) -> i64 {
        self.pieces[piece as usize].timestamps[row as usize]
    }

    fn content(&self, (piece, row): (u32, u32)) -> (&[u8], Option<&Metadata>) {
        let piece = &self.pieces[piece as usize];
        (piece.line(row as usize), piece.row_metadata(row as usize))
    }

    /// The rows cut at the ends of periods: the number of each period, ascending, and its rows.
    pub(crate) fn periods(&self, period_ns: i64) -> Vec<(i64, Range<usize>)> {
        let mut out = Vec::new();
        let mut start = 0;
        while let Some(&first) = self.order.get(start) {
            let period = self.time(first).div_euclid(period_ns);
            let len = self.order[start..].partition_point(|place| self.time(*place).div_euclid(period_ns) == period);
            out.push((period, start..start + len));
            start += len;
        }
        out
    }

    /// Some of the rows, to be written.
    pub(crate) fn slice(&self, range: Range<usize>) -> RowSlice<'_> {
        RowSlice { rows: self, order: self.order.get(range).unwrap_or(&[]) }
    }
}

/// Neighbouring rows of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSlice<'a> {
    rows: &'a SortedRows,
    order: &'a [(u32, u32)],
}

impl Rows for RowSlice<'_> {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn timestamp(&self, row: usize) -> i64 {
        self.rows.time(self.order[row])
    }

    fn line(&self, row: usize) -> &[u8] {
        self.rows.content(self.order[row]).0
    }

    fn metadata(&self, row: usize) -> Option<&Metadata> {
        self.rows.content(self.order[row]).1
    }
}
