//! What a tenant may push and ask: Loki's `limits_config` with its names, each with a unit.

use std::{sync::Arc, time::Duration};

use narvi_types::{
    Timestamp,
    regex::{Regex, RegexOptions},
};

use crate::{Policies, RetentionLimits, RulerLimits};

/// A rate limit that is not set.
pub const RATE_UNLIMITED: f64 = f64::INFINITY;

/// Whose limit `ingestion_rate_mb` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum RateStrategy {
    /// That of all distributors together: each has its share.
    #[default]
    Global,
    /// That of each distributor.
    Local,
}

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
    /// What a line that is cut ends with, within `max_line_size_bytes`.
    pub max_line_size_truncate_identifier: String,
    /// Labels that every stream must have.
    pub enforced_labels: Vec<String>,
    /// Refuse all pushes until then.
    pub block_ingestion_until: Option<Timestamp>,
    /// The status that such pushes get; 200 drops them silently.
    pub block_ingestion_status_code: u16,
    /// Groups of streams, and what is said of them.
    pub policies: Policies,
    /// Which attributes of OTLP become labels or metadata, or are dropped.
    pub otlp: OtlpRules,
    /// Add a nanosecond to an entry that has the time of the one before it.
    pub increment_duplicate_timestamp: bool,
    /// Whether distributors share the rate, or each has all of it.
    pub ingestion_rate_strategy: RateStrategy,
    /// Bytes a second that a tenant may push.
    pub ingestion_rate_bytes: f64,
    /// Largest burst in bytes.
    pub ingestion_burst_bytes: f64,
    /// Bytes a second that may be pushed to one stream.
    pub per_stream_rate_bytes: f64,
    /// Largest burst of one stream in bytes.
    pub per_stream_burst_bytes: f64,
    /// Whether a push to a stream beyond its rate is refused as a whole, as in Loki with `shard_streams`; else entry by
    /// entry. Streams are never split.
    pub shard_streams: bool,
    /// Most active streams; 0 is no limit.
    pub max_streams_per_user: usize,
    /// Most active streams over all processes, which here is one; 0 is no limit.
    pub max_global_streams_per_user: usize,
    /// How many pieces of a query may run at once; 0 turns queries off.
    pub max_query_parallelism: usize,
    /// Likewise where the index is one that Narvi reads, which all are; the larger of the two counts.
    pub tsdb_max_query_parallelism: usize,
    /// Most queriers that a tenant's queries are given to; 0 is no limit.
    pub max_queriers_per_tenant: usize,
    /// Which part of the queriers, from 0 to 1; 0 is no limit, and the smaller limit counts.
    pub max_query_capacity: f64,
    /// Labels that every selector must have a matcher for.
    pub required_labels: Vec<String>,
    /// Fewest matchers of a selector.
    pub minimum_labels_number: usize,
    /// Queries that are refused.
    pub blocked_queries: Vec<BlockedQuery>,
    /// Most series in an answer; 0 is no limit.
    pub max_query_series: usize,
    /// Most tails at once; 0 is no limit.
    pub max_concurrent_tail_requests: usize,
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
    /// Likewise of the range of an instant metric query; zero turns that split off.
    pub split_instant_metric_queries_by_interval: Duration,
    /// Results that are younger are not cached.
    pub max_cache_freshness_per_query: Duration,
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
    /// How long lines are kept, and whether they can be deleted.
    pub retention: RetentionLimits,
    /// What is said of the tenant's rules.
    pub ruler: Arc<RulerLimits>,
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
            per_stream_rate_bytes: RATE_UNLIMITED,
            per_stream_burst_bytes: RATE_UNLIMITED,
            max_global_streams_per_user: 0,
            max_query_length: Duration::ZERO,
            query_timeout: Duration::from_secs(300),
            max_query_series: 0,
            max_concurrent_tail_requests: 1000,
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
            ingestion_rate_strategy: RateStrategy::Global,
            ingestion_rate_bytes: 4.0 * 1_048_576.0,
            ingestion_burst_bytes: 6.0 * 1_048_576.0,
            per_stream_rate_bytes: 3.0 * 1_048_576.0,
            per_stream_burst_bytes: 15.0 * 1_048_576.0,
            shard_streams: true,
            max_streams_per_user: 0,
            max_global_streams_per_user: 5000,
            max_line_size_truncate_identifier: String::new(),
            enforced_labels: Vec::new(),
            block_ingestion_until: None,
            block_ingestion_status_code: 260,
            policies: Policies::default(),
            otlp: OtlpRules::default(),
            max_query_parallelism: 32,
            tsdb_max_query_parallelism: 128,
            max_queriers_per_tenant: 0,
            max_query_capacity: 0.0,
            required_labels: Vec::new(),
            minimum_labels_number: 0,
            blocked_queries: Vec::new(),
            max_query_series: 500,
            max_concurrent_tail_requests: 10,
            max_entries_limit_per_query: 5000,
            max_query_length: Duration::from_secs(721 * 3600),
            max_query_range: Duration::ZERO,
            max_query_lookback: Duration::ZERO,
            split_queries_by_interval: Duration::from_secs(3600),
            split_instant_metric_queries_by_interval: Duration::from_secs(3600),
            max_cache_freshness_per_query: Duration::from_secs(600),
            query_timeout: Duration::from_secs(60),
            max_streams_matchers_per_query: 1000,
            max_query_bytes_read: 0,
            volume_enabled: true,
            volume_max_series: 1000,
            retention: RetentionLimits::default(),
            ruler: Arc::default(),
        }
    }
}

