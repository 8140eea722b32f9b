//! Gossip of three processes on loopback: joining, leaving, crashes, returns, and a loop that ends.

use std::{sync::Arc, time::Duration};

use narvi_ring::{
    Clock, Farewell, Gossip, GossipSettings, Instance, LifecycleSettings, ManualClock, Members, Membership,
    MembershipError, Operation, Ring, RingMetrics, RingName, RingSettings, State, SystemClock,
};

use crate::cluster::{Loopback, RING, active, eventually, life, record, settings, start, until};

fn alive(gossip: &Gossip) -> usize {
    gossip.cluster().nodes.iter().filter(|node| node.alive).count()
}

/// A process as the lifecycler takes it, and as itself.
async fn node(cluster: &mut Loopback) -> (Arc<Gossip>, Arc<dyn Membership>) {
    let gossip = Arc::new(cluster.node().await);
    (Arc::clone(&gossip), gossip)
}

#[tokio::test]
async fn three_join_one_leaves_one_crashes_and_returns_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let with_file = |id: &str| LifecycleSettings { tokens_file_path: Some(folder.path().join(id)), ..life(id) };
    let mut cluster = Loopback::default();
    let (a, a_member) = node(&mut cluster).await;
    let (b, b_member) = node(&mut cluster).await;
    let (c, c_member) = node(&mut cluster).await;
    let one = start(with_file("one"), &a_member).await;
    let two = start(with_file("two"), &b_member).await;
    let three = start(with_file("three"), &c_member).await;
    let all = ["one", "three", "two"];
    let seen = until(&*a, "all three", active(&all)).await;
    for each in [&b, &c] {
        until(&**each, "all three", active(&all)).await;
    }
    for each in [&a, &b, &c] {
        eventually("three processes", || alive(each) == 3).await;
    }
    let tokens = seen.by_id("three").map(|it| it.tokens.clone()).unwrap_or_default();

    // One leaves in order: the others know before it is gone.
    two.shutdown(Farewell::default()).await;
    b.leave().await;
    assert!(!b.healthy());
    let left = |members: &Members| members.by_id("two").is_some_and(|it| it.state == State::Left);
    until(&*a, "that it left", left).await;
    until(&*c, "that it left", left).await;
    drop((b, b_member, two));

    // One crashes: the cluster notices, its record stays until someone forgets it.
    drop((three, c_member));
    drop(c);
    eventually("one process alone", || alive(&a) == 1).await;
    let held = Arc::clone(&a.watch(RING).borrow());
    assert_eq!(held.by_id("three").map(|it| (it.state, it.tokens.clone())), Some((State::Active, tokens.clone())));
    let later = held.by_id("three").map_or(0, |it| it.heartbeat_ms) + 60_001;
    let ring = Ring::new(&held, RingSettings { replication_factor: 2, ..RingSettings::default() });
    let failure = ring.replicas(1, Operation::Write, later).expect_err("one is dead").to_string();
    assert!(failure.starts_with("at least 2 live replicas required, could only find"), "{failure}");

    // It returns under another address, with the same tokens.
    let (d, d_member) = node(&mut cluster).await;
    let until_known = |members: &Members| members.by_id("three").is_some() && members.by_id("one").is_some();
    until(&*d, "the others, the dead one too", until_known).await;
    let moved = LifecycleSettings { address: "moved.example:9095".to_owned(), ..with_file("three") };
    let three = start(moved, &d_member).await;
    let returned = |members: &Members| {
        members
            .by_id("three")
            .is_some_and(|it| it.address == "moved.example:9095" && it.state == State::Active && it.tokens == tokens)
    };
    until(&*a, "its return", returned).await;
    drop((one, three));
}

