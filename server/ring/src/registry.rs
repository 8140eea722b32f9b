//! What is known of all rings: merges records as they come in, in any order, and forgets.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use crate::{
    instance::{Instance, State},
    membership::{Members, MembershipError, RingName},
};

/// Records of one ring: more are not taken, whoever sends them.
pub(crate) const MAX_INSTANCES: usize = 5_000;

/// That an instance was forgotten: records up to this heartbeat do not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forgotten {
    pub(crate) heartbeat_ms: u64,
    pub(crate) at_ms: u64,
}

struct Records {
    current: Members,
    forgotten: BTreeMap<String, Forgotten>,
    watchers: watch::Sender<Arc<Members>>,
    changed: bool,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            current: Members::default(),
            forgotten: BTreeMap::new(),
            watchers: watch::Sender::new(Arc::default()),
            changed: false,
        }
    }
}

/// All rings. Watchers are told by [`Registry::tell`], once for many changes.
pub(crate) struct Registry {
    rings: BTreeMap<RingName, Records>,
    /// How long one that left, or was forgotten, is remembered.
    left_ms: u64,
    /// How long the holder of an id must be silent before the id is taken from another address.
    reclaim_ms: u64,
}

impl Registry {
    pub(crate) fn new(left_ms: u64, reclaim_ms: u64) -> Self {
        let rings = RingName::ALL.into_iter().map(|ring| (ring, Records::default())).collect();
        Self { rings, left_ms, reclaim_ms }
    }

    fn ring(&mut self, ring: RingName) -> &mut Records {
        self.rings.entry(ring).or_default()
    }

    /// Takes a record if it is news.
    ///
    /// # Errors
    /// The ring is full.
    pub(crate) fn offer(&mut self, ring: RingName, instance: Instance, now_ms: u64) -> Result<bool, MembershipError> {
        if self.is_over(&instance, now_ms) {
            return Ok(false);
        }
        let reclaim_ms = self.reclaim_ms;
        let records = self.ring(ring);
        if records.forgotten.get(&instance.id).is_some_and(|gone| instance.heartbeat_ms <= gone.heartbeat_ms) {
            return Ok(false);
        }
        match records.current.0.get(&instance.id) {
            Some(held) if !supersedes(&instance, held, reclaim_ms) => return Ok(false),
            None if records.current.len() >= MAX_INSTANCES => {
                return Err(MembershipError::Full { ring, limit: MAX_INSTANCES });
            }
            _ => {}
        }
        records.current.0.insert(instance.id.clone(), Arc::new(instance));
        records.changed = true;
        Ok(true)
    }

    /// Takes out a record and remembers that; none if there is no such record.
    pub(crate) fn forget(&mut self, ring: RingName, id: &str, now_ms: u64) -> Option<Forgotten> {
        let heartbeat_ms = self.ring(ring).current.by_id(id)?.heartbeat_ms;
        let gone = Forgotten { heartbeat_ms, at_ms: now_ms };
        self.hear_forgotten(ring, id, gone, now_ms);
        Some(gone)
    }

    /// Hears that an instance was forgotten.
    pub(crate) fn hear_forgotten(&mut self, ring: RingName, id: &str, gone: Forgotten, now_ms: u64) {
        if now_ms.saturating_sub(gone.at_ms) > self.left_ms {
            return;
        }
        let records = self.ring(ring);
        match records.forgotten.get(id) {
            Some(known) if known.heartbeat_ms >= gone.heartbeat_ms => return,
            None if records.forgotten.len() >= MAX_INSTANCES => return,
            _ => records.forgotten.insert(id.to_owned(), gone),
        };
        if records.current.by_id(id).is_some_and(|held| held.heartbeat_ms <= gone.heartbeat_ms) {
            records.current.0.remove(id);
            records.changed = true;
        }
    }

    /// Whether a record is of no use any more: forgotten, or left long ago.
    pub(crate) fn is_gone(&self, ring: RingName, instance: &Instance, now_ms: u64) -> bool {
        let forgotten = self.rings.get(&ring).and_then(|records| records.forgotten.get(&instance.id));
        forgotten.is_some_and(|gone| instance.heartbeat_ms <= gone.heartbeat_ms) || self.is_over(instance, now_ms)
    }

    /// Drops those that left long ago.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        let left_ms = self.left_ms;
        let is_over = |time_ms: u64| now_ms.saturating_sub(time_ms) > left_ms;
        for records in self.rings.values_mut() {
            records.forgotten.retain(|_, gone| !is_over(gone.at_ms));
            let before = records.current.len();
            records.current.0.retain(|_, held| held.state != State::Left || !is_over(held.heartbeat_ms));
            records.changed |= records.current.len() != before;
        }
    }

    fn is_over(&self, instance: &Instance, now_ms: u64) -> bool {
        instance.state == State::Left && now_ms.saturating_sub(instance.heartbeat_ms) > self.left_ms
    }

    /// Tells the watchers of rings that changed.
    pub(crate) fn tell(&mut self) {
        for records in self.rings.values_mut().filter(|records| records.changed) {
            records.changed = false;
            records.watchers.send_replace(Arc::new(records.current.clone()));
        }
    }

    pub(crate) fn watch(&mut self, ring: RingName) -> watch::Receiver<Arc<Members>> {
        self.ring(ring).watchers.subscribe()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (RingName, &Members)> {
        self.rings.iter().map(|(ring, records)| (*ring, &records.current))
    }
}

