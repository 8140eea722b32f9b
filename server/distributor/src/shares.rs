//! What part of a tenant's limits this process has, where several share them.

use std::sync::Arc;

use narvi_ring::{Clock, RingView};

/// How many processes share the limits of tenants. Asked at every push; must not block.
pub trait Shares: Send + Sync + std::fmt::Debug {
    /// How many distributors take pushes, this one included: each grants its part of a global rate.
    fn distributors(&self) -> usize;

    /// How many times what one ingester may hold all ingesters may: as many as there are, divided by how many hold each
    /// stream. Limits that Loki counts in each ingester are counted here before the streams are spread.
    fn ingesters(&self) -> f64;
}

/// One process is all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Alone;

impl Shares for Alone {
    fn distributors(&self) -> usize {
        1
    }

    fn ingesters(&self) -> f64 {
        1.0
    }
}

/// Counts those that are ACTIVE and healthy in the rings of distributors and ingesters.
#[derive(Clone)]
pub struct RingShares {
    distributors: Arc<RingView>,
    ingesters: Arc<RingView>,
    clock: Arc<dyn Clock>,
}

impl RingShares {
    /// Follows the two rings.
    pub fn new(distributors: Arc<RingView>, ingesters: Arc<RingView>, clock: Arc<dyn Clock>) -> Self {
        Self { distributors, ingesters, clock }
    }
}

impl std::fmt::Debug for RingShares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingShares").finish_non_exhaustive()
    }
}

impl Shares for RingShares {
    fn distributors(&self) -> usize {
        // While this process is not in the ring itself it counts as the only one rather than as none.
        self.distributors.current().healthy(self.clock.now_ms()).max(1)
    }

    fn ingesters(&self) -> f64 {
        let ring = self.ingesters.current();
        let holders = ring.settings().replication_factor.max(1);
        ring.healthy(self.clock.now_ms()).max(holders) as f64 / holders as f64
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use narvi_ring::{InMemory, Instance, ManualClock, Membership, RingName, RingSettings, RingView, State};

    use super::{RingShares, Shares};

    #[test]
    fn those_that_are_healthy_are_counted() {
        let clock = Arc::new(ManualClock::at(1_000));
        let hub = InMemory::new(clock.clone(), Duration::from_secs(300));
        let view = |name| Arc::new(RingView::new(&hub, name, RingSettings::default()));
        let shares = RingShares::new(view(RingName::Distributor), view(RingName::Ingester), clock.clone());
        assert_eq!((shares.distributors(), shares.ingesters()), (1, 1.0), "before anyone has joined");
        let publish = |ring, id: u32, state, heartbeat_ms| {
            let tokens = vec![id];
            let (id, address) = (format!("i{id}"), "a:1".to_owned());
            let instance = Instance { id, address, zone: String::new(), state, tokens, registered_ms: 0, heartbeat_ms };
            hub.publish(ring, instance).expect("it is right");
        };
        for id in 0..6 {
            publish(RingName::Ingester, id, State::Active, 1_000);
            publish(RingName::Distributor, id, if id < 2 { State::Active } else { State::Leaving }, 1_000);
        }
        assert_eq!((shares.distributors(), shares.ingesters()), (2, 2.0));
        clock.advance(Duration::from_secs(120));
        publish(RingName::Distributor, 0, State::Active, 121_000);
        assert_eq!((shares.distributors(), shares.ingesters()), (1, 1.0), "of those not heard of none counts");
    }
}