#[tokio::test]
async fn who_comes_late_hears_of_the_dead() {
    let mut cluster = Loopback::default();
    let dead = record("dead", State::Active);
    let (a, b) = (cluster.node().await, cluster.node().await);
    b.publish(RING, dead.clone()).expect("it is right");
    until(&a, "its record", |members| members.len() == 1).await;
    drop(b);
    eventually("its death", || alive(&a) == 1).await;
    // The library forgets a dead process at half of the time that it is kept for; the record outlives it.
    let late = cluster.node().await;
    let seen = until(&late, "the dead one", |members| members.len() == 1).await;
    assert_eq!(seen.by_id("dead").map(|held| (**held).clone()), Some(dead));
    assert!(late.forget(RING, "dead").expect("it can be forgotten"));
    until(&a, "that it is forgotten", |members| members.is_empty()).await;
    let later = cluster.node().await;
    later.publish(RING, record("alive", State::Active)).expect("it is right");
    until(&a, "a living one", |members| members.by_id("alive").is_some()).await;
    assert!(later.watch(RING).borrow().by_id("dead").is_none());
}

#[tokio::test]
async fn records_outlive_the_process_that_kept_them() {
    let short = |join: &[std::net::SocketAddr]| GossipSettings {
        gossip_to_dead_nodes_time: Duration::from_secs(1),
        ..settings(join)
    };
    let start = |join: Vec<std::net::SocketAddr>| Gossip::start(short(&join), Arc::new(SystemClock));
    let a = start(vec![]).await.expect("it starts");
    let b = start(vec![a.address()]).await.expect("it starts");
    let c = start(vec![a.address()]).await.expect("it starts");
    b.publish(RING, record("dead", State::Active)).expect("it is right");
    until(&c, "its record", |members| members.len() == 1).await;
    until(&a, "its record", |members| members.len() == 1).await;
    drop(b);
    for each in [&a, &c] {
        eventually("its name is gone too", || each.cluster().nodes.len() == 2).await;
        assert_eq!(each.watch(RING).borrow().len(), 1);
    }
    drop(a);
    eventually("the other one is gone too", || c.cluster().nodes.len() == 1).await;
    let late = start(vec![c.address()]).await.expect("it starts");
    until(&late, "a record of long ago", |members| members.len() == 1).await;
}

#[tokio::test]
async fn the_forgotten_stay_so_when_no_one_remembers_them() {
    let clock = Arc::new(ManualClock::at(10_000_000));
    let a = Gossip::start(settings(&[]), Arc::clone(&clock) as Arc<dyn Clock>).await.expect("it starts");
    let b = Gossip::start(settings(&[a.address()]), Arc::clone(&clock) as Arc<dyn Clock>).await.expect("it starts");
    let at = |id: &str| Instance { heartbeat_ms: clock.now_ms(), ..record(id, State::Active) };
    // The process lives on, only the instance in it fell silent.
    a.publish(RING, at("silent")).expect("it is right");
    until(&b, "its record", |members| members.len() == 1).await;
    clock.advance(Duration::from_secs(1));
    assert!(b.forget(RING, "silent").expect("it can be forgotten"));
    until(&a, "that it is forgotten", |members| members.is_empty()).await;
    a.publish(RING, at("other")).expect("it is right");
    until(&b, "another one", |members| members.len() == 1).await;
    clock.advance(Duration::from_secs(3_600));
    a.publish(RING, at("last")).expect("it is right");
    let seen = until(&b, "one more", |members| members.by_id("last").is_some()).await;
    assert!(seen.by_id("silent").is_none());
    let late = Gossip::start(settings(&[a.address()]), clock).await.expect("it starts");
    let seen = until(&late, "the others", |members| members.len() >= 2).await;
    assert!(seen.by_id("silent").is_none());
}

