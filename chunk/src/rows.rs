//! The rows of one stream as a caller hands them to the writer.

use narvi_types::{Entry, Metadata};

use crate::{ChunkError, Result};

/// Rows of one stream, sorted by timestamp. The writer copies each line once, into the open frame.
pub trait Rows {
    /// How many rows there are.
    fn len(&self) -> usize;
    /// Time of a row, in nanoseconds since the epoch.
    fn timestamp(&self, row: usize) -> i64;
    /// Line of a row.
    fn line(&self, row: usize) -> &[u8];
    /// Structured metadata of a row, if it has any.
    fn metadata(&self, row: usize) -> Option<&Metadata>;

    /// Checks what the implementation itself must hold true, such as slices of equal length. Called before anything
    /// else.
    ///
    /// # Errors
    /// [`ChunkError::RowCount`], when parts differ in number.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rows that lie in slices of equal length.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct BlockRows<'a, L> {
    /// Nanoseconds since the epoch, ascending.
    pub timestamps: &'a [i64],
    /// The lines.
    pub lines: &'a [L],
    /// Structured metadata; an empty slice when no row has any.
    pub metadata: &'a [Metadata],
}

impl<L: AsRef<[u8]>> Rows for BlockRows<'_, L> {
    fn len(&self) -> usize {
        self.timestamps.len()
    }

    fn check(&self) -> Result<()> {
        let differ = |other, what| Err(ChunkError::RowCount { timestamps: self.timestamps.len(), other, what });
        if self.lines.len() != self.timestamps.len() {
            return differ(self.lines.len(), "lines");
        }
        if !self.metadata.is_empty() && self.metadata.len() != self.timestamps.len() {
            return differ(self.metadata.len(), "sets of metadata");
        }
        Ok(())
    }

    fn timestamp(&self, row: usize) -> i64 {
        self.timestamps[row]
    }

    fn line(&self, row: usize) -> &[u8] {
        self.lines[row].as_ref()
    }

    fn metadata(&self, row: usize) -> Option<&Metadata> {
        self.metadata.get(row).filter(|m| !m.is_empty())
    }
}

impl Rows for [Entry] {
    fn len(&self) -> usize {
        <[Entry]>::len(self)
    }

    fn timestamp(&self, row: usize) -> i64 {
        self[row].timestamp.as_ns()
    }

    fn line(&self, row: usize) -> &[u8] {
        &self[row].line
    }

    fn metadata(&self, row: usize) -> Option<&Metadata> {
        Some(&self[row].metadata).filter(|m| !m.is_empty())
    }
}
