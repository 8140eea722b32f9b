//! The read path of a cluster: frontend, scheduler, workers of queriers, index gateway, and where rules are evaluated.

use std::time::Duration;

use narvi_dns::Place;
use narvi_rpc::ClientSettings;

use crate::{
    ConfigError, Roles,
    apply::{Reader, wrong},
    cluster_rings::{KvStore, Rings, line_of},
    cluster_rpc,
    part::Part,
};

/// Where gRPC is served unless a file says otherwise.
const GRPC_PORT: u16 = 9095;

/// `querier`: what a querier asks. What it says of single endpoints is in [`Endpoints`](crate::Endpoints).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuerierConfig {
    /// How many queries a querier takes from all queues together at once; `max_concurrent`.
    pub max_concurrent: usize,
    /// Ingesters are not asked about times that are all older than this; zero: they are always asked.
    pub query_ingesters_within: Duration,
    /// Ingesters are never asked.
    pub query_store_only: bool,
    /// The store is not read.
    pub query_ingester_only: bool,
}

impl Default for QuerierConfig {
    fn default() -> Self {
        Self {
            max_concurrent: 4,
            query_ingesters_within: Duration::from_secs(3 * 3600),
            query_store_only: false,
            query_ingester_only: false,
        }
    }
}

/// `frontend_worker`: where queriers take their work from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// Host and port of the frontends' gRPC, all addresses of which are used; empty: no frontend is asked for work.
    pub frontend_address: String,
    /// Likewise of the schedulers; only one of the two is set.
    pub scheduler_address: String,
    /// How often the address is looked up again.
    pub dns_lookup_duration: Duration,
    /// The name of this querier; empty: that of the host.
    pub id: String,
    /// How they are called.
    pub client: ClientSettings,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            frontend_address: String::new(),
            scheduler_address: String::new(),
            dns_lookup_duration: Duration::from_secs(3),
            id: String::new(),
            client: ClientSettings::default(),
        }
    }
}

/// Files for TLS of a client, by which it shows who it is and knows whom it talks to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientTls {
    /// Its certificate; empty for none.
    pub cert_path: String,
    /// The key of that.
    pub key_path: String,
    /// Whom the server's certificate must be signed by; empty for the system's.
    pub ca_path: String,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
}

/// `frontend`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrontendConfig {
    /// Host and port of the schedulers' gRPC, all addresses of which are used; empty: the queue is in the frontend, unless
    /// schedulers are found by their ring.
    pub scheduler_address: String,
    /// How often that is looked up again.
    pub scheduler_dns_lookup_period: Duration,
    /// How schedulers are called.
    pub client: ClientSettings,
    /// Queries of a tenant that may wait in the frontend.
    pub max_outstanding_per_tenant: usize,
    /// How long a querier that went away without a word still counts when tenants are given queriers.
    pub querier_forget_delay: Duration,
    /// Queries that take longer are logged; `None`: none are, zero: all.
    pub log_queries_longer_than: Option<Duration>,
    /// URL of a querier, that tails are passed on to; empty: the frontend has no tail.
    pub tail_proxy_url: String,
    /// TLS for that.
    pub tail_tls: ClientTls,
    /// URL of a server that all queries are passed on to, past queue and queriers; empty: none.
    pub downstream_url: String,
    /// How long queries that are under way may take when the frontend stops.
    pub graceful_shutdown_timeout: Duration,
}

impl Default for FrontendConfig {
    fn default() -> Self {
        Self {
            scheduler_address: String::new(),
            scheduler_dns_lookup_period: Duration::from_secs(10),
            client: ClientSettings::default(),
            max_outstanding_per_tenant: 2048,
            querier_forget_delay: Duration::ZERO,
            log_queries_longer_than: None,
            tail_proxy_url: String::new(),
            tail_tls: ClientTls::default(),
            downstream_url: String::new(),
            graceful_shutdown_timeout: Duration::from_secs(300),
        }
    }
}

/// `query_scheduler`. Frontends and queriers call it, and get answers by the way that they asked; it calls nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchedulerConfig {
    /// Queries of a tenant that may wait.
    pub max_outstanding_requests_per_tenant: usize,
    /// How long a querier that went away without a word still counts when tenants are given queriers.
    pub querier_forget_delay: Duration,
    /// Whether frontends and queriers find schedulers by their ring. Also so if the file names no address of a frontend or
    /// scheduler and the ring is carried by gossip.
    pub use_ring: bool,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self { max_outstanding_requests_per_tenant: 32_000, querier_forget_delay: Duration::ZERO, use_ring: false }
    }
}

/// `query_range`: what the frontend makes of queries. Where results are kept is in [`Caches`](crate::Caches).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryRangeConfig {
    /// Whether start and end are rounded down to the step.
    pub align_queries_with_step: bool,
    /// How often a part of a query is tried again.
    pub max_retries: usize,
    /// Whether queries are split by stream.
    pub parallelise_shardable_queries: bool,
    /// Whether results of range queries are cached.
    pub cache_results: bool,
}

