//! Applies retention and completes requests to delete.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use narvi_index::IndexError;
use narvi_types::{Tenant, TimeRange};

use super::{
    CompactionSummary, Maintainer, RetentionSummary,
    doom::Doom,
    inputs::{Input, tenants},
    stop::Stop,
};
use crate::{
    ErrorKind, Result,
    deletes::{DeleteId, Fate, PackRows},
    manifest::{Delta, FileEntry, Manifest},
    retention::Applied,
};

/// What becomes of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// All its rows are dead.
    Drop,
    /// A request to delete hits it, or enough of its rows are too old.
    Rewrite,
}

impl Maintainer {
    /// Hides what is too old from queries that begin thereafter, takes out tables of which all rows are dead, writes those
    /// anew that requests to delete hit or of which enough is too old, and completes the requests.
    ///
    /// # Errors
    /// The store fails or is full; the database is closed or its upkeep off. What was done before stays done.
    pub(crate) fn apply_retention(&self) -> Result<RetentionSummary> {
        let mut damaged = self.running.lock();
        let begun = Instant::now();
        let result = self.sweep(&mut damaged);
        let mut stats = self.stats.lock();
        match &result {
            Ok(summary) => stats.add_retention(summary, self.writer.clock().now_ms(), begun.elapsed()),
            // Being closed or switched off is no failure.
            Err(error) if error.kind() == ErrorKind::Closed => {}
            Err(error) => {
                stats.retention_failures += 1;
                stats.fail(error);
            }
        }
        result
    }

    fn sweep(&self, damaged: &mut BTreeSet<String>) -> Result<RetentionSummary> {
        self.switch.check()?;
        let applied = Arc::new(Applied::new(&self.retention, self.writer.clock().now_ms()));
        *self.applied.write() = Some(applied.clone());
        let (manifest, _) = self.writer.newest_manifest()?;
        if !self.doom(&manifest, &applied).due().is_empty() {
            // Lines that were pushed before must be in files to be removed from them.
            self.writer.flush()?;
        }
        if manifest.pending_deletes().next().is_some() {
            self.mark()?;
        }
        let (manifest, mut skip) = self.writer.newest_manifest()?;
        skip.extend(damaged.iter().cloned());
        let mut sweep = Sweep {
            maintainer: self,
            manifest: &manifest,
            doom: self.doom(&manifest, &applied),
            percent: u64::from(self.writer.settings().retention.rewrite_percent),
            incomplete: BTreeSet::new(),
            summary: RetentionSummary::default(),
        };
        for table in manifest.tables.iter().filter(|table| skip.contains(&table.key)) {
            sweep.cannot_complete(table);
        }
        let mut dropped = Vec::new();
        for table in manifest.tables.iter().filter(|table| !skip.contains(&table.key)) {
            self.switch.check()?;
            match sweep.table(table) {
                Ok(None) => {}
                Ok(Some(input)) => dropped.push(input),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Damaged { table: key, message }) => {
                    damaged.insert(key);
                    self.stats.lock().merged.damaged.push(message.clone());
                    sweep.summary.rewritten.damaged.push(message);
                    sweep.cannot_complete(table);
                }
            }
        }
        self.switch.check()?;
        sweep.drop_tables(&dropped)?;
        sweep.complete()?;
        Ok(sweep.summary)
    }
}

/// A sweep under way.
struct Sweep<'a> {
    maintainer: &'a Maintainer,
    manifest: &'a Manifest,
    doom: Doom<'a>,
    percent: u64,
    /// Requests of which a line may be left.
    incomplete: BTreeSet<DeleteId>,
    summary: RetentionSummary,
}

