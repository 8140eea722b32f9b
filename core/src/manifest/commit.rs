//! Loads the newest manifest, commits the next one, and prunes old ones.

use std::sync::Arc;

use bytes::Bytes;

use super::{Delta, Manifest, codec};
use crate::{
    Error, ErrorKind, Result,
    store::{Store, StoreErrorKind},
};

/// The manifests of a store: `manifest/<20 digits>`, the highest number counts.
#[derive(Clone, Debug)]
pub(crate) struct ManifestStore {
    store: Arc<dyn Store>,
}

const FOLDER: &str = "manifest";
/// How many manifests are kept, the newest included: readers and writers that are a few commits behind still find
/// theirs, and a writer cannot create a number anew that others have left behind.
const KEPT: u64 = 8;
/// How often a commit is tried against other writers' before it gives up.
const MAX_RACES: usize = 100;

/// The key of a manifest.
pub(crate) fn key_of(sequence: u64) -> String {
    format!("{FOLDER}/{sequence:020}")
}

impl ManifestStore {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Loads the newest manifest, or the empty one from an empty store.
    ///
    /// # Errors
    /// The newest manifest is damaged: older ones are not fallen back to, since files that only it names may hold rows whose
    /// WAL is gone. The store cannot be read.
    pub(crate) fn load(&self) -> Result<Arc<Manifest>> {
        // A manifest may be pruned between the listing and the reading when other writers commit; then there are newer ones.
        for _ in 0..MAX_RACES {
            let Some(newest) = self.sequences()?.last().copied() else { return Ok(Arc::default()) };
            match self.read(newest) {
                Ok(Some(manifest)) => return Ok(Arc::new(manifest)),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the manifest changes faster than it can be read; try again"))
    }

    /// Commits a delta on top of `base`, or on top of what other writers have committed since. Gives the manifest made.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when a file to take out is gone, a request was cancelled whose lines are left out, or other writers are always faster; the store fails. After a store's
    /// failure the commit may have taken place all the same; the same delta may be committed again and is found then.
    pub(crate) fn commit(&self, base: &Arc<Manifest>, delta: &Delta) -> Result<Arc<Manifest>> {
        let mut base = base.clone();
        for _ in 0..MAX_RACES {
            if delta.adds() && base.contains(delta) {
                return Ok(base);
            }
            let next = base.apply(delta).map_err(|conflict| {
                Error::new(ErrorKind::Busy, format!("cannot commit: {conflict}")).with_source(conflict)
            })?;
            let bytes = Bytes::from(codec::encode(&next));
            if self.store.put_if_absent(&key_of(next.sequence), &[bytes])? && self.is_followed_properly(&next, delta)? {
                self.prune(next.sequence);
                return Ok(Arc::new(next));
            }
            base = self.load()?;
        }
        Err(Error::new(ErrorKind::Busy, "other writers commit all the time; try again"))
    }

    /// Whether a manifest just made is the newest, or others have built upon it. It is neither when its base was so old that
    /// its number had been pruned: it is then taken away.
    fn is_followed_properly(&self, made: &Manifest, delta: &Delta) -> Result<bool> {
        let newest = self.sequences()?.last().copied().unwrap_or(made.sequence);
        if newest < made.sequence + KEPT / 2 {
            return Ok(true);
        }
        if self.load()?.contains(delta) {
            return Ok(true);
        }
        self.store.delete(&key_of(made.sequence))?;
        Ok(false)
    }

    /// Removes manifests that are too old for anyone. What fails is tried again after the next commit.
    fn prune(&self, newest: u64) {
        let Ok(sequences) = self.sequences() else { return };
        for old in sequences.into_iter().filter(|sequence| sequence + KEPT <= newest) {
            let _ = self.store.delete(&key_of(old));
        }
    }

    /// The numbers of all manifests, ascending.
    fn sequences(&self) -> Result<Vec<u64>> {
        let listed = self.store.list(FOLDER)?;
        let number = |key: &str| {
            let digits = key.strip_prefix(FOLDER)?.strip_prefix('/')?;
            (digits.len() == 20).then(|| digits.parse().ok()).flatten()
        };
        Ok(listed.iter().filter_map(|object| number(&object.key)).collect())
    }

    fn read(&self, sequence: u64) -> Result<Option<Manifest>> {
        let key = key_of(sequence);
        let bytes = match self.store.get(&key) {
            Err(e) if e.kind() == StoreErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let corrupt = |why: String| {
            let text = format!(
                "manifest {key} is damaged: {why}; restore it from a copy (without it the store falls back to an \
                 older state and loses what was flushed since)"
            );
            Error::new(ErrorKind::Corrupt, text)
        };
        let manifest = codec::decode(&bytes).map_err(|e| corrupt(e.to_string()).with_source(e))?;
        if manifest.sequence != sequence {
            return Err(corrupt(format!("it holds commit {}", manifest.sequence)));
        }
        Ok(Some(manifest))
    }
}
