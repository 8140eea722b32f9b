//! Clusters to test with: the same questions are asked of a hub in memory and of processes that gossip.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use narvi_ring::{
    Clock, Gossip, GossipSettings, InMemory, Instance, LifecycleSettings, Lifecycler, Members, Membership, RingName,
    State, SystemClock,
};

pub(crate) const RING: RingName = RingName::Ingester;
/// Long enough for any machine: what is waited for happens in a fraction of a second.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) type Made<'a> = Pin<Box<dyn Future<Output = Arc<dyn Membership>> + 'a>>;

/// Makes members of one cluster.
pub(crate) trait Cluster {
    /// One more process.
    fn join(&mut self) -> Made<'_>;
}

pub(crate) struct Memory(InMemory);

impl Memory {
    pub(crate) fn new() -> Self {
        Self(InMemory::new(Arc::new(SystemClock), Duration::from_secs(300)))
    }
}

impl Cluster for Memory {
    fn join(&mut self) -> Made<'_> {
        Box::pin(async { Arc::new(self.0.clone()) as Arc<dyn Membership> })
    }
}

/// Processes on loopback; each joins those that were there before it.
#[derive(Default)]
pub(crate) struct Loopback {
    addresses: Vec<SocketAddr>,
}

pub(crate) fn settings(join: &[SocketAddr]) -> GossipSettings {
    GossipSettings {
        bind_addr: vec!["127.0.0.1".to_owned()],
        bind_port: 0,
        join_members: join.iter().map(ToString::to_string).collect(),
        gossip_interval: Duration::from_millis(20),
        pull_push_interval: Duration::from_millis(500),
        suspect_after: Duration::from_millis(500),
        ..GossipSettings::default()
    }
}

impl Loopback {
    pub(crate) async fn node(&mut self) -> Gossip {
        let gossip = Gossip::start(settings(&self.addresses), Arc::new(SystemClock)).await.expect("it starts");
        self.addresses.push(gossip.address());
        gossip
    }
}

impl Cluster for Loopback {
    fn join(&mut self) -> Made<'_> {
        Box::pin(async { Arc::new(self.node().await) as Arc<dyn Membership> })
    }
}

pub(crate) fn life(id: &str) -> LifecycleSettings {
    LifecycleSettings {
        num_tokens: 16,
        heartbeat_period: Duration::from_millis(100),
        ..LifecycleSettings::new(RING, id, format!("{id}.example:9095"))
    }
}

pub(crate) async fn start(settings: LifecycleSettings, membership: &Arc<dyn Membership>) -> Lifecycler {
    Lifecycler::start(settings, Arc::clone(membership), Arc::new(SystemClock)).await.expect("it starts")
}

/// Waits until the records of a ring are as wished.
pub(crate) async fn until(membership: &dyn Membership, what: &str, wished: impl Fn(&Members) -> bool) -> Arc<Members> {
    let mut watch = membership.watch(RING);
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            let seen = Arc::clone(&watch.borrow_and_update());
            if wished(&seen) {
                return seen;
            }
            watch.changed().await.expect("it is watched");
        }
    });
    match found.await {
        Ok(seen) => seen,
        Err(_) => panic!("{what} never came: {:?}", *watch.borrow()),
    }
}

/// Waits for something that no watch tells of.
pub(crate) async fn eventually(what: &str, wished: impl Fn() -> bool) {
    let start = Instant::now();
    while !wished() {
        assert!(start.elapsed() < DEADLINE, "{what} never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the ring has exactly these instances, all of them ACTIVE with their tokens.
pub(crate) fn active<'a>(ids: &'a [&'a str]) -> impl Fn(&Members) -> bool + 'a {
    move |members| {
        let there = members.iter().filter(|one| one.state == State::Active && one.tokens.len() == 16);
        members.len() == ids.len() && there.map(|one| one.id.as_str()).eq(ids.iter().copied())
    }
}

pub(crate) fn record(id: &str, state: State) -> Instance {
    Instance {
        id: id.to_owned(),
        address: format!("{id}.example:9095"),
        zone: "z".to_owned(),
        state,
        tokens: vec![1, 2, 3],
        registered_ms: 5,
        heartbeat_ms: SystemClock.now_ms(),
    }
}
