//! What caches count, under Loki's names.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Upper ends of the buckets of durations, in seconds: powers of four from 16 microseconds, as remote caches are quick.
const BUCKETS: [f64; 9] =
    [0.000_016, 0.000_064, 0.000_256, 0.001_024, 0.004_096, 0.016_384, 0.065_536, 0.262_144, 1.048_576];

/// A counter whose name Loki does not end with `_total`: OpenMetrics allows that for a metric of unknown type only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plain(Arc<AtomicU64>);

impl Plain {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl TypedMetric for Plain {
    const TYPE: MetricType = MetricType::Unknown;
}

impl EncodeMetric for Plain {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_gauge(&self.0.load(Ordering::Relaxed))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Unknown
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Name {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfCache {
    cache: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Dropped {
    name: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Request {
    method: String,
    status_code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct MemcacheRequest {
    method: &'static str,
    name: String,
    status_code: &'static str,
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of all caches of a process, or of a part of it. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    hits: Family<Name, Plain>,
    fetched_keys: Family<Name, Plain>,
    seconds: Seconds<Request>,
    memcache_seconds: Seconds<MemcacheRequest>,
    servers: Family<Name, Gauge>,
    breaks: Family<Name, Plain>,
    corrupt: Family<Name, Counter>,
    dropped: Family<Dropped, Counter>,
    dropped_bytes: Family<Name, Counter>,
    queued: Family<Name, Gauge>,
    queued_bytes: Family<Name, Gauge>,
    entries: Family<OfCache, Gauge>,
    memory: Family<OfCache, Gauge>,
    evicted: Family<Dropped, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            hits: Family::default(),
            fetched_keys: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            memcache_seconds: Family::new_with_constructor(histogram),
            servers: Family::default(),
            breaks: Family::default(),
            corrupt: Family::default(),
            dropped: Family::default(),
            dropped_bytes: Family::default(),
            queued: Family::default(),
            queued_bytes: Family::default(),
            entries: Family::default(),
            memory: Family::default(),
            evicted: Family::default(),
        }
    }
}

impl Metrics {
    /// Has a registry show them. Counters get their `_total` when they are written.
    pub fn register(&self, registry: &mut Registry) {
        let add = registry;
        add.register("loki_cache_hits", "Keys that a cache had", self.hits.clone());
        add.register("loki_cache_fetched_keys", "Keys that a cache was asked for", self.fetched_keys.clone());
        add.register(
            "loki_cache_request_duration_seconds",
            "Seconds that questions to caches took",
            self.seconds.clone(),
        );
        add.register(
            "loki_memcache_request_duration_seconds",
            "Seconds that requests to memcached servers took",
            self.memcache_seconds.clone(),
        );
        add.register("loki_memcache_client_servers", "Memcached servers known", self.servers.clone());
        add.register("loki_cache_breaker_opened", "Times that a failing cache was left alone", self.breaks.clone());
        add.register(
            "loki_cache_corrupt_values",
            "Values with a wrong checksum, taken for misses",
            self.corrupt.clone(),
        );
        add.register(
            "loki_cache_dropped_background_writes",
            "Values that were not stored, by reason",
            self.dropped.clone(),
        );
        add.register(
            "loki_cache_dropped_background_writes_bytes",
            "Bytes of values that were not stored",
            self.dropped_bytes.clone(),
        );
        add.register("loki_cache_background_queue_length", "Values on their way to a cache", self.queued.clone());
        add.register("loki_cache_background_queue_bytes", "Bytes on their way to a cache", self.queued_bytes.clone());
        add.register("loki_embeddedcache_entries", "Values in memory", self.entries.clone());
        add.register("loki_embeddedcache_memory_bytes", "Bytes of values in memory", self.memory.clone());
        add.register(
            "loki_embeddedcache_entries_evicted",
            "Values dropped from memory, by reason",
            self.evicted.clone(),
        );
    }

    /// Counts a question.
    pub(crate) fn fetched(&self, name: &str, asked: usize, found: usize, failed: bool, took: Duration) {
        let of = Name { name: name.to_owned() };
        self.fetched_keys.get_or_create(&of).add(asked);
        self.hits.get_or_create(&of).add(found);
        self.took(format!("{name}.fetch"), failed, took);
    }

    /// Counts values sent.
    pub(crate) fn stored(&self, name: &str, failed: bool, took: Duration) {
        self.took(format!("{name}.store"), failed, took);
    }

    fn took(&self, method: String, failed: bool, took: Duration) {
        self.seconds.get_or_create(&Request { method, status_code: code(failed) }).observe(took.as_secs_f64());
    }

    pub(crate) fn memcache(&self, method: &'static str, name: &str, failed: bool, took: Duration) {
        let of = MemcacheRequest { method, name: name.to_owned(), status_code: code(failed) };
        self.memcache_seconds.get_or_create(&of).observe(took.as_secs_f64());
    }

    pub(crate) fn servers(&self, name: &str, count: usize) {
        self.servers.get_or_create(&Name { name: name.to_owned() }).set(count.try_into().unwrap_or(i64::MAX));
    }

    pub(crate) fn breaks(&self, name: &str) -> Plain {
        self.breaks.get_or_create_owned(&Name { name: name.to_owned() })
    }

    pub(crate) fn corrupt(&self, name: &str, count: usize) {
        self.corrupt.get_or_create(&Name { name: name.to_owned() }).inc_by(count as u64);
    }

    pub(crate) fn dropped(&self, name: &str, reason: &'static str, count: usize, bytes: usize) {
        self.dropped.get_or_create(&Dropped { name: name.to_owned(), reason }).inc_by(count as u64);
        self.dropped_bytes.get_or_create(&Name { name: name.to_owned() }).inc_by(bytes as u64);
    }

    pub(crate) fn queued(&self, name: &str) -> (Gauge, Gauge) {
        let of = Name { name: name.to_owned() };
        (self.queued.get_or_create_owned(&of), self.queued_bytes.get_or_create_owned(&of))
    }

    /// Entries and bytes.
    pub(crate) fn embedded(&self, cache: &str) -> (Gauge, Gauge) {
        let of = OfCache { cache: cache.to_owned() };
        (self.entries.get_or_create_owned(&of), self.memory.get_or_create_owned(&of))
    }

    pub(crate) fn evicted(&self, cache: &str, reason: &'static str) -> Counter {
        self.evicted.get_or_create_owned(&Dropped { name: cache.to_owned(), reason })
    }
}

fn code(failed: bool) -> &'static str {
    if failed { "500" } else { "200" }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::Metrics;

    #[test]
    fn names_and_labels_are_lokis() {
        let (metrics, mut registry) = (Metrics::default(), Registry::default());
        metrics.register(&mut registry);
        metrics.fetched("chunks.memcached", 3, 2, false, Duration::from_millis(1));
        metrics.memcache("Memcache.GetMulti", "chunks", true, Duration::from_millis(1));
        metrics.embedded("chunks.embedded-cache").0.set(4);
        let mut page = String::new();
        encode(&mut page, &registry).expect("a String takes all");
        for line in [
            "loki_cache_hits{name=\"chunks.memcached\"} 2",
            "loki_cache_fetched_keys{name=\"chunks.memcached\"} 3",
            "loki_cache_request_duration_seconds_count{method=\"chunks.memcached.fetch\",status_code=\"200\"} 1",
            "loki_memcache_request_duration_seconds_count{method=\"Memcache.GetMulti\",name=\"chunks\",status_code=\"500\"} 1",
            "loki_embeddedcache_entries{cache=\"chunks.embedded-cache\"} 4",
            "loki_embeddedcache_memory_bytes{cache=\"chunks.embedded-cache\"} 0",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }
}
