//! Metrics of rings with Loki's names, set when they are asked for.

use std::{collections::BTreeSet, sync::atomic::AtomicU64};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    instance::{Instance, State},
    membership::{ClusterPage, RingName},
    ring::Ring,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    name: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMember {
    name: &'static str,
    member: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRing {
    name: &'static str,
}

/// The metrics of the rings and the membership of one process.
#[derive(Debug, Default)]
pub struct RingMetrics {
    members: Family<OfState, Gauge>,
    oldest: Family<OfState, Gauge>,
    tokens: Family<OfRing, Gauge>,
    ownership: Family<OfMember, Gauge<f64, AtomicU64>>,
    member_tokens: Family<OfMember, Gauge>,
    /// Members that have figures of their own, to take them out when they are gone.
    shown: Mutex<BTreeSet<(&'static str, String)>>,
    own_tokens: Family<OfRing, Gauge>,
    own_tokens_wanted: Family<OfRing, Gauge>,
    cluster_members: Gauge,
    cluster_health: Gauge,
}

/// The states of Loki's metric: those that are not heard of are a state of their own.
const STATES: [&str; 5] = ["ACTIVE", "JOINING", "LEAVING", "PENDING", "Unhealthy"];

impl RingMetrics {
    /// Registers metrics in the registry of a server.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("loki_ring_members", "Number of members in the ring", metrics.members.clone());
        registry.register(
            "loki_ring_oldest_member_timestamp",
            "Timestamp of the oldest member in the ring",
            metrics.oldest.clone(),
        );
        registry.register("loki_ring_tokens_total", "Number of tokens in the ring", metrics.tokens.clone());
        registry.register(
            "loki_ring_member_ownership_percent",
            "The percent ownership of the ring by member",
            metrics.ownership.clone(),
        );
        registry.register(
            "loki_ring_tokens_owned",
            "The number of tokens in the ring owned by the member",
            metrics.member_tokens.clone(),
        );
        registry.register(
            "loki_member_ring_tokens_owned",
            "The number of tokens that this process owns in the ring",
            metrics.own_tokens.clone(),
        );
        registry.register(
            "loki_member_ring_tokens_to_own",
            "The number of tokens that this process is to own in the ring",
            metrics.own_tokens_wanted.clone(),
        );
        registry.register(
            "loki_memberlist_client_cluster_members_count",
            "Number of processes in the cluster that are alive",
            metrics.cluster_members.clone(),
        );
        registry.register(
            "loki_memberlist_client_cluster_node_health_score",
            "Health of this process in the cluster: 0 is healthy",
            metrics.cluster_health.clone(),
        );
        metrics
    }

    /// Sets the figures of a ring.
    pub fn set_ring(&self, name: RingName, ring: &Ring, now_ms: u64) {
        let name = name.as_str();
        let mut counts = STATES.map(|state| (state, 0i64, u64::MAX));
        let mut tokens = 0usize;
        self.drop_gone(name, ring);
        for (instance, percent) in ring.ownership() {
            let state = if ring.is_fresh(instance, now_ms) { instance.state.as_str() } else { "Unhealthy" };
            if let Some((_, count, oldest)) = counts.iter_mut().find(|(name, ..)| *name == state) {
                *count += 1;
                *oldest = (*oldest).min(instance.heartbeat_ms);
            }
            tokens += instance.tokens.len();
            let labels = OfMember { name, member: instance.id.clone() };
            self.ownership.get_or_create(&labels).set(percent);
            self.member_tokens.get_or_create(&labels).set(i64::try_from(instance.tokens.len()).unwrap_or(i64::MAX));
        }
        for (state, count, oldest) in counts {
            let labels = OfState { name, state };
            self.members.get_or_create(&labels).set(count);
            let seconds = if count == 0 { 0 } else { i64::try_from(oldest / 1_000).unwrap_or(i64::MAX) };
            self.oldest.get_or_create(&labels).set(seconds);
        }
        self.tokens.get_or_create(&OfRing { name }).set(i64::try_from(tokens).unwrap_or(i64::MAX));
    }

    fn drop_gone(&self, name: &'static str, ring: &Ring) {
        let mut shown = self.shown.lock();
        let there: BTreeSet<_> = ring.instances().iter().map(|one| (name, one.id.clone())).collect();
        for (name, member) in shown.iter().filter(|gone| gone.0 == name && !there.contains(*gone)) {
            let labels = OfMember { name, member: member.clone() };
            self.ownership.remove(&labels);
            self.member_tokens.remove(&labels);
        }
        shown.retain(|other| other.0 != name);
        shown.extend(there);
    }

    /// Sets the figures of an instance of this process.
    pub fn set_own(&self, name: RingName, instance: &Instance, num_tokens: usize) {
        let owned = if instance.state == State::Pending { 0 } else { instance.tokens.len() };
        let labels = OfRing { name: name.as_str() };
        self.own_tokens.get_or_create(&labels).set(i64::try_from(owned).unwrap_or(i64::MAX));
        self.own_tokens_wanted.get_or_create(&labels).set(i64::try_from(num_tokens).unwrap_or(i64::MAX));
    }

    /// Sets the figures of the cluster.
    pub fn set_cluster(&self, cluster: &ClusterPage) {
        let alive = cluster.nodes.iter().filter(|node| node.alive).count();
        self.cluster_members.set(i64::try_from(alive).unwrap_or(i64::MAX));
        self.cluster_health.set(i64::from(!cluster.healthy));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::RingMetrics;
    use crate::{
        instance::{Instance, State},
        membership::{ClusterNode, ClusterPage, RingName},
        ring::{Ring, RingSettings},
    };

    #[test]
    fn figures_have_the_names_of_loki() {
        let mut registry = Registry::default();
        let metrics = RingMetrics::new(&mut registry);
        let instance = |id: &str, state, tokens, heartbeat_ms| {
            let (address, zone) = (String::new(), String::new());
            Instance { id: id.into(), address, zone, state, tokens, registered_ms: 0, heartbeat_ms }
        };
        let all = [
            instance("a", State::Active, vec![0], 100_000),
            instance("b", State::Active, vec![1 << 31], 100_000),
            instance("c", State::Active, vec![], 1_000),
        ];
        let ring = Ring::new(&all.iter().cloned().collect(), RingSettings::default());
        metrics.set_ring(RingName::Ingester, &ring, 100_000);
        metrics.set_own(RingName::Ingester, &all[0], 128);
        let node = ClusterNode { name: "n".into(), address: "1.2.3.4:1".into(), alive: true };
        metrics.set_cluster(&ClusterPage { healthy: true, nodes: vec![node], ..ClusterPage::default() });
        let mut text = String::new();
        encode(&mut text, &registry).expect("it can be written");
        for line in [
            "loki_ring_members{name=\"ingester\",state=\"ACTIVE\"} 2",
            "loki_ring_members{name=\"ingester\",state=\"Unhealthy\"} 1",
            "loki_ring_members{name=\"ingester\",state=\"LEAVING\"} 0",
            "loki_ring_oldest_member_timestamp{name=\"ingester\",state=\"ACTIVE\"} 100",
            "loki_ring_tokens_total{name=\"ingester\"} 2",
            "loki_ring_member_ownership_percent{name=\"ingester\",member=\"a\"} 50.0",
            "loki_ring_tokens_owned{name=\"ingester\",member=\"b\"} 1",
            "loki_member_ring_tokens_owned{name=\"ingester\"} 1",
            "loki_member_ring_tokens_to_own{name=\"ingester\"} 128",
            "loki_memberlist_client_cluster_members_count 1",
            "loki_memberlist_client_cluster_node_health_score 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let fewer = Ring::new(&all[..1].iter().cloned().collect(), RingSettings::default());
        metrics.set_ring(RingName::Ruler, &ring, 100_000);
        metrics.set_ring(RingName::Ingester, &fewer, 100_000);
        let mut text = String::new();
        encode(&mut text, &registry).expect("it can be written");
        assert!(!text.contains("name=\"ingester\",member=\"b\""), "it is gone");
        assert!(text.contains("name=\"ruler\",member=\"b\""), "of another ring");
    }
}
