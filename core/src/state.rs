//! What queries see: a manifest and the generations that it does not cover, swapped as one.

use std::sync::Arc;

use parking_lot::RwLock;

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
pub(crate) struct SharedState(RwLock<Arc<State>>);

impl SharedState {
    pub(crate) fn new(state: State) -> Self {
        Self(RwLock::new(Arc::new(state)))
    }

    pub(crate) fn load(&self) -> Arc<State> {
        self.0.read().clone()
    }

    /// Replaces the state by one made from it, at once for all who load it.
    pub(crate) fn update(&self, change: impl FnOnce(&State) -> State) {
        let mut state = self.0.write();
        *state = Arc::new(change(&state));
    }
}
