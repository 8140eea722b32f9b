//! The accumulators of one series, by cell; and the series of one leaf.

use std::collections::HashMap;

use narvi_types::{
    Labels,
    wire::{Reader, WireError, Writer},
};

use super::{accumulator::Accumulator, wire};

/// Accumulators by cell number: a sorted list while few cells are used, then one for each cell.
#[derive(Clone, Debug)]
pub(crate) enum Cells<A> {
    /// The used cells in order.
    Sparse(Vec<(u32, A)>),
    /// All cells; unused ones are empty.
    Dense(Vec<A>),
}

impl<A> Default for Cells<A> {
    fn default() -> Self {
        Self::Sparse(Vec::new())
    }
}

impl<A: Accumulator> Cells<A> {
    /// The accumulator of a cell below `width`. Cheap if it is the one asked for last or behind all others.
    pub(crate) fn at(&mut self, cell: u32, width: usize) -> &mut A {
        if let Self::Sparse(list) = self
            && list.len() >= 16
            && list.len() * 4 >= width
        {
            let mut dense = Vec::new();
            dense.resize_with(width, A::default);
            for (cell, held) in std::mem::take(list) {
                dense[cell as usize] = held;
            }
            *self = Self::Dense(dense);
        }
        match self {
            Self::Dense(all) => &mut all[cell as usize],
            Self::Sparse(list) => {
                let at = match list.last() {
                    Some((last, _)) if *last == cell => list.len() - 1,
                    Some((last, _)) if *last > cell => match list.binary_search_by_key(&cell, |(c, _)| *c) {
                        Ok(at) => at,
                        Err(at) => {
                            list.insert(at, (cell, A::default()));
                            at
                        }
                    },
                    _ => {
                        list.push((cell, A::default()));
                        list.len() - 1
                    }
                };
                &mut list[at].1
            }
        }
    }

    /// The used cells in order.
    pub(crate) fn used(&self) -> impl Iterator<Item = (u32, &A)> {
        let (sparse, dense) = match self {
            Self::Sparse(list) => (list.as_slice(), [].as_slice()),
            Self::Dense(all) => ([].as_slice(), all.as_slice()),
        };
        let sparse = sparse.iter().map(|(cell, held)| (*cell, held));
        let dense = dense.iter().enumerate().map(|(cell, held)| (cell as u32, held));
        sparse.chain(dense).filter(|(_, held)| !held.is_empty())
    }

    /// Adds all cells of another, whose samples come later.
    pub(crate) fn merge(&mut self, later: &Self, width: usize) {
        for (cell, held) in later.used() {
            self.at(cell, width).merge(held);
        }
    }

    /// As [`Cells::merge`], but takes the other over if there is nothing yet.
    pub(crate) fn absorb(&mut self, later: Self, width: usize) {
        if self.is_unused() {
            *self = later;
        } else {
            self.merge(&later, width);
        }
    }

    /// Whether no cell was ever asked for.
    pub(crate) fn is_unused(&self) -> bool {
        matches!(self, Self::Sparse(list) if list.is_empty())
    }

    /// Bytes held, without what the accumulators hold outside themselves.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Sparse(list) => (list.capacity() * size_of::<(u32, A)>()) as u64,
            Self::Dense(all) => (all.capacity() * size_of::<A>()) as u64,
        }
    }
}

/// The series of a leaf, in the order first seen.
#[derive(Clone, Debug)]
pub(crate) struct Table<A> {
    pub(crate) series: Vec<(Labels, Cells<A>)>,
    index: HashMap<Labels, u32>,
}

impl<A> Default for Table<A> {
    fn default() -> Self {
        Self { series: Vec::new(), index: HashMap::new() }
    }
}

impl<A: Accumulator> Table<A> {
    /// The number of the series with these labels.
    pub(crate) fn intern(&mut self, labels: &Labels) -> u32 {
        if let Some(&at) = self.index.get(labels) {
            return at;
        }
        let at = self.series.len() as u32;
        self.index.insert(labels.clone(), at);
        self.series.push((labels.clone(), Cells::default()));
        at
    }