impl Sweep<'_> {
    /// Looks at a table, and writes it anew if need be. Gives it back if it is to be dropped.
    fn table(&mut self, file: &Arc<FileEntry>) -> Result<Option<Input>, Stop> {
        if !self.concerns(file) {
            return Ok(None);
        }
        let input = Input::open(file, &self.maintainer.tables, self.manifest)?;
        match self.judge(&input)? {
            Verdict::Keep => Ok(None),
            Verdict::Drop => Ok(Some(input)),
            Verdict::Rewrite => {
                let is_split = file.tenant.is_some() && file.period.is_some();
                let inputs = [input];
                let summary = self.maintainer.merge(&inputs, file.level, is_split, &self.doom)?;
                if summary.conflicts > 0 {
                    self.cannot_complete(file);
                }
                self.summary.rewritten.add(&summary);
                Ok(None)
            }
        }
    }

    /// Whether anything in a table may be dead, as far as the manifest tells.
    fn concerns(&self, file: &FileEntry) -> bool {
        if self.due_on(file).next().is_some() {
            return true;
        }
        match &file.tenant {
            Some(tenant) => self.doom.applied().horizon(tenant).is_some_and(|h| h.latest() > file.range.min),
            // Which tenants there are stands in the table.
            None => true,
        }
    }

    /// The due requests whose lines may be in a file, as far as the manifest tells.
    fn due_on<'b>(&'b self, file: &'b FileEntry) -> impl Iterator<Item = DeleteId> + 'b {
        let requests = self.manifest.pending_deletes().filter(|request| {
            self.doom.due().contains(&request.id)
                && request.range.overlaps(&file.range)
                && file.tenant.as_ref().is_none_or(|only| *only == request.tenant)
        });
        requests.map(|request| request.id)
    }

    /// Notes that lines of requests may be left in a file.
    fn cannot_complete(&mut self, file: &FileEntry) {
        let ids: Vec<_> = self.due_on(file).collect();
        self.incomplete.extend(ids);
    }

    fn judge(&mut self, input: &Input) -> Result<Verdict, Stop> {
        let damaged = |error: IndexError| input.damaged(&error);
        let (mut alive, mut dead, mut old, mut hit) = (0u64, 0u64, 0u64, false);
        for tenant in tenants(std::slice::from_ref(input))? {
            let Some(part) = input.table.part(tenant.as_str()).map_err(damaged)? else { continue };
            let cuts = self.doom.of_tenant(&tenant)?;
            let range = part.range();
            if cuts.is_empty() || !self.may_cut(&tenant, &range) {
                alive += part.stats().rows;
                continue;
            }
            let all = part.select(&[]).map_err(damaged)?;
            for series in part.series(&all) {
                let (id, labels) = series.map_err(damaged)?;
                let cuts = cuts.of(&labels);
                for block in part.blocks(id).map_err(damaged)? {
                    let block = block.map_err(damaged)?;
                    let pack = input.packs.get(block.pack as usize).map_or("", |key| &**key);
                    let rows = block.first_row..block.first_row.saturating_add(block.rows);
                    let place = PackRows { pack, frame: block.frame, rows };
                    match cuts.fate(&block.range, Some(&place)) {
                        Fate::Alive => alive += u64::from(block.rows),
                        Fate::Dead => {
                            dead += u64::from(block.rows);
                            hit |= !cuts.is_too_old(&block.range);
                        }
                        Fate::Some(rows) => {
                            alive += u64::from(block.rows);
                            old += cuts.old_rows(&block.range, block.rows);
                            hit |= rows.is_hit_by_request();
                            self.incomplete.extend(rows.unknown());
                        }
                    }
                }
            }
        }
        Ok(match () {
            () if alive == 0 => Verdict::Drop,
            () if hit || (dead + old) * 100 > self.percent * (alive + dead) => Verdict::Rewrite,
            () => Verdict::Keep,
        })
    }

    fn may_cut(&self, tenant: &Tenant, range: &TimeRange) -> bool {
        self.doom.applied().horizon(tenant).is_some_and(|horizon| horizon.latest() > range.min)
            || self.manifest.pending_deletes().any(|request| {
                request.tenant == *tenant && request.range.overlaps(range) && self.doom.due().contains(&request.id)
            })
    }

    /// Takes tables out with their packs, none of which is read.
    fn drop_tables(&mut self, inputs: &[Input]) -> Result<()> {
        if inputs.is_empty() {
            return Ok(());
        }
        let packs = inputs.iter().flat_map(|input| input.packs.iter().map(|key| (**key).to_owned()));
        let delta = Delta {
            remove: inputs.iter().map(|input| input.file.key.clone()).chain(packs).collect(),
            without: self.doom.due().clone(),
            at_ms: self.maintainer.writer.clock().now_ms(),
            ..Delta::default()
        };
        match self.maintainer.writer.commit_change(&delta, ["retention.commit", "retention.committed"]) {
            Ok(manifest) => self.maintainer.release(&manifest),
            Err(error) if error.kind() == ErrorKind::Busy => {
                self.summary.rewritten.add(&CompactionSummary { conflicts: 1, ..CompactionSummary::default() });
                inputs.iter().for_each(|input| self.cannot_complete(&input.file));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.summary.tables_dropped += inputs.len() as u64;
        self.summary.packs_dropped += inputs.iter().map(|input| input.packs.len() as u64).sum::<u64>();
        self.summary.rows_dropped += inputs.iter().map(|input| input.file.rows).sum::<u64>();
        Ok(())
    }

    /// Marks the due requests as processed of which no line is left in the files that there were.
    fn complete(&mut self) -> Result<()> {
        let processed: BTreeSet<DeleteId> = self.doom.due().difference(&self.incomplete).copied().collect();
        if processed.is_empty() {
            return Ok(());
        }
        let at_ms = self.maintainer.writer.clock().now_ms();
        let delta = Delta { processed: processed.clone(), at_ms, ..Delta::default() };
        self.maintainer.writer.commit_change(&delta, ["delete.process", "delete.processed"])?;
        self.summary.requests_processed += processed.len() as u64;
        let mut stats = self.maintainer.stats.lock();
        for request in self.manifest.deletes.iter().filter(|request| processed.contains(&request.id)) {
            *stats.requests_processed.entry(request.tenant.clone()).or_default() += 1;
        }
        Ok(())
    }
}
