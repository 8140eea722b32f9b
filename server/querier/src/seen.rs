//! Which rows of a tail were there already: several ingesters tell of the same push.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hash, RandomState},
};

/// Rows that are remembered at least.
const MOST: usize = 100_000;

/// Remembers the latest rows in bounded memory, by hashes that no client can foresee.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    hasher: RandomState,
    current: HashSet<u64>,
    previous: HashSet<u64>,
}

impl Seen {
    /// Whether a row comes for the first time.
    pub(crate) fn is_new(&mut self, row: impl Hash) -> bool {
        let key = self.hasher.hash_one(row);
        if self.previous.contains(&key) || !self.current.insert(key) {
            return false;
        }
        if self.current.len() >= MOST {
            self.previous = std::mem::take(&mut self.current);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Seen};

    #[test]
    fn the_latest_rows_are_remembered() {
        let mut seen = Seen::default();
        for row in 0..3 * MOST {
            assert!(seen.is_new(row));
            assert!(!seen.is_new(row.saturating_sub(MOST - 1)));
        }
        assert!(seen.current.len() <= MOST && seen.previous.len() <= MOST);
        assert!(seen.is_new(0usize), "long ago");
    }
}
