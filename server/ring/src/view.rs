//! A ring that follows its members.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    membership::{Members, Membership, RingName},
    ring::{Ring, RingSettings},
};

/// Gives the newest picture of a ring. It is made when asked for, once for each change.
pub struct RingView {
    name: RingName,
    settings: RingSettings,
    members: watch::Receiver<Arc<Members>>,
    made: Mutex<(Arc<Members>, Arc<Ring>)>,
}

impl RingView {
    /// Follows a ring.
    pub fn new(membership: &dyn Membership, name: RingName, settings: RingSettings) -> Self {
        let members = membership.watch(name);
        let seen = Arc::clone(&members.borrow());
        let ring = Arc::new(Ring::new(&seen, settings.clone()));
        Self { name, settings, members, made: Mutex::new((seen, ring)) }
    }

    /// Which ring.
    pub fn name(&self) -> RingName {
        self.name
    }

    /// The ring as it is now.
    pub fn current(&self) -> Arc<Ring> {
        let seen = Arc::clone(&self.members.borrow());
        let mut made = self.made.lock();
        if !Arc::ptr_eq(&made.0, &seen) {
            *made = (Arc::clone(&seen), Arc::new(Ring::new(&seen, self.settings.clone())));
        }
        Arc::clone(&made.1)
    }

    /// Tells of changes: of the records, heartbeats included.
    pub fn changes(&self) -> watch::Receiver<Arc<Members>> {
        self.members.clone()
    }
}
