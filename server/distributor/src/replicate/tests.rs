//! Failing, slow and dead ingesters: whatever is acknowledged is on a quorum.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use narvi::{Entry, Labels, PushStream, Tenant, Timestamp};
use narvi_logs::{LogsError, Push};
use narvi_ring::{
    InMemory, Instance, ManualClock, Membership, Operation, Ring, RingName, RingSettings, RingView, State, Tolerated,
    stream_key,
};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use tokio::time::sleep;

use super::{Batch, ReplicaCall, ReplicaError, Replicas, ReplicationMetrics, ReplicationSettings, Replicator};

const NOW_MS: u64 = 1_000_000;

/// How an ingester behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    Good,
    /// Stores after so many milliseconds.
    Slow(u64),
    /// Fails so often for each batch, then stores.
    Flaky(u32),
    /// Stores, and its answer is lost.
    Mute,
    /// Never answers.
    Dead,
    /// Cannot be reached.
    Down,
    /// Refuses lines for good.
    Refuses,
}

impl Nature {
    fn succeeds(self, settings: &ReplicationSettings) -> bool {
        match self {
            Self::Good => true,
            Self::Slow(ms) => Duration::from_millis(ms) < settings.timeout,
            Self::Flaky(failures) => failures < settings.attempts,
            Self::Mute | Self::Dead | Self::Down | Self::Refuses => false,
        }
    }
}

/// What an ingester holds: stream and time of lines.
type Held = BTreeSet<(Labels, i64)>;

#[derive(Default)]
struct Fakes {
    natures: BTreeMap<String, Nature>,
    held: Mutex<BTreeMap<String, Held>>,
    calls: Mutex<BTreeMap<String, u32>>,
    /// Calls for each batch, which is kept so that no other one is taken for it.
    tries: Mutex<BTreeMap<usize, (Arc<Batch>, u32)>>,
}

struct Shared(Arc<Fakes>);

impl Fakes {
    fn store(&self, to: &str, batch: &Batch) {
        let mut held = self.held.lock();
        let held = held.entry(to.to_owned()).or_default();
        for stream in &batch.streams {
            held.extend(stream.entries.iter().map(|entry| (stream.labels.clone(), entry.timestamp.as_ns())));
        }
    }
}

impl Replicas for Shared {
    fn push(&self, to: &Arc<Instance>, batch: &Arc<Batch>) -> ReplicaCall {
        let (fakes, to, batch) = (self.0.clone(), to.id.clone(), batch.clone());
        Box::pin(async move {
            *fakes.calls.lock().entry(to.clone()).or_default() += 1;
            let tries = {
                let mut tries = fakes.tries.lock();
                let tries = tries.entry(Arc::as_ptr(&batch) as usize).or_insert_with(|| (batch.clone(), 0));
                tries.1 += 1;
                tries.1
            };
            let down = || Err(ReplicaError::Retryable { status: 500, message: "rpc error: unavailable".into() });
            match fakes.natures[&to] {
                Nature::Slow(ms) => sleep(Duration::from_millis(ms)).await,
                Nature::Flaky(failures) if tries <= failures => return down(),
                Nature::Mute => {
                    fakes.store(&to, &batch);
                    return std::future::pending().await;
                }
                Nature::Dead => return std::future::pending().await,
                Nature::Down => return down(),
                Nature::Refuses => {
                    return Err(ReplicaError::Permanent { status: 400, message: "entry out of order".into() });
                }
                Nature::Good | Nature::Flaky(_) => {}
            }
            fakes.store(&to, &batch);
            Ok(())
        })
    }
}

struct Cluster {
    fakes: Arc<Fakes>,
    ring: Arc<RingView>,
    replicator: Replicator,
    registry: Registry,
}

