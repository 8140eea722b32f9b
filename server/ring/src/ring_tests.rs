//! Tests of the ring: a naive model of replica sets, the rules of quorums, shards, shares and the elected one.

use std::{sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*};

use super::{Operation, Ring, RingError, RingSettings, stream_key};
use crate::{
    instance::{
        Instance,
        State::{self, Active, Joining, Leaving, Pending},
    },
    membership::Members,
    quorum::Tolerated,
};

const NOW: u64 = 1_000_000;

fn instance(n: usize, zone: &str, state: State, tokens: Vec<u32>) -> Instance {
    let (id, address) = (format!("i{n}"), format!("host-{n}:9095"));
    Instance { id, address, zone: zone.into(), state, tokens, registered_ms: 0, heartbeat_ms: NOW }
}

fn stale(mut instance: Instance) -> Instance {
    instance.heartbeat_ms = NOW - 60_001;
    instance
}

fn ring_of(instances: &[Instance], replication_factor: usize, zone_awareness: bool) -> Ring {
    let members: Members = instances.iter().cloned().collect();
    Ring::new(&members, RingSettings { replication_factor, zone_awareness, ..RingSettings::default() })
}

fn ids(instances: &[Arc<Instance>]) -> Vec<&str> {
    instances.iter().map(|one| one.id.as_str()).collect()
}

/// Replica sets as the words say: all instances in the order of their nearest token, one after the other.
fn naive(
    all: &[Instance],
    factor: usize,
    zones: bool,
    key: u32,
    operation: Operation,
) -> Result<Vec<String>, RingError> {
    let claims = |one: &Instance, token: u32| {
        all.iter().filter(|other| other.state != State::Left && other.tokens.contains(&token)).all(|other| {
            let rank = |it: &Instance| (it.state == Leaving, it.id.clone());
            rank(one) <= rank(other)
        })
    };
    let mut order: Vec<(u32, &Instance)> = Vec::new();
    for one in all.iter().filter(|one| one.state != State::Left) {
        let distances =
            one.tokens.iter().filter(|token| claims(one, **token)).map(|t| t.wrapping_sub(key).wrapping_sub(1));
        if let Some(nearest) = distances.min() {
            order.push((nearest, one));
        }
    }
    order.sort_by_key(|(distance, _)| *distance);
    if order.is_empty() {
        return Err(RingError::Empty);
    }
    let (mut set, mut used, mut wanted) = (Vec::new(), Vec::new(), factor.max(1));
    for (_, one) in order {
        if set.len() == wanted {
            break;
        }
        if zones && !one.zone.is_empty() && used.contains(&&one.zone) {
            continue;
        }
        if operation == Operation::WriteAround && one.state != Active {
            continue;
        }
        set.push(one);
        let extends = match operation {
            Operation::Write => one.state != Active,
            Operation::WriteAround => false,
            Operation::Read => !matches!(one.state, Active | Leaving),
        };
        if extends {
            wanted += 1;
        } else {
            used.push(&one.zone);
        }
    }
    let required = factor.max(1).max(set.len()) / 2 + 1;
    let usable = |one: &&Instance| {
        let state = match operation {
            Operation::Read => matches!(one.state, Active | Leaving | Joining),
            _ => one.state == Active,
        };
        state && NOW - one.heartbeat_ms <= 60_000
    };
    let found: Vec<String> = set.iter().copied().filter(usable).map(|one| one.id.clone()).collect();
    if found.len() < required { Err(RingError::TooFewReplicas { required, found: found.len() }) } else { Ok(found) }
}