#[tokio::test]
async fn those_to_join_may_come_later_and_have_names() {
    let free = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let port = free.local_addr().expect("an address").port();
    let early = GossipSettings {
        join_members: vec![format!("dns+localhost:{port}")],
        join_timeout: Duration::from_millis(50),
        pull_push_interval: Duration::from_millis(200),
        ..settings(&[])
    };
    let early = Gossip::start(early, Arc::new(SystemClock)).await.expect("it starts alone");
    early.publish(RING, record("early", State::Active)).expect("it is right");
    drop(free);
    let late = GossipSettings { bind_port: port, ..settings(&[]) };
    let late = Gossip::start(late, Arc::new(SystemClock)).await.expect("it starts");
    until(&late, "the early one", |members| members.by_id("early").is_some()).await;
    eventually("two processes", || alive(&early) == 2).await;
}

#[tokio::test]
async fn clusters_of_other_labels_are_not_heard() {
    let labelled = |label: &str, join: Vec<String>| GossipSettings {
        cluster_label: label.to_owned(),
        join_members: join,
        join_timeout: Duration::from_millis(500),
        ..settings(&[])
    };
    let a = Gossip::start(labelled("one", vec![]), Arc::new(SystemClock)).await.expect("it starts");
    let join = vec![a.address().to_string()];
    let b = Gossip::start(labelled("two", join.clone()), Arc::new(SystemClock)).await.expect("it starts");
    let c = Gossip::start(labelled("one", join), Arc::new(SystemClock)).await.expect("it starts");
    b.publish(RING, record("stranger", State::Active)).expect("it is right");
    c.publish(RING, record("friend", State::Active)).expect("it is right");
    let seen = until(&a, "the friend", |members| members.by_id("friend").is_some()).await;
    assert!(seen.by_id("stranger").is_none());
    assert_eq!(alive(&b), 1);
}

#[tokio::test]
async fn many_roles_share_one_process() {
    let mut cluster = Loopback::default();
    let (a, a_member) = node(&mut cluster).await;
    let (b, _) = node(&mut cluster).await;
    let mut roles = Vec::new();
    for ring in RingName::ALL {
        let settings = LifecycleSettings { ring, ..life("one") };
        roles.push(start(settings, &a_member).await);
    }
    for ring in RingName::ALL {
        eventually("each role", || b.watch(ring).borrow().by_id("one").is_some()).await;
    }
    let page = b.cluster();
    assert!(page.enabled && page.healthy);
    assert_eq!(page.records, RingName::ALL.map(|ring| (ring, 1)));
    let metrics = RingMetrics::new(&mut prometheus_client::registry::Registry::default());
    metrics.set_cluster(&page);
    assert!(a.healthy());
}

#[tokio::test]
async fn datagrams_of_strangers_do_no_harm() {
    let mut cluster = Loopback::default();
    let (a, b) = (cluster.node().await, cluster.node().await);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    for len in [0usize, 1, 2, 7, 100, 1_000, 60_000] {
        for fill in [0u8, 1, 2, 255] {
            socket.send_to(&vec![fill; len], a.address()).await.expect("sent");
        }
    }
    b.publish(RING, record("one", State::Active)).expect("it is right");
    until(&a, "its record", |members| members.len() == 1).await;
    assert!(a.healthy());
}

#[tokio::test]
async fn wrong_settings_are_told() {
    let start = |settings: GossipSettings| Gossip::start(settings, Arc::new(SystemClock));
    let bad_seed = GossipSettings { join_members: vec!["a b".to_owned()], ..settings(&[]) };
    let error = start(bad_seed).await.err().expect("it is no host");
    let text = "cannot use memberlist.join_members a b: \"a b\" is not a host: write host:port, dns+host:port or \
                dnssrv+name";
    assert_eq!(error.to_string(), text);
    let bad_address = GossipSettings { bind_addr: vec!["nowhere".to_owned()], ..settings(&[]) };
    assert!(matches!(start(bad_address).await.err(), Some(MembershipError::Setting { .. })));
    let first = start(settings(&[])).await.expect("it starts");
    let taken = GossipSettings { bind_port: first.address().port(), ..settings(&[]) };
    let error = start(taken).await.err().expect("the port is taken").to_string();
    assert!(error.starts_with("cannot gossip on 127.0.0.1:"), "{error}");
}