impl Default for QueryRangeConfig {
    fn default() -> Self {
        Self {
            align_queries_with_step: false,
            max_retries: 5,
            parallelise_shardable_queries: true,
            cache_results: false,
        }
    }
}

/// How many index gateways answer for a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum IndexGatewayMode {
    /// Each for all.
    #[default]
    Simple,
    /// Those that the ring names.
    Ring,
}

/// `index_gateway`, and how it is reached: `index_gateway_client` of the shippers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexGatewayConfig {
    /// How many answer for a tenant.
    pub mode: IndexGatewayMode,
    /// Host and port of the gateways' gRPC; empty: found by the ring, or not used.
    pub server_address: String,
    /// How they are called.
    pub client: ClientSettings,
}

/// What `ruler` says of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RulerCluster {
    /// Whether groups are spread over the rulers of the ring. Loki's default is that each evaluates all; here they are
    /// spread if gossip carries the ring and the file does not say otherwise.
    pub enable_sharding: bool,
    /// Whether each tenant has rulers of its own, `ruler_tenant_shard_size` of them.
    pub shuffle_sharding: bool,
}

/// Reads `querier` and `frontend_worker`.
pub(crate) fn querier(
    reader: &Reader<'_>,
    querier: &mut QuerierConfig,
    worker: &mut WorkerConfig,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    reader.count("querier.max_concurrent", &mut querier.max_concurrent)?;
    querier.max_concurrent = querier.max_concurrent.max(1);
    reader.duration("querier.query_ingesters_within", &mut querier.query_ingesters_within)?;
    reader.bool("querier.query_store_only", &mut querier.query_store_only)?;
    reader.bool("querier.query_ingester_only", &mut querier.query_ingester_only)?;
    if querier.query_store_only && querier.query_ingester_only {
        let message = "is true, and query_ingester_only too: there would be nothing to query; leave one out".to_owned();
        return Err(wrong(&line_of(reader, "querier.query_store_only"), "querier.query_store_only", message));
    }
    let key = |name: &str| format!("frontend_worker.{name}");
    address(reader, &key("frontend_address"), &mut worker.frontend_address)?;
    address(reader, &key("scheduler_address"), &mut worker.scheduler_address)?;
    if !worker.frontend_address.is_empty() && !worker.scheduler_address.is_empty() {
        let message =
            "frontend_address is set too: queriers take work from frontends or from schedulers; leave one out";
        let path = key("scheduler_address");
        return Err(wrong(&line_of(reader, &path), &path, message.to_owned()));
    }
    reader.duration(&key("dns_lookup_duration"), &mut worker.dns_lookup_duration)?;
    reader.text(&key("id"), &mut worker.id)?;
    cluster_rpc::client(reader, &key("grpc_client_config"), &mut worker.client, warnings)?;
    let named = if worker.frontend_address.is_empty() { "query_scheduler" } else { "query_frontend" };
    cluster_rpc::client(reader, &key(&format!("{named}_grpc_client")), &mut worker.client, warnings)
}

/// Where others take calls, or several with commas between.
fn address(reader: &Reader<'_>, path: &str, target: &mut String) -> Result<(), ConfigError> {
    reader.read(path, target, |text| {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let wrong = names.clone().find_map(|name| Place::parse(name, Some(GRPC_PORT)).err());
        wrong.map_or_else(|| Ok(names.collect::<Vec<_>>().join(",")), |error| Err(error.to_string()))
    })
}

/// Reads `frontend`.
pub(crate) fn frontend(
    reader: &Reader<'_>,
    frontend: &mut FrontendConfig,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let key = |name: &str| format!("frontend.{name}");
    address(reader, &key("scheduler_address"), &mut frontend.scheduler_address)?;
    reader.duration(&key("scheduler_dns_lookup_period"), &mut frontend.scheduler_dns_lookup_period)?;
    cluster_rpc::client(reader, &key("grpc_client_config"), &mut frontend.client, warnings)?;
    reader.count(&key("max_outstanding_per_tenant"), &mut frontend.max_outstanding_per_tenant)?;
    reader.duration(&key("querier_forget_delay"), &mut frontend.querier_forget_delay)?;
    reader.read(&key("log_queries_longer_than"), &mut frontend.log_queries_longer_than, |text| {
        let longer = crate::parse_duration(text)?;
        Ok((!longer.is_zero() || text.starts_with('-')).then_some(longer))
    })?;
    url(reader, &key("tail_proxy_url"), &mut frontend.tail_proxy_url)?;
    url(reader, &key("downstream_url"), &mut frontend.downstream_url)?;
    let tls = |name: &str| format!("frontend.tail_tls_config.{name}");
    reader.text(&tls("tls_cert_path"), &mut frontend.tail_tls.cert_path)?;
    reader.text(&tls("tls_key_path"), &mut frontend.tail_tls.key_path)?;
    reader.text(&tls("tls_ca_path"), &mut frontend.tail_tls.ca_path)?;
    reader.bool(&tls("tls_insecure_skip_verify"), &mut frontend.tail_tls.insecure_skip_verify)?;
    reader.duration(&key("graceful_shutdown_timeout"), &mut frontend.graceful_shutdown_timeout)
}

