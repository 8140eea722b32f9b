//! The token ring: an immutable picture of who holds which tokens, made of the records of one time.
//!
//! A key belongs to the first token above it, clockwise; its replicas are the next distinct instances from there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    clock::millis,
    instance::{Instance, State},
    membership::Members,
    quorum::{Quorum, ReplicaSet, Tolerated},
    tokens::{RING_LENGTH, keeps},
};

/// Settings of a ring: plain data, named as Loki's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingSettings {
    /// How many instances hold each key.
    pub replication_factor: usize,
    /// An instance not heard of for longer is unhealthy; zero: never.
    pub heartbeat_timeout: Duration,
    /// Whether replicas must be in different zones.
    pub zone_awareness: bool,
}

impl Default for RingSettings {
    fn default() -> Self {
        Self { replication_factor: 3, heartbeat_timeout: Duration::from_secs(60), zone_awareness: false }
    }
}

/// What instances are looked up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// To write: only ACTIVE ones; for each other one on the way the next is taken too.
    Write,
    /// To write around those that are not ACTIVE, as if they had no tokens: one that leaves in order fails no write, also
    /// where each key is held once. Who reads must ask all that may hold data, as [`Ring::read_set`] says.
    WriteAround,
    /// To read: those that may hold what was written.
    Read,
}

impl Operation {
    fn accepts(self, instance: &Instance) -> bool {
        match self {
            Self::Write | Self::WriteAround => instance.state == State::Active,
            Self::Read => may_hold_data(instance),
        }
    }

    fn extends(self, state: State) -> bool {
        match self {
            Self::Write => state != State::Active,
            Self::WriteAround => false,
            Self::Read => !matches!(state, State::Active | State::Leaving),
        }
    }
}

/// One that joins and has tokens may have come back with what it wrote before.
fn may_hold_data(instance: &Instance) -> bool {
    match instance.state {
        State::Active | State::Leaving => true,
        State::Joining => !instance.tokens.is_empty(),
        State::Pending | State::Left => false,
    }
}

/// Why there is no set of instances to call. The texts are Loki's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// No instance has tokens.
    #[error("empty ring")]
    Empty,
    /// A read would miss what was written.
    #[error("too many unhealthy instances in the ring")]
    TooManyUnhealthy,
    /// A write would not reach its quorum.
    #[error("at least {required} live replicas required, could only find {found}")]
    TooFewReplicas {
        /// How many must be alive.
        required: usize,
        /// How many are.
        found: usize,
    },
}

/// A picture of a ring. Those that left are not in it.
#[derive(Clone, Debug)]
pub struct Ring {
    pub(crate) settings: RingSettings,
    /// In the order of their ids.
    pub(crate) instances: Vec<Arc<Instance>>,
    /// Ascending, each once, with the index of its instance.
    tokens: Vec<(u32, u32)>,
    /// How many instances have tokens, in all and by zone.
    with_tokens: usize,
    zones: BTreeMap<String, usize>,
}

impl Ring {
    /// Makes the ring of these records. A token of two instances goes to one of them, everywhere the same.
    pub fn new(members: &Members, settings: RingSettings) -> Self {
        Self::of(members.iter().filter(|instance| instance.state != State::Left).cloned().collect(), settings)
    }

