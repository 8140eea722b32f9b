//! Metrics of a frontend.

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

/// What a frontend counts. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct FrontendMetrics {
    pub(crate) retries: Histogram,
    pub(crate) partitions: Histogram,
    pub(crate) shards: Histogram,
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) outdated: Counter,
    pub(crate) log_hits: Counter,
    pub(crate) log_misses: Counter,
}

impl FrontendMetrics {
    /// Makes metrics that no one shows yet.
    pub fn new() -> Self {
        Self {
            retries: Histogram::new([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            partitions: Histogram::new((0..10).map(|at| f64::from(1 << (2 * at)))),
            shards: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0]),
            hits: Counter::default(),
            misses: Counter::default(),
            outdated: Counter::default(),
            log_hits: Counter::default(),
            log_misses: Counter::default(),
        }
    }

    /// Has them shown. Counters get their `_total` when they are written.
    pub fn register(&self, registry: &mut Registry) {
        let mut add = |name: &str, help: &str, metric: Histogram| registry.register(name, help, metric);
        add("loki_query_frontend_retries", "How often a job was tried again", self.retries.clone());
        add("loki_query_frontend_partitions", "Pieces of time that a query was cut into", self.partitions.clone());
        add("loki_query_frontend_shards", "Shards that a piece of a metric query was cut into", self.shards.clone());
        let mut add = |name: &str, help: &str, metric: &Counter| registry.register(name, help, metric.clone());
        add("loki_query_frontend_result_cache_hit", "Pieces of metric queries that were kept", &self.hits);
        add("loki_query_frontend_result_cache_miss", "Pieces of metric queries that were not kept", &self.misses);
        add(
            "loki_query_frontend_result_cache_outdated",
            "Pieces that were kept since before a request to delete",
            &self.outdated,
        );
        add("loki_query_frontend_log_result_cache_hit", "Pieces of log queries known to be empty", &self.log_hits);
        add("loki_query_frontend_log_result_cache_miss", "Pieces of log queries not known to be", &self.log_misses);
    }
}

impl Default for FrontendMetrics {
    fn default() -> Self {
        Self::new()
    }
}
