//! Membership inside one process: instances that share a hub see each other at once.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    clock::{Clock, millis},
    instance::Instance,
    membership::{ClusterPage, Leaving, Members, Membership, MembershipError, RingName},
    registry::Registry,
};

/// A hub in memory; clones share it. For a single process, and for tests of what is built on a ring.
#[derive(Clone)]
pub struct InMemory {
    registry: Arc<Mutex<Registry>>,
    clock: Arc<dyn Clock>,
}

impl InMemory {
    /// An empty hub. Those that left are remembered for `left_timeout`.
    pub fn new(clock: Arc<dyn Clock>, left_timeout: std::time::Duration) -> Self {
        Self { registry: Arc::new(Mutex::new(Registry::new(millis(left_timeout), 0))), clock }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Registry, u64) -> T) -> T {
        let now_ms = self.clock.now_ms();
        let mut registry = self.registry.lock();
        registry.expire(now_ms);
        let out = change(&mut registry, now_ms);
        registry.tell();
        out
    }
}

impl Membership for InMemory {
    fn publish(&self, ring: RingName, instance: Instance) -> Result<(), MembershipError> {
        instance.validate()?;
        self.change(|registry, now_ms| registry.offer(ring, instance, now_ms)).map(|_| ())
    }

    fn watch(&self, ring: RingName) -> watch::Receiver<Arc<Members>> {
        self.change(|registry, _| registry.watch(ring))
    }

    fn forget(&self, ring: RingName, id: &str) -> Result<bool, MembershipError> {
        Ok(self.change(|registry, now_ms| registry.forget(ring, id, now_ms)).is_some())
    }

    fn leave(&self) -> Leaving<'_> {
        Box::pin(std::future::ready(()))
    }

    fn healthy(&self) -> bool {
        true
    }

    fn cluster(&self) -> ClusterPage {
        let records = self.registry.lock().members().map(|(ring, members)| (ring, members.len())).collect();
        ClusterPage { healthy: true, records, ..ClusterPage::default() }
    }
}
