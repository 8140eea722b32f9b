//! A flush: freezes generations, writes their rows into packs and one table, commits, and lets the WAL go.

use std::{sync::Arc, time::Duration};

use super::{
    Active, FlushReason, Load, Writer, output,
    stats::{BlockFigures, Written},
};
use crate::{Error, Result, head::Generation, manifest::Delta, state::State};

/// What flushes leave for the next one.
#[derive(Debug, Default)]
pub(crate) struct Flushing {
    /// A commit whose answer was an error: it may have taken place. Its files are written, so it is tried again as it is.
    pending: Option<Pending>,
    last_error: Option<Error>,
}

#[derive(Debug)]
struct Pending {
    delta: Delta,
    /// The newest generation whose rows it holds.
    generation: u64,
    written: Written,
}

impl Flushing {
    /// The files that a commit to be tried again names.
    pub(super) fn pending_keys(&self) -> impl Iterator<Item = &str> {
        let files = self.pending.iter().flat_map(|p| p.delta.add_packs.iter().chain(&p.delta.add_tables));
        files.map(|file| file.key.as_str())
    }
}

impl Writer {
    /// Writes everything that was pushed before the call into files.
    pub(crate) fn flush(&self) -> Result<()> {
        self.flush_for(FlushReason::Forced)
    }

    /// As [`Writer::flush`], for a reason that is counted.
    pub(super) fn flush_for(&self, reason: FlushReason) -> Result<()> {
        let mut flushing = self.flushing.lock();
        // Without room for a new segment, what is frozen can still be flushed, which makes room.
        let rotated = self.rotate(|writer| !writer.active.read().generation.is_empty());
        let flushed = self.try_flush_frozen(&mut flushing, reason).and(rotated);
        self.stats.lock().flush_failures += u64::from(flushed.is_err());
        flushing.last_error = flushed.as_ref().err().cloned();
        flushed
    }

    /// The error of the last flush, unless one has succeeded since; nothing while one runs.
    pub(crate) fn last_flush_error(&self) -> Option<Error> {
        self.flushing.try_lock()?.last_error.clone()
    }

    pub(crate) fn active_is_full(&self) -> bool {
        let active = self.active.read();
        let stats = active.generation.stats();
        let load = Load { row_bytes: stats.row_bytes, memory_bytes: stats.memory_bytes };
        load.is_full(&self.settings.flush)
            || active.segment.as_ref().is_some_and(|segment| segment.bytes() >= self.settings.wal.segment_bytes)
    }

    /// Freezes the active generation if it is wanted: later pushes go to a new one with a segment of its own. A push goes to
    /// exactly one of them.
    pub(crate) fn rotate(&self, wanted: impl FnOnce(&Self) -> bool) -> Result<()> {
        let _rotating = self.rotating.lock();
        if !wanted(self) {
            return Ok(());
        }
        let id = self.active.read().generation.id() + 1;
        self.failpoints.hit("rotate.begin")?;
        let segment = match &self.wal {
            Some(wal) => {
                // A rotation that failed half-way may have left one without records.
                wal.remove(id)?;
                Some(Arc::new(wal.create(id)?))
            }
            None => None,
        };
        self.failpoints.hit("rotate.created")?;
        let generation = Arc::new(Generation::new(id));
        let mut active = self.active.write();
        self.state.update(|state| {
            let mut generations = state.generations.clone();
            generations.push(generation.clone());
            State { manifest: state.manifest.clone(), generations }
        });
        let before = std::mem::replace(&mut *active, Active { generation, segment });
        if let Some(segment) = before.segment {
            self.frozen.lock().push((before.generation.id(), segment));
        }
        Ok(())
    }

    /// Writes all frozen generations into files.
    pub(super) fn try_flush_frozen(&self, flushing: &mut Flushing, reason: FlushReason) -> Result<()> {
        if let Some(pending) = flushing.pending.take()
            && self.may_commit(&pending).unwrap_or(true)
        {
            self.commit(flushing, pending)?;
        }
        let mut generations = self.state.load().generations.clone();
        let active = self.active.read().generation.id();
        generations.retain(|generation| generation.id() < active);
        let Some(newest) = generations.last().map(|generation| generation.id()) else { return Ok(()) };
        self.failpoints.hit("flush.begin")?;
        let mut delta = Delta { covered: Some((self.id, newest)), at_ms: self.clock.now_ms(), ..Delta::default() };
        let mut written = Written { reason, blocks: BlockFigures::default(), table_time: Duration::ZERO };
        if generations.iter().any(|generation| !generation.is_empty()) {
            let output = output::write(self, newest, &generations)?;
            (written.blocks, written.table_time) = (output.figures, output.table_time);
            delta.add_packs = output.packs.into_iter().map(Arc::new).collect();
            delta.add_tables = output.tables.into_iter().map(Arc::new).collect();
        }
        drop(generations);
        self.commit(flushing, Pending { delta, generation: newest, written })
    }

