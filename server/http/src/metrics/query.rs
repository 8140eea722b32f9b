//! What queries take, under Loki's names.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{QuerySeconds, histogram};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct QueryKind {
    pub(super) query_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    status_code: u16,
    r#type: &'static str,
    range: &'static str,
}

/// A query that was answered, or failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryDone {
    /// The status that its client gets.
    pub(crate) status: u16,
    /// Whether it asks for lines and not for numbers.
    pub(crate) is_log: bool,
    /// Whether it asks for one instant.
    pub(crate) is_instant: bool,
    /// How long it ran.
    pub(crate) seconds: f64,
    /// How long it waited before, if it ran.
    pub(crate) waited_seconds: Option<f64>,
    /// Bytes of lines that were looked at.
    pub(crate) bytes: u64,
    /// Parts of streams that were read.
    pub(crate) parts: u64,
}

impl QueryDone {
    /// What `logql_query_duration_seconds` and the log call it.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.is_log, self.is_instant) {
            (true, _) => "filter",
            (false, true) => "instant",
            (false, false) => "metric",
        }
    }
}

/// Bytes a second, from what a slow disk gives to what many threads look through.
const RATES: [f64; 9] = [1e5, 1e6, 1e7, 5e7, 1e8, 5e8, 1e9, 5e9, 2e10];

type Histograms = Family<Kind, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(super) struct QueryMetrics {
    seconds: QuerySeconds,
    latency: Histograms,
    speed: Histograms,
    parts: Family<Kind, Counter>,
    waited: Histogram,
}

impl Default for QueryMetrics {
    fn default() -> Self {
        Self {
            seconds: Family::new_with_constructor(histogram as fn() -> Histogram),
            latency: Family::new_with_constructor(histogram as fn() -> Histogram),
            speed: Family::new_with_constructor((|| Histogram::new(RATES)) as fn() -> Histogram),
            parts: Family::default(),
            waited: histogram(),
        }
    }
}

impl QueryMetrics {
    /// Counters get their `_total` when they are written.
    pub(super) fn register(&self, add: &mut Registry) {
        add.register("logql_query_duration_seconds", "Seconds that LogQL queries took", self.seconds.clone());
        add.register(
            "loki_logql_querystats_latency_seconds",
            "Seconds that LogQL queries took, by outcome",
            self.latency.clone(),
        );
        add.register(
            "loki_logql_querystats_bytes_processed_per_seconds",
            "Bytes a second that a query looked at",
            self.speed.clone(),
        );
        add.register(
            "loki_logql_querystats_downloaded_chunk",
            "Frames and pieces of heads that queries read",
            self.parts.clone(),
        );
    }

    /// What a process counts of its own queue.
    pub(super) fn register_queue(&self, add: &mut Registry) {
        add.register(
            "loki_query_scheduler_queue_duration_seconds",
            "Seconds that queries waited before they ran",
            self.waited.clone(),
        );
    }

    pub(super) fn done(&self, done: &QueryDone) {
        if let Some(waited) = done.waited_seconds {
            self.waited.observe(waited);
        }
        let of = Kind {
            status_code: done.status,
            r#type: if done.is_log { "filter" } else { "metric" },
            range: if done.is_instant { "instant" } else { "range" },
        };
        self.latency.get_or_create(&of).observe(done.seconds);
        if done.status != 200 {
            return;
        }
        self.seconds.get_or_create(&QueryKind { query_type: done.kind() }).observe(done.seconds);
        if done.seconds > 0.0 {
            self.speed.get_or_create(&of).observe(done.bytes as f64 / done.seconds);
        }
        self.parts.get_or_create(&of).inc_by(done.parts);
    }
}
