//! A table opened for reading.

use bytes::Bytes;
use narvi_types::TimeRange;

use crate::{IndexError, Part, Result};

/// A table opened for reading. Cheap to clone; clones share the bytes.
#[derive(Clone, Debug)]
pub struct Table {
    bytes: Bytes,
}

impl Table {
    /// Opens a table. Reads header, footer, directory, and the lists of packs and tenants; nothing that grows with series.
    ///
    /// # Errors
    /// Not a table, a version or required section this build does not know, damage in what was read.
    pub fn open(bytes: Bytes) -> Result<Self> {
        let _ = Self { bytes };
        Err(IndexError::NotATable { place: "header" })
    }

    /// The names of the packs that block references point into, by [`crate::BlockRef::pack`].
    pub fn packs(&self) -> &[String] {
        &[]
    }

    /// The number of tenants, which is the number of parts.
    pub fn tenant_count(&self) -> usize {
        0
    }

    /// The tenants, sorted, with the time range that their blocks cover. Opens no part.
    pub fn tenants(&self) -> impl Iterator<Item = (&str, TimeRange)> {
        std::iter::empty()
    }

    /// Opens a tenant's part. Costs a binary search and reading the part's directory and label names.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn part(&self, tenant: &str) -> Result<Option<Part>> {
        let _ = (tenant, &self.bytes);
        Ok(None)
    }
}
