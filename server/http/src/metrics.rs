//! Metrics with Loki's names. One registry per server: two servers in one process do not share counters.

mod process;
mod query;
mod store;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use narvi::Db;
use narvi_distributor::{Prepared, Taken, TenantStreams};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

pub(crate) use self::query::QueryDone;
use self::{
    process::ProcessMetrics,
    query::{QueryKind, QueryMetrics},
    store::StoreMetrics,
};

/// Upper ends of the buckets of request durations, in seconds; Loki's.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    route: String,
    status_code: String,
    ws: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTenant {
    tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfIngester {
    ingester: String,
}

/// What Loki tells lines apart by. Streams of its own making do not exist here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Received {
    tenant: String,
    is_internal_stream: String,
    policy: String,
    format: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReceivedBytes {
    tenant: String,
    retention_hours: String,
    is_internal_stream: String,
    policy: String,
    format: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Discarded {
    reason: String,
    tenant: String,
    retention_hours: String,
    policy: String,
    format: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreOperation {
    operation: &'static str,
    status_code: u16,
}

/// How long the operations of an object store take, under Loki's name for its kind.
#[derive(Clone, Debug)]
pub struct StoreTimes {
    name: &'static str,
    times: Family<StoreOperation, Histogram, fn() -> Histogram>,
}

impl StoreTimes {
    /// For a kind of store: `s3`, `gcs` or `azure_blob`.
    pub fn new(name: &'static str) -> Self {
        Self { name, times: Family::new_with_constructor(histogram as fn() -> Histogram) }
    }

    /// Counts an operation.
    pub fn count(&self, operation: &'static str, status_code: u16, time: Duration) {
        self.times.get_or_create(&StoreOperation { operation, status_code }).observe(time.as_secs_f64());
    }
}

type Seconds = Family<Request, Histogram, fn() -> Histogram>;
type QuerySeconds = Family<QueryKind, Histogram, fn() -> Histogram>;

/// The metrics of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Seconds,
    lines: Family<Received, Counter>,
    bytes: Family<ReceivedBytes, Counter>,
    metadata_bytes: Family<ReceivedBytes, Counter>,
    truncated_lines: Family<Mutated, Counter>,
    truncated_bytes: Family<Mutated, Counter>,
    streams: StreamMetrics,
    limits_read: Gauge,
    limits_read_at: Gauge<f64, AtomicU64>,
    discarded_lines: Family<Discarded, Counter>,
    discarded_bytes: Family<Discarded, Counter>,
    appends: Family<OfIngester, Counter>,
    append_failures: Family<OfIngester, Counter>,
    queries: QueryMetrics,
    store: StoreMetrics,
    process: ProcessMetrics,
    panics: Counter,
    pub(crate) tails: TailMetrics,
    gauges: Gauges,
    pub(crate) compactor: narvi_compactor::Metrics,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mutated {
    reason: &'static str,
    tenant: String,
}

/// The active streams of tenants.
#[derive(Debug, Default)]
struct StreamMetrics {
    active: Family<OfTenant, Gauge>,
    created: Family<OfTenant, Counter>,
    removed: Family<OfTenant, Counter>,
}

/// What those who follow logs get.
#[derive(Debug, Default)]
pub(crate) struct TailMetrics {
    /// How many there are.
    pub(crate) active: Gauge,
    /// The streams that they were given lines of.
    pub(crate) streams: Gauge,
    /// Bytes of lines that they were given.
    pub(crate) bytes: Counter,
}

/// What the store holds, set when the metrics are asked for.
#[derive(Debug, Default)]
struct Gauges {
    memory_chunks: Gauge,
    memory_bytes: Gauge,
    wal_replay: Gauge,
    wal_corruptions: Counter,
    queue_length: Gauge,
}

/// What the store holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreFigures {
    pub(crate) memory_streams: u64,
    pub(crate) memory_bytes: u64,
    /// Damage found in the write-ahead log when it was read back.
    pub(crate) wal_corruptions: u64,
    /// Queries that wait.
    pub(crate) waiting_queries: u64,
    /// Active streams of tenants.
    pub(crate) tenants: Vec<TenantStreams>,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Metrics {
    /// `replicates` says that pushes are counted by who replicates them.
    pub(crate) fn new(store: Option<&StoreTimes>, replicates: bool) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::new_with_constructor(histogram as fn() -> Histogram),
            lines: Family::default(),
            bytes: Family::default(),
            metadata_bytes: Family::default(),
            truncated_lines: Family::default(),
            truncated_bytes: Family::default(),
            streams: StreamMetrics::default(),
            limits_read: Gauge::default(),
            limits_read_at: Gauge::default(),
            discarded_lines: Family::default(),
            discarded_bytes: Family::default(),
            appends: Family::default(),
            append_failures: Family::default(),
            queries: QueryMetrics::default(),
            store: StoreMetrics::default(),
            process: ProcessMetrics::default(),
            panics: Counter::default(),
            tails: TailMetrics::default(),
            gauges: Gauges::default(),
            compactor: narvi_compactor::Metrics::default(),
        };
        metrics.register();
        if !replicates {
            metrics.register_alone();
        }
        metrics.limits_reloaded(true);
        if let Some(store) = store {
            let name = format!("loki_{}_request_duration_seconds", store.name);
            metrics.registry.register(name, "Seconds spent on requests to the object store", store.times.clone());
        }
        metrics
    }

    /// Notes that the limits of tenants were read, or could not be.
    pub(crate) fn limits_reloaded(&self, good: bool) {
        self.limits_read.set(i64::from(good));
        if good {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            self.limits_read_at.set(now.as_secs_f64());
        }
    }

    /// Counters get their `_total`, the information its `_info` when they are written.
    fn register(&mut self) {
        let add = &mut self.registry;
        add.register("loki_request_duration_seconds", "Seconds spent serving HTTP requests", self.requests.clone());
        add.register("loki_panic", "Panics while serving requests", self.panics.clone());
        add.register("loki_distributor_lines_received", "Lines received per tenant", self.lines.clone());
        add.register(
            "loki_distributor_bytes_received",
            "Uncompressed bytes received per tenant, structured metadata included",
            self.bytes.clone(),
        );
        add.register(
            "loki_distributor_structured_metadata_bytes_received",
            "Bytes of structured metadata received per tenant",
            self.metadata_bytes.clone(),
        );
        add.register("loki_discarded_samples", "Lines refused, by reason", self.discarded_lines.clone());
        add.register("loki_discarded_bytes", "Bytes of lines refused, by reason", self.discarded_bytes.clone());
        add.register("loki_mutated_samples", "Lines changed, by reason", self.truncated_lines.clone());
        add.register("loki_mutated_bytes", "Bytes taken out of lines, by reason", self.truncated_bytes.clone());
        add.register("loki_ingester_memory_streams", "Streams in memory", self.streams.active.clone());
        add.register("loki_ingester_memory_chunks", "Heads of streams in memory", self.gauges.memory_chunks.clone());
        add.register("loki_ingester_streams_created", "Streams that became active", self.streams.created.clone());
        add.register("loki_ingester_streams_removed", "Streams that became idle", self.streams.removed.clone());
        add.register(
            "loki_runtime_config_last_reload_successful",
            "Whether the last reading of the limits of tenants succeeded",
            self.limits_read.clone(),
        );
        add.register(
            "loki_runtime_config_last_reload_success_timestamp_seconds",
            "When the limits of tenants were last read",
            self.limits_read_at.clone(),
        );
        add.register("loki_ingester_memory_bytes", "Bytes in memory, not flushed", self.gauges.memory_bytes.clone());
        add.register(
            "loki_ingester_wal_replay_active",
            "Whether the write-ahead log is being read back; requests are served after that",
            self.gauges.wal_replay.clone(),
        );
        add.register(
            "loki_ingester_wal_corruptions",
            "Damage found when the write-ahead log was read back",
            self.gauges.wal_corruptions.clone(),
        );
        self.queries.register(add);
        add.register("loki_querier_tail_active", "Number of active tailers", self.tails.active.clone());
        add.register("loki_querier_tail_active_streams", "Streams being tailed", self.tails.streams.clone());
        add.register("loki_querier_tail_bytes", "Bytes of lines tailed", self.tails.bytes.clone());
        self.process.register(add);
        self.store.register(add);
        self.compactor.register(add);
        let version = env!("CARGO_PKG_VERSION");
        let build = vec![("version", version), ("revision", ""), ("branch", ""), ("goversion", "")];
        add.register("loki_build", "What this binary was built from", Info::new(build));
    }

    /// What other parts of a process count where it is one of several.
    fn register_alone(&mut self) {
        let add = &mut self.registry;
        add.register("loki_query_scheduler_queue_length", "Queries that wait", self.gauges.queue_length.clone());
        self.queries.register_queue(add);
        add.register(
            "loki_distributor_ingester_appends",
            "Pushes given to the store, which is the only ingester",
            self.appends.clone(),
        );
        add.register(
            "loki_distributor_ingester_append_failures",
            "Pushes that the store refused",
            self.append_failures.clone(),
        );
    }

    /// Counts a call from another process. `outcome` is what Loki's metrics call it.
    pub(crate) fn called(&self, route: &str, outcome: &str, took: Duration) {
        let [method, route, status_code, ws] = ["gRPC", route, outcome, "false"].map(str::to_owned);
        let labels = Request { method, route, status_code, ws };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a request. `route` is the path with `_` for `/`.
    pub(crate) fn request(&self, method: &str, route: &str, status: u16, is_socket: bool, seconds: f64) {
        let labels = Request {
            method: method.to_owned(),
            route: route.to_owned(),
            status_code: status.to_string(),
            ws: is_socket.to_string(),
        };
        self.requests.get_or_create(&labels).observe(seconds);
    }

    /// Counts a query.
    pub(crate) fn query(&self, done: &QueryDone) {
        self.queries.done(done);
    }

    /// Counts a push that was given to the store under this name.
    pub(crate) fn appended(&self, ingester: &str, good: bool) {
        let of = OfIngester { ingester: ingester.to_owned() };
        self.appends.get_or_create(&of).inc();
        self.append_failures.get_or_create(&of).inc_by(u64::from(!good));
    }

    /// Counts a request that panicked.
    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts what a push held. `format` is how it was written: `json`, `protobuf` or `otlp`.
    pub(crate) fn pushed(&self, tenant: &str, format: &str, prepared: &Prepared) {
        let nothing = [Taken::default()];
        let taken = if prepared.by_policy.is_empty() { &nothing[..] } else { &prepared.by_policy };
        for taken in taken {
            self.taken(tenant, format, taken);
        }
        for discard in &prepared.discarded {
            self.discard(tenant, format, discard.reason.as_str(), &discard.policy, (discard.lines, discard.bytes));
        }
        if prepared.truncated_lines > 0 {
            let of = Mutated { reason: "line_too_long", tenant: tenant.to_owned() };
            self.truncated_lines.get_or_create(&of).inc_by(prepared.truncated_lines);
            self.truncated_bytes.get_or_create(&of).inc_by(prepared.truncated_bytes);
        }
    }

    fn taken(&self, tenant: &str, format: &str, taken: &Taken) {
        let received = Received {
            tenant: tenant.to_owned(),
            is_internal_stream: "false".to_owned(),
            policy: taken.policy.clone(),
            format: format.to_owned(),
        };
        self.lines.get_or_create(&received).inc_by(taken.lines);
        let received = ReceivedBytes {
            tenant: tenant.to_owned(),
            retention_hours: String::new(),
            is_internal_stream: "false".to_owned(),
            policy: taken.policy.clone(),
            format: format.to_owned(),
        };
        self.bytes.get_or_create(&received).inc_by(taken.line_bytes + taken.metadata_bytes);
        self.metadata_bytes.get_or_create(&received).inc_by(taken.metadata_bytes);
    }

    /// Counts a push that was refused before anyone looked into it.
    pub(crate) fn refused(&self, tenant: &str, format: &str, reason: &str) {
        self.discard(tenant, format, reason, "", (0, 0));
    }

    fn discard(&self, tenant: &str, format: &str, reason: &str, policy: &str, (lines, bytes): (u64, u64)) {
        let of = Discarded {
            reason: reason.to_owned(),
            tenant: tenant.to_owned(),
            retention_hours: String::new(),
            policy: policy.to_owned(),
            format: format.to_owned(),
        };
        self.discarded_lines.get_or_create(&of).inc_by(lines);
        self.discarded_bytes.get_or_create(&of).inc_by(bytes);
    }

    /// Sets what the store and the distributor count themselves.
    fn set_figures(&self, figures: &StoreFigures) {
        self.gauges.memory_chunks.set(signed(figures.memory_streams));
        self.gauges.memory_bytes.set(signed(figures.memory_bytes));
        let gauges = &self.gauges;
        gauges.queue_length.set(signed(figures.waiting_queries));
        gauges.wal_corruptions.inner().store(figures.wal_corruptions, Ordering::Relaxed);
        for of in &figures.tenants {
            let tenant = OfTenant { tenant: of.tenant.clone() };
            self.streams.active.get_or_create(&tenant).set(signed(of.active));
            let raise = |counter: &Counter, to: u64| counter.inner().store(to, Ordering::Relaxed);
            raise(&self.streams.created.get_or_create(&tenant), of.created);
            raise(&self.streams.removed.get_or_create(&tenant), of.removed);
        }
        if figures.tenants.is_empty() {
            // Nobody's limits ask for counting streams by tenant.
            self.streams.active.get_or_create(&OfTenant { tenant: String::new() }).set(signed(figures.memory_streams));
        }
    }

    /// Takes over what a store and the system have counted.
    pub(crate) fn update(&self, db: &Db) {
        self.store.update(db);
        self.process.update();
    }

    /// The text of all metrics, with that of others behind.
    pub(crate) fn text(&self, figures: StoreFigures, others: &str) -> String {
        self.set_figures(&figures);
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode_registry(&mut out, &self.registry);
        out.push_str(others);
        let _ = prometheus_client::encoding::text::encode_eof(&mut out);
        out
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Metrics, StoreFigures, StoreTimes, Taken, TenantStreams};

    #[test]
    fn names_are_lokis() {
        let times = StoreTimes::new("s3");
        times.count("put", 200, Duration::from_millis(3));
        let metrics = Metrics::new(Some(&times), false);
        metrics.called("/narvi.v1.Ingester/Push", "success", Duration::from_millis(7));
        metrics.request("GET", "loki_api_v1_query_range", 200, false, 0.01);
        metrics.pushed("acme", "json", &narvi_distributor::Prepared::default());
        let mut prepared = narvi_distributor::Prepared::default();
        prepared.by_policy =
            vec![Taken { policy: "p".to_owned(), lines: 2, line_bytes: 5, metadata_bytes: 1 }, Taken::default()];
        let (reason, policy) = (narvi_distributor::DiscardReason::BlockedIngestionPolicy, "q".to_owned());
        prepared.discarded = vec![narvi_distributor::Discard { reason, policy, lines: 3, bytes: 9 }];
        metrics.pushed("acme", "otlp", &prepared);
        let figures = StoreFigures {
            memory_streams: 3,
            memory_bytes: 5,
            tenants: vec![TenantStreams { tenant: "acme".into(), active: 2, created: 4, removed: 2 }],
            ..StoreFigures::default()
        };
        let text = metrics.text(figures, "");
        for line in [
            "loki_request_duration_seconds_count{method=\"GET\",route=\"loki_api_v1_query_range\",status_code=\"200\",ws=\"false\"} 1",
            "loki_request_duration_seconds_count{method=\"gRPC\",route=\"/narvi.v1.Ingester/Push\",status_code=\"success\",ws=\"false\"} 1",
            "loki_distributor_lines_received_total{tenant=\"acme\",is_internal_stream=\"false\",policy=\"\",format=\"json\"} 0",
            "loki_distributor_lines_received_total{tenant=\"acme\",is_internal_stream=\"false\",policy=\"p\",format=\"otlp\"} 2",
            "loki_distributor_bytes_received_total{tenant=\"acme\",retention_hours=\"\",is_internal_stream=\"false\",policy=\"p\",format=\"otlp\"} 6",
            "loki_discarded_bytes_total{reason=\"blocked_ingestion_policy\",tenant=\"acme\",retention_hours=\"\",policy=\"q\",format=\"otlp\"} 9",
            "loki_ingester_memory_streams{tenant=\"acme\"} 2",
            "loki_ingester_streams_created_total{tenant=\"acme\"} 4",
            "loki_ingester_memory_chunks 3",
            "loki_runtime_config_last_reload_successful 1",
            "loki_s3_request_duration_seconds_count{operation=\"put\",status_code=\"200\"} 1",
            "loki_panic_total 0",
            "loki_ingester_wal_corruptions_total 0",
            "loki_querier_tail_bytes_total 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("loki_build_info{version="));
    }
}
