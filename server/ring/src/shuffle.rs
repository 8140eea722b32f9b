//! Shuffle sharding: a few instances of a ring for each tenant, so that one tenant cannot disturb all others.

use std::{sync::Arc, time::Duration};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    clock::millis,
    instance::{Instance, State},
    ring::Ring,
};

impl Ring {
    /// The ring of the instances of one tenant: the same everywhere, and one that comes or goes changes at most one of
    /// them. Zero means all. Where zones count, each gives as many, so that the size is rounded up.
    pub fn shuffle_shard(&self, tenant: &str, size: usize) -> Self {
        self.shard(tenant, size, |_| false)
    }

    /// The same for reads: also those that the tenant had before instances joined in the last `lookback`, which may
    /// hold what it wrote.
    pub fn shuffle_shard_to_read(&self, tenant: &str, size: usize, lookback: Duration, now_ms: u64) -> Self {
        let since_ms = now_ms.saturating_sub(millis(lookback));
        self.shard(tenant, size, |instance| instance.registered_ms >= since_ms)
    }

    /// The same for work that one does: of those that are ACTIVE and healthy, so that the tenant always has someone.
    pub fn shuffle_shard_to_work(&self, tenant: &str, size: usize, now_ms: u64) -> Self {
        let works = |one: &&Arc<Instance>| one.state == State::Active && self.is_fresh(one, now_ms);
        let working = self.instances.iter().filter(works).cloned().collect();
        Self::of(working, self.settings.clone()).shard(tenant, size, |_| false)
    }

    /// Takes the instances of the highest scores; extra ones do not count.
    fn shard(&self, tenant: &str, size: usize, is_extra: impl Fn(&Instance) -> bool) -> Self {
        if size == 0 || size >= self.instances.len() {
            return self.clone();
        }
        let seed = xxh3_64_with_seed(tenant.as_bytes(), 0);
        let mut scored: Vec<(u64, &Arc<Instance>)> =
            self.instances.iter().map(|one| (xxh3_64_with_seed(one.id.as_bytes(), seed), one)).collect();
        scored.sort_unstable_by(|a, b| (b.0, &b.1.id).cmp(&(a.0, &a.1.id)));
        let zone_of = |one: &Instance| if self.settings.zone_awareness { one.zone.clone() } else { String::new() };
        let mut zones: Vec<(String, usize)> = self.instances.iter().map(|one| (zone_of(one), 0)).collect();
        zones.sort_unstable();
        zones.dedup();
        let most = size.div_ceil(zones.len().max(1));
        let mut chosen: Vec<Arc<Instance>> = Vec::new();
        for (_, instance) in scored {
            let zone = zone_of(instance);
            let Some((_, count)) = zones.iter_mut().find(|(name, _)| *name == zone) else { continue };
            if *count < most {
                *count += usize::from(!is_extra(instance));
                chosen.push(Arc::clone(instance));
            }
        }
        chosen.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Self::of(chosen, self.settings.clone())
    }
}
