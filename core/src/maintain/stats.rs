//! What upkeep has done, counted.

use std::{collections::BTreeMap, time::Duration};

use narvi_types::Tenant;

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
    /// Rows that were written. Others that were not removed were stored twice.
    pub rows_out: u64,
    /// Rows that were left out because retention or a request to delete hid them.
    pub rows_removed: u64,
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
            rows_removed: merged.removed.values().sum(),
            bytes_in: inputs.iter().map(|input| input.bytes).sum(),
            bytes_out: files().map(|file| file.bytes).sum(),
            conflicts: 0,
            damaged: Vec::new(),
        }
    }

    /// Adds what another merge did.
    pub(super) fn add(&mut self, other: &Self) {
        self.tables_in += other.tables_in;
        self.tables_out += other.tables_out;
        self.packs_in += other.packs_in;
        self.packs_out += other.packs_out;
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.rows_removed += other.rows_removed;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.conflicts += other.conflicts;
        self.damaged.extend_from_slice(&other.damaged);
    }
}

/// What one call of [`Db::apply_retention`](crate::Db::apply_retention) did. All counts are zero when nothing was to be
/// removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionSummary {
    /// Index tables of which no row was left, and which were taken out unread, with their packs.
    pub tables_dropped: u64,
    /// Their packs.
    pub packs_dropped: u64,
    /// Rows in them.
    pub rows_dropped: u64,
    /// Requests to delete of which no line is left.
    pub requests_processed: u64,
    /// What writing other files anew did.
    pub rewritten: CompactionSummary,
}

impl RetentionSummary {
    /// Whether files were taken out that can now be deleted.
    pub(super) fn takes_files_out(&self) -> bool {
        self.tables_dropped > 0 || self.rewritten.tables_in > 0 || self.requests_processed > 0
    }

    fn add(&mut self, other: &Self) {
        self.tables_dropped += other.tables_dropped;
        self.packs_dropped += other.packs_dropped;
        self.rows_dropped += other.rows_dropped;
        self.requests_processed += other.requests_processed;
        self.rewritten.add(&other.rewritten);
    }
}

/// What the upkeep of a database has done since it was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MaintenanceStats {
    /// Merges that were committed.
    pub compactions: u64,
    /// What they did; also the damage that was found. What is damaged stays as it is and is left out of merges.
    pub merged: CompactionSummary,
    /// Merges, runs of retention and collections of garbage that failed.
    pub failures: u64,
    /// Why the last one failed.
    pub last_error: Option<Error>,
    /// Runs of retention that came to their end.
    pub retention_runs: u64,
    /// Runs of retention that did not.
    pub retention_failures: u64,
    /// What they did.
    pub retention: RetentionSummary,
    /// When the last one that came to its end did, in milliseconds since the epoch, and how long it took.
    pub last_retention: Option<(u64, Duration)>,
    /// Rows that were removed by merges because retention or a request to delete hid them, by tenant. Those of files that
    /// were taken out as a whole are not counted here.
    pub rows_removed: BTreeMap<Tenant, u64>,
    /// Requests to delete that were processed, by tenant.
    pub requests_processed: BTreeMap<Tenant, u64>,
    /// Files of no use that were deleted.
    pub files_deleted: u64,
}

impl MaintenanceStats {
    pub(super) fn add_merge(&mut self, summary: &CompactionSummary) {
        self.compactions += u64::from(summary.tables_in > 0);
        // Damage was told of when it was found.
        self.merged.add(&CompactionSummary { damaged: Vec::new(), ..summary.clone() });
    }

    pub(super) fn add_removed(&mut self, removed: &BTreeMap<Tenant, u64>) {
        for (tenant, rows) in removed {
            *self.rows_removed.entry(tenant.clone()).or_default() += rows;
        }
    }

    pub(super) fn add_retention(&mut self, summary: &RetentionSummary, now_ms: u64, took: Duration) {
        self.retention_runs += 1;
        self.retention.add(&RetentionSummary {
            rewritten: CompactionSummary { damaged: Vec::new(), ..summary.rewritten.clone() },
            ..summary.clone()
        });
        self.last_retention = Some((now_ms, took));
    }

    pub(super) fn fail(&mut self, error: &Error) {
        self.failures += 1;
        self.last_error = Some(error.clone());
    }
}
