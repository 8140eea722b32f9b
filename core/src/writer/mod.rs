//! The write side: pushes, flushes, commits, replay, and those who follow pushes.

mod tail;

use std::sync::Arc;

use narvi_types::{Entry, Labels, Selector, Tenant};

use self::tail::Subscribers;
pub use self::tail::{Dropped, Subscription, TailBatch};
use crate::{
    Result, Settings,
    failpoint::Failpoints,
    head::Generation,
    manifest::ManifestStore,
    state::{SharedState, State},
    store::Store,
};

/// Lines for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct PushStream {
    /// The stream; at least one label.
    pub labels: Labels,
    /// Its lines, in any order.
    pub entries: Vec<Entry>,
}

impl PushStream {
    /// Puts the two together.
    pub fn new(labels: Labels, entries: Vec<Entry>) -> Self {
        Self { labels, entries }
    }
}

/// A push that was taken.
#[derive(Debug)]
pub struct Ack {}

impl Ack {
    /// Waits until the lines are as safe as the settings promise.
    ///
    /// # Errors
    /// The sync failed.
    pub fn wait(self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Background {}
impl Background {
    pub(crate) fn stop(&self) {}
}

#[derive(Debug)]
pub(crate) struct Writer {
    settings: Settings,
    store: Arc<dyn Store>,
    state: SharedState,
    manifests: ManifestStore,
    subscribers: Subscribers,
    pub(crate) failpoints: Failpoints,
}

impl Writer {
    pub(crate) fn new(settings: Settings, store: Arc<dyn Store>) -> Result<Self> {
        let manifests = ManifestStore::new(store.clone());
        let state =
            SharedState::new(State { manifest: manifests.load()?, generations: vec![Arc::new(Generation::new(1))] });
        Ok(Self {
            settings,
            store,
            state,
            manifests,
            subscribers: Subscribers::default(),
            failpoints: Failpoints::new(),
        })
    }

    pub(crate) fn push(&self, tenant: &Tenant, streams: Vec<PushStream>) -> Result<Ack> {
        let state = self.state.load();
        if let Some(generation) = state.generations.last() {
            let heads = generation.tenant_or_new(tenant);
            for stream in &streams {
                generation.append(&generation.stream(&heads, &stream.labels), &stream.entries, 1);
            }
        }
        self.subscribers.publish(tenant, &streams);
        Ok(Ack {})
    }

    pub(crate) fn flush(&self) -> Result<()> {
        Ok(())
    }

    pub(crate) fn close_pushes(&self) {}

    pub(crate) fn finish(&self) -> Result<()> {
        Ok(())
    }

    pub(crate) fn subscribe(&self, tenant: &Tenant, selector: Selector) -> Subscription {
        self.subscribers.subscribe(tenant, selector, self.settings.tail_queue_entries)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn state(&self) -> &SharedState {
        &self.state
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}
