//! A piece of a head as a part of a query.

use std::{cell::OnceCell, sync::Arc};

use narvi_logql::{Batch, Budget, Lines, MetadataColumn, Part, Segment, SourceError};
use narvi_types::TimeRange;

use super::{
    dead::{repeated, repeated_within},
    packs::Packs,
    rows::{Content, StreamRows},
};
use crate::{
    deletes::{Judge, RowCuts},
    head::HeadPiece,
};

/// One piece of one stream.
#[derive(Debug)]
pub(crate) struct HeadPart {
    pub(crate) packs: Arc<Packs>,
    pub(crate) piece: Arc<HeadPiece>,
    /// One segment over all rows.
    pub(crate) segment: Segment,
    /// Earlier places of the stream that share times with the piece.
    pub(crate) earlier: Vec<StreamRows>,
    /// What hides rows.
    pub(crate) cuts: Option<RowCuts>,
}

impl Part for HeadPart {
    fn range(&self) -> TimeRange {
        self.piece.range
    }

    fn segments(&self) -> &[Segment] {
        std::slice::from_ref(&self.segment)
    }

    fn open(&self, budget: &Budget) -> Result<Box<dyn Batch + '_>, SourceError> {
        budget.check()?;
        let order = if self.piece.sorted { None } else { Some(Order::new(&self.piece)) };
        Ok(Box::new(HeadBatch {
            part: self,
            budget: budget.clone(),
            counted: OnceCell::new(),
            order,
            dead: OnceCell::new(),
        }))
    }
}

/// The columns of a piece whose rows did not arrive in the order of their times, sorted by time and then by arrival.
struct Order {
    /// Row in the piece.
    rows: Vec<u32>,
    timestamps: Vec<i64>,
    starts: Vec<u32>,
    lengths: Vec<u32>,
    metadata: Option<MetadataColumn>,
}

impl Order {
    fn new(piece: &HeadPiece) -> Self {
        let mut rows: Vec<u32> = (0..piece.rows() as u32).collect();
        rows.sort_by_key(|row| piece.timestamps[*row as usize]);
        let pick = |column: &[u32]| rows.iter().map(|row| column[*row as usize]).collect::<Vec<_>>();
        let timestamps = rows.iter().map(|row| piece.timestamps[*row as usize]).collect();
        let metadata = piece.metadata.as_ref().map(|m| MetadataColumn { sets: m.sets.clone(), ids: pick(&m.ids) });
        Self { timestamps, starts: pick(&piece.starts), lengths: pick(&piece.lengths), metadata, rows }
    }
}

struct HeadBatch<'a> {
    part: &'a HeadPart,
    budget: Budget,
    counted: OnceCell<()>,
    order: Option<Order>,
    dead: OnceCell<Vec<u32>>,
}

impl HeadBatch<'_> {
    fn piece(&self) -> &HeadPiece {
        &self.part.piece
    }

    /// Row of the piece for a row of the batch.
    fn row(&self, row: u32) -> u32 {
        self.order.as_ref().map_or(row, |order| order.rows[row as usize])
    }

    fn find_dead(&self) -> Result<Vec<u32>, SourceError> {
        let piece = self.piece();
        let own: Vec<(i64, u32)> = match &self.order {
            None => piece.timestamps.iter().copied().zip(0..).collect(),
            Some(order) => order.timestamps.iter().copied().zip(0..).collect(),
        };
        let mut dead = Vec::new();
        if !piece.distinct {
            dead = repeated_within(&own, |row| {
                let row = self.row(row) as usize;
                (piece.line(row), piece.row_metadata(row))
            });
        }
        if !self.part.earlier.is_empty() {
            let by_arrival: Vec<_> = own.iter().map(|(time, row)| (*time, self.row(*row))).collect();
            let content = || Ok(Content::Head(self.part.piece.clone()));
            let repeated = repeated(&by_arrival, &content, &self.part.earlier, &self.part.packs)?;
            match &self.order {
                None => dead.extend(repeated),
                Some(order) => {
                    let gone: std::collections::HashSet<u32> = repeated.into_iter().collect();
                    let rows = (0u32..).zip(&order.rows).filter(|(_, row)| gone.contains(row));
                    dead.extend(rows.map(|(at, _)| at));
                }
            }
        }
        if let Some(cuts) = &self.part.cuts {
            cuts.dead(&mut Judge::new(&self.budget), self, &self.part.segment, &mut dead)?;
        }
        dead.sort_unstable();
        dead.dedup();
        Ok(dead)
    }
}

impl Batch for HeadBatch<'_> {
    fn timestamps(&self) -> Result<&[i64], SourceError> {
        Ok(self.order.as_ref().map_or(&self.piece().timestamps, |order| &order.timestamps))
    }

    fn lengths(&self) -> Result<&[u32], SourceError> {
        Ok(self.order.as_ref().map_or(&self.piece().lengths, |order| &order.lengths))
    }

    fn lines(&self) -> Result<Lines<'_>, SourceError> {
        let piece = self.piece();
        if self.counted.set(()).is_ok() {
            self.budget.read(piece.buffer.len() as u64, piece.rows() as u64)?;
        }
        Ok(match &self.order {
            None => Lines { buffer: &piece.buffer, starts: &piece.starts, lengths: &piece.lengths, contiguous: true },
            Some(order) => {
                Lines { buffer: &piece.buffer, starts: &order.starts, lengths: &order.lengths, contiguous: false }
            }
        })
    }

    fn metadata(&self) -> Result<Option<&MetadataColumn>, SourceError> {
        Ok(match &self.order {
            None => self.piece().metadata.as_ref(),
            Some(order) => order.metadata.as_ref(),
        })
    }

    fn dead_rows(&self) -> Result<&[u32], SourceError> {
        if self.part.segment.exact {
            return Ok(&[]);
        }
        if let Some(dead) = self.dead.get() {
            return Ok(dead);
        }
        let dead = self.find_dead()?;
        Ok(self.dead.get_or_init(|| dead))
    }
}
