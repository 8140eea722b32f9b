//! What the store counts itself, under Loki's names: a block is what Loki calls a chunk.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use narvi::{Db, Distribution, FlushReason, IndexStats, LookUps, Tenant, WriterStats};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric, counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{OfTenant, StoreOperation, signed};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// A histogram that shows what was counted elsewhere.
#[derive(Clone, Debug, Default)]
struct Shown(Arc<Mutex<Option<Distribution>>>);

impl Shown {
    fn set(&self, distribution: &Distribution) {
        *self.0.lock() = Some(distribution.clone());
    }
}

impl TypedMetric for Shown {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Shown {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let shown = self.0.lock();
        let Some(shown) = &*shown else { return Ok(()) };
        let ranges: Vec<_> = shown.ranges().collect();
        encoder.encode_histogram::<NoLabelSet>(shown.sum(), shown.count(), &ranges, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.lock().is_none()
    }
}

/// The metrics of one store, brought up to date by [`StoreMetrics::update`].
#[derive(Debug, Default)]
pub(super) struct StoreMetrics {
    flushed: Family<Reason, Counter>,
    queue: Gauge,
    utilization: Shown,
    bytes: Shown,
    entries: Shown,
    age: Shown,
    hours: Shown,
    stored: Family<OfTenant, Counter>,
    stored_bytes: Family<OfTenant, Counter>,
    wal_records: Counter,
    wal_full: Counter,
    wal_bytes: Gauge,
    wal_replay_secs: Gauge<f64, AtomicU64>,
    index: Family<StoreOperation, Shown>,
    shipper: Family<StoreOperation, Shown>,
}

impl StoreMetrics {
    /// Counters get their `_total` when they are written.
    pub(super) fn register(&self, add: &mut Registry) {
        add.register("loki_ingester_chunks_flushed", "Blocks flushed, by reason", self.flushed.clone());
        add.register("loki_ingester_flush_queue_length", "Heads that wait to be flushed", self.queue.clone());
        add.register(
            "loki_ingester_chunk_utilization",
            "Bytes of the lines of a flushed block, as a part of the bytes that end a frame",
            self.utilization.clone(),
        );
        add.register(
            "loki_ingester_chunk_size_bytes",
            "Bytes of a flushed block as stored, its share of its pack",
            self.bytes.clone(),
        );
        add.register("loki_ingester_chunk_entries", "Lines of a flushed block", self.entries.clone());
        add.register("loki_ingester_chunk_age_seconds", "Age of the oldest line of a flushed block", self.age.clone());
        add.register(
            "loki_ingester_chunk_bounds_hours",
            "Hours between the oldest and the newest line of a flushed block",
            self.hours.clone(),
        );
        add.register("loki_ingester_chunks_stored", "Blocks flushed, by tenant", self.stored.clone());
        add.register(
            "loki_ingester_chunk_stored_bytes",
            "Bytes of flushed blocks as stored, by tenant",
            self.stored_bytes.clone(),
        );
        self.register_wal(add);
        add.register(
            "loki_index_request_duration_seconds",
            "Seconds of look-ups in the index, and of putting tables of it",
            self.index.clone(),
        );
        add.register(
            "loki_boltdb_shipper_request_duration_seconds",
            "The same, as boltdb-shipper names it",
            self.shipper.clone(),
        );
    }

    fn register_wal(&self, add: &mut Registry) {
        add.register(
            "loki_ingester_wal_records_logged",
            "Records written to the write-ahead log",
            self.wal_records.clone(),
        );
        add.register(
            "loki_ingester_wal_disk_full_failures",
            "Records of the write-ahead log for which the disk had no room; their pushes were refused",
            self.wal_full.clone(),
        );
        add.register(
            "loki_ingester_wal_bytes_in_use",
            "Bytes of the write-ahead log on the disk",
            self.wal_bytes.clone(),
        );
        add.register(
            "loki_ingester_wal_replay_duration_seconds",
            "Seconds that it took to read the write-ahead log back at the start",
            self.wal_replay_secs.clone(),
        );
    }

    /// Takes over what the store has counted.
    pub(super) fn update(&self, db: &Db) {
        let writer = db.writer_stats();
        self.writer(&writer);
        self.index(&db.index_stats(), &writer.table_secs);
    }

    fn writer(&self, stats: &WriterStats) {
        for reason in [FlushReason::Full, FlushReason::MaxAge, FlushReason::Idle, FlushReason::Forced] {
            let blocks = stats.blocks_by_reason.get(&reason).copied().unwrap_or(0);
            raise(&self.flushed.get_or_create(&Reason { reason: name(reason) }), blocks);
        }
        self.queue.set(signed(stats.waiting_streams));
        let blocks = &stats.blocks;
        for (shown, distribution) in [
            (&self.utilization, &blocks.frame_share),
            (&self.bytes, &blocks.bytes),
            (&self.entries, &blocks.rows),
            (&self.age, &blocks.age_secs),
            (&self.hours, &blocks.span_hours),
        ] {
            shown.set(distribution);
        }
        for (tenant, (count, bytes)) in &blocks.tenants {
            raise(&self.stored.get_or_create(&of(tenant)), *count);
            raise(&self.stored_bytes.get_or_create(&of(tenant)), *bytes);
        }
        raise(&self.wal_records, stats.wal.records);
        raise(&self.wal_full, stats.wal.full_failures);
        self.wal_bytes.set(signed(stats.wal.bytes));
        self.wal_replay_secs.set(stats.wal.replay_time.as_secs_f64());
    }

    fn index(&self, stats: &IndexStats, written: &Distribution) {
        for (operation, look_ups) in
            [("chunk_refs", &stats.blocks), ("label_names", &stats.label_names), ("label_values", &stats.label_values)]
        {
            show(&self.index, operation, look_ups);
        }
        show(&self.shipper, "QUERY", &stats.all());
        let operation = |operation| StoreOperation { operation, status_code: 200 };
        self.index.get_or_create(&operation("index_chunk")).set(written);
        self.shipper.get_or_create(&operation("WRITE")).set(written);
    }
}

fn show(family: &Family<StoreOperation, Shown>, operation: &'static str, look_ups: &LookUps) {
    family.get_or_create(&StoreOperation { operation, status_code: 200 }).set(&look_ups.answered);
    if look_ups.failed.count() > 0 {
        family.get_or_create(&StoreOperation { operation, status_code: 500 }).set(&look_ups.failed);
    }
}

fn of(tenant: &Tenant) -> OfTenant {
    OfTenant { tenant: tenant.as_str().to_owned() }
}

/// What Loki calls a reason.
fn name(reason: FlushReason) -> &'static str {
    match reason {
        FlushReason::Full => "full",
        FlushReason::MaxAge => "max_age",
        FlushReason::Idle => "idle",
        _ => "forced",
    }
}

/// Raises a counter to what it should be.
fn raise(counter: &Counter, to: u64) {
    counter.inner().fetch_max(to, Ordering::Relaxed);
}
