//! Upkeep of a store: merges small files into large ones, removes rows that retention or requests to delete hide, and
//! deletes what is of no use any more.
//!
//! A flush leaves small tables of all tenants and periods (level 0). When there are enough of one level, they are merged
//! into the next: sorted, each row once, without the dead, and split by tenant, period and retention class where such a part
//! is large enough, so that old periods can be deleted by the file. Where several processes write replicas, tables that overlap
//! in time are merged too once nothing comes to them any more, however few they are. The result is committed like a flush; the files replaced
//! are deleted when the time of grace is over. A merge holds no lock but for its commit, and what fails or is killed leaves
//! the store as it was.
//!
//! A sweep (`sweep.rs`) applies retention and completes requests to delete: tables of which all rows are dead are taken out
//! unread, others are merged each with itself. Before that the rows that requests hit are looked up and kept (`mark.rs`).
//!
//! Locks: `running`, then `leftovers` or `flushing` of the writer for the commit, then `stats`.

mod ahead;
mod background;
mod doom;
mod frames;
mod inputs;
mod mark;
mod merge;
mod outputs;
mod policy;
mod round;
mod rows;
mod stats;
mod stop;
mod sweep;
mod switch;

#[cfg(test)]
mod sweep_tests;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashSet},
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use narvi_types::Tenant;
use parking_lot::{Mutex, RwLock};

pub(crate) use self::background::Background;
pub use self::stats::{CompactionSummary, MaintenanceStats, RetentionSummary};
use self::{
    doom::Doom,
    inputs::Input,
    policy::{Leftovers, Tier},
    round::{Merged, Round},
    stop::Stop,
    switch::Switch,
};
use crate::{
    Error, ErrorKind, Result,
    deletes::{Book, DeleteId, MarkFiles},
    manifest::{Delta, Manifest},
    read::{Packs, Tables},
    retention::{Applied, Horizon, SharedRetention},
    writer::{Only, Writer},
};

/// What the upkeep works with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) writer: Arc<Writer>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) packs: Arc<Packs>,
    pub(crate) book: Arc<Book>,
    pub(crate) marks: Arc<MarkFiles>,
    pub(crate) retention: SharedRetention,
    /// Whether it may run from the start.
    pub(crate) allowed: bool,
}

/// Merges files of one store.
#[derive(Debug)]
pub(crate) struct Maintainer {
    writer: Arc<Writer>,
    tables: Arc<Tables>,
    packs: Arc<Packs>,
    book: Arc<Book>,
    marks: Arc<MarkFiles>,
    retention: SharedRetention,
    /// Retention as the last sweep found it; queries hide by it.
    applied: RwLock<Option<Arc<Applied>>>,
    /// Held by the only merge at a time: the tables that were found damaged, or to refer to damaged packs.
    running: Mutex<BTreeSet<String>>,
    /// Tables that replicas may have left.
    leftovers: Mutex<Leftovers>,
    /// Packs that a request could not be looked up in because they are damaged.
    unmarkable: Mutex<HashSet<(DeleteId, Arc<str>)>>,
    /// The manifest of which all marks are known.
    marked: AtomicU64,
    switch: Switch,
    stats: Mutex<MaintenanceStats>,
}

