//! Which queriers are connected, and which of them are a tenant's.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The queriers that are connected, or were until lately.
#[derive(Debug)]
pub(crate) struct Queriers {
    known: BTreeMap<Arc<str>, Querier>,
    /// Goes up whenever shards may change.
    generation: u64,
    forget_delay: Duration,
}

#[derive(Debug)]
struct Querier {
    places: usize,
    /// It said that it stops: tenants are to have others at once.
    stops: bool,
    /// Since when it has no place, though it did not say that it stops: it may come back.
    gone: Option<Instant>,
}

/// The queriers of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shard {
    generation: u64,
    size: usize,
    /// Sorted; nothing means all.
    members: Option<Vec<Arc<str>>>,
}

impl Shard {
    pub(crate) fn has(&self, querier: &str) -> bool {
        self.members.as_ref().is_none_or(|members| members.binary_search_by(|one| (**one).cmp(querier)).is_ok())
    }
}

impl Queriers {
    pub(crate) fn new(forget_delay: Duration) -> Self {
        Self { known: BTreeMap::new(), generation: 1, forget_delay }
    }

    /// A place is there.
    pub(crate) fn connect(&mut self, querier: &Arc<str>) {
        let new = || Querier { places: 0, stops: true, gone: None };
        let known = self.known.entry(querier.clone()).or_insert_with(new);
        known.places += 1;
        known.gone = None;
        if known.stops {
            known.stops = false;
            self.generation += 1;
        }
    }

    /// A place is gone.
    pub(crate) fn disconnect(&mut self, querier: &str, now: Instant) {
        let Some(known) = self.known.get_mut(querier) else { return };
        known.places = known.places.saturating_sub(1);
        if known.places > 0 {
            return;
        }
        if known.stops || self.forget_delay.is_zero() {
            self.known.remove(querier);
            self.generation += 1;
        } else {
            known.gone = Some(now);
        }
    }

    /// A querier stops: it is in no shard any more.
    pub(crate) fn stops(&mut self, querier: &str) {
        if let Some(known) = self.known.get_mut(querier).filter(|known| !known.stops) {
            known.stops = true;
            self.generation += 1;
        }
    }

    /// Forgets those that are gone for too long.
    pub(crate) fn forget(&mut self, now: Instant) {
        let delay = self.forget_delay;
        let before = self.known.len();
        self.known.retain(|_, known| known.gone.is_none_or(|gone| now.saturating_duration_since(gone) < delay));
        self.generation += u64::from(self.known.len() != before);
    }

    /// How many are connected.
    pub(crate) fn connected(&self) -> usize {
        self.known.values().filter(|known| known.places > 0).count()
    }

    /// How many places all of them have.
    pub(crate) fn places(&self) -> usize {
        self.known.values().map(|known| known.places).sum()
    }

    /// Brings a tenant's queriers up to date: so many, 0 for all. They are the same for every scheduler that knows the same
    /// queriers, and one that comes or goes changes at most one of them.
    pub(crate) fn refresh(&self, shard: &mut Shard, tenant: &str, size: usize) {
        if shard.generation == self.generation && shard.size == size {
            return;
        }
        let candidates = self.known.iter().filter(|(_, known)| !known.stops).map(|(name, _)| name);
        let count = candidates.clone().count();
        let members = (size > 0 && size < count).then(|| {
            let seed = xxh3_64_with_seed(tenant.as_bytes(), 0);
            let mut scored: Vec<_> =
                candidates.map(|name| (xxh3_64_with_seed(name.as_bytes(), seed), name.clone())).collect();
            scored.sort_unstable_by(|a, b| b.cmp(a));
            let mut members: Vec<_> = scored.into_iter().take(size).map(|(_, name)| name).collect();
            members.sort_unstable();
            members
        });
        *shard = Shard { generation: self.generation, size, members };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(count: usize, forget_delay: Duration) -> Queriers {
        let mut queriers = Queriers::new(forget_delay);
        (0..count).for_each(|at| queriers.connect(&Arc::from(format!("querier-{at}"))));
        queriers
    }

    fn shard(queriers: &Queriers, tenant: &str, size: usize) -> Vec<Arc<str>> {
        let mut shard = Shard::default();
        queriers.refresh(&mut shard, tenant, size);
        shard.members.unwrap_or_default()
    }

    proptest! {
        #[test]
        fn one_that_comes_or_goes_changes_one_at_most(count in 2usize..12, size in 1usize..6, out in 0usize..12) {
            let mut queriers = named(count, Duration::ZERO);
            let before = shard(&queriers, "a", size);
            prop_assert_eq!(before.len(), if size < count { size } else { 0 });
            queriers.disconnect(&format!("querier-{}", out % count), Instant::now());
            let after = shard(&queriers, "a", size);
            if !before.is_empty() && !after.is_empty() {
                prop_assert!(after.iter().filter(|one| !before.contains(one)).count() <= 1);
            }
        }
    }

    #[test]
    fn tenants_have_different_queriers() {
        let queriers = named(20, Duration::ZERO);
        let mut seen: Vec<_> = (0..30).map(|at| shard(&queriers, &at.to_string(), 2)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 20, "{} of 30", seen.len());
    }

    #[test]
    fn the_gone_are_waited_for_and_the_stopped_are_not() {
        let delay = Duration::from_secs(10);
        let mut queriers = named(4, delay);
        let now = Instant::now();
        let before = shard(&queriers, "a", 2);
        let lost = before[0].clone();
        queriers.disconnect(&lost, now);
        queriers.forget(now + delay / 2);
        assert_eq!((queriers.connected(), shard(&queriers, "a", 2)), (3, before.clone()));
        queriers.connect(&lost);
        queriers.forget(now + delay * 2);
        assert_eq!((queriers.connected(), shard(&queriers, "a", 2)), (4, before.clone()));
        queriers.disconnect(&lost, now);
        queriers.forget(now + delay);
        assert!(!shard(&queriers, "a", 2).contains(&lost));
        let stopped = shard(&queriers, "b", 2)[0].clone();
        queriers.stops(&stopped);
        assert!(!shard(&queriers, "b", 2).contains(&stopped));
        assert_eq!(queriers.connected(), 3);
        queriers.disconnect(&stopped, now);
        assert_eq!((queriers.connected(), queriers.places()), (2, 2));
    }
}