impl Limits {
    /// How many of the queriers that are there may work for the tenant at once; 0 for all.
    pub fn most_queriers(&self, there: usize) -> usize {
        let part = match self.max_query_capacity {
            part if part > 0.0 && part < 1.0 => ((there as f64 * part).ceil() as usize).max(1),
            _ => there,
        };
        let most = if self.max_queriers_per_tenant == 0 { part } else { part.min(self.max_queriers_per_tenant) };
        if most < there { most } else { 0 }
    }
}

/// A regular expression of a limit, matching anywhere.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern in Go's syntax.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let regex = Regex::new(text, RegexOptions::LINE).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Whether it matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.engine().is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// An entry of `blocked_queries`; what is not set matches every query.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BlockedQuery {
    /// The whole text of the query.
    pub text: Option<String>,
    /// A pattern in it.
    pub pattern: Option<Pattern>,
    /// FNV-1 hash of its text, 32 bits; 0 is none.
    pub hash: u32,
    /// `metric`, `filter` or `limited`; empty for all.
    pub types: Vec<String>,
}

/// What becomes of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum OtlpAction {
    /// A label of the stream.
    IndexLabel,
    /// Structured metadata.
    StructuredMetadata,
    /// Nothing.
    Drop,
}

/// A rule for attributes of OTLP; the first that matches holds.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct OtlpRule {
    /// What becomes of them.
    pub action: OtlpAction,
    /// Their names.
    pub attributes: Vec<String>,
    /// A pattern of their names.
    pub pattern: Option<Pattern>,
}

/// `otlp_config`. Attributes without a rule are structured metadata.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OtlpRules {
    /// Resource attributes that become labels, unless `ignore_defaults`.
    pub index_attributes: Vec<String>,
    /// Rules for attributes of resources.
    pub resource: Vec<OtlpRule>,
    /// Rules for attributes of scopes.
    pub scope: Vec<OtlpRule>,
    /// Rules for attributes of log records.
    pub log: Vec<OtlpRule>,
    /// Whether `severity_text` is a label.
    pub severity_text_as_label: bool,
}

impl Default for OtlpRules {
    fn default() -> Self {
        let index_attributes = [
            "service.name",
            "service.namespace",
            "service.instance.id",
            "deployment.environment",
            "deployment.environment.name",
            "cloud.region",
            "cloud.availability_zone",
            "k8s.cluster.name",
            "k8s.namespace.name",
            "k8s.pod.name",
            "k8s.container.name",
            "container.name",
            "k8s.replicaset.name",
            "k8s.deployment.name",
            "k8s.statefulset.name",
            "k8s.daemonset.name",
            "k8s.cronjob.name",
            "k8s.job.name",
        ];
        Self {
            index_attributes: index_attributes.map(str::to_owned).to_vec(),
            resource: Vec::new(),
            scope: Vec::new(),
            log: Vec::new(),
            severity_text_as_label: false,
        }
    }
}

impl OtlpRules {
    /// What becomes of an attribute of a resource.
    pub fn of_resource(&self, name: &str) -> OtlpAction {
        let indexed = self.index_attributes.iter().any(|attribute| attribute == name);
        let default = if indexed { OtlpAction::IndexLabel } else { OtlpAction::StructuredMetadata };
        Self::first(&self.resource, name).unwrap_or(default)
    }

    /// What becomes of an attribute of a scope; labels are only made of resources and records.
    pub fn of_scope(&self, name: &str) -> OtlpAction {
        Self::first(&self.scope, name).unwrap_or(OtlpAction::StructuredMetadata)
    }

    /// What becomes of an attribute of a record.
    pub fn of_log(&self, name: &str) -> OtlpAction {
        Self::first(&self.log, name).unwrap_or(OtlpAction::StructuredMetadata)
    }

    fn first(rules: &[OtlpRule], name: &str) -> Option<OtlpAction> {
        let matches = |rule: &&OtlpRule| {
            rule.attributes.iter().any(|attribute| attribute == name)
                || rule.pattern.as_ref().is_some_and(|pattern| pattern.is_match(name))
        };
        rules.iter().find(matches).map(|rule| rule.action)
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn the_smaller_limit_of_queriers_counts() {
        for (most, part, there, expected) in [
            (0, 0.0, 10, 0),
            (3, 0.0, 10, 3),
            (10, 0.0, 10, 0),
            (11, 0.0, 10, 0),
            (0, 0.25, 10, 3),
            (0, 0.01, 10, 1),
            (0, 1.0, 10, 0),
            (2, 0.25, 10, 2),
            (5, 0.25, 10, 3),
            (5, 0.5, 0, 0),
        ] {
            let limits = Limits { max_queriers_per_tenant: most, max_query_capacity: part, ..Limits::loki() };
            assert_eq!(limits.most_queriers(there), expected, "{most} {part} {there}");
        }
    }
}