/// Ingesters, each with its nature and whether it was heard of lately.
fn cluster(ingesters: &[(Nature, bool)], replication_factor: usize, settings: ReplicationSettings) -> Cluster {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let hub = InMemory::new(clock.clone(), Duration::from_secs(600));
    let mut fakes = Fakes::default();
    for (n, (nature, heard)) in (0u32..).zip(ingesters) {
        let id = format!("ingester-{n}");
        let instance = Instance {
            id: id.clone(),
            address: format!("10.0.0.{n}:9095"),
            zone: String::new(),
            state: State::Active,
            tokens: (0..8u32).map(|i| i.wrapping_mul(0x2000_0000) + n * 0x0200_0000 + 1).collect(),
            registered_ms: 1,
            heartbeat_ms: if *heard { NOW_MS } else { 1 },
        };
        hub.publish(RingName::Ingester, instance).expect("within limits");
        fakes.natures.insert(id, *nature);
    }
    let of = RingSettings { replication_factor, ..RingSettings::default() };
    let ring = Arc::new(RingView::new(&hub, RingName::Ingester, of));
    let mut registry = Registry::default();
    let metrics = ReplicationMetrics::new(&mut registry);
    let fakes = Arc::new(fakes);
    let replicas = Arc::new(Shared(fakes.clone()));
    let replicator = Replicator::new(ring.clone(), clock, replicas, settings, metrics);
    Cluster { fakes, ring, replicator, registry }
}

fn stream(n: u8, time: i64) -> PushStream {
    let labels = Labels::from_pairs([("app", "x"), ("n", n.to_string().as_str())]).expect("valid");
    PushStream::new(labels, vec![Entry::new(Timestamp::from_ns(time), "line")])
}

/// Runs with a clock that jumps to the next timer whenever nothing else can be done.
fn paused<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("starts").block_on(work)
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        6 => Just(Nature::Good),
        1 => (1u64..10_000).prop_map(|n| Nature::Slow(2 * n + 1)),
        1 => (0u32..4).prop_map(Nature::Flaky),
        1 => Just(Nature::Mute),
        1 => Just(Nature::Dead),
        1 => Just(Nature::Down),
        1 => Just(Nature::Refuses),
    ]
}

/// Streams that must fail, counted by hand: those of their ingesters that fail, and how many may.
type Lost = Vec<(Vec<Nature>, usize)>;

fn naive(cluster: &Cluster, ring: &Ring, tenant: &Tenant, streams: &[PushStream]) -> Result<Lost, String> {
    let settings = ReplicationSettings::default();
    let mut lost = Vec::new();
    for stream in streams {
        let key = stream_key(tenant.as_str(), &stream.labels.to_string());
        let set = ring.replicas(key, Operation::WriteAround, NOW_MS).map_err(|error| error.to_string())?;
        let natures = set.instances.iter().map(|one| cluster.fakes.natures[&one.id]);
        let failing: Vec<_> = natures.filter(|nature| !nature.succeeds(&settings)).collect();
        let Tolerated::Instances(tolerated) = set.tolerated else { panic!("keys have instances") };
        if failing.len() > tolerated {
            lost.push((failing, tolerated));
        }
    }
    Ok(lost)
}

