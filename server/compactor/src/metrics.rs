//! What upkeep has done, under Loki's names.

use std::sync::atomic::{AtomicU64, Ordering};

use narvi::{Db, MaintenanceStats, Tenant};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfUser {
    user: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Action {
    action: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// The compactor's metrics. They tell of one store, and are brought up to date by [`Metrics::update`].
#[derive(Debug, Default)]
pub struct Metrics {
    running: Gauge,
    compactions: Family<Status, Counter>,
    tables: Family<Action, Counter>,
    marked: Counter,
    retention: Family<Status, Counter>,
    retention_seconds: Seconds,
    retention_last: Seconds,
    compaction_seconds: Seconds,
    compaction_last: Seconds,
    received: Family<OfUser, Counter>,
    processed: Family<OfUser, Counter>,
    pending: Gauge,
    oldest_age: Seconds,
    /// A gauge, since Loki's name has no `_total`.
    deleted_lines: Family<OfUser, Gauge>,
    attempts: Family<Status, Counter>,
    /// Guards an update: counters are raised by what is missing.
    updating: Mutex<()>,
}

impl Metrics {
    /// Makes them known to a registry. Counters get their `_total` when they are written.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "loki_boltdb_shipper_compactor_running",
            "Whether compaction runs here",
            self.running.clone(),
        );
        registry.register(
            "loki_boltdb_shipper_compact_tables_operation",
            "Merges of tables and runs of retention",
            self.compactions.clone(),
        );
        registry.register(
            "loki_boltdb_shipper_compact_tables_operation_duration_seconds",
            "Seconds that the last run took",
            self.compaction_seconds.clone(),
        );
        registry.register(
            "loki_boltdb_shipper_compact_tables_operation_last_successful_run_timestamp_seconds",
            "When the last run that succeeded ended",
            self.compaction_last.clone(),
        );
        registry.register(
            "loki_boltdb_shipper_retention_marker_table_processed",
            "Tables that retention has taken out or written anew",
            self.tables.clone(),
        );
        registry.register(
            "loki_boltdb_shipper_retention_marker_count",
            "Packs that retention and deletes have taken out",
            self.marked.clone(),
        );
        registry.register("loki_compactor_apply_retention_operation", "Runs of retention", self.retention.clone());
        registry.register(
            "loki_compactor_apply_retention_operation_duration_seconds",
            "Seconds that the last run of retention took",
            self.retention_seconds.clone(),
        );
        registry.register(
            "loki_compactor_apply_retention_last_successful_run_timestamp_seconds",
            "When the last run of retention that succeeded ended",
            self.retention_last.clone(),
        );
        registry.register("loki_compactor_delete_requests_received", "Requests to delete lines", self.received.clone());
        registry.register(
            "loki_compactor_delete_requests_processed",
            "Requests to delete of which no line is left",
            self.processed.clone(),
        );
        registry.register(
            "loki_compactor_pending_delete_requests_count",
            "Requests to delete that hide lines",
            self.pending.clone(),
        );
        registry.register(
            "loki_compactor_oldest_pending_delete_request_age_seconds",
            "Age of the oldest of them",
            self.oldest_age.clone(),
        );
        registry.register("loki_compactor_deleted_lines", "Lines removed from files", self.deleted_lines.clone());
        registry.register(
            "loki_compactor_load_pending_requests_attempts",
            "Runs that looked for requests to delete",
            self.attempts.clone(),
        );
    }

    /// Counts a request to delete lines.
    pub fn received(&self, tenant: &Tenant) {
        self.received.get_or_create(&user(tenant)).inc();
    }

    /// Brings them up to date.
    pub fn update(&self, db: &Db, now_ms: u64) {
        let _updating = self.updating.lock();
        let stats = db.maintenance_stats();
        self.running.set(i64::from(db.settings().compaction.enabled && db.upkeep()));
        self.runs(&stats);
        let requests = db.all_delete_requests();
        let pending = || requests.iter().filter(|request| request.is_pending());
        self.pending.set(pending().count() as i64);
        let oldest = pending().map(|request| request.created_ms).min();
        self.oldest_age.set(oldest.map_or(0.0, |created| now_ms.saturating_sub(created) as f64 / 1000.0));
        for (tenant, requests) in &stats.requests_processed {
            raise(&self.processed.get_or_create(&user(tenant)), *requests);
        }
        for (tenant, rows) in &stats.rows_removed {
            self.deleted_lines.get_or_create(&user(tenant)).set(i64::try_from(*rows).unwrap_or(i64::MAX));
        }
    }

    fn runs(&self, stats: &MaintenanceStats) {
        let of = |family: &Family<Status, Counter>, success: u64, failure: u64| {
            raise(&family.get_or_create(&Status { status: "success" }), success);
            raise(&family.get_or_create(&Status { status: "failure" }), failure);
        };
        of(&self.compactions, stats.compactions + stats.retention_runs, stats.failures);
        of(&self.retention, stats.retention_runs, stats.retention_failures);
        of(&self.attempts, stats.retention_runs, stats.retention_failures);
        let retention = &stats.retention;
        raise(&self.marked, retention.packs_dropped + retention.rewritten.packs_in);
        raise(&self.tables.get_or_create(&Action { action: "deleted" }), retention.tables_dropped);
        raise(&self.tables.get_or_create(&Action { action: "modified" }), retention.rewritten.tables_in);
        if let Some((at_ms, took)) = stats.last_retention {
            for seconds in [&self.retention_seconds, &self.compaction_seconds] {
                seconds.set(took.as_secs_f64());
            }
            for last in [&self.retention_last, &self.compaction_last] {
                last.set(at_ms as f64 / 1000.0);
            }
        }
    }
}

