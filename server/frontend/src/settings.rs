//! How a frontend behaves, and what it may do for a tenant.

use std::{sync::Arc, time::Duration};

use narvi::Tenant;
use narvi_config::Limits;

/// How a frontend behaves. Plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct FrontendSettings {
    /// How often a job is tried again; `query_range.max_retries`.
    pub max_retries: usize,
    /// Whether pieces are cut by stream too; `query_range.parallelise_shardable_queries`.
    pub shard: bool,
    /// A piece is cut by stream so that no shard is expected to read more bytes.
    pub shard_bytes: u64,
    /// How old the knowledge of requests to delete may be by which results that were kept are judged.
    pub deletes_max_age: Duration,
}

impl Default for FrontendSettings {
    fn default() -> Self {
        Self { max_retries: 5, shard: true, shard_bytes: 600 << 20, deletes_max_age: Duration::from_secs(1) }
    }
}

/// What a frontend may do for a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct TenantLimits {
    /// Queries over a range are cut at multiples of it; zero: they are not.
    pub split_interval: Duration,
    /// Likewise instant queries.
    pub instant_split_interval: Duration,
    /// How many jobs of one query may be under way at once.
    pub parallelism: usize,
    /// Results of times that lie less far back are not kept.
    pub cache_freshness: Duration,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

impl From<&Limits> for TenantLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            split_interval: limits.split_queries_by_interval,
            instant_split_interval: limits.split_instant_metric_queries_by_interval,
            parallelism: limits.max_query_parallelism.max(1),
            cache_freshness: limits.max_cache_freshness_per_query,
        }
    }
}

/// The limits of a tenant at the moment.
pub type LimitsOf = Arc<dyn Fn(&Tenant) -> TenantLimits + Send + Sync>;