/// How many ingesters hold a stream's line.
fn holders(cluster: &Cluster, stream: &PushStream) -> usize {
    let row = (stream.labels.clone(), stream.entries[0].timestamp.as_ns());
    cluster.fakes.held.lock().values().filter(|held| held.contains(&row)).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_acknowledged_is_on_a_quorum(
        ingesters in prop::collection::vec((nature(), prop::bool::weighted(0.9)), 1..7),
        replication_factor in 1usize..6,
        pushes in prop::collection::vec(prop::collection::btree_set(0u8..20, 1..6), 1..4),
    ) {
        let cluster = cluster(&ingesters, replication_factor, ReplicationSettings::default());
        let (tenant, ring) = (Tenant::default(), cluster.ring.current());
        paused(async {
            for (time, push) in (0i64..).zip(&pushes) {
                let streams: Vec<_> = push.iter().map(|n| stream(*n, time)).collect();
                let expected = naive(&cluster, &ring, &tenant, &streams);
                match (cluster.replicator.push(&tenant, streams.clone()).await, expected) {
                    (Ok(()), Ok(lost)) => {
                        prop_assert!(lost.is_empty(), "{lost:?} do not make a quorum");
                        for stream in &streams {
                            let holders = holders(&cluster, stream);
                            prop_assert!(holders > replication_factor / 2, "{holders} have it");
                        }
                    }
                    (Err(LogsError::Answer { status, message }), Ok(lost)) => {
                        prop_assert!(!lost.is_empty(), "refused with {status} {message}");
                        // What too many refuse for good is the client's fault.
                        let right = |(failing, tolerated): &(Vec<Nature>, usize)| {
                            let refusing = failing.iter().filter(|one| **one == Nature::Refuses).count();
                            if status == 400 { refusing > *tolerated } else { refusing < failing.len() }
                        };
                        prop_assert!(lost.iter().any(right), "{status}");
                    }
                    (Err(LogsError::Answer { status, message }), Err(text)) => {
                        prop_assert_eq!((status, message), (500, text));
                    }
                    (done, expected) => {
                        return Err(TestCaseError::fail(format!("{done:?}, not {expected:?}")));
                    }
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn too_few_ingesters_are_told_as_loki_does() {
    let settings = ReplicationSettings::default();
    let of = |ingesters: &[(Nature, bool)]| {
        let cluster = cluster(ingesters, 3, settings.clone());
        paused(cluster.replicator.push(&Tenant::default(), vec![stream(0, 1)])).expect_err("too few").to_string()
    };
    let heard = [(Nature::Good, true), (Nature::Good, false), (Nature::Good, false)];
    assert_eq!(of(&heard), "at least 2 live replicas required, could only find 1");
    assert_eq!(of(&[]), "empty ring");
}

#[test]
fn requests_are_one_for_each_ingester_and_counted() {
    let cluster =
        cluster(&[(Nature::Good, true), (Nature::Flaky(1), true), (Nature::Down, true)], 3, Default::default());
    paused(async {
        let streams = (0..10).map(|n| stream(n, 1)).collect();
        cluster.replicator.push(&Tenant::default(), streams).await.expect("two of three");
        sleep(Duration::from_secs(60)).await;
    });
    let calls: Vec<u32> = cluster.fakes.calls.lock().values().copied().collect();
    assert_eq!(calls, [1, 2, 2]);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &cluster.registry).expect("written");
    for line in [
        "loki_distributor_ingester_appends_total{ingester=\"ingester-0\"} 1\n",
        "loki_distributor_ingester_appends_total{ingester=\"ingester-1\"} 2\n",
        "loki_distributor_ingester_append_failures_total{ingester=\"ingester-1\"} 1\n",
        "loki_distributor_ingester_append_failures_total{ingester=\"ingester-2\"} 2\n",
        "loki_distributor_replication_factor 3\n",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn a_dead_ingester_holds_bounded_memory_and_slows_nobody() {
    let settings = ReplicationSettings { max_in_flight_bytes: 4 * 1024, ..ReplicationSettings::default() };
    let cluster = cluster(&[(Nature::Good, true), (Nature::Good, true), (Nature::Dead, true)], 3, settings);
    paused(async {
        let begun = tokio::time::Instant::now();
        for time in 0..100 {
            cluster.replicator.push(&Tenant::default(), vec![stream(0, time)]).await.expect("two of three");
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(cluster.fakes.calls.lock()["ingester-2"], 4, "one for each unit of room");
        // Once they have failed there is room again.
        sleep(Duration::from_secs(60)).await;
        cluster.replicator.push(&Tenant::default(), vec![stream(0, 100)]).await.expect("two of three");
        sleep(Duration::from_millis(1)).await;
        assert_eq!(cluster.fakes.calls.lock()["ingester-2"], 9);
    });
}
