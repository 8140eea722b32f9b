//! Upkeep of a store: merges small files into large ones and deletes what is of no use any more.
//!
//! A flush leaves small tables of all tenants and periods (level 0). When there are enough of one level, they are merged
//! into the next: sorted, each row once, and split by tenant and period where such a part is large enough, so that old
//! periods can be deleted by the file. The result is committed like a flush; the files replaced are deleted when
//! the time of grace is over. A merge holds no lock but for its commit, and what fails or is killed leaves the store as it was.
//!
//! Locks: `running`, then `flushing` of the writer for the commit, then `stats`.

mod background;
mod frames;
mod inputs;
mod merge;
mod outputs;
mod policy;
mod round;
mod rows;
mod stats;
mod stop;

#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

pub(crate) use self::background::Background;
pub use self::stats::{CompactionSummary, MaintenanceStats};
use self::{
    inputs::Input,
    policy::Tier,
    round::{Merged, Round},
    stop::Stop,
};
use crate::{
    Error, ErrorKind, Result,
    manifest::{Delta, Manifest},
    read::{Packs, Tables},
    writer::Writer,
};

/// Merges files of one store.
#[derive(Debug)]
pub(crate) struct Maintainer {
    writer: Arc<Writer>,
    tables: Arc<Tables>,
    packs: Arc<Packs>,
    /// Held by the only merge at a time: the tables that were found damaged, or to refer to damaged packs.
    running: Mutex<BTreeSet<String>>,
    stop: AtomicBool,
    stats: Mutex<MaintenanceStats>,
}

impl Maintainer {
    pub(crate) fn new(writer: Arc<Writer>, tables: Arc<Tables>, packs: Arc<Packs>) -> Self {
        let (running, stop, stats) = Default::default();
        Self { writer, tables, packs, running, stop, stats }
    }

    /// Lets a merge under way end soon, and refuses others. Returns when none runs.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(self.running.lock());
    }

    pub(crate) fn stats(&self) -> MaintenanceStats {
        self.stats.lock().clone()
    }

    /// Merges the lowest tier that has enough tables, once.
    ///
    /// # Errors
    /// The store fails or is full; the database is closed. Nothing is changed then, or all.
    pub(crate) fn compact(&self) -> Result<CompactionSummary> {
        let mut damaged = self.running.lock();
        let result = self.compact_undamaged(&mut damaged);
        let mut stats = self.stats.lock();
        match &result {
            Ok(summary) => stats.add(summary),
            // Being closed is no failure.
            Err(error) if error.kind() == ErrorKind::Closed => {}
            Err(error) => stats.fail(error),
        }
        result
    }

    /// Merges; leaves out what turns out to be damaged, and begins again.
    fn compact_undamaged(&self, damaged: &mut BTreeSet<String>) -> Result<CompactionSummary> {
        let mut found = Vec::new();
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Closed, "the database is closed"));
            }
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
                    self.stats.lock().damaged.push(message.clone());
                    found.push(message);
                }
            }
        }
    }

    fn try_compact(&self, damaged: &mut BTreeSet<String>) -> Result<CompactionSummary, Stop> {
        let (manifest, mut skip) = self.writer.newest_manifest()?;
        skip.extend(damaged.iter().cloned());
        let Some((tier, inputs)) = self.choose(&manifest, &skip)? else { return Ok(CompactionSummary::default()) };
        let level = tier.level.saturating_add(1);
        let making = self.writer.begin_files(level);
        self.writer.failpoints().hit("compact.begin")?;
        let round = Round {
            writer: &self.writer,
            inputs: &inputs,
            level,
            name: &making.name,
            is_split: tier.only.is_some(),
            stop: &self.stop,
            put: RefCell::default(),
        };
        let merged = round.run().inspect_err(|_| self.discard(&round))?;
        let mut summary = CompactionSummary::of(&inputs, &merged);
        match self.commit(&inputs, merged) {
            Ok(()) => Ok(summary),
            Err(error) if error.kind() == ErrorKind::Busy => {
                self.discard(&round);
                summary = CompactionSummary { conflicts: 1, ..CompactionSummary::default() };
                Ok(summary)
            }
            // It may have been committed: if it was not, the files are garbage.
            Err(error) => Err(error.into()),
        }
    }

    /// The tables to merge.
    fn choose(&self, manifest: &Manifest, skip: &BTreeSet<String>) -> Result<Option<(Tier, Vec<Input>)>, Stop> {
        let settings = self.writer.settings();
        for tier in policy::tiers(manifest, &settings.compaction, skip) {
            let open = |file| Input::open(file, &self.tables, manifest);
            let mut inputs = tier.tables.iter().map(open).collect::<Result<Vec<_>, _>>()?;
            let frame_bytes = settings.flush.pack.frame_bytes;
            let bytes = |file: &crate::manifest::FileEntry| {
                inputs.iter().find(|input| input.file.key == file.key).map_or(u64::MAX, |input| input.bytes)
            };
            if let Some(tier) = policy::fit(tier, &settings.compaction, frame_bytes, bytes) {
                inputs.retain(|input| tier.tables.iter().any(|table| table.key == input.file.key));
                return Ok(Some((tier, inputs)));
            }
        }
        Ok(None)
    }

    fn commit(&self, inputs: &[Input], merged: Merged) -> Result<()> {
        let tables = inputs.iter().map(|input| input.file.key.clone());
        let packs = inputs.iter().flat_map(|input| input.packs.iter().map(|key| (**key).to_owned()));
        let delta = Delta {
            add_packs: merged.output.packs.into_iter().map(Arc::new).collect(),
            add_tables: merged.output.tables.into_iter().map(Arc::new).collect(),
            remove: tables.chain(packs).collect(),
            at_ms: self.writer.clock().now_ms(),
            ..Delta::default()
        };
        let manifest = self.writer.replace_files(&delta)?;
        self.tables.retain(&manifest);
        self.packs.retain(&manifest);
        self.writer.failpoints().hit("compact.swapped")?;
        Ok(())
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
        let deleted = self.writer.collect_garbage()?;
        self.stats.lock().files_deleted += deleted as u64;
        Ok(deleted)
    }
}
