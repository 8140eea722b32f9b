//! Which groups of rules a ruler evaluates, where several share them.

use std::{fmt, sync::Arc};

use narvi::Tenant;
use narvi_ring::{Clock, RingView};

use crate::state::hash;

/// Says which groups are this ruler's. Asked again and again, and before each evaluation: groups move when it changes its
/// mind. Must not block.
pub trait Owns: Send + Sync {
    /// Whether this ruler evaluates a group now.
    fn owns(&self, tenant: &Tenant, namespace: &str, group: &str) -> bool;
}

/// How many rulers a tenant has; 0 is all.
pub type ShardSize = dyn Fn(&Tenant) -> usize + Send + Sync;

/// The share of one ruler on a ring: each group belongs to the first ruler clockwise that is ACTIVE and healthy.
///
/// Rulers may differ for a moment in who that is; a group is then evaluated twice or not at all, once.
pub struct RingShare {
    ring: Arc<RingView>,
    clock: Arc<dyn Clock>,
    id: String,
    shard_size: Option<Arc<ShardSize>>,
}

impl RingShare {
    /// The share of the ruler of this id.
    pub fn new(ring: Arc<RingView>, clock: Arc<dyn Clock>, id: impl Into<String>) -> Self {
        Self { ring, clock, id: id.into(), shard_size: None }
    }

    /// Gives each tenant so many rulers of its own (`ruler.sharding_strategy: shuffle-sharding`).
    #[must_use]
    pub fn shuffled(self, shard_size: Arc<ShardSize>) -> Self {
        Self { shard_size: Some(shard_size), ..self }
    }
}

impl fmt::Debug for RingShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingShare").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Owns for RingShare {
    fn owns(&self, tenant: &Tenant, namespace: &str, group: &str) -> bool {
        let key = hash(&[tenant.as_str(), namespace, group]) as u32;
        let now_ms = self.clock.now_ms();
        let ring = self.ring.current();
        let is_own = |ring: &narvi_ring::Ring| ring.owner(key, now_ms).is_some_and(|owner| owner.id == self.id);
        match self.shard_size.as_ref().map_or(0, |size| size(tenant)) {
            0 => is_own(&ring),
            size => is_own(&ring.shuffle_shard_to_work(tenant.as_str(), size, now_ms)),
        }
    }
}

/// The share of a ruler that is alone.
pub(crate) struct All;

impl Owns for All {
    fn owns(&self, _: &Tenant, _: &str, _: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use narvi::Tenant;
    use narvi_ring::{InMemory, Instance, ManualClock, Membership, RingName, RingSettings, RingView, State};

    use super::{Owns, RingShare};

    #[test]
    fn every_group_has_one_owner_also_when_rulers_come_go_and_die() {
        let clock = Arc::new(ManualClock::at(1_000));
        let hub = InMemory::new(clock.clone(), Duration::from_secs(300));
        let publish = |n: u32, state, heartbeat_ms| {
            let tokens = (0..64).map(|i| (i * 3 + n) << 24 | 0x0012_3456).collect();
            let (id, address) = (format!("ruler-{n}"), "a:1".to_owned());
            let instance = Instance { id, address, zone: String::new(), state, tokens, registered_ms: 0, heartbeat_ms };
            hub.publish(RingName::Ruler, instance).expect("it is right");
        };
        let settings = RingSettings { replication_factor: 1, ..RingSettings::default() };
        let share = |n: u32| {
            let view = Arc::new(RingView::new(&hub, RingName::Ruler, settings.clone()));
            RingShare::new(view, clock.clone(), format!("ruler-{n}"))
        };
        let shares = [share(0), share(1), share(2)];
        let tenant = Tenant::default();
        let owners = |shares: &[RingShare]| -> Vec<usize> {
            let groups = (0..200).map(|group| format!("g{group}"));
            let owners = groups.map(|group| {
                let owners: Vec<_> = (0..3).filter(|n| shares[*n].owns(&tenant, "n", &group)).collect();
                assert_eq!(owners.len(), 1, "{group} belongs to {owners:?}");
                owners[0]
            });
            owners.collect()
        };
        (0..3).for_each(|n| publish(n, State::Active, 1_000));
        let before = owners(&shares);
        assert!((0..3).all(|n| before.contains(&n)));
        publish(1, State::Leaving, 1_001);
        let after = owners(&shares);
        assert!(before.iter().zip(&after).all(|(before, after)| before == after || (*before == 1 && *after != 1)));
        clock.advance(Duration::from_secs(120));
        publish(2, State::Active, 121_000);
        assert!(owners(&shares).iter().all(|owner| *owner == 2), "the others are not heard of any more");
        publish(0, State::Active, 121_000);
        let few = shares.map(|share| share.shuffled(Arc::new(|_: &Tenant| 1)));
        let of_tenant = owners(&few);
        assert!(of_tenant.iter().all(|owner| *owner == of_tenant[0]), "a tenant of one ruler has one");
    }
}