    /// Whether a commit may be tried again as it is. In a store of several processes its files may be taken for garbage
    /// by others when they are too old; they are then written anew.
    fn may_commit(&self, pending: &Pending) -> Result<bool> {
        let grace_ms = self.settings.garbage_grace_secs.saturating_mul(1000);
        let age_ms = self.clock.now_ms().saturating_sub(pending.delta.at_ms);
        let is_young = !self.shared || grace_ms == 0 || age_ms <= grace_ms / 2;
        Ok(is_young || self.manifests.load()?.contains(&pending.delta))
    }

    /// Commits, and in one step with it lets queries see the files instead of the generations.
    fn commit(&self, flushing: &mut Flushing, pending: Pending) -> Result<()> {
        if let Err(error) = self.failpoints.hit("flush.commit") {
            flushing.pending = Some(pending);
            return Err(error);
        }
        let base = self.state.load().manifest.clone();
        let manifest = match self.manifests.commit(&base, &pending.delta) {
            Ok(manifest) => manifest,
            Err(error) => {
                flushing.pending = Some(pending);
                return Err(error);
            }
        };
        if let Err(error) = self.failpoints.hit("flush.committed") {
            flushing.pending = Some(pending);
            return Err(error);
        }
        let covered = pending.generation;
        self.state.update(|state| {
            let generations = state.generations.iter().filter(|g| g.id() > covered).cloned().collect();
            State { manifest, generations }
        });
        self.stats.lock().flushed(&pending.written);
        self.tell_relieved();
        self.failpoints.hit("flush.swapped")?;
        self.release_wal(covered)
    }

    /// Removes the segments of generations that are in files.
    fn release_wal(&self, covered: u64) -> Result<()> {
        let Some(wal) = &self.wal else { return Ok(()) };
        self.frozen.lock().retain(|(generation, _)| *generation > covered);
        let damaged = std::mem::take(&mut *self.damaged.lock());
        for generation in wal.generations()?.into_iter().filter(|generation| *generation <= covered) {
            if damaged.contains(&generation) {
                wal.put_aside(generation)?;
            } else {
                wal.remove(generation)?;
            }
            self.failpoints.hit("flush.wal_removed")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use narvi_types::{Entry, Labels, Tenant, Timestamp};

    use crate::{Builder, Db, MemoryStore, PushStream, Settings, failpoint::Action};

    fn push(db: &Db) {
        let labels = Labels::from_pairs([("app", "x")]).expect("valid");
        let entry = Entry::new(Timestamp::from_secs(1), "line".to_owned());
        db.push(&Tenant::default(), vec![PushStream::new(labels, vec![entry])]).expect("pushed");
    }

    /// Lets a commit fail, waits as long as garbage is kept, and tries again. Gives the keys written before and after.
    fn flush_late(point: &str) -> (Db, Vec<String>, Vec<String>) {
        let settings = Settings { flush_on_close: true, ..Settings::default() };
        let db = Builder::in_memory().store(Arc::new(MemoryStore::new())).settings(settings).upkeep(false);
        let db = db.open().expect("opened");
        let packs = || db.store().list("packs").expect("listed").into_iter().map(|object| object.key);
        push(&db);
        db.inner.writer.failpoints().arm(point, Action::Fail, 0, 1);
        db.flush().expect_err("the commit fails");
        let before: Vec<_> = packs().collect();
        {
            let mut flushing = db.inner.writer.flushing.lock();
            let pending = flushing.pending.as_mut().expect("it is to be tried again");
            pending.delta.at_ms -= db.settings().garbage_grace_secs * 1000;
        }
        for key in &before {
            // As another process would that collects garbage, unless it was committed.
            let named = db.inner.writer.manifests.load().expect("read");
            if !named.names().contains(key.as_str()) {
                db.store().delete(key).expect("deleted");
            }
        }
        db.flush().expect("flushed");
        let after = packs().collect();
        (db, before, after)
    }

    #[test]
    fn files_too_old_to_be_committed_are_written_anew() {
        let (db, before, after) = flush_late("flush.commit");
        assert_ne!(before, after);
        let named = db.state().manifest.packs.iter().map(|file| file.key.clone()).collect::<Vec<_>>();
        assert_eq!(named, after);
    }

    #[test]
    fn a_commit_that_took_place_is_found_however_late() {
        let (db, before, after) = flush_late("flush.committed");
        assert_eq!(before, after);
        assert_eq!(db.state().generations.len(), 1);
    }
}
