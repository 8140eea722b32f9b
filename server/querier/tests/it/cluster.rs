//! Three ingesters in this process, a distributor that replicates to them and a querier that asks them.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use narvi::{
    Builder, Db, Entry, Error, ErrorKind, HeadsDetail, HeadsRequest, Labels, MatchOp, Matcher, MemoryStore, Metadata,
    PushStream, Reader, ReaderSettings, RemoteHeads, Selector, Settings, Store, Tenant, TimeRange, Timestamp,
    logql::{self, Answer, Budget, Data, Params, Query},
};
use narvi_distributor::{
    Batch, ReplicaCall, ReplicaError, Replicas, ReplicationMetrics, ReplicationSettings, Replicator,
};
use narvi_logs::{LogsError, Push, Read};
use narvi_querier::{HeadLabels, IngesterCall, Ingesters, Querier, QuerierSettings, TailItem};
use narvi_ring::{InMemory, Instance, ManualClock, Membership, RingName, RingSettings, RingView, State};
use tokio::{runtime::Runtime, sync::mpsc};

/// What an unreachable ingester says.
pub(crate) const DOWN: &str = "rpc error: code = Unavailable desc = connection refused";
pub(crate) const NOW_MS: u64 = 10_000_000_000;
pub(crate) const INGESTERS: usize = 3;

/// Stream, time, line and metadata.
pub(crate) type ModelRow = (Labels, i64, Vec<u8>, String);

pub(crate) struct Ingester {
    pub(crate) db: Db,
    pub(crate) fails: AtomicBool,
    /// Whether it flushes as soon as it has answered: before the querier looks at the store.
    pub(crate) flushes: AtomicBool,
}

pub(crate) struct Fakes(pub(crate) Vec<Ingester>);

/// The same for those who push and those who ask.
struct Shared(Arc<Fakes>);

impl Fakes {
    fn of(&self, instance: &Instance) -> Result<&Ingester, Error> {
        let at: usize = instance.id.strip_prefix("ingester-").expect("one of ours").parse().expect("a number");
        match self.0[at].fails.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, DOWN)),
            false => Ok(&self.0[at]),
        }
    }
}

impl Shared {
    fn call<T: Send + 'static>(
        &self,
        of: &Arc<Instance>,
        work: impl FnOnce(&Ingester) -> Result<T, Error> + Send + 'static,
    ) -> IngesterCall<T> {
        let (fakes, of) = (self.0.clone(), of.clone());
        Box::pin(async move {
            let ingester = fakes.of(&of)?;
            let answer = work(ingester);
            if ingester.flushes.load(Ordering::SeqCst) {
                ingester.db.flush()?;
            }
            answer
        })
    }
}

impl Replicas for Shared {
    fn push(&self, to: &Arc<Instance>, batch: &Arc<Batch>) -> ReplicaCall {
        let (fakes, to, batch) = (self.0.clone(), to.clone(), batch.clone());
        Box::pin(async move {
            let pushed = fakes.of(&to).and_then(|one| one.db.push(&batch.tenant, batch.streams.clone())?.wait());
            pushed.map_err(|error| ReplicaError::Retryable { status: 500, message: error.to_string() })
        })
    }
}

impl Ingesters for Shared {
    fn heads(
        &self,
        of: &Arc<Instance>,
        request: &Arc<HeadsRequest>,
        detail: HeadsDetail,
        budget: &Budget,
    ) -> IngesterCall<RemoteHeads> {
        let (request, budget) = (request.clone(), budget.clone());
        self.call(of, move |ingester| {
            let mut remote = RemoteHeads::new(&request.tenant, &budget)?;
            let mut added = Ok(());
            let mut give = |frame: Bytes| {
                added = remote.add(&frame);
                if added.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            ingester.db.heads().export(&request, detail, &budget, &mut give)?;
            added.map(|()| remote)
        })
    }

    fn label_names(&self, of: &Arc<Instance>, request: &Arc<HeadsRequest>) -> IngesterCall<HeadLabels> {
        let request = request.clone();
        self.call(of, move |ingester| {
            let heads = ingester.db.heads();
            let texts = heads.label_names(&request.tenant, request.selector.matchers(), request.range);
            Ok(HeadLabels { texts, manifest: heads.manifest() })
        })
    }

    fn label_values(&self, of: &Arc<Instance>, name: &str, request: &Arc<HeadsRequest>) -> IngesterCall<HeadLabels> {
        let (name, request) = (name.to_owned(), request.clone());
        self.call(of, move |ingester| {
            let heads = ingester.db.heads();
            let texts = heads.label_values(&request.tenant, &name, request.selector.matchers(), request.range);
            Ok(HeadLabels { texts, manifest: heads.manifest() })
        })
    }

    fn tail(&self, of: &Arc<Instance>, tenant: &Tenant, selector: &Selector) -> IngesterCall<mpsc::Receiver<TailItem>> {
        let (tenant, selector) = (tenant.clone(), selector.clone());
        self.call(of, move |ingester| {
            let subscription = ingester.db.subscribe(&tenant, selector);
            let (out, items) = mpsc::channel(4);
            std::thread::spawn(move || {
                while !out.is_closed() && !subscription.is_closed() {
                    let Some(batch) = subscription.recv_timeout(Duration::from_millis(20)) else { continue };
                    let streams = vec![PushStream::new(batch.labels, batch.entries)];
                    if out.blocking_send(TailItem { streams, ..TailItem::default() }).is_err() {
                        return;
                    }
                }
            });
            Ok(items)
        })
    }
}

pub(crate) struct Cluster {
    pub(crate) fakes: Arc<Fakes>,
    pub(crate) reader: Reader,
    pub(crate) replicator: Replicator,
    pub(crate) querier: Querier,
    pub(crate) runtime: Runtime,
}

fn instance(n: usize, heartbeat_ms: u64) -> Instance {
    let n = u32::try_from(n).expect("few");
    Instance {
        id: format!("ingester-{n}"),
        address: format!("10.0.0.{n}:9095"),
        zone: String::new(),
        state: State::Active,
        tokens: (0..8u32).map(|i| i * 0x2000_0000 + n * 0x0100_0000).collect(),
        registered_ms: 1,
        heartbeat_ms,
    }
}

impl Cluster {
    pub(crate) fn new(settings: QuerierSettings) -> Self {
        Self::with_heartbeats([NOW_MS; INGESTERS], settings)
    }

