//! What the ruler counts, with Loki's names.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfGroup {
    pub(crate) rule_group: String,
    pub(crate) user: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfUser {
    pub(crate) user: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfAlertmanager {
    pub(crate) alertmanager: String,
    pub(crate) user: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfTenant {
    pub(crate) tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfReceiver {
    pub(crate) tenant: String,
    pub(crate) remote_name: String,
}

/// A gauge of a number that need not be whole.
pub(crate) type FloatGauge = Gauge<f64, AtomicU64>;

/// Durations of something from milliseconds to a minute, by its labels.
#[derive(Debug)]
pub(crate) struct Durations<L>(Family<L, Histogram>);

impl<L: Clone + Eq + std::hash::Hash> Default for Durations<L> {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 9))))
    }
}

impl<L> std::ops::Deref for Durations<L> {
    type Target = Family<L, Histogram>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The metrics of one ruler. One registry each: two rulers in one process share nothing.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) evaluations: Family<OfGroup, Counter>,
    pub(crate) failures: Family<OfGroup, Counter>,
    pub(crate) iterations: Family<OfGroup, Counter>,
    pub(crate) missed: Family<OfGroup, Counter>,
    pub(crate) rules: Family<OfGroup, Gauge>,
    pub(crate) interval: Family<OfGroup, FloatGauge>,
    pub(crate) last_duration: Family<OfGroup, FloatGauge>,
    pub(crate) last_evaluation: Family<OfGroup, FloatGauge>,
    pub(crate) reload_ok: Family<OfUser, Gauge>,
    pub(crate) sent: Family<OfAlertmanager, Counter>,
    pub(crate) send_errors: Family<OfAlertmanager, Counter>,
    pub(crate) alerts_dropped: Family<OfUser, Counter>,
    pub(crate) alerts_waiting: Family<OfAlertmanager, Gauge>,
    pub(crate) rule_duration: Durations<OfUser>,
    pub(crate) group_duration: Durations<OfUser>,
    pub(crate) send_latency: Durations<OfAlertmanager>,
    pub(crate) alertmanagers: Family<OfUser, Gauge>,
    pub(crate) alerts_capacity: Family<OfUser, Gauge>,
    pub(crate) reload_time: Family<OfUser, FloatGauge>,
    pub(crate) appended: Family<OfTenant, Counter>,
    pub(crate) series: Family<OfTenant, Counter>,
    pub(crate) appender_ready: Family<OfTenant, Gauge>,
    pub(crate) highest: Family<OfTenant, FloatGauge>,
    pub(crate) disk_bytes: Family<OfReceiver, Gauge>,
    pub(crate) samples: Family<OfReceiver, Counter>,
    pub(crate) pending: Family<OfReceiver, Gauge>,
    pub(crate) failed: Family<OfReceiver, Counter>,
    pub(crate) retried: Family<OfReceiver, Counter>,
    pub(crate) dropped: Family<OfReceiver, Counter>,
    pub(crate) highest_sent: Family<OfReceiver, FloatGauge>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self::default();
        let mut registry = Registry::default();
        metrics.register_rules(registry.sub_registry_with_prefix("loki_prometheus"));
        metrics.register_samples(registry.sub_registry_with_prefix("loki_ruler_wal"));
        registry.register(
            "loki_ruler_config_last_reload_successful",
            "Whether the last reading of the rules found no fault",
            metrics.reload_ok.clone(),
        );
        registry.register(
            "loki_ruler_config_last_reload_successful_timestamp_seconds",
            "Time of the last reading of the rules that found no fault",
            metrics.reload_time.clone(),
        );
        metrics.registry = registry;
        metrics
    }

    fn register_rules(&self, add: &mut Registry) {
        add.register("rule_evaluations", "Rules evaluated", self.evaluations.clone());
        add.register("rule_evaluation_failures", "Rules whose evaluation failed", self.failures.clone());
        add.register("rule_group_iterations", "Evaluations of groups that were due", self.iterations.clone());
        add.register("rule_group_iterations_missed", "Evaluations that were due too late", self.missed.clone());
        add.register("rule_group_rules", "Rules of a group", self.rules.clone());
        add.register("rule_group_interval_seconds", "Interval of a group", self.interval.clone());
        add.register("rule_group_last_duration_seconds", "Duration of the last evaluation", self.last_duration.clone());
        add.register(
            "rule_group_last_evaluation_timestamp_seconds",
            "Time of the last evaluation",
            self.last_evaluation.clone(),
        );
        add.register(
            "rule_evaluation_duration_seconds",
            "Durations of the evaluations of rules",
            self.rule_duration.0.clone(),
        );
        add.register(
            "rule_group_duration_seconds",
            "Durations of the evaluations of groups",
            self.group_duration.0.clone(),
        );
        add.register(
            "notifications_latency_seconds",
            "Durations of requests to Alertmanagers",
            self.send_latency.0.clone(),
        );
        add.register("notifications_alertmanagers_discovered", "Alertmanagers of a tenant", self.alertmanagers.clone());
        add.register("notifications_queue_capacity", "Most alerts that may wait", self.alerts_capacity.clone());
        add.register("notifications_sent", "Alerts sent", self.sent.clone());
        add.register("notifications_errors", "Alerts that could not be sent", self.send_errors.clone());
        add.register("notifications_dropped", "Alerts dropped before they were sent", self.alerts_dropped.clone());
        add.register("notifications_queue_length", "Alerts waiting", self.alerts_waiting.clone());
    }

    fn register_samples(&self, add: &mut Registry) {
        add.register("samples_appended", "Samples that rules gave", self.appended.clone());
        add.register("storage_created_series", "Series that rules began", self.series.clone());
        add.register("appender_ready", "Whether samples can be taken", self.appender_ready.clone());
        add.register("disk_size", "Bytes of samples that are not sent yet", self.disk_bytes.clone());
        let add = add.sub_registry_with_prefix("prometheus_remote_storage");
        add.register("samples", "Samples sent", self.samples.clone());
        add.register("samples_pending", "Samples waiting", self.pending.clone());
        add.register("samples_failed", "Samples that the receiver refused", self.failed.clone());
        add.register("samples_retried", "Samples sent again after a failure", self.retried.clone());
        add.register("samples_dropped", "Samples dropped before they were sent", self.dropped.clone());
        add.register("highest_timestamp_in_seconds", "Time of the newest sample", self.highest.clone());
        add.register(
            "queue_highest_sent_timestamp_seconds",
            "Time of the newest sample sent",
            self.highest_sent.clone(),
        );
    }

    /// Appends the text of all metrics, without the line that ends an exposition.
    pub(crate) fn encode(&self, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode_registry(out, &self.registry);
    }

    /// Forgets a group.
    pub(crate) fn forget(&self, group: &OfGroup) {
        for counters in [&self.evaluations, &self.failures, &self.iterations, &self.missed] {
            counters.remove(group);
        }
        self.rules.remove(group);
        for gauges in [&self.interval, &self.last_duration, &self.last_evaluation] {
            gauges.remove(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Metrics, OfGroup, OfReceiver, OfTenant};

    #[test]
    fn names_are_lokis() {
        let metrics = Metrics::new();
        let group = OfGroup { rule_group: "n;g".into(), user: "fake".into() };
        metrics.evaluations.get_or_create(&group).inc();
        metrics.failures.get_or_create(&group).inc();
        metrics.missed.get_or_create(&group).inc();
        metrics.rules.get_or_create(&group).set(3);
        metrics.last_duration.get_or_create(&group).set(0.5);
        let tenant = OfTenant { tenant: "fake".into() };
        metrics.appended.get_or_create(&tenant).inc();
        metrics.highest.get_or_create(&tenant).set(1.5);
        metrics.samples.get_or_create(&OfReceiver { tenant: "fake".into(), remote_name: "r".into() }).inc();
        let mut text = String::new();
        metrics.encode(&mut text);
        for line in [
            "loki_prometheus_rule_evaluations_total{rule_group=\"n;g\",user=\"fake\"} 1",
            "loki_prometheus_rule_evaluation_failures_total{rule_group=\"n;g\",user=\"fake\"} 1",
            "loki_prometheus_rule_group_iterations_missed_total{rule_group=\"n;g\",user=\"fake\"} 1",
            "loki_prometheus_rule_group_rules{rule_group=\"n;g\",user=\"fake\"} 3",
            "loki_prometheus_rule_group_last_duration_seconds{rule_group=\"n;g\",user=\"fake\"} 0.5",
            "loki_ruler_wal_samples_appended_total{tenant=\"fake\"} 1",
            "loki_ruler_wal_prometheus_remote_storage_highest_timestamp_in_seconds{tenant=\"fake\"} 1.5",
            "loki_ruler_wal_prometheus_remote_storage_samples_total{tenant=\"fake\",remote_name=\"r\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        metrics.forget(&group);
        text.clear();
        metrics.encode(&mut text);
        assert!(!text.contains("n;g"), "{text}");
    }
}
