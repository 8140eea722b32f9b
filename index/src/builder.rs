//! Builds a table in memory.

use std::io;

use narvi_types::Labels;

use crate::{BlockRef, Result};

/// Collects series and their blocks and writes them as a table. Labels are interned: a million series of six labels take
/// some 200 MiB.
#[derive(Debug, Default)]
pub struct TableBuilder {}

impl TableBuilder {
    /// Starts an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of a pack, for [`BlockRef::pack`]; the same name gives the same id.
    pub fn pack(&mut self, name: &str) -> u32 {
        let _ = name;
        0
    }

    /// The id of a set of structured metadata keys, for [`BlockRef::metadata_keys`]. Order and repetition do not matter.
    pub fn key_set<'a>(&mut self, keys: impl IntoIterator<Item = &'a str>) -> u32 {
        let _ = keys.into_iter();
        0
    }

    /// Adds a block of a stream. Any order of tenants, labels and blocks is fine; an identical block is kept once.
    ///
    /// # Errors
    /// A block without rows or time, or with a pack or key set this builder did not give.
    pub fn add(&mut self, tenant: &str, labels: &Labels, block: BlockRef) -> Result<()> {
        let _ = (tenant, labels, block);
        Ok(())
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Writes the table into memory.
    ///
    /// # Errors
    /// More than a part can hold.
    pub fn finish(self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.write(&mut out)?;
        Ok(out)
    }

    /// Writes the table. Writes in small pieces: hand in a buffered writer. Syncing is the caller's.
    ///
    /// # Errors
    /// More than a part can hold; the output fails.
    pub fn write(self, out: &mut impl io::Write) -> Result<()> {
        let _ = out;
        Ok(())
    }
}
