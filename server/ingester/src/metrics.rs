//! Metrics with Loki's names.

use std::time::Duration;

use narvi::{ErrorKind, Result};
use narvi_rpc::CallObserver;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// What an ingester counts of pushes. For processes without an HTTP server over the same database, which counts these under
/// the same names: a registry may have a name once.
#[derive(Debug, Default)]
pub struct IngesterMetrics {
    records: Counter,
    disk_full: Counter,
}

impl IngesterMetrics {
    /// Registers metrics in the registry of a process.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "loki_ingester_wal_records_logged",
            "Pushes written to the write-ahead log",
            metrics.records.clone(),
        );
        registry.register(
            "loki_ingester_wal_disk_full_failures",
            "Pushes refused since there was no room for the write-ahead log",
            metrics.disk_full.clone(),
        );
        metrics
    }

    pub(crate) fn pushed(&self, result: &Result<()>) {
        match result {
            Ok(()) => {
                self.records.inc();
            }
            Err(error) if error.kind() == ErrorKind::Full => {
                self.disk_full.inc();
            }
            Err(_) => {}
        }
    }
}

/// Upper ends of the buckets, in seconds; Loki's.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: &'static str,
    status_code: &'static str,
    ws: &'static str,
}

/// How long gRPC calls take, in `loki_request_duration_seconds`. For processes without an HTTP server that counts its own
/// requests under this name: a registry may have a name once.
#[derive(Clone, Debug)]
pub struct RequestDurations(Family<Request, Histogram, fn() -> Histogram>);

impl RequestDurations {
    /// Registers the metric in the registry of a process.
    pub fn new(registry: &mut Registry) -> Self {
        let durations = Self(Family::new_with_constructor(|| Histogram::new(BUCKETS)));
        let help = "Time (in seconds) spent serving requests";
        registry.register("loki_request_duration_seconds", help, durations.0.clone());
        durations
    }
}

impl CallObserver for RequestDurations {
    fn called(&self, route: &'static str, outcome: &'static str, took: Duration) {
        let request = Request { method: "gRPC", route, status_code: outcome, ws: "false" };
        self.0.get_or_create(&request).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn calls_and_pushes_are_counted_under_lokis_names() {
        let mut registry = Registry::default();
        let (metrics, durations) = (IngesterMetrics::new(&mut registry), RequestDurations::new(&mut registry));
        metrics.pushed(&Ok(()));
        metrics.pushed(&Err(narvi::Error::new(ErrorKind::Full, "no room")));
        durations.called("/logproto.Pusher/Push", "success", Duration::from_millis(7));
        let mut text = String::new();
        encode(&mut text, &registry).expect("encodes");
        for line in [
            "loki_ingester_wal_records_logged_total 1",
            "loki_ingester_wal_disk_full_failures_total 1",
            "loki_request_duration_seconds_count{method=\"gRPC\",route=\"/logproto.Pusher/Push\",status_code=\"success\",ws=\"false\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
