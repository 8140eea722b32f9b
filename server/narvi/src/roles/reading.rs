//! What reads: the store behind its caches, the index by gateways or by tables of this process, and the frontend over queriers.

use std::{path::Path, sync::Arc, time::Duration};

use narvi::{Reader, ReaderIndex, ReaderSettings, Store, TableCopies, Tenant, logql::BudgetLimits};
use narvi_config::{Config, IndexGatewayMode, Runtime};
use narvi_frontend::{
    Evaluating, Frontend, FrontendMetrics, FrontendSettings, HttpAnswering, LimitsOf, Queriers, TenantLimits,
};
use narvi_index_gateway::{GatewayAddresses, GatewaySettings, Gateways, RingGateways};
use narvi_ring::{Clock, RingView};
use narvi_rpc::{ClientPool, Evaluation, HttpRequest};
use narvi_scheduler::{Addresses, Jobs};
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

use crate::failure::{Failure, Outcome};

/// Bytes of index tables that a process with a folder keeps copies of.
const TABLES_BYTES: u64 = 10 << 30;
/// How often names of index gateways are looked up again.
const LOOK_UP: Duration = Duration::from_secs(10);

/// What all readers of a process share.
pub(super) struct Reading<'a> {
    pub(super) config: &'a Config,
    /// The store, as it is.
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) caches: &'a narvi_cache::Metrics,
    /// The folder of this process; tables are copied into one below.
    pub(super) folder: &'a Path,
}

impl Reading<'_> {
    /// Opens the store as a gateway does: tables are here.
    pub(super) fn with_tables(&self) -> Outcome<Reader> {
        self.open(ReaderIndex { others: None, fallback: true, folder: Some(self.copies("index-gateway")) })
    }

    /// Opens the store as a querier does: gateways are asked where there are some.
    pub(super) fn with_gateways(&self, ring: Arc<RingView>, clock: Arc<dyn Clock>) -> Outcome<Reader> {
        let given = &self.config.cluster.index_gateway;
        let addresses: Arc<dyn GatewayAddresses> = if !given.server_address.is_empty() {
            let names = Addresses::of_names(&given.server_address, LOOK_UP);
            let names = names.map_err(|error| Failure(format!("index_gateway_client.server_address: {error}")))?;
            Arc::new(move |_: &Tenant| names.current().to_vec())
        } else if given.mode == IndexGatewayMode::Ring {
            Arc::new(RingGateways::of_tenants(ring, clock))
        } else {
            return self.open(ReaderIndex { others: None, fallback: true, folder: None });
        };
        let pool = ClientPool::new(given.client.clone());
        let gateways = Gateways::new(pool, addresses, GatewaySettings::default(), Handle::current());
        let others = narvi_read_cache::look_ups(Arc::new(gateways), &self.config.caches.index_queries, self.caches);
        let others = others.map_err(|error| Failure::of("cannot use the cache of look-ups in the index", error))?;
        self.open(ReaderIndex { others: Some(others), fallback: true, folder: None })
    }

    fn open(&self, index: ReaderIndex) -> Outcome<Reader> {
        let store = narvi_read_cache::chunks(self.store.clone(), &self.config.caches.chunks, self.caches);
        let store = store.map_err(|error| Failure::of("cannot use the cache of chunks", error))?;
        Ok(Reader::open_with(store, ReaderSettings::default(), index)?)
    }

    fn copies(&self, name: &str) -> TableCopies {
        TableCopies { path: self.folder.join(name), max_bytes: TABLES_BYTES }
    }
}

/// A frontend over the queriers that take its jobs.
pub(super) fn frontend(
    config: &Config,
    tenants: &Arc<Runtime>,
    jobs: Jobs,
    caches: &narvi_cache::Metrics,
    registry: &mut Registry,
) -> Outcome<Frontend> {
    let given = &config.cluster.query_range;
    let settings = FrontendSettings {
        max_retries: given.max_retries,
        shard: given.parallelise_shardable_queries,
        ..FrontendSettings::default()
    };
    let tenants = tenants.clone();
    let limits: LimitsOf = Arc::new(move |tenant| TenantLimits::from(&*tenants.limits(tenant.as_str())));
    let results = given.cache_results.then(|| narvi_cache::build(&config.caches.results, "frontend", caches));
    let results = results.transpose().map_err(|error| Failure::of("cannot use the cache of results", error))?;
    let metrics = FrontendMetrics::new();
    metrics.register(registry);
    Ok(Frontend::new(Arc::new(ByJobs(jobs)), settings, limits, results, metrics, Handle::current()))
}

/// Queriers that take jobs from a queue.
struct ByJobs(Jobs);

impl Queriers for ByJobs {
    fn evaluate(
        &self,
        tenants: &[Tenant],
        timeout: Option<Duration>,
        evaluation: Evaluation,
        limits: BudgetLimits,
    ) -> Evaluating {
        let (jobs, tenants) = (self.0.clone(), tenants.to_vec());
        Box::pin(async move { jobs.evaluate(&tenants, timeout, evaluation, limits).await })
    }

    fn http(&self, tenants: &[Tenant], timeout: Option<Duration>, request: HttpRequest) -> HttpAnswering {
        let (jobs, tenants) = (self.0.clone(), tenants.to_vec());
        Box::pin(async move { jobs.http(&tenants, timeout, request).await })
    }
}