/// Whether a record takes the place of another of the same id. Any two sort the same way everywhere, so that
/// records may come in any order; only who holds an id against another address depends on who was there first.
fn supersedes(new: &Instance, held: &Instance, reclaim_ms: u64) -> bool {
    if new.address != held.address && held.state != State::Left {
        let silent_ms = new.heartbeat_ms.saturating_sub(held.heartbeat_ms);
        if silent_ms < reclaim_ms {
            return false;
        }
    }
    let key = |record: &Instance| (record.heartbeat_ms, record.state == State::Left, record.state);
    (key(new), &new.address, &new.tokens) > (key(held), &held.address, &held.tokens)
}

#[cfg(test)]
mod tests {
    use super::{Forgotten, Registry};
    use crate::{
        instance::{Instance, State, tests::any_instance},
        membership::RingName,
    };
    use proptest::prelude::*;

    const RING: RingName = RingName::Ingester;

    fn record(address: &str, state: State, heartbeat_ms: u64) -> Instance {
        Instance {
            id: "a".into(),
            address: address.into(),
            zone: String::new(),
            state,
            tokens: vec![],
            registered_ms: 0,
            heartbeat_ms,
        }
    }

    fn held(registry: &Registry) -> Option<Instance> {
        let (_, members) = registry.members().find(|(ring, _)| *ring == RING)?;
        members.by_id("a").map(|held| (**held).clone())
    }

    #[test]
    fn the_newest_heartbeat_holds_and_leaving_wins_a_tie() {
        let mut registry = Registry::new(300_000, 0);
        let mut offer = |instance: Instance| registry.offer(RING, instance, 1_000).expect("not full");
        assert!(offer(record("x", State::Active, 10)));
        assert!(!offer(record("x", State::Active, 10)), "no news");
        assert!(!offer(record("x", State::Active, 9)));
        assert!(offer(record("x", State::Left, 10)));
        assert!(!offer(record("x", State::Active, 10)));
        assert!(offer(record("y", State::Active, 11)));
    }

    #[test]
    fn another_address_waits_until_the_holder_is_silent() {
        let mut registry = Registry::new(300_000, 100);
        let mut offer = |instance: Instance| registry.offer(RING, instance, 1_000).expect("not full");
        assert!(offer(record("x", State::Active, 1_000)));
        assert!(!offer(record("y", State::Active, 1_099)));
        assert!(offer(record("x", State::Active, 1_050)));
        assert!(!offer(record("y", State::Active, 1_100)));
        assert!(offer(record("y", State::Active, 1_150)));
        assert!(offer(record("y", State::Left, 1_160)));
        assert!(offer(record("x", State::Pending, 1_161)), "one that left holds nothing");
    }

    #[test]
    fn forgotten_and_left_are_remembered_for_a_while() {
        let mut registry = Registry::new(300, 0);
        registry.offer(RING, record("x", State::Active, 1_000), 1_000).expect("not full");
        assert_eq!(registry.forget(RING, "a", 1_100), Some(Forgotten { heartbeat_ms: 1_000, at_ms: 1_100 }));
        assert_eq!(registry.forget(RING, "a", 1_100), None);
        assert!(!registry.offer(RING, record("x", State::Active, 1_000), 1_100).expect("not full"));
        assert!(registry.offer(RING, record("x", State::Active, 1_200), 1_200).expect("not full"), "it lives");
        assert!(registry.offer(RING, record("x", State::Left, 1_300), 1_300).expect("not full"));
        registry.expire(1_600);
        assert_eq!(held(&registry).map(|held| held.state), Some(State::Left));
        registry.expire(1_601);
        assert_eq!(held(&registry), None);
        assert!(!registry.offer(RING, record("x", State::Left, 1_300), 1_601).expect("not full"));
    }

    #[test]
    fn watchers_are_told_once() {
        let mut registry = Registry::new(300, 0);
        let mut watch = registry.watch(RING);
        registry.offer(RING, record("x", State::Active, 1), 1).expect("not full");
        assert!(!watch.has_changed().expect("open"));
        registry.tell();
        assert_eq!(watch.borrow_and_update().len(), 1);
        registry.tell();
        assert!(!watch.has_changed().expect("open"));
    }

    proptest! {
        /// Whatever the order in which records come, all end with the same.
        #[test]
        fn merging_does_not_depend_on_order(
            mut records in prop::collection::vec(any_instance(), 1..8),
            heartbeats in prop::collection::vec(0u64..4, 8),
            seed: u64,
        ) {
            for (record, heartbeat) in records.iter_mut().zip(heartbeats) {
                record.id = "a".into();
                record.heartbeat_ms = heartbeat;
            }
            let merged = |records: &[Instance]| {
                let mut registry = Registry::new(u64::MAX, 0);
                for record in records {
                    registry.offer(RING, record.clone(), 10).expect("not full");
                }
                held(&registry).map(|held| (held.heartbeat_ms, held.state, held.address, held.tokens))
            };
            let once = merged(&records);
            let mut draw = crate::clock::Draw::new(seed);
            records.sort_by_key(|_| draw.next());
            prop_assert_eq!(merged(&records), once);
        }
    }
}
