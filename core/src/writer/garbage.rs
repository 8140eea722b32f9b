//! Deletes files that no reader can want any more.

use std::{
    collections::BTreeSet,
    time::{Duration, UNIX_EPOCH},
};

use super::Writer;
use crate::{
    Result,
    manifest::{Delta, Retired},
    state::State,
};

/// The folders of the store in which every file must be named by the manifest.
const FOLDERS: [&str; 3] = ["packs", "index", "marks"];

impl Writer {
    /// Deletes files that a flush wrote and did not commit, once the time of grace is over: until then a writer may still
    /// commit them. Deletes files that commits took out, when no reader can want them: in a store of this process alone,
    /// when no snapshot names them; in a shared one, after the time of grace. Gives the number of files deleted.
    ///
    /// # Errors
    /// The store fails; the rest is left for the next time.
    pub(crate) fn collect_garbage(&self) -> Result<usize> {
        // No flush of this writer is under way meanwhile; for those of others there is the time of grace.
        let flushing = self.flushing.lock();
        let manifest = self.manifests.load()?;
        let mut names = manifest.names();
        names.extend(flushing.pending_keys());
        let grace_ms = self.settings.garbage_grace_secs.saturating_mul(1000);
        let now_ms = self.clock.now_ms();
        let over = |ms: u64| now_ms.saturating_sub(ms) >= grace_ms;
        let mut deleted = 0;
        for folder in FOLDERS {
            for object in self.store.list(folder)? {
                let since = object.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let known = since.as_ref().map(Duration::as_millis).map(|ms| u64::try_from(ms).unwrap_or(u64::MAX));
                // Asked after listing: a compaction tells its name before it puts a file, and commits only when this is done.
                let wanted = names.contains(object.key.as_str()) || self.is_in_making(&object.key);
                if !wanted && known.is_some_and(over) {
                    self.store.delete(&object.key)?;
                    deleted += 1;
                }
            }
        }
        let in_use = if self.shared { BTreeSet::new() } else { self.state.in_use() };
        let free = |file: &&Retired| if self.shared { over(file.at_ms) } else { !in_use.contains(&file.key) };
        let retired: BTreeSet<String> = manifest.retired.iter().filter(free).map(|file| file.key.clone()).collect();
        if retired.is_empty() {
            return Ok(deleted);
        }
        for key in &retired {
            self.failpoints.hit("garbage.delete")?;
            self.store.delete(key)?;
            deleted += 1;
        }
        self.failpoints.hit("garbage.deleted")?;
        let delta = Delta { forget: retired, at_ms: now_ms, ..Delta::default() };
        let manifest = self.manifests.commit(&manifest, &delta)?;
        self.state.update(|state| State { manifest, generations: state.generations.clone() });
        Ok(deleted)
    }
}
