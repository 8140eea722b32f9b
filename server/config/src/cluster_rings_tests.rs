//! Tests of the rings and of gossip.

use std::{path::Path, time::Duration};

use narvi_ring::{GossipSettings, RingName};

use super::{KvStore, RingConfig, Rings};
use crate::{Config, Flags};

fn read(text: &str) -> Config {
    Config::from_yaml(text, &Flags::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn stores(config: &Config) -> Vec<KvStore> {
    config.cluster.rings.iter().map(|ring| ring.store).collect()
}

#[test]
fn rings_lie_in_memory_by_default() {
    let config = read("");
    assert_eq!(config.cluster.rings, Rings::default());
    assert_eq!(config.cluster.gossip, None);
    assert_eq!(stores(&config), [KvStore::InMemory; 6]);
    let ingester = &config.cluster.rings.ingester;
    assert_eq!((ingester.num_tokens, ingester.settings.replication_factor), (128, 3));
    assert_eq!((ingester.heartbeat_period, ingester.min_ready_duration), (secs(5), secs(15)));
    assert_eq!((ingester.final_sleep, ingester.forget_after), (Duration::ZERO, None));
    let distributor = &config.cluster.rings.distributor;
    assert_eq!((distributor.num_tokens, distributor.settings.replication_factor), (1, 1));
    assert_eq!((distributor.heartbeat_period, distributor.forget_after), (secs(15), Some(secs(600))));
    for name in RingName::ALL {
        assert_eq!(config.cluster.rings.get(name).map(|ring| ring.name), Some(name));
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn members_to_join_put_every_ring_into_gossip() {
    let config = read(
        "memberlist:\n  join_members: [a, 'b:7947']\n  node_name: n1\n  randomize_node_name: false\n  cluster_label: blue\n  \
         bind_addr: [127.0.0.1]\n  bind_port: 7947\n  advertise_addr: 10.0.0.1\n  advertise_port: 7948\n  \
         gossip_interval: 1s\n  pull_push_interval: 2s\n  dead_node_reclaim_time: 3s\n  \
         gossip_to_dead_nodes_time: 4s\n  left_ingesters_timeout: 5s\n  leave_timeout: 6s\n  rejoin_interval: 7s\n  \
         abort_if_cluster_join_fails: false\n  stream_timeout: 8s\n",
    );
    assert_eq!(stores(&config), [KvStore::Memberlist; 6]);
    let expected = GossipSettings {
        node_name: "n1".to_owned(),
        randomize_node_name: false,
        cluster_label: "blue".to_owned(),
        bind_addr: vec!["127.0.0.1".to_owned()],
        bind_port: 7947,
        advertise_addr: "10.0.0.1".to_owned(),
        advertise_port: 7948,
        join_members: vec!["a".to_owned(), "b:7947".to_owned()],
        gossip_interval: secs(1),
        pull_push_interval: secs(2),
        dead_node_reclaim_time: secs(3),
        gossip_to_dead_nodes_time: secs(4),
        left_ingesters_timeout: secs(5),
        leave_timeout: secs(6),
        ..GossipSettings::default()
    };
    assert_eq!(config.cluster.gossip, Some(expected));
    assert_eq!(config.warnings, ["line 18: memberlist.stream_timeout has no effect on Narvi"]);
    let joined = Flags::parse(&["-memberlist.join=a", "-memberlist.join=b"].map(str::to_owned)).expect("right");
    let config = Config::from_yaml("", &joined).expect("it is right");
    assert_eq!(config.cluster.gossip.expect("gossip").join_members, ["a", "b"]);
}

#[test]
fn without_gossip_its_keys_have_no_effect() {
    let config = read("memberlist: {join_members: [], bind_port: 1}");
    assert_eq!((config.cluster.gossip, stores(&read("")).len()), (None, 6));
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    // One ring is enough, also with nobody to join.
    let config = read("distributor: {ring: {kvstore: {store: memberlist}}}");
    assert_eq!(config.cluster.gossip, Some(GossipSettings::default()));
    assert_eq!(config.cluster.rings.distributor.store, KvStore::Memberlist);
    assert_eq!(config.cluster.rings.ingester.store, KvStore::InMemory);
}

#[test]
fn an_ingester_is_in_its_ring_as_the_file_says() {
    let config = read(
        "ingester:\n  autoforget_unhealthy: true\n  lifecycler:\n    join_after: 1s\n    observe_period: 2s\n    \
         final_sleep: 3s\n    num_tokens: 7\n    heartbeat_period: 4s\n    min_ready_duration: 5s\n    \
         unregister_on_shutdown: false\n    tokens_file_path: /t/tokens\n    availability_zone: z\n    \
         interface_names: [eth1]\n    address: 10.1.1.1\n    port: 9096\n    id: ing-1\n    ring:\n      \
         heartbeat_timeout: 30s\n      replication_factor: 2\n      zone_awareness_enabled: true\n      \
         kvstore: {store: memberlist}\n",
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let ring = &config.cluster.rings.ingester;
    assert_eq!(
        (ring.address.as_str(), ring.port, &ring.interface_names[..]),
        ("10.1.1.1", 9096, &["eth1".to_owned()][..])
    );
    assert_eq!(ring.advertised_host().as_deref(), Some("10.1.1.1"));
    let settings = &ring.settings;
    assert_eq!((settings.replication_factor, settings.heartbeat_timeout, settings.zone_awareness), (2, secs(30), true));
    let life = ring.lifecycle("host", "10.1.1.1:9096");
    assert_eq!((life.ring, life.id.as_str(), life.address.as_str()), (RingName::Ingester, "ing-1", "10.1.1.1:9096"));
    assert_eq!((life.zone.as_str(), life.num_tokens, life.heartbeat_period), ("z", 7, secs(4)));
    assert_eq!((life.join_after, life.observe_period, life.final_sleep), (secs(1), secs(2), secs(3)));
    assert_eq!((life.min_ready_duration, life.unregister_on_shutdown), (secs(5), false));
    assert_eq!((life.tokens_file_path.as_deref(), life.forget_after), (Some(Path::new("/t/tokens")), Some(secs(30))));
    // The other rings follow it where `common.ring` says nothing: who the instance is, not how it lives.
    let ring = &config.cluster.rings.ruler;
    assert_eq!(
        (ring.store, ring.address.as_str(), ring.port, ring.id.as_str()),
        (KvStore::Memberlist, "10.1.1.1", 9096, "ing-1")
    );
    assert_eq!(
        (ring.settings.heartbeat_timeout, ring.zone.as_str(), ring.tokens_file_path.as_deref()),
        (secs(30), "z", None)
    );
    assert_eq!((ring.num_tokens, ring.settings.replication_factor, ring.forget_after), (128, 1, Some(secs(300))));
    assert_eq!(ring.lifecycle("host", "a:1").id, "ing-1");
    assert_eq!(RingConfig::new(RingName::Ruler).lifecycle("host", "a:1").id, "host");
}

#[test]
fn heartbeats_come_within_their_timeout() {
    for (timeout, period) in [("10s", 10_000 / 3), ("2m", 15_000), ("0s", 15_000)] {
        let config = read(&format!("common: {{ring: {{heartbeat_timeout: {timeout}}}}}"));
        let life = config.cluster.rings.compactor.lifecycle("a", "a:1");
        assert_eq!(life.heartbeat_period.as_millis(), period, "{timeout}");
    }
}

#[test]
fn common_ring_counts_for_all_rings() {
    let config = read(
        "common:\n  replication_factor: 2\n  ring:\n    kvstore: {store: memberlist}\n    instance_addr: 10.0.0.7\n    \
         instance_port: 9097\n    instance_id: me\n    instance_interface_names: [eth7]\n    \
         instance_availability_zone: z7\n    heartbeat_timeout: 20s\n    heartbeat_period: 2s\n    num_tokens: 9\n    \
         tokens_file_path: /t\nruler:\n  ring:\n    instance_addr: 10.0.0.8\n    kvstore: {store: inmemory}\n\
         memberlist: {join_members: [a]}\n",
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    for ring in config.cluster.rings.iter().filter(|ring| ring.name != RingName::Ruler) {
        assert_eq!(
            (ring.store, ring.address.as_str(), ring.port),
            (KvStore::Memberlist, "10.0.0.7", 9097),
            "{}",
            ring.name
        );
        assert_eq!(
            (ring.id.as_str(), &ring.interface_names[..], ring.zone.as_str()),
            ("me", &["eth7".to_owned()][..], "z7")
        );
        assert_eq!((ring.settings.heartbeat_timeout, ring.heartbeat_period), (secs(20), secs(2)), "{}", ring.name);
    }
    let rings = &config.cluster.rings;
    assert_eq!((rings.ruler.store, rings.ruler.address.as_str()), (KvStore::InMemory, "10.0.0.8"));
    assert_eq!((rings.ingester.settings.replication_factor, rings.index_gateway.settings.replication_factor), (2, 2));
    assert_eq!((rings.ingester.num_tokens, rings.distributor.num_tokens), (9, 1));
    assert_eq!(
        (rings.ingester.tokens_file_path.as_deref(), &rings.compactor.tokens_file_path),
        (Some(Path::new("/t")), &None)
    );
}

#[test]
fn common_says_who_an_instance_is_and_where_its_tokens_lie() {
    let config = read(
        "common: {path_prefix: /var/loki/, persist_tokens: true, instance_addr: 10.0.0.9, instance_interface_names: [eth9]}\n\
         memberlist: {join_members: [a]}\n",
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    for ring in config.cluster.rings.iter() {
        assert_eq!(
            (ring.address.as_str(), &ring.interface_names[..]),
            ("10.0.0.9", &["eth9".to_owned()][..]),
            "{}",
            ring.name
        );
    }
    let path = config.cluster.rings.ingester.tokens_file_path.as_deref();
    assert_eq!(path, Some(Path::new("/var/loki/ingester.tokens")));
    assert_eq!(config.cluster.gossip.expect("gossip").advertise_addr, "10.0.0.9");
    // A name is not what gossip can tell others.
    let config = read("common: {instance_addr: me.local}\nmemberlist: {join_members: [a]}\n");
    assert_eq!(config.cluster.gossip.expect("gossip").advertise_addr, "");
}

#[test]
fn one_process_needs_no_consul() {
    let config = read("ingester:\n  lifecycler:\n    ring:\n      kvstore:\n        store: consul\n");
    assert_eq!(stores(&config), [KvStore::InMemory; 6]);
    let expected =
        "line 5: ingester.lifecycler.ring.kvstore.store: consul is not used: one process keeps its rings in memory";
    assert_eq!(config.warnings, [expected]);
    let config = read("common: {ring: {kvstore: {store: etcd}}}\n");
    let expected = "line 1: common.ring.kvstore.store: etcd is not used: one process keeps its rings in memory";
    assert_eq!(config.warnings, [expected]);
}

#[test]
fn an_instance_is_where_its_interface_is() {
    let host = |text: &str| read(text).cluster.rings.ingester.advertised_host();
    assert_eq!(host(""), None);
    assert_eq!(host("ingester: {lifecycler: {interface_names: [none0]}}"), None);
    assert_eq!(host("common: {instance_addr: h, instance_interface_names: [none0]}").as_deref(), Some("h"));
}