fn any_ring() -> impl Strategy<Value = Vec<Instance>> {
    // Few tokens of a small range, so that instances meet on them.
    let tokens = prop_oneof![vec(0u32..64, 0..6), vec(any::<u32>(), 0..6)];
    let state = prop_oneof![4 => Just(2usize), 1 => 0usize..5];
    vec(("[abc]?", state, tokens, any::<bool>()), 0..9).prop_map(|rows| {
        let row = |(n, (zone, state, mut tokens, old)): (usize, (String, usize, Vec<u32>, bool))| {
            tokens.sort_unstable();
            tokens.dedup();
            let one = instance(n, &zone, State::ALL[state], tokens);
            if old && n % 3 == 0 { stale(one) } else { one }
        };
        rows.into_iter().enumerate().map(row).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn replica_sets_are_those_of_the_naive_model(
        all in any_ring(),
        factor in 0usize..5,
        zones: bool,
        key in prop_oneof![0u32..70, any::<u32>()],
    ) {
        let ring = ring_of(&all, factor, zones);
        for operation in [Operation::Write, Operation::WriteAround, Operation::Read] {
            let found = ring.replicas(key, operation, NOW);
            let found = found.map(|set| set.instances.iter().map(|one| one.id.clone()).collect::<Vec<_>>());
            prop_assert_eq!(found, naive(&all, factor, zones, key, operation), "{:?}", operation);
        }
    }

    #[test]
    fn the_whole_ring_is_owned(all in any_ring()) {
        let ring = ring_of(&all, 3, false);
        let sum: f64 = ring.ownership().iter().map(|(_, percent)| percent).sum();
        prop_assert!(sum == 0.0 || (sum - 100.0).abs() < 1e-6, "{}", sum);
    }

    /// Any write quorum meets any read quorum, whoever fails of those that may.
    #[test]
    fn reads_meet_writes(count in 1usize..8, factor in 1usize..5, key: u32, fail in any::<u16>(), spread: bool) {
        let zone = |n: usize| if spread { ["a", "b", "c"][n % 3] } else { "" };
        let all: Vec<_> = (0..count)
            .map(|n| instance(n, zone(n), Active, (0..8u32).map(|t| t << 28 | (n as u32 * 7919) << 8).collect()))
            .collect();
        let ring = ring_of(&all, factor, spread);
        let (Ok(written), Ok(read)) = (ring.replicas(key, Operation::Write, NOW), ring.read_set(NOW)) else {
            return Ok(());
        };
        let Tolerated::Instances(spare) = written.tolerated else { panic!("writes count instances") };
        let held: Vec<_> = written.instances.iter().skip(spare).collect();
        let answered: Vec<_> = match read.tolerated {
            Tolerated::Instances(spare) => {
                let from = usize::from(fail) % read.instances.len();
                read.instances.iter().cycle().skip(from).take(read.instances.len() - spare).collect()
            }
            Tolerated::Zones(spare) => {
                let mut zones: Vec<_> = read.instances.iter().map(|one| &one.zone).collect();
                zones.sort_unstable();
                zones.dedup();
                let from = usize::from(fail) % zones.len();
                let failing: Vec<_> = zones.iter().cycle().skip(from).take(spare).collect();
                read.instances.iter().filter(|one| !failing.contains(&&&one.zone)).collect()
            }
        };
        prop_assert!(held.iter().any(|one| answered.contains(one)), "{:?} {:?}", held, answered);
    }

    #[test]
    fn a_shard_changes_by_one_at_most(count in 2usize..12, size in 1usize..6, tenant in "[a-z]{1,6}", gone: usize) {
        let all: Vec<_> = (0..count).map(|n| instance(n, "", Active, vec![n as u32 * 1_000])).collect();
        let before = ring_of(&all, 3, false).shuffle_shard(&tenant, size);
        prop_assert_eq!(before.instances().len(), size.min(count));
        let mut fewer = all.clone();
        fewer.remove(gone % count);
        let after = ring_of(&fewer, 3, false).shuffle_shard(&tenant, size);
        let lost = before.instances().iter().filter(|one| !after.instances().contains(one)).count();
        let won = after.instances().iter().filter(|one| !before.instances().contains(one)).count();
        prop_assert!(lost <= 1 && won <= 1, "{} {}", lost, won);
    }
}

fn four(states: [State; 4]) -> Vec<Instance> {
    states.into_iter().enumerate().map(|(n, state)| instance(n, "", state, vec![10 * (n as u32 + 1)])).collect()
}

#[test]
fn a_write_goes_past_those_that_leave() {
    let ring = ring_of(&four([Active, Leaving, Active, Active]), 3, false);
    let set = ring.replicas(0, Operation::Write, NOW).expect("enough");
    assert_eq!(ids(&set.instances), ["i0", "i2", "i3"]);
    assert_eq!(set.tolerated, Tolerated::Instances(0), "three of a set of four");
    let set = ring.replicas(0, Operation::WriteAround, NOW).expect("enough");
    assert_eq!((ids(&set.instances), set.tolerated), (vec!["i0", "i2", "i3"], Tolerated::Instances(1)));
    let one = ring_of(&four([Leaving, Active, Active, Active]), 1, false);
    let set = one.replicas(0, Operation::WriteAround, NOW).expect("the next");
    assert_eq!((ids(&set.instances), set.tolerated), (vec!["i1"], Tolerated::Instances(0)));
    let set = ring.replicas(20, Operation::Write, NOW).expect("enough");
    assert_eq!((ids(&set.instances), set.tolerated), (vec!["i2", "i3", "i0"], Tolerated::Instances(1)));
}

#[test]
fn a_key_belongs_to_the_first_token_above_it() {
    let ring = ring_of(&four([Active; 4]), 1, false);
    for (key, owner) in [(0, "i0"), (9, "i0"), (10, "i1"), (39, "i3"), (40, "i0"), (u32::MAX, "i0")] {
        assert_eq!(ids(&ring.replicas(key, Operation::Write, NOW).expect("one").instances), [owner], "{key}");
    }
}

#[test]
fn failures_are_told_in_the_words_of_loki() {
    let empty = ring_of(&[], 3, false);
    assert_eq!(empty.replicas(1, Operation::Write, NOW).expect_err("none").to_string(), "empty ring");
    assert_eq!(empty.read_set(NOW).expect_err("none").to_string(), "empty ring");
    let mut all = four([Active; 4])[..3].to_vec();
    all[1] = stale(all[1].clone());
    let one_down = ring_of(&all, 3, false);
    assert_eq!(one_down.replicas(1, Operation::Write, NOW).expect("two").tolerated, Tolerated::Instances(0));
    assert_eq!(one_down.read_set(NOW).expect("two").tolerated, Tolerated::Instances(0));
    all[2] = stale(all[2].clone());
    let two_down = ring_of(&all, 3, false);
    assert_eq!(
        two_down.replicas(1, Operation::Write, NOW).expect_err("one").to_string(),
        "at least 2 live replicas required, could only find 1"
    );
    assert_eq!(two_down.read_set(NOW).expect_err("one").to_string(), "too many unhealthy instances in the ring");
}

#[test]
fn a_read_asks_all_that_may_hold_data() {
    let mut all = four([Active, Leaving, Joining, Pending]);
    all[3].tokens.clear();
    let set = ring_of(&all, 3, false).read_set(NOW).expect("healthy");
    assert_eq!((ids(&set.instances), set.tolerated), (vec!["i0", "i1", "i2"], Tolerated::Instances(1)));
    all[2].tokens.clear();
    let set = ring_of(&all, 1, false).read_set(NOW).expect("healthy");
    assert_eq!((ids(&set.instances), set.tolerated), (vec!["i0", "i1"], Tolerated::Instances(0)));
}

#[test]
fn zones_fail_as_a_whole() {
    let zones = ["a", "a", "b", "b", "c", "c"];
    let mut all: Vec<_> =
        zones.iter().enumerate().map(|(n, zone)| instance(n, zone, Active, vec![n as u32 * 10 + 10])).collect();
    let set = ring_of(&all, 3, true).replicas(0, Operation::Write, NOW).expect("enough");
    assert_eq!(ids(&set.instances), ["i0", "i2", "i4"]);
    assert_eq!(ring_of(&all, 3, true).read_set(NOW).expect("all").tolerated, Tolerated::Zones(1));
    all[0] = stale(all[0].clone());
    let set = ring_of(&all, 3, true).read_set(NOW).expect("two zones");
    assert_eq!((ids(&set.instances), set.tolerated), (vec!["i2", "i3", "i4", "i5"], Tolerated::Zones(0)));
    all[1] = stale(all[1].clone());
    assert!(ring_of(&all, 3, true).read_set(NOW).is_ok(), "still one zone");
    all[2] = stale(all[2].clone());
    assert_eq!(ring_of(&all, 3, true).read_set(NOW), Err(RingError::TooManyUnhealthy));
}

#[test]
fn the_elected_one_is_active_and_healthy() {
    let mut all = four([Leaving, Active, Active, Active]);
    assert_eq!(ring_of(&all, 1, false).leader(NOW).map(|one| one.id.as_str()), Some("i1"));
    all[1] = stale(all[1].clone());
    let ring = ring_of(&all, 1, false);
    assert_eq!(ring.leader(NOW).map(|one| one.id.as_str()), Some("i2"));
    assert_eq!(ring.healthy(NOW), 2);
    assert_eq!(ring_of(&[], 1, false).leader(NOW), None);
}

#[test]
fn a_shard_to_read_has_those_from_before() {
    let all: Vec<_> = (0..20).map(|n| instance(n, ["a", "b"][n % 2], Active, vec![n as u32 * 10])).collect();
    let before = ring_of(&all, 3, true).shuffle_shard("tenant", 3);
    assert_eq!(before.instances().len(), 4, "two of each zone");
    let more: Vec<_> = (20..60)
        .map(|n| Instance { registered_ms: NOW - 1_000, ..instance(n, ["a", "b"][n % 2], Active, vec![n as u32 * 10]) })
        .collect();
    let ring = ring_of(&[all, more].concat(), 3, true);
    let written = ring.shuffle_shard("tenant", 3);
    let read = ring.shuffle_shard_to_read("tenant", 3, Duration::from_secs(10), NOW);
    assert_ne!(ids(written.instances()), ids(before.instances()), "new ones took places");
    for one in before.instances().iter().chain(written.instances()) {
        assert!(ids(read.instances()).contains(&one.id.as_str()), "{}", one.id);
    }
    let later = ring.shuffle_shard_to_read("tenant", 3, Duration::from_secs(10), NOW + 60_000);
    assert_eq!(ids(later.instances()), ids(written.instances()));
}

#[test]
fn keys_of_streams_are_those_of_loki() {
    assert_eq!(stream_key("fake", r#"{app="x"}"#), 0xaf83_5702);
    assert_eq!(stream_key("tenant-a", r#"{app="x", env="prod"}"#), 0x2ae1_544c);
}
