//! Quorums: how many must answer, and the count of those that did.

use std::{collections::BTreeMap, sync::Arc};

use crate::instance::Instance;

/// The rule of majorities of a replication factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    replication_factor: usize,
}

impl Quorum {
    /// The rule of a replication factor; zero counts as one.
    pub fn of(replication_factor: usize) -> Self {
        Self { replication_factor: replication_factor.max(1) }
    }

    /// How many of a full set must succeed: 1 of 1, 2 of 2, 2 of 3, 3 of 5.
    pub fn needed(self) -> usize {
        self.replication_factor / 2 + 1
    }

    /// How many of a full set may fail.
    pub fn tolerated(self) -> usize {
        self.replication_factor - self.needed()
    }

    /// How many of a set of this size must succeed; a set that was extended needs a majority of itself.
    pub fn needed_of(self, set: usize) -> usize {
        self.replication_factor.max(set) / 2 + 1
    }

    /// How many of all instances must answer a read that goes to all of them, so that it meets every write.
    pub fn needed_to_read(self, instances: usize) -> usize {
        instances.max(self.replication_factor) - self.replication_factor / 2
    }

    /// How many zones may be missing from a read that goes to all instances.
    pub fn zones_tolerated(self, zones: usize) -> usize {
        zones.min(self.replication_factor) / 2
    }
}

/// Instances to call, and how many of them may fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSet {
    /// Whom to call; none twice.
    pub instances: Vec<Arc<Instance>>,
    /// How many may fail.
    pub tolerated: Tolerated,
}

/// What may fail of a [`ReplicaSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerated {
    /// That many instances.
    Instances(usize),
    /// Any instances of that many zones.
    Zones(usize),
}

/// What the answers so far mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More answers are needed.
    Waiting,
    /// Enough succeeded.
    Reached,
    /// Too many failed: it cannot be reached any more.
    Lost,
}

/// Counts the answers of a [`ReplicaSet`]. Each instance is to be counted once.
#[derive(Clone, Debug)]
pub struct Answers {
    tolerated: Tolerated,
    all: usize,
    succeeded: usize,
    failed: usize,
    /// By zone: those that did not succeed yet, and whether one failed.
    zones: BTreeMap<String, (usize, bool)>,
}

impl Answers {
    /// No answer yet.
    pub fn of(set: &ReplicaSet) -> Self {
        let mut zones = BTreeMap::new();
        if matches!(set.tolerated, Tolerated::Zones(_)) {
            for instance in &set.instances {
                zones.entry(instance.zone.clone()).or_insert((0, false)).0 += 1;
            }
        }
        Self { tolerated: set.tolerated, all: set.instances.len(), succeeded: 0, failed: 0, zones }
    }

    /// Counts a success.
    pub fn succeeded(&mut self, instance: &Instance) -> Verdict {
        self.succeeded += 1;
        if let Some((waiting, _)) = self.zones.get_mut(&instance.zone) {
            *waiting = waiting.saturating_sub(1);
        }
        self.verdict()
    }

    /// Counts a failure.
    pub fn failed(&mut self, instance: &Instance) -> Verdict {
        self.failed += 1;
        if let Some((_, failed)) = self.zones.get_mut(&instance.zone) {
            *failed = true;
        }
        self.verdict()
    }

    /// What the answers so far mean.
    pub fn verdict(&self) -> Verdict {
        let (all, succeeded, failed, tolerated) = match self.tolerated {
            Tolerated::Instances(tolerated) => (self.all, self.succeeded, self.failed, tolerated),
            Tolerated::Zones(tolerated) => {
                let whole = self.zones.values().filter(|(waiting, failed)| *waiting == 0 && !failed).count();
                let failed = self.zones.values().filter(|(_, failed)| *failed).count();
                (self.zones.len(), whole, failed, tolerated)
            }
        };
        if failed > tolerated {
            Verdict::Lost
        } else if succeeded + tolerated >= all {
            Verdict::Reached
        } else {
            Verdict::Waiting
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answers, Quorum, ReplicaSet, Tolerated, Verdict};
    use crate::instance::{Instance, State};
    use std::sync::Arc;

    #[test]
    fn majorities() {
        let rows = [(0, 1, 0), (1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (5, 3, 2)];
        for (factor, needed, tolerated) in rows {
            let quorum = Quorum::of(factor);
            assert_eq!((quorum.needed(), quorum.tolerated()), (needed, tolerated), "{factor}");
        }
        assert_eq!(Quorum::of(3).needed_of(2), 2);
        assert_eq!(Quorum::of(3).needed_of(4), 3);
        assert_eq!(Quorum::of(3).needed_to_read(3), 2);
        assert_eq!(Quorum::of(3).needed_to_read(2), 2);
        assert_eq!(Quorum::of(3).needed_to_read(10), 9);
        assert_eq!(Quorum::of(1).needed_to_read(4), 4);
        assert_eq!(Quorum::of(3).zones_tolerated(3), 1);
        assert_eq!(Quorum::of(3).zones_tolerated(1), 0);
    }

    fn set(zones: &[&str], tolerated: Tolerated) -> ReplicaSet {
        let instances = zones.iter().enumerate().map(|(n, zone)| {
            Arc::new(Instance {
                id: format!("i{n}"),
                address: String::new(),
                zone: (*zone).to_owned(),
                state: State::Active,
                tokens: vec![],
                registered_ms: 0,
                heartbeat_ms: 0,
            })
        });
        ReplicaSet { instances: instances.collect(), tolerated }
    }

    #[test]
    fn instances_are_counted() {
        let set = set(&["", "", ""], Tolerated::Instances(1));
        let [a, b, c] = &set.instances[..] else { panic!("three") };
        let mut answers = Answers::of(&set);
        assert_eq!(answers.succeeded(a), Verdict::Waiting);
        assert_eq!(answers.failed(b), Verdict::Waiting);
        assert_eq!(answers.clone().succeeded(c), Verdict::Reached);
        assert_eq!(answers.failed(c), Verdict::Lost);
    }

    #[test]
    fn zones_are_counted_as_a_whole() {
        let set = set(&["x", "x", "y", "z", "z"], Tolerated::Zones(1));
        let [x1, x2, y, z1, z2] = &set.instances[..] else { panic!("five") };
        let mut answers = Answers::of(&set);
        assert_eq!(answers.failed(x1), Verdict::Waiting);
        assert_eq!(answers.failed(x2), Verdict::Waiting, "of the same zone");
        assert_eq!(answers.succeeded(y), Verdict::Waiting);
        assert_eq!(answers.succeeded(z1), Verdict::Waiting);
        assert_eq!(answers.clone().succeeded(z2), Verdict::Reached);
        assert_eq!(answers.failed(z2), Verdict::Lost);
    }
}
