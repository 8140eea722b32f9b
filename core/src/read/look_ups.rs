//! What look-ups in the index take, counted.

use std::time::Instant;

use parking_lot::Mutex;

use crate::{Distribution, Result, writer::SECONDS};

/// What look-ups in the index have taken.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct IndexStats {
    /// For the blocks of streams.
    pub blocks: LookUps,
    /// For names of labels.
    pub label_names: LookUps,
    /// For values of labels.
    pub label_values: LookUps,
}

impl IndexStats {
    /// Look-ups of all kinds together.
    pub fn all(&self) -> LookUps {
        let mut all = LookUps::default();
        for look_ups in [&self.blocks, &self.label_names, &self.label_values] {
            all.answered.merge(&look_ups.answered);
            all.failed.merge(&look_ups.failed);
        }
        all
    }
}

/// Look-ups of one kind, in seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LookUps {
    /// Those that were answered.
    pub answered: Distribution,
    /// Those that failed.
    pub failed: Distribution,
}

impl Default for LookUps {
    fn default() -> Self {
        Self { answered: Distribution::new(SECONDS), failed: Distribution::new(SECONDS) }
    }
}

/// Measures look-ups.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<IndexStats>);

impl Watch {
    pub(super) fn stats(&self) -> IndexStats {
        self.0.lock().clone()
    }

    /// Measures one of the kind that is picked.
    pub(crate) fn measure<T>(
        &self,
        kind: impl FnOnce(&mut IndexStats) -> &mut LookUps,
        look_up: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        let found = look_up();
        let took = begun.elapsed().as_secs_f64();
        let mut stats = self.0.lock();
        let of = kind(&mut stats);
        let times = if found.is_ok() { &mut of.answered } else { &mut of.failed };
        times.add(took);
        found
    }
}