impl Maintainer {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { writer, tables, packs, book, marks, retention, allowed } = parts;
        let (applied, running, leftovers, unmarkable, marked, stats) = Default::default();
        let switch = Switch::new(allowed);
        Self {
            writer,
            tables,
            packs,
            book,
            marks,
            retention,
            applied,
            running,
            leftovers,
            unmarkable,
            marked,
            switch,
            stats,
        }
    }

    /// What retention hides of a tenant, as of the last sweep.
    pub(crate) fn horizon(&self, tenant: &Tenant) -> Option<Horizon> {
        let applied = self.applied.read().clone();
        applied?.horizon(tenant)
    }

    /// Lets a merge under way end soon, and refuses others. Returns when none runs.
    pub(crate) fn stop(&self) {
        self.switch.close();
        drop(self.running.lock());
    }

    /// Says whether it may run from now on. What runs and may not any more ends soon; this does not wait for it.
    pub(crate) fn allow(&self, allowed: bool) {
        self.switch.allow(allowed);
    }

    pub(crate) fn is_allowed(&self) -> bool {
        !self.switch.is_off()
    }

    /// Takes notice of what other processes have committed, if there may be others.
    pub(crate) fn refresh(&self) -> Result<()> {
        if self.writer.is_shared() {
            let (manifest, _) = self.writer.newest_manifest()?;
            self.release(&manifest);
        }
        Ok(())
    }

    pub(crate) fn stats(&self) -> MaintenanceStats {
        self.stats.lock().clone()
    }

    /// Merges the lowest tier that has enough tables, or what replicas have left, once.
    ///
    /// # Errors
    /// The store fails or is full; the database is closed or its upkeep off. Nothing is changed then, or all.
    pub(crate) fn compact(&self) -> Result<CompactionSummary> {
        let mut damaged = self.running.lock();
        let result = self.compact_undamaged(&mut damaged);
        let mut stats = self.stats.lock();
        match &result {
            Ok(summary) => stats.add_merge(summary),
            // Being closed or switched off is no failure.
            Err(error) if error.kind() == ErrorKind::Closed => {}
            Err(error) => stats.fail(error),
        }
        result
    }

    /// Merges; leaves out what turns out to be damaged, and begins again.
    fn compact_undamaged(&self, damaged: &mut BTreeSet<String>) -> Result<CompactionSummary> {
        let mut found = Vec::new();
        loop {
            self.switch.check()?;
            match self.try_compact(damaged) {
                Ok(mut summary) => {
                    summary.damaged = found;
                    return Ok(summary);
                }
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Damaged { table, message }) => {
                    // Without this, what is never left out would be tried for ever.
                    if !damaged.insert(table) {
                        return Err(Error::new(ErrorKind::Corrupt, message));
                    }
                    self.stats.lock().merged.damaged.push(message.clone());
                    found.push(message);
                }
            }
        }
    }

    fn try_compact(&self, damaged: &mut BTreeSet<String>) -> Result<CompactionSummary, Stop> {
        let (manifest, mut skip) = self.writer.newest_manifest()?;
        skip.extend(damaged.iter().cloned());
        let Some((tier, inputs)) = self.choose(&manifest, &skip)? else { return Ok(CompactionSummary::default()) };
        let applied = Applied::new(&self.retention, self.writer.clock().now_ms());
        let doom = self.doom(&manifest, &applied);
        self.merge(&inputs, tier.level.saturating_add(1), tier.only.is_some(), &doom)
    }

    /// What is dead for good.
    fn doom<'a>(&'a self, manifest: &'a Manifest, applied: &'a Applied) -> Doom<'a> {
        let settings = &self.writer.settings().retention;
        let wait_secs = settings.cancel_period_secs.max(settings.settle_secs);
        Doom::new(manifest, applied, (&self.book, &self.marks), wait_secs)
    }

    /// Merges tables into others that replace them, without what is dead.
    fn merge(&self, inputs: &[Input], level: u8, is_split: bool, doom: &Doom<'_>) -> Result<CompactionSummary, Stop> {
        let (making, begun) = (self.writer.begin_files(level), Instant::now());
        self.writer.failpoints().hit("compact.begin")?;
        let round = Round {
            writer: &self.writer,
            inputs,
            level,
            name: &making.name,
            is_split,
            split: self.split_off(),
            doom,
            switch: &self.switch,
            put: RefCell::default(),
        };
        let merged = round.run().and_then(|merged| self.in_time(begun).map(|()| merged));
        let merged = merged.inspect_err(|_| self.discard(&round))?;
        let (summary, removed) = (CompactionSummary::of(inputs, &merged), merged.removed.clone());
        match self.commit(inputs, merged, doom) {
            Ok(()) => {
                self.stats.lock().add_removed(&removed);
                Ok(summary)
            }
            Err(error) if error.kind() == ErrorKind::Busy => {
                self.discard(&round);
                Ok(CompactionSummary { conflicts: 1, ..CompactionSummary::default() })
            }
            // It may have been committed: if it was not, the files are garbage.
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the files written since may still be committed: others who collect garbage spare them for the time of grace.
    fn in_time(&self, begun: Instant) -> Result<(), Stop> {
        let grace = Duration::from_secs(self.writer.settings().garbage_grace_secs);
        if self.writer.is_shared() && !grace.is_zero() && begun.elapsed() > grace / 2 {
            let text = format!(
                "merging files took longer than half the time of grace of {} seconds, after which other processes may \
                 delete them: nothing was changed; merge less at once or raise garbage_grace_secs",
                grace.as_secs()
            );
            return Err(Error::new(ErrorKind::Unavailable, text).into());
        }
        self.switch.check()?;
        Ok(())
    }

    /// The tables to merge.
    fn choose(&self, manifest: &Manifest, skip: &BTreeSet<String>) -> Result<Option<(Tier, Vec<Input>)>, Stop> {
        let settings = self.writer.settings();
        let tables_per_level = settings.compaction.tables_per_level;
        let tiers =
            policy::tiers(manifest, &settings.compaction, skip).into_iter().map(|tier| (tier, tables_per_level));
        let left = std::iter::once_with(|| self.leftovers(manifest, skip)).flatten().map(|tier| (tier, 2));
        for (tier, enough) in tiers.chain(left) {
            let open = |file| Input::open(file, &self.tables, manifest);
            let mut inputs = tier.tables.iter().map(open).collect::<Result<Vec<_>, _>>()?;
            let frame_bytes = settings.flush.pack.frame_bytes;
            let bytes = |file: &crate::manifest::FileEntry| {
                inputs.iter().find(|input| input.file.key == file.key).map_or(u64::MAX, |input| input.bytes)
            };
            match policy::fit(tier.clone(), enough, &settings.compaction, frame_bytes, bytes) {
                Some(tier) => {
                    inputs.retain(|input| tier.tables.iter().any(|table| table.key == input.file.key));
                    return Ok(Some((tier, inputs)));
                }
                None => self.leftovers.lock().refuse(&tier),
            }
        }
        Ok(None)
    }

    /// What replicas have left, and was left alone for long enough.
    fn leftovers(&self, manifest: &Manifest, skip: &BTreeSet<String>) -> Vec<Tier> {
        let quiet = self.writer.settings().compaction.quiet_secs;
        let quiet = if quiet == u64::MAX { Duration::MAX } else { Duration::from_secs(quiet) };
        self.leftovers.lock().quiet(manifest, skip, quiet)
    }

    /// What was split off before, where there may be replicas that come late.
    fn split_off(&self) -> BTreeSet<Only> {
        match self.writer.settings().compaction.quiet_secs {
            u64::MAX => BTreeSet::new(),
            _ => policy::split_off(&self.writer.state().load().manifest),
        }
    }

    fn commit(&self, inputs: &[Input], merged: Merged, doom: &Doom<'_>) -> Result<()> {
        let tables = inputs.iter().map(|input| input.file.key.clone());
        let packs = inputs.iter().flat_map(|input| input.packs.iter().map(|key| (**key).to_owned()));
        let delta = Delta {
            add_packs: merged.output.packs.into_iter().map(Arc::new).collect(),
            add_tables: merged.output.tables.into_iter().map(Arc::new).collect(),
            remove: tables.chain(packs).collect(),
            // One that was cancelled meanwhile must get its lines back.
            without: doom.due().clone(),
            at_ms: self.writer.clock().now_ms(),
            ..Delta::default()
        };
        let manifest = self.writer.replace_files(&delta)?;
        self.release(&manifest);
        self.writer.failpoints().hit("compact.swapped")?;
        Ok(())
    }

    /// Closes files that a manifest does not name.
    fn release(&self, manifest: &Manifest) {
        self.tables.retain(manifest);
        self.packs.retain(manifest);
    }

    /// Deletes files that were written and will not be committed. What cannot be deleted is left to the collection of
    /// garbage.
    fn discard(&self, round: &Round<'_>) {
        for key in round.put.borrow().iter() {
            let _ = self.writer.store().delete(key);
        }
    }

    /// Deletes files of no use; see [`Writer::collect_garbage`].
    pub(crate) fn collect_garbage(&self) -> Result<usize> {
        self.switch.check()?;
        let deleted = self.writer.collect_garbage()?;
        self.stats.lock().files_deleted += deleted as u64;
        Ok(deleted)
    }
}
