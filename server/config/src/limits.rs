//! What a tenant may push and ask: Loki's `limits_config` with its names, each with a unit.

use std::time::Duration;

/// A rate limit that is not set.
pub const RATE_UNLIMITED: f64 = f64::INFINITY;

/// Per-tenant limits. [`Limits::default`] refuses nothing, as Narvi does without a file; [`Limits::loki`] holds Loki's
/// defaults, which a Loki file starts from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Refuse entries older than `reject_old_samples_max_age`.
    pub reject_old_samples: bool,
    /// See `reject_old_samples`.
    pub reject_old_samples_max_age: Duration,
    /// Refuse entries later than now plus this; `None` accepts any.
    pub creation_grace_period: Option<Duration>,
    /// Refuse entries that lie further behind the newest one of their stream; Loki has half of `max_chunk_age`.
    pub out_of_order_window: Option<Duration>,
    /// Longest line in bytes; 0 is no limit.
    pub max_line_size_bytes: usize,
    /// Cut longer lines instead of refusing them.
    pub max_line_size_truncate: bool,
    /// Longest label name in bytes; 0 is no limit.
    pub max_label_name_length: usize,
    /// Longest label value in bytes; 0 is no limit.
    pub max_label_value_length: usize,
    /// Most labels of a stream, `service_name` not counted; 0 is no limit.
    pub max_label_names_per_series: usize,
    /// Whether entries may carry structured metadata.
    pub allow_structured_metadata: bool,
    /// Most bytes of structured metadata per entry; 0 is no limit.
    pub max_structured_metadata_size_bytes: usize,
    /// Most pairs of structured metadata per entry; 0 is no limit.
    pub max_structured_metadata_entries: usize,
    /// Labels that name the service, first match wins; empty turns discovery off.
    pub discover_service_name: Vec<String>,
    /// Detect the level of each line and store it as metadata.
    pub discover_log_levels: bool,
    /// Add a nanosecond to an entry that has the time of the one before it.
    pub increment_duplicate_timestamp: bool,
    /// Bytes a second that a tenant may push.
    pub ingestion_rate_bytes: f64,
    /// Largest burst in bytes.
    pub ingestion_burst_bytes: f64,
    /// Most series in an answer; 0 is no limit.
    pub max_query_series: usize,
    /// Most lines in an answer; 0 is no limit.
    pub max_entries_limit_per_query: usize,
    /// Longest time range of a query; zero is no limit.
    pub max_query_length: Duration,
    /// Longest `[range]`; zero is no limit.
    pub max_query_range: Duration,
    /// How far back a query may look; zero is no limit.
    pub max_query_lookback: Duration,
    /// Length of the pieces that a range query is split into; zero turns the split, and with it the alignment of
    /// steps, off.
    pub split_queries_by_interval: Duration,
    /// Longest run of a query; zero is no limit.
    pub query_timeout: Duration,
    /// Most matchers in a query; 0 is no limit.
    pub max_streams_matchers_per_query: usize,
    /// Most bytes that a query may read; 0 is no limit.
    pub max_query_bytes_read: u64,
    /// Whether the volume endpoints answer.
    pub volume_enabled: bool,
    /// Most series in a volume answer.
    pub volume_max_series: usize,
}

impl Default for Limits {
    /// Narvi's own: any age, any rate, any size that the formats can hold, and as many series as a query has memory for.
    fn default() -> Self {
        Self {
            reject_old_samples: false,
            creation_grace_period: None,
            out_of_order_window: None,
            max_line_size_bytes: 0,
            max_label_name_length: 1024,
            max_label_value_length: 64 << 10,
            max_label_names_per_series: 0,
            max_structured_metadata_size_bytes: 0,
            max_structured_metadata_entries: 0,
            ingestion_rate_bytes: RATE_UNLIMITED,
            ingestion_burst_bytes: RATE_UNLIMITED,
            max_query_length: Duration::ZERO,
            query_timeout: Duration::from_secs(300),
            max_query_series: 0,
            max_entries_limit_per_query: 100_000,
            ..Self::loki()
        }
    }
}

impl Limits {
    /// The defaults of Loki 3.7.
    pub fn loki() -> Self {
        Self {
            reject_old_samples: true,
            reject_old_samples_max_age: Duration::from_secs(7 * 24 * 3600),
            creation_grace_period: Some(Duration::from_secs(600)),
            out_of_order_window: Some(Duration::from_secs(3600)),
            max_line_size_bytes: 256 << 10,
            max_line_size_truncate: false,
            max_label_name_length: 1024,
            max_label_value_length: 2048,
            max_label_names_per_series: 15,
            allow_structured_metadata: true,
            max_structured_metadata_size_bytes: 64 << 10,
            max_structured_metadata_entries: 128,
            discover_service_name: [
                "service",
                "app",
                "application",
                "app_name",
                "name",
                "app_kubernetes_io_name",
                "container",
                "container_name",
                "k8s_container_name",
                "component",
                "workload",
                "job",
                "k8s_job_name",
            ]
            .map(str::to_owned)
            .to_vec(),
            discover_log_levels: true,
            increment_duplicate_timestamp: false,
            ingestion_rate_bytes: 4.0 * 1_048_576.0,
            ingestion_burst_bytes: 6.0 * 1_048_576.0,
            max_query_series: 500,
            max_entries_limit_per_query: 5000,
            max_query_length: Duration::from_secs(721 * 3600),
            max_query_range: Duration::ZERO,
            max_query_lookback: Duration::ZERO,
            split_queries_by_interval: Duration::from_secs(3600),
            query_timeout: Duration::from_secs(60),
            max_streams_matchers_per_query: 1000,
            max_query_bytes_read: 0,
            volume_enabled: true,
            volume_max_series: 1000,
        }
    }
}
