//! The first walk over an input: which label values, and what range of time, the blocks that are kept need.

use narvi_types::TimeRange;

use crate::{BlockRef, Part, Result, series::Pair};

/// What the kept blocks of a part need.
#[derive(Debug)]
pub(super) struct Survivors {
    /// Range of the kept blocks; empty if there is none.
    pub(super) range: TimeRange,
    /// Blocks not kept.
    pub(super) dropped: u64,
    /// Per name one bit per value: whether a series that is kept has it.
    values: Vec<Vec<u64>>,
}

impl Survivors {
    pub(super) fn find(part: &Part, keep: impl Fn(&BlockRef) -> bool) -> Result<Self> {
        let bits = |name| vec![0; part.value_count(name).div_ceil(64) as usize];
        let values = (0..part.name_count()).map(bits).collect();
        let mut this = Self { range: TimeRange::EMPTY, dropped: 0, values };
        let (mut series, mut lists) = (part.series_cursor(), part.blocks_cursor());
        for id in 0..part.series_count() {
            let mut kept = false;
            for block in lists.seek(id, TimeRange::ALL)? {
                let block = block?;
                if keep(&block) {
                    kept = true;
                    this.range = this.range.cover(&block.range);
                } else {
                    this.dropped += 1;
                }
            }
            if kept {
                series.seek(id)?.iter().for_each(|pair| this.mark(*pair));
            }
        }
        Ok(this)
    }

    fn mark(&mut self, pair: Pair) {
        let name = self.values.get_mut(pair.name as usize);
        if let Some(word) = name.and_then(|values| values.get_mut((pair.value / 64) as usize)) {
            *word |= 1 << (pair.value % 64);
        }
    }

    /// Whether any value of the name is needed.
    pub(super) fn has_name(&self, name: usize) -> bool {
        self.values.get(name).is_some_and(|values| values.iter().any(|word| *word != 0))
    }

    pub(super) fn has_value(&self, name: usize, value: usize) -> bool {
        let word = self.values.get(name).and_then(|values| values.get(value / 64));
        word.is_some_and(|word| word >> (value % 64) & 1 == 1)
    }
}
