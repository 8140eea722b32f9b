//! What upkeep has done, counted.

use super::{inputs::Input, round::Merged};
use crate::Error;

/// What one call of [`Db::compact`](crate::Db::compact) did. All counts are zero when there was nothing to merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionSummary {
    /// Index tables that were merged.
    pub tables_in: u64,
    /// Index tables that took their place.
    pub tables_out: u64,
    /// Packs that were merged.
    pub packs_in: u64,
    /// Packs that took their place.
    pub packs_out: u64,
    /// Rows that were read.
    pub rows_in: u64,
    /// Rows that were written. The others were stored twice.
    pub rows_out: u64,
    /// Bytes of the files that were merged.
    pub bytes_in: u64,
    /// Bytes of the files that took their place.
    pub bytes_out: u64,
    /// 1 when another commit took one of the files meanwhile, so that all was given up. Calling again is right.
    pub conflicts: u64,
    /// Tables and packs found damaged in this call, one sentence each. They stay as they are and are left out from now on.
    pub damaged: Vec<String>,
}

impl CompactionSummary {
    pub(super) fn of(inputs: &[Input], merged: &Merged) -> Self {
        let files = || merged.output.packs.iter().chain(&merged.output.tables);
        Self {
            tables_in: inputs.len() as u64,
            tables_out: merged.output.tables.len() as u64,
            packs_in: inputs.iter().map(|input| input.packs.len() as u64).sum(),
            packs_out: merged.output.packs.len() as u64,
            rows_in: merged.rows_in,
            rows_out: merged.rows_out,
            bytes_in: inputs.iter().map(|input| input.bytes).sum(),
            bytes_out: files().map(|file| file.bytes).sum(),
            conflicts: 0,
            damaged: Vec::new(),
        }
    }
}

/// What the upkeep of a database has done since it was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MaintenanceStats {
    /// Merges that were committed.
    pub compactions: u64,
    /// Merges that were given up because another commit was faster.
    pub conflicts: u64,
    /// Merges and collections of garbage that failed.
    pub failures: u64,
    /// Why the last one failed.
    pub last_error: Option<Error>,
    /// Index tables that were merged.
    pub tables_in: u64,
    /// Index tables that took their place.
    pub tables_out: u64,
    /// Packs that were merged.
    pub packs_in: u64,
    /// Packs that took their place.
    pub packs_out: u64,
    /// Rows that were read.
    pub rows_in: u64,
    /// Rows that were written. The others were stored twice.
    pub rows_out: u64,
    /// Bytes of the files that were merged.
    pub bytes_in: u64,
    /// Bytes of the files that took their place.
    pub bytes_out: u64,
    /// Files of no use that were deleted.
    pub files_deleted: u64,
    /// Tables and packs found damaged, one sentence each. They stay as they are and are left out of merges.
    pub damaged: Vec<String>,
}

impl MaintenanceStats {
    pub(super) fn add(&mut self, summary: &CompactionSummary) {
        self.compactions += u64::from(summary.tables_in > 0);
        self.conflicts += summary.conflicts;
        self.tables_in += summary.tables_in;
        self.tables_out += summary.tables_out;
        self.packs_in += summary.packs_in;
        self.packs_out += summary.packs_out;
        self.rows_in += summary.rows_in;
        self.rows_out += summary.rows_out;
        self.bytes_in += summary.bytes_in;
        self.bytes_out += summary.bytes_out;
    }

    pub(super) fn fail(&mut self, error: &Error) {
        self.failures += 1;
        self.last_error = Some(error.clone());
    }
}
