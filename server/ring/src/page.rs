//! What the page of a ring shows, as plain data.

use std::sync::Arc;

use crate::{
    instance::{Instance, State},
    ring::Ring,
};

/// The page of a ring.
#[derive(Clone, Debug, PartialEq)]
pub struct RingPage {
    /// The time that it was made at.
    pub now_ms: u64,
    /// Its instances in the order of their ids.
    pub instances: Vec<RingPageRow>,
}

/// An instance on the page of a ring.
#[derive(Clone, Debug, PartialEq)]
pub struct RingPageRow {
    /// Its record.
    pub instance: Arc<Instance>,
    /// Whether its heartbeat is recent.
    pub healthy: bool,
    /// How much of the ring it owns.
    pub ownership_percent: f64,
}

impl RingPageRow {
    /// Its state as Loki shows it: UNHEALTHY for those not heard of.
    pub fn state(&self) -> &'static str {
        if self.healthy { self.instance.state.as_str() } else { "UNHEALTHY" }
    }
}

impl Ring {
    /// What its page shows.
    pub fn page(&self, now_ms: u64) -> RingPage {
        let rows = self.ownership().into_iter().map(|(instance, ownership_percent)| RingPageRow {
            healthy: self.is_fresh(instance, now_ms) && instance.state != State::Left,
            instance: Arc::clone(instance),
            ownership_percent,
        });
        RingPage { now_ms, instances: rows.collect() }
    }
}