    pub(crate) fn of(instances: Vec<Arc<Instance>>, settings: RingSettings) -> Self {
        let mut tokens: Vec<(u32, u32)> = Vec::with_capacity(instances.iter().map(|one| one.tokens.len()).sum());
        let mut zones = BTreeMap::new();
        for (index, instance) in (0u32..).zip(&instances) {
            tokens.extend(instance.tokens.iter().map(|token| (*token, index)));
        }
        tokens.sort_unstable();
        tokens.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            let pair = instances.get(later.1 as usize).zip(instances.get(kept.1 as usize));
            if same && pair.is_some_and(|(later, kept)| keeps(later, kept)) {
                kept.1 = later.1;
            }
            same
        });
        let mut owners: Vec<u32> = tokens.iter().map(|(_, index)| *index).collect();
        owners.sort_unstable();
        owners.dedup();
        for instance in owners.iter().filter_map(|index| instances.get(*index as usize)) {
            *zones.entry(instance.zone.clone()).or_insert(0) += 1;
        }
        Self { settings, with_tokens: owners.len(), instances, tokens, zones }
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &RingSettings {
        &self.settings
    }

    /// All instances in the order of their ids, unhealthy ones included.
    pub fn instances(&self) -> &[Arc<Instance>] {
        &self.instances
    }

    /// Whether the heartbeat of an instance is recent.
    pub fn is_fresh(&self, instance: &Instance, now_ms: u64) -> bool {
        instance.is_fresh(now_ms, millis(self.settings.heartbeat_timeout))
    }

    /// How many are ACTIVE and healthy: what a global limit is divided by.
    pub fn healthy(&self, now_ms: u64) -> usize {
        self.instances.iter().filter(|one| one.state == State::Active && self.is_fresh(one, now_ms)).count()
    }

    fn clockwise(&self, key: u32) -> impl Iterator<Item = (u32, &Arc<Instance>)> {
        let start = self.tokens.partition_point(|(token, _)| *token <= key);
        let (before, after) = self.tokens.split_at(start);
        let indexes = after.iter().chain(before).map(|(_, index)| *index);
        indexes.filter_map(|index| self.instances.get(index as usize).map(|instance| (index, instance)))
    }

    /// The instances of a key, and how many of them may fail.
    ///
    /// # Errors
    /// The ring is empty, or so few are healthy that a quorum cannot be reached.
    pub fn replicas(&self, key: u32, operation: Operation, now_ms: u64) -> Result<ReplicaSet, RingError> {
        if self.tokens.is_empty() {
            return Err(RingError::Empty);
        }
        let mut wanted = self.settings.replication_factor.max(1);
        let mut taken: Vec<(u32, &Arc<Instance>)> = Vec::with_capacity(wanted);
        let mut full_zones: Vec<&str> = Vec::new();
        // Instances that can still be taken; at zero the rest of the tokens tells nothing.
        let mut open = self.with_tokens;
        for (index, instance) in self.clockwise(key) {
            if taken.len() >= wanted || open == 0 {
                break;
            }
            if operation == Operation::WriteAround && instance.state != State::Active {
                continue;
            }
            let zone = instance.zone.as_str();
            let zoned = self.settings.zone_awareness && !zone.is_empty();
            if taken.iter().any(|(other, _)| *other == index) || (zoned && full_zones.contains(&zone)) {
                continue;
            }
            if operation.extends(instance.state) {
                // It does not fill its zone: another one of it can take its place.
                wanted += 1;
                open -= 1;
            } else if zoned {
                let before = taken.iter().filter(|(_, other)| other.zone == zone).count();
                open -= self.zones.get(zone).map_or(1, |all| all.saturating_sub(before)).min(open);
                full_zones.push(zone);
            } else {
                open -= 1;
            }
            taken.push((index, instance));
        }
        let required = Quorum::of(self.settings.replication_factor).needed_of(taken.len());
        let usable = |instance: &Instance| operation.accepts(instance) && self.is_fresh(instance, now_ms);
        let instances: Vec<_> =
            taken.into_iter().filter(|(_, one)| usable(one)).map(|(_, one)| Arc::clone(one)).collect();
        match instances.len().checked_sub(required) {
            Some(spare) => Ok(ReplicaSet { instances, tolerated: Tolerated::Instances(spare) }),
            None => Err(RingError::TooFewReplicas { required, found: instances.len() }),
        }
    }

    /// All instances that may hold data, and how many of them may fail before something written could be missed.
    ///
    /// # Errors
    /// There is none, or too many are unhealthy.
    pub fn read_set(&self, now_ms: u64) -> Result<ReplicaSet, RingError> {
        let holders: Vec<_> = self.instances.iter().filter(|one| may_hold_data(one)).collect();
        if holders.is_empty() {
            return Err(RingError::Empty);
        }
        let quorum = Quorum::of(self.settings.replication_factor);
        let (fresh, stale): (Vec<_>, Vec<_>) = holders.iter().partition(|one| self.is_fresh(one, now_ms));
        if self.settings.zone_awareness && holders.iter().all(|one| !one.zone.is_empty()) {
            let names = |list: &[&Arc<Instance>]| {
                let mut names: Vec<String> = list.iter().map(|one| one.zone.clone()).collect();
                names.sort_unstable();
                names.dedup();
                names
            };
            let failing = names(&stale);
            let tolerated = quorum.zones_tolerated(names(&holders).len());
            let Some(left) = tolerated.checked_sub(failing.len()) else { return Err(RingError::TooManyUnhealthy) };
            let instances: Vec<_> =
                fresh.into_iter().filter(|one| !failing.contains(&one.zone)).map(Arc::clone).collect();
            return Ok(ReplicaSet { instances, tolerated: Tolerated::Zones(left) });
        }
        let needed = quorum.needed_to_read(holders.len());
        let spare = fresh.len().checked_sub(needed).ok_or(RingError::TooManyUnhealthy)?;
        Ok(ReplicaSet {
            instances: fresh.into_iter().map(Arc::clone).collect(),
            tolerated: Tolerated::Instances(spare),
        })
    }

    /// The elected one: who holds the smallest token of those that are ACTIVE and healthy.
    pub fn leader(&self, now_ms: u64) -> Option<&Arc<Instance>> {
        let mut owners = self.tokens.iter().filter_map(|(_, index)| self.instances.get(*index as usize));
        owners.find(|one| one.state == State::Active && self.is_fresh(one, now_ms))
    }

    /// Who does the work of a key that one does: of those that are ACTIVE and healthy, the first clockwise.
    pub fn owner(&self, key: u32, now_ms: u64) -> Option<&Arc<Instance>> {
        let mut seen = None;
        self.clockwise(key).find_map(|(index, one)| {
            let is_new = seen.replace(index) != Some(index);
            (is_new && one.state == State::Active && self.is_fresh(one, now_ms)).then_some(one)
        })
    }

    /// How much of the ring each instance owns, in percent, in the order of their ids.
    pub fn ownership(&self) -> Vec<(&Arc<Instance>, f64)> {
        let mut owned = vec![0u64; self.instances.len()];
        let mut previous = self.tokens.last().map_or(0, |(token, _)| u64::from(*token));
        for (token, index) in &self.tokens {
            let token = u64::from(*token);
            let len = if self.tokens.len() == 1 { RING_LENGTH } else { (token + RING_LENGTH - previous) % RING_LENGTH };
            if let Some(owned) = owned.get_mut(*index as usize) {
                *owned += len;
            }
            previous = token;
        }
        self.instances.iter().zip(owned).map(|(one, owned)| (one, owned as f64 * 100.0 / RING_LENGTH as f64)).collect()
    }
}

/// The key of a stream, as Loki computes it: FNV-1 of the tenant and the canonical text of the labels.
pub fn stream_key(tenant: &str, labels: &str) -> u32 {
    let bytes = tenant.bytes().chain(labels.bytes());
    bytes.fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte))
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