    /// The cells of a series that [`Table::intern`] named.
    pub(crate) fn cells(&mut self, series: u32) -> &mut Cells<A> {
        &mut self.series[series as usize].1
    }

    /// Adds all series of another, whose samples come later.
    pub(crate) fn merge(&mut self, later: Self, width: usize) {
        for (labels, cells) in later.series {
            let at = self.intern(&labels);
            self.cells(at).absorb(cells, width);
        }
    }

    /// The table with each cell put into the one that `to` says, or left out where it says none; `None` if it does not know
    /// a cell.
    pub(crate) fn moved(self, to: &HashMap<u32, Option<u32>>, width: usize) -> Option<Self> {
        let mut table = Self::default();
        for (labels, cells) in self.series {
            let mut moved = Cells::<A>::default();
            for (cell, held) in cells.used() {
                if let Some(at) = to.get(&cell)? {
                    moved.at(*at, width).merge(held);
                }
            }
            if !moved.is_unused() {
                let at = table.intern(&labels);
                table.cells(at).absorb(moved, width);
            }
        }
        Some(table)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        let cells = |cells: &Cells<A>| {
            let samples = if A::SAMPLE_BYTES == 0 { 0 } else { cells.used().map(|(_, held)| held.samples()).sum() };
            cells.bytes() + A::SAMPLE_BYTES * samples
        };
        self.series.iter().map(|(labels, held)| series_bytes(labels) + cells(held)).sum()
    }

    /// Appends the binary form: the number of series, and for each its labels and the used cells, numbered by distance.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.series.len() as u64);
        for (labels, cells) in &self.series {
            wire::put_pairs(out, labels.iter());
            out.put_varint(cells.used().count() as u64);
            let mut next = 0;
            for (cell, held) in cells.used() {
                out.put_varint(u64::from(cell - next));
                held.encode(out);
                next = cell + 1;
            }
        }
    }

    /// Reads what [`Table::encode`] wrote; cells must be below `width`.
    pub(crate) fn decode(reader: &mut Reader<'_>, width: usize) -> Result<Self, WireError> {
        let mut table = Self::default();
        for _ in 0..reader.count(2, "number of series")? {
            let labels = wire::labels(reader)?;
            let twice = reader.error("labels that occur twice");
            let at = table.intern(&labels);
            if at as usize + 1 != table.series.len() {
                return Err(twice);
            }
            let used = reader.count(2, "number of cells")?;
            // A dense table is built cell by cell so that a small input cannot ask for a wide one.
            let mut next = 0u64;
            for _ in 0..used {
                let bad = reader.error("number of a cell");
                let cell = next.checked_add(reader.varint("number of a cell")?).ok_or(bad)?;
                if cell >= width as u64 {
                    return Err(bad);
                }
                let held = A::decode(reader)?;
                *table.cells(at).at(cell as u32, width) = held;
                next = cell + 1;
            }
        }
        Ok(table)
    }
}

/// Bytes of a series besides its cells: its labels, and its places in a list and a map.
pub(crate) fn series_bytes(labels: &Labels) -> u64 {
    labels.packed().len() as u64 + 128
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{super::accumulator::Count, Cells};

    proptest! {
        #[test]
        fn cells_are_a_map(adds in proptest::collection::vec(0u32..90, 0..300)) {
            let mut cells = Cells::<Count>::default();
            let mut model = BTreeMap::new();
            for cell in adds {
                cells.at(cell, 90).0 += 1;
                *model.entry(cell).or_insert(0) += 1;
            }
            let held: Vec<_> = cells.used().map(|(cell, count)| (cell, count.0)).collect();
            prop_assert_eq!(held, model.into_iter().collect::<Vec<_>>());
        }
    }
}