fn user(tenant: &Tenant) -> OfUser {
    OfUser { user: tenant.as_str().to_owned() }
}

/// Raises a counter to what it should be.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.inner().load(Ordering::Relaxed)));
}

#[cfg(test)]
mod tests {
    use narvi::{
        Builder, CompactionSettings, Entry, Labels, PushStream, RetentionSettings, Settings, Tenant, TimeRange,
        Timestamp,
    };
    use prometheus_client::registry::Registry;

    use super::Metrics;

    #[test]
    fn what_upkeep_does_is_counted_under_lokis_names() {
        let settings = Settings {
            compaction: CompactionSettings { enabled: false, ..CompactionSettings::default() },
            retention: RetentionSettings { cancel_period_secs: 0, ..RetentionSettings::default() },
            ..Settings::default()
        };
        let db = Builder::in_memory().settings(settings).open().expect("opens");
        let (mut registry, metrics) = (Registry::default(), Metrics::default());
        metrics.register(&mut registry);
        let labels = Labels::from_pairs([("app", "x")]).expect("valid");
        let entries = (0..10).map(|i| Entry::new(Timestamp::from_secs(i), format!("line {i}"))).collect();
        db.push(&Tenant::default(), vec![PushStream::new(labels, entries)]).expect("pushed");
        let request = db.create_delete(&Tenant::default(), r#"{app="x"} |= "3""#, TimeRange::ALL).expect("made");
        metrics.received(&request.tenant);
        let text = |metrics: &Metrics| {
            metrics.update(&db, request.created_ms + 2500);
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).expect("written");
            text
        };
        let before = text(&metrics);
        for line in [
            "loki_compactor_delete_requests_received_total{user=\"fake\"} 1\n",
            "loki_compactor_pending_delete_requests_count 1\n",
            "loki_compactor_oldest_pending_delete_request_age_seconds 2.5\n",
            "loki_boltdb_shipper_compactor_running 0\n",
        ] {
            assert!(before.contains(line), "{line} is missing in\n{before}");
        }
        assert_eq!(db.apply_retention().expect("applied").requests_processed, 1);
        let after = text(&metrics);
        for line in [
            "loki_compactor_delete_requests_processed_total{user=\"fake\"} 1\n",
            "loki_compactor_deleted_lines{user=\"fake\"} 1\n",
            "loki_compactor_pending_delete_requests_count 0\n",
            "loki_compactor_apply_retention_operation_total{status=\"success\"} 1\n",
            "loki_boltdb_shipper_retention_marker_table_processed_total{action=\"modified\"} 1\n",
            "loki_boltdb_shipper_retention_marker_count_total 1\n",
        ] {
            assert!(after.contains(line), "{line} is missing in\n{after}");
        }
        assert_eq!(after, text(&metrics), "counters do not grow by being looked at");
    }
}
