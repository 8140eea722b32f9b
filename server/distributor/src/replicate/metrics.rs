//! Metrics of replication with Loki's names.

use narvi_ring::Instance;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct To {
    ingester: String,
}

/// What was sent to ingesters.
#[derive(Clone, Debug, Default)]
pub struct ReplicationMetrics {
    appends: Family<To, Counter>,
    failures: Family<To, Counter>,
    factor: Gauge,
}

impl ReplicationMetrics {
    /// Registers metrics in the registry of a server.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "loki_distributor_ingester_appends",
            "The total number of batch appends sent to ingesters",
            metrics.appends.clone(),
        );
        registry.register(
            "loki_distributor_ingester_append_failures",
            "The total number of failed batch appends sent to ingesters",
            metrics.failures.clone(),
        );
        registry.register(
            "loki_distributor_replication_factor",
            "The configured replication factor",
            metrics.factor.clone(),
        );
        metrics
    }

    pub(super) fn factor(&self, factor: usize) {
        self.factor.set(i64::try_from(factor).unwrap_or(i64::MAX));
    }

    pub(super) fn sent(&self, to: &Instance) {
        self.appends.get_or_create(&To { ingester: to.id.clone() }).inc();
    }

    pub(super) fn failed(&self, to: &Instance) {
        self.failures.get_or_create(&To { ingester: to.id.clone() }).inc();
    }
}