    pub(crate) fn with_heartbeats(heartbeats: [u64; INGESTERS], settings: QuerierSettings) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let mut of_db = Settings { garbage_grace_secs: 3600, ..Settings::default() };
        of_db.compaction.enabled = false;
        let ingester = |_| Ingester {
            db: Builder::in_memory().store(store.clone()).settings(of_db.clone()).open().expect("opens"),
            fails: AtomicBool::new(false),
            flushes: AtomicBool::new(false),
        };
        let fakes = Arc::new(Fakes((0..INGESTERS).map(ingester).collect()));
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let hub = InMemory::new(clock.clone(), Duration::from_secs(600));
        for (n, heartbeat) in heartbeats.into_iter().enumerate() {
            hub.publish(RingName::Ingester, instance(n, heartbeat)).expect("within limits");
        }
        let ring = Arc::new(RingView::new(&hub, RingName::Ingester, RingSettings::default()));
        let replication = ReplicationSettings { attempts: 1, ..ReplicationSettings::default() };
        let (replicas, metrics) = (Arc::new(Shared(fakes.clone())), ReplicationMetrics::default());
        let replicator = Replicator::new(ring.clone(), clock.clone(), replicas, replication, metrics);
        // So old that only what ingesters tell makes it look for a newer manifest.
        let reader = ReaderSettings { max_age_ms: 3_600_000, query_threads: 1 };
        let reader = Reader::open(store, reader).expect("opens");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
        let ingesters = Arc::new(Shared(fakes.clone()));
        let querier = Querier::new(reader.clone(), ring, clock, ingesters, settings, runtime.handle().clone());
        Self { fakes, reader, replicator, querier, runtime }
    }

    pub(crate) fn push(&self, streams: Vec<PushStream>) -> Result<(), LogsError> {
        let pushing = self.replicator.push(&Tenant::default(), streams);
        self.runtime.block_on(pushing)
    }

    /// Waits until all ingesters have so many rows in memory: a push is acknowledged before the last one has it.
    pub(crate) fn settle(&self, rows: u64) {
        while self.fakes.0.iter().any(|one| one.db.memory_usage().rows < rows) {
            std::thread::yield_now();
        }
    }

    pub(crate) fn fail(&self, which: &[usize]) {
        for (n, ingester) in self.fakes.0.iter().enumerate() {
            ingester.fails.store(which.contains(&n), Ordering::SeqCst);
        }
    }

    pub(crate) fn evaluate(&self, text: &str, params: Params) -> Result<Answer, logql::Error> {
        let (view, executor) = (self.querier.view(&Tenant::default()), self.querier.executor());
        let query = Query::new(logql::parse(text).expect("valid"), params);
        logql::evaluate(&query, &*view, &*executor, &Budget::unlimited())
    }

    /// All rows, sorted; a row that is answered twice is there twice.
    pub(crate) fn rows(&self) -> Result<Vec<ModelRow>, logql::Error> {
        let mut params = Params::range(i64::MIN, i64::MAX, 0);
        params.limit = None;
        params.categorize = true;
        let Data::Streams(streams) = self.evaluate(r#"{app="x"}"#, params)?.data else { panic!("lines") };
        let mut rows = Vec::new();
        for stream in streams {
            let labels = &stream.labels;
            rows.extend(
                stream
                    .entries
                    .iter()
                    .map(|e| (labels.clone(), e.ts, e.line.to_vec(), e.structured.packed().to_owned())),
            );
        }
        rows.sort();
        Ok(rows)
    }
}

pub(crate) fn labels(stream: u8) -> Labels {
    Labels::from_pairs([("app", "x"), ("n", stream.to_string().as_str())]).expect("valid")
}

pub(crate) fn entry(time: i64, line: u8) -> Entry {
    let mut entry = Entry::new(Timestamp::from_ns(time), format!("line {line}").into_bytes());
    if line == 3 {
        entry.metadata = Metadata::from_pairs([("trace", "7")]).expect("valid");
    }
    entry
}

pub(crate) fn streams(rows: &[(u8, i64, u8)]) -> Vec<PushStream> {
    rows.iter().map(|(stream, time, line)| PushStream::new(labels(*stream), vec![entry(*time, *line)])).collect()
}

pub(crate) fn model(rows: &[(u8, i64, u8)]) -> BTreeSet<ModelRow> {
    let of = |(stream, time, line): &(u8, i64, u8)| {
        let entry = entry(*time, *line);
        (labels(*stream), *time, entry.line.to_vec(), entry.metadata.packed().to_owned())
    };
    rows.iter().map(of).collect()
}

pub(crate) fn app() -> Vec<Matcher> {
    vec![Matcher::new("app", MatchOp::Equal, "x").expect("compiles")]
}

pub(crate) fn all() -> TimeRange {
    TimeRange::ALL
}
