//! Metrics of the queue with Loki's names.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfUser {
    user: String,
}

/// In which process the queue is, which decides about names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the places that there are")]
pub enum QueuePlace {
    /// In a process of its own.
    Scheduler,
    /// In a query-frontend.
    Frontend,
}

/// What a queue counts.
#[derive(Debug)]
pub struct QueueMetrics {
    length: Family<OfUser, Gauge>,
    waited: Histogram,
    discarded: Family<OfUser, Counter>,
    in_flight: Gauge,
    querier_places: Gauge,
    frontends: Gauge,
}

/// The bounds of Prometheus' clients.
const SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl QueueMetrics {
    /// Registers metrics in the registry of a server.
    pub fn new(registry: &mut Registry, place: QueuePlace) -> Self {
        let metrics = Self {
            length: Family::default(),
            waited: Histogram::new(SECONDS),
            discarded: Family::default(),
            in_flight: Gauge::default(),
            querier_places: Gauge::default(),
            frontends: Gauge::default(),
        };
        let prefix = match place {
            QueuePlace::Scheduler => "loki_query_scheduler",
            QueuePlace::Frontend => "loki_query_frontend",
        };
        let name = |rest: &str| format!("{prefix}_{rest}");
        registry.register(name("queue_length"), "Number of queries in the queue", metrics.length.clone());
        registry.register(
            name("queue_duration_seconds"),
            "Time spent by requests in the queue before getting picked up by a querier",
            metrics.waited.clone(),
        );
        registry.register(
            name("discarded_requests"),
            "Total number of query requests discarded since too many of the tenant waited",
            metrics.discarded.clone(),
        );
        let queriers = match place {
            QueuePlace::Scheduler => "connected_querier_clients",
            QueuePlace::Frontend => "connected_clients",
        };
        registry.register(name(queriers), "Number of worker clients connected", metrics.querier_places.clone());
        if place == QueuePlace::Scheduler {
            registry.register(
                name("inflight_requests"),
                "Number of inflight requests, either queued or processing",
                metrics.in_flight.clone(),
            );
            registry.register(
                name("connected_frontend_clients"),
                "Number of query-frontends that had a request in the last minute",
                metrics.frontends.clone(),
            );
        }
        metrics
    }

    pub(crate) fn waiting(&self, tenant: &str, count: usize) {
        let user = OfUser { user: tenant.to_owned() };
        match count {
            0 => drop(self.length.remove(&user)),
            count => drop(self.length.get_or_create(&user).set(number(count))),
        }
    }

    pub(crate) fn taken(&self, waited: Duration) {
        self.waited.observe(waited.as_secs_f64());
    }

    pub(crate) fn refused(&self, tenant: &str) {
        self.discarded.get_or_create(&OfUser { user: tenant.to_owned() }).inc();
    }

    pub(crate) fn in_flight(&self, count: usize) {
        self.in_flight.set(number(count));
    }

    pub(crate) fn connected(&self, places: usize) {
        self.querier_places.set(number(places));
    }

    pub(crate) fn frontends(&self, count: usize) {
        self.frontends.set(number(count));
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
