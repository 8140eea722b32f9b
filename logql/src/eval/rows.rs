//! The lines of a log leaf: rows in the order of the query, with their labels interned.

use std::collections::HashMap;

use bytes::Bytes;
use narvi_types::{
    Direction, Labels, Metadata, Pairs,
    wire::{Reader, WireError, Writer},
};

use super::wire;

/// What rows share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RowLabels {
    /// The labels that tell streams of the answer apart.
    pub(crate) labels: Labels,
    /// Structured metadata, if it is kept apart.
    pub(crate) structured: Metadata,
    /// Labels that stages made, if they are kept apart.
    pub(crate) parsed: Pairs,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowEntry {
    pub(crate) ts: i64,
    /// Which [`RowLabels`].
    pub(crate) labels: u32,
    pub(crate) line: Bytes,
}

/// Rows in the order of the query.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) labels: Vec<RowLabels>,
    pub(crate) rows: Vec<RowEntry>,
    /// Made when first needed.
    index: HashMap<RowLabels, u32>,
}

/// Bytes that a set of labels needs besides its text: its places in a list and a map.
const LABELS_BYTES: u64 = 2 * size_of::<RowLabels>() as u64 + 64;

/// Bytes that a row needs besides its line.
pub(crate) const ROW_BYTES: u64 = size_of::<RowEntry>() as u64 + 16;

impl Rows {
    /// The number of these labels.
    pub(crate) fn intern(&mut self, labels: RowLabels) -> u32 {
        if self.index.len() != self.labels.len() {
            self.index = self.labels.iter().cloned().zip(0..).collect();
        }
        let next = self.labels.len() as u32;
        *self.index.entry(labels).or_insert_with_key(|labels| {
            self.labels.push(labels.clone());
            next
        })
    }

    /// Puts the rows of others among one's own, behind those of the same time, and keeps the first `limit`.
    pub(crate) fn merge(&mut self, later: impl IntoIterator<Item = Self>, direction: Direction, limit: Option<usize>) {
        let before = self.rows.len();
        for one in later {
            let numbers: Vec<_> = one.labels.into_iter().map(|labels| self.intern(labels)).collect();
            self.rows.extend(one.rows.into_iter().map(|row| {
                let labels = numbers.get(row.labels as usize).copied().unwrap_or_default();
                RowEntry { labels, ..row }
            }));
        }
        if self.rows.len() > before {
            // Stable, and quick on what is a few sorted lists one behind the other.
            match direction {
                Direction::Forward => self.rows.sort_by_key(|row| row.ts),
                Direction::Backward => self.rows.sort_by_key(|row| std::cmp::Reverse(row.ts)),
            }
            self.rows.truncate(limit.unwrap_or(usize::MAX));
            self.forget_labels();
        }
    }

    /// The time of the last row, if there are as many as wanted: rows beyond it do not matter.
    pub(crate) fn bound(&self, limit: Option<usize>) -> Option<i64> {
        let full = limit.is_some_and(|limit| limit > 0 && self.rows.len() >= limit);
        self.rows.last().filter(|_| full).map(|row| row.ts)
    }

    /// Forgets labels that no row has, once they are many.
    fn forget_labels(&mut self) {
        if self.labels.len() < 64 || self.labels.len() / 2 < self.rows.len() {
            return;
        }
        let mut old = std::mem::take(&mut self.labels);
        self.index = HashMap::new();
        let mut numbers = vec![u32::MAX; old.len()];
        for row in &mut self.rows {
            let Some(number) = numbers.get_mut(row.labels as usize) else { continue };
            if *number == u32::MAX {
                *number = self.labels.len() as u32;
                self.labels.push(std::mem::take(&mut old[row.labels as usize]));
            }
            row.labels = *number;
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        let of_labels = |held: &RowLabels| {
            let parts = [held.labels.packed(), held.structured.packed(), held.parsed.packed()];
            parts.iter().map(|part| part.len() as u64).sum::<u64>() + LABELS_BYTES
        };
        let labels: u64 = self.labels.iter().map(of_labels).sum();
        labels + self.rows.iter().map(|row| ROW_BYTES + row.line.len() as u64).sum::<u64>()
    }

    /// Appends the binary form: the labels in use, then the rows.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut used = HashMap::new();
        let mut order = Vec::new();
        for row in &self.rows {
            used.entry(row.labels).or_insert_with(|| {
                order.push(row.labels);
                order.len() as u64 - 1
            });
        }
        out.put_varint(order.len() as u64);
        let nothing = RowLabels::default();
        for number in order {
            let labels = self.labels.get(number as usize).unwrap_or(&nothing);
            wire::put_pairs(out, labels.labels.iter());
            wire::put_pairs(out, labels.structured.iter());
            wire::put_pairs(out, labels.parsed.iter());
        }
        out.put_varint(self.rows.len() as u64);
        let mut before = 0i64;
        for row in &self.rows {
            out.put_varint(used.get(&row.labels).copied().unwrap_or_default());
            out.put_zigzag(row.ts.wrapping_sub(before));
            out.put_blob(&row.line);
            before = row.ts;
        }
    }

    /// Reads what [`Rows::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.count(3, "number of label sets")?;
        let labels = (0..count)
            .map(|_| {
                let labels = wire::labels(reader)?;
                Ok(RowLabels { labels, structured: wire::metadata(reader)?, parsed: wire::pairs(reader)? })
            })
            .collect::<Result<Vec<_>, WireError>>()?;
        let count = reader.count(3, "number of rows")?;
        let mut rows = Vec::with_capacity(count);
        let mut ts = 0i64;
        for _ in 0..count {
            let bad = reader.error("labels of a row");
            let number = reader.varint("labels of a row")?;
            if number >= labels.len() as u64 {
                return Err(bad);
            }
            ts = ts.wrapping_add(reader.zigzag("time of a row")?);
            let line = Bytes::copy_from_slice(reader.blob("line")?);
            rows.push(RowEntry { ts, labels: number as u32, line });
        }
        Ok(Self { labels, rows, index: HashMap::new() })
    }
}
