//! Commits that are no flush: files replaced by others, as compaction makes them, and requests to delete.

use std::{collections::BTreeSet, sync::Arc};

use super::Writer;
use crate::{
    ErrorKind, Result,
    clock::{Clock, draw_u64},
    failpoint::Failpoints,
    manifest::{Delta, Manifest},
    state::State,
};

/// The name of files that are being made; garbage collection spares them until this is dropped. One at a time.
pub(crate) struct Making<'a> {
    writer: &'a Writer,
    /// Part of the key of every file.
    pub(crate) name: String,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        *self.writer.making.lock() = None;
    }
}

impl Writer {
    /// Draws the name of new files.
    pub(crate) fn begin_files(&self, level: u8) -> Making<'_> {
        let name = format!("{:016x}-c{level}-{:016x}", self.id.0, draw_u64());
        *self.making.lock() = Some(name.clone());
        Making { writer: self, name }
    }

    /// Whether a file is one of those that are being made.
    pub(super) fn is_in_making(&self, key: &str) -> bool {
        self.making.lock().as_ref().is_some_and(|name| key.contains(name.as_str()))
    }

    /// The newest manifest of the store, which queries see from now on, and those of its files that must be left alone: this
    /// writer does not know yet whether their commit succeeded.
    pub(crate) fn newest_manifest(&self) -> Result<(Arc<Manifest>, BTreeSet<String>)> {
        let flushing = self.flushing.lock();
        let manifest = self.manifests.load()?;
        self.adopt(&manifest);
        Ok((manifest, flushing.pending_keys().map(str::to_owned).collect()))
    }

    /// Commits a replacement of files and lets queries see it.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when another commit took one of the files: nothing was committed. After any other error the
    /// commit may have taken place.
    pub(crate) fn replace_files(&self, delta: &Delta) -> Result<Arc<Manifest>> {
        self.commit_change(delta, ["compact.commit", "compact.committed"])
    }

    /// Commits a change that is no flush, and lets queries see it. The points are passed before and after.
    ///
    /// # Errors
    /// As for [`Writer::replace_files`].
    pub(crate) fn commit_change(&self, delta: &Delta, points: [&'static str; 2]) -> Result<Arc<Manifest>> {
        // The flush of this process and this one do not race, so that the state never goes back.
        let _flushing = self.flushing.lock();
        let [before, after] = points;
        self.failpoints.hit(before)?;
        let base = self.state.load().manifest.clone();
        let manifest = match self.manifests.commit(&base, delta) {
            Err(error) if error.kind() != ErrorKind::Busy => {
                // The answer may have been lost, not the commit.
                let newest = self.manifests.load().ok().filter(|newest| newest.contains(delta));
                newest.ok_or(error)?
            }
            result => result?,
        };
        self.failpoints.hit(after)?;
        self.adopt(&manifest);
        Ok(manifest)
    }

    /// Lets queries see a newer manifest. Call with `flushing` held.
    fn adopt(&self, manifest: &Arc<Manifest>) {
        self.state.update(|state| {
            let newer = manifest.sequence > state.manifest.sequence;
            let manifest = if newer { manifest } else { &state.manifest };
            State { manifest: manifest.clone(), generations: state.generations.clone() }
        });
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn failpoints(&self) -> &Failpoints {
        &self.failpoints
    }
}
