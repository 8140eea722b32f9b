//! What queries see: a manifest and the generations that it does not cover, swapped as one.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
};

use parking_lot::{Mutex, RwLock};

use crate::{head::Generation, manifest::Manifest};

/// One consistent view: every acknowledged row is in exactly one generation or in the files of the manifest.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The files.
    pub(crate) manifest: Arc<Manifest>,
    /// Rows that the files do not hold, oldest first. The last one takes pushes.
    pub(crate) generations: Vec<Arc<Generation>>,
}

/// The current [`State`]. A reader takes it once and keeps it for its whole query.
#[derive(Debug)]
pub(crate) struct SharedState {
    current: RwLock<Arc<State>>,
    /// Manifests that were replaced, which readers may still hold.
    replaced: Mutex<Vec<Weak<Manifest>>>,
}

impl SharedState {
    pub(crate) fn new(state: State) -> Self {
        Self { current: RwLock::new(Arc::new(state)), replaced: Mutex::default() }
    }

    pub(crate) fn load(&self) -> Arc<State> {
        self.current.read().clone()
    }

    /// Replaces the state by one made from it, at once for all who load it.
    pub(crate) fn update(&self, change: impl FnOnce(&State) -> State) {
        let mut state = self.current.write();
        let next = Arc::new(change(&state));
        if !Arc::ptr_eq(&state.manifest, &next.manifest) {
            let mut replaced = self.replaced.lock();
            replaced.retain(|manifest| manifest.strong_count() > 0);
            replaced.push(Arc::downgrade(&state.manifest));
        }
        *state = next;
    }

    /// The files of replaced manifests that readers in this process still hold.
    pub(crate) fn in_use(&self) -> BTreeSet<String> {
        let held: Vec<Arc<Manifest>> = self.replaced.lock().iter().filter_map(Weak::upgrade).collect();
        held.iter().flat_map(|manifest| manifest.names()).map(str::to_owned).collect()
    }
}