/// The address of an HTTP server, without the slash at its end.
pub(crate) fn url(reader: &Reader<'_>, path: &str, target: &mut String) -> Result<(), ConfigError> {
    reader.read(path, target, |text| {
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        match text.is_empty() || host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', ':'])) {
            true => Ok(text.trim_end_matches('/').to_owned()),
            false => Err(format!("{text:?} is not a URL; write for example http://querier:3100")),
        }
    })
}

/// Reads `query_scheduler`, after `frontend` and `frontend_worker`.
pub(crate) fn scheduler(reader: &Reader<'_>, scheduler: &mut SchedulerConfig) -> Result<(), ConfigError> {
    let key = |name: &str| format!("query_scheduler.{name}");
    let outstanding = &mut scheduler.max_outstanding_requests_per_tenant;
    reader.count(&key("max_outstanding_requests_per_tenant"), outstanding)?;
    reader.duration(&key("querier_forget_delay"), &mut scheduler.querier_forget_delay)?;
    reader.bool(&key("use_scheduler_ring"), &mut scheduler.use_ring)
}

/// Reads `query_range`.
pub(crate) fn query_range(
    reader: &Reader<'_>,
    query_range: &mut QueryRangeConfig,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let key = |name: &str| format!("query_range.{name}");
    reader.count(&key("max_retries"), &mut query_range.max_retries)?;
    for (name, target) in [
        ("align_queries_with_step", &mut query_range.align_queries_with_step),
        ("parallelise_shardable_queries", &mut query_range.parallelise_shardable_queries),
        ("cache_results", &mut query_range.cache_results),
    ] {
        reader.bool(&key(name), target)?;
    }
    for name in NOT_KEPT {
        let mut wanted = false;
        reader.bool(&key(name), &mut wanted)?;
        if wanted {
            warnings.push(format!("query_range.{name}: only results of range queries are kept, these are not"));
        }
    }
    Ok(())
}

/// Which results Loki can keep and Narvi does not: answering anew is as fast where the index alone is asked.
const NOT_KEPT: [&str; 5] = [
    "cache_instant_metric_results",
    "cache_index_stats_results",
    "cache_volume_results",
    "cache_series_results",
    "cache_label_results",
];

/// Reads `index_gateway` and the clients of the shippers; that of the newer shipper counts if it names an address.
pub(crate) fn index_gateway(
    reader: &Reader<'_>,
    roles: Roles,
    rings: &Rings,
    gateway: &mut IndexGatewayConfig,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    reader.read("index_gateway.mode", &mut gateway.mode, |text| match text {
        "simple" => Ok(IndexGatewayMode::Simple),
        "ring" => Ok(IndexGatewayMode::Ring),
        _ => Err(format!("{text:?} is neither simple nor ring")),
    })?;
    let carried = roles.is_whole() || rings.index_gateway.store == KvStore::Memberlist;
    if gateway.mode == IndexGatewayMode::Ring && !carried {
        let message = "is ring, and the ring is kept in memory: set memberlist.join_members, or write simple, and name the \
                       gateways by storage_config.tsdb_shipper.index_gateway_client.server_address";
        return Err(wrong(&line_of(reader, "index_gateway.mode"), "index_gateway.mode", message.to_owned()));
    }
    for shipper in ["boltdb_shipper", "tsdb_shipper"] {
        let path = format!("storage_config.{shipper}.index_gateway_client");
        let (mut server, mut client) = (String::new(), ClientSettings::default());
        address(reader, &format!("{path}.server_address"), &mut server)?;
        cluster_rpc::client(reader, &format!("{path}.grpc_client_config"), &mut client, warnings)?;
        if !server.is_empty() || (gateway.server_address.is_empty() && reader.has(&path)) {
            (gateway.server_address, gateway.client) = (server, client);
        }
    }
    Ok(())
}

/// Reads what `ruler` says of several rulers.
pub(crate) fn ruler(
    reader: &Reader<'_>,
    rings: &Rings,
    ruler: &mut RulerCluster,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    ruler.enable_sharding = rings.ruler.store == KvStore::Memberlist;
    reader.bool("ruler.enable_sharding", &mut ruler.enable_sharding)?;
    reader.read("ruler.sharding_strategy", &mut ruler.shuffle_sharding, |text| match text {
        "" | "default" => Ok(false),
        "shuffle-sharding" => Ok(true),
        _ => Err(format!("invalid sharding strategy {text:?}; use default or shuffle-sharding")),
    })?;
    let Some(part) = Part::of(reader, "ruler.evaluation")? else { return Ok(()) };
    let mode = part.text("mode")?.unwrap_or_default();
    // Groups are spread over their interval anyway.
    part.text("max_jitter")?;
    if let Some(part) = part.child("query_frontend") {
        part.text("address")?;
    }
    match mode.as_str() {
        "" | "local" => {}
        "remote" => {
            warnings.push("ruler.evaluation.mode: rules are evaluated in this process, not remotely".to_owned());
        }
        other => return Err(part.wrong("mode", format!("{other:?} is neither local nor remote"))),
    }
    part.finish()
}

#[cfg(test)]
#[path = "cluster_read_tests.rs"]
mod tests;
