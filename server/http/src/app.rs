//! What the handlers of one server share, and how they reach the store.

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use narvi::{
    Db, FlushSettings, Tenant, Timestamp,
    logql::{Budget, BudgetLimits},
};
use narvi_config::{Config, Limits, Runtime};
use narvi_distributor::{Distributor, Shares};
use narvi_logs::{Forward, Logs, Push, Read};
use narvi_patterns::PatternStore;
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, watch};

use crate::{
    cluster::Cluster,
    error::ApiError,
    handlers::Attached,
    host::{Host, NoHost},
    metrics::{Metrics, StoreTimes},
    tail::{TailProxy, Tails},
};

/// How a server behaves. Plain data.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct HttpSettings {
    /// Whether requests name their tenant; without, all is of the tenant `fake`.
    pub auth_enabled: bool,
    /// What tenants may push and ask that have no limits of their own.
    pub limits: Limits,
    /// Whether lines can be deleted on request.
    pub deletes_enabled: bool,
    /// The limits of single tenants; without, all have the same.
    pub tenants: Option<Arc<Runtime>>,
    /// What the page of the configuration shows.
    pub config: Option<Arc<Config>>,
    /// How long the body of a request may take to arrive; zero is no limit.
    pub body_timeout: Duration,
    /// What the operations of an object store are counted by.
    pub store_times: Option<StoreTimes>,
    /// Whether this process is one of several: what it gives to others is counted where that is done.
    pub in_cluster: bool,
    /// Metrics of other parts of the process, told with those of the server.
    pub registry: Option<Arc<Registry>>,
    /// Largest push body as received, in bytes.
    pub max_body_bytes: usize,
    /// Largest push body when decompressed, in bytes.
    pub max_decompressed_bytes: usize,
    /// Largest form body, in bytes.
    pub max_form_bytes: usize,
    /// How many queries run at once; others wait.
    pub concurrent_queries: usize,
    /// How many queries may wait before further ones are refused.
    pub waiting_queries: usize,
    /// Memory that one query may hold, in bytes.
    pub query_memory_bytes: u64,
    /// Whether `a|b` in the header of the tenant asks several tenants at once.
    pub multi_tenant_queries: bool,
    /// Whether a request may tighten its limits by the header `X-Loki-Query-Limits`.
    pub per_request_limits: bool,
    /// Whether start and end of metric queries are rounded down to the step, rather than the end up.
    pub align_queries_with_step: bool,
    /// Whether answers to queries are compressed for clients that accept it.
    pub compress_responses: bool,
    /// How long a tail may live.
    pub tail_max_duration: Duration,
    /// Where tails are passed on to, if nothing is read in this process.
    pub tail_proxy: Option<TailProxy>,
    /// Requests of the read side that take so long, or longer, are logged; `None` logs none.
    pub log_queries_longer_than: Option<Duration>,
    /// Whether patterns are mined from what is pushed.
    pub patterns: bool,
    /// The file that says that everything is to be flushed at the next shutdown.
    pub shutdown_marker: Option<PathBuf>,
    /// The other processes, for pages; without, this one is alone.
    pub cluster: Option<Arc<dyn Cluster>>,
    /// With whom this process shares the limits of tenants; without, it has all of them.
    pub shares: Option<Arc<dyn Shares>>,
    /// What the pages of rings call this process.
    pub instance_id: String,
    /// Where the pages of rings say that it is.
    pub instance_address: String,
    /// The process around the server.
    pub host: Arc<dyn Host>,
}

/// How many queries may be under way at once, if others evaluate them: each takes a thread that mostly waits.
const QUERIES_ELSEWHERE: usize = 256;

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            auth_enabled: false,
            limits: Limits::default(),
            deletes_enabled: true,
            tenants: None,
            config: None,
            body_timeout: Duration::from_secs(30),
            store_times: None,
            in_cluster: false,
            registry: None,
            max_body_bytes: 100 << 20,
            max_decompressed_bytes: 1 << 30,
            max_form_bytes: 10 << 20,
            concurrent_queries: 4,
            waiting_queries: 2048,
            query_memory_bytes: 1 << 30,
            multi_tenant_queries: false,
            per_request_limits: false,
            align_queries_with_step: false,
            compress_responses: false,
            tail_max_duration: Duration::from_secs(3600),
            tail_proxy: None,
            log_queries_longer_than: None,
            patterns: false,
            shutdown_marker: None,
            cluster: None,
            shares: None,
            instance_id: "narvi".to_owned(),
            instance_address: "127.0.0.1".to_owned(),
            host: Arc::new(NoHost),
        }
    }
}

/// A server over a store: make one, then ask it for its [`router`](App::router).
#[derive(Debug)]
pub struct App {
    logs: Logs,
    pub(crate) settings: HttpSettings,
    pub(crate) distributor: Distributor,
    pub(crate) metrics: Metrics,
    pub(crate) limits: Arc<Runtime>,
    pub(crate) patterns: Option<PatternStore>,
    pub(crate) tails: Tails,
    pub(crate) ruler: OnceLock<Attached>,
    running: Semaphore,
    waiting: AtomicUsize,
    ready: AtomicBool,
    stopping: watch::Sender<bool>,
    started: Instant,
}

impl App {
    /// Makes a server that is not ready yet; see [`App::set_ready`]. Over a database it serves everything, otherwise what
    /// the parts are for.
    pub fn new(logs: impl Into<Logs>, settings: HttpSettings) -> Arc<Self> {
        let logs = logs.into();
        // Where queries are evaluated elsewhere, they wait there, and are in nobody's way here.
        let least = if logs.queries.is_some() { QUERIES_ELSEWHERE } else { 1 };
        let running = Semaphore::new(settings.concurrent_queries.max(least));
        let fixed = || Arc::new(Runtime::fixed(settings.limits.clone()));
        let flush = logs.ingester.as_ref().map(|db| db.settings().flush.idle_secs);
        let idle = Duration::from_secs(flush.unwrap_or_else(|| FlushSettings::default().idle_secs));
        let distributor = Distributor::with_idle(idle);
        let distributor = match settings.shares.clone() {
            Some(shares) => distributor.sharing(shares),
            None => distributor,
        };
        Arc::new(Self {
            logs,
            limits: settings.tenants.clone().unwrap_or_else(fixed),
            distributor,
            metrics: Metrics::new(settings.store_times.as_ref(), settings.in_cluster),
            patterns: settings.patterns.then(PatternStore::default),
            tails: Tails::default(),
            settings,
            ruler: OnceLock::new(),
            running,
            waiting: AtomicUsize::new(0),
            ready: AtomicBool::new(false),
            stopping: watch::Sender::new(false),
            started: Instant::now(),
        })
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Where pushes go, if this process takes any.
    pub(crate) fn push(&self) -> Result<&dyn Push, ApiError> {
        self.logs.push.as_deref().ok_or_else(ApiError::not_running)
    }

    /// Where queries read, if this process answers any.
    pub(crate) fn read(&self) -> Result<&dyn Read, ApiError> {
        self.logs.read.as_deref().ok_or_else(ApiError::not_running)
    }

    /// Who answers what is asked of logs, if that is not done here.
    pub(crate) fn forward(&self) -> Result<&dyn Forward, ApiError> {
        self.logs.forward.as_deref().ok_or_else(ApiError::not_running)
    }

    /// The database that holds recent lines, if it is here.
    pub(crate) fn ingester(&self) -> Result<&Db, ApiError> {
        self.logs.ingester.as_ref().ok_or_else(ApiError::not_running)
    }

    /// The database that deletes, if it is here.
    pub(crate) fn compactor(&self) -> Result<&Db, ApiError> {
        self.logs.compactor.as_ref().ok_or_else(ApiError::not_running)
    }

    /// Says on `/ready` whether requests should be sent here.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Counts a call that another process made of this one. `outcome` is `success`, `cancel`, `4xx` or `5xx`.
    pub fn called(&self, route: &str, outcome: &str, took: Duration) {
        self.metrics.called(route, outcome, took);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Ends what would otherwise live as long as its client wants: tails. Gives whether it was the first call.
    pub fn stop(&self) -> bool {
        self.set_ready(false);
        !self.stopping.send_replace(true)
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// The limits of a tenant; of several, those of the first.
    pub(crate) fn limits_of(&self, tenants: &[Tenant]) -> Arc<Limits> {
        match tenants.first() {
            Some(tenant) => self.limits.limits(tenant.as_str()),
            None => self.limits.defaults().clone(),
        }
    }

    /// Reads the limits of single tenants again. What is wrong is logged and counted, and changes nothing.
    pub fn reload_limits(&self) {
        match self.limits.reload() {
            Ok(true) => tracing::info!(tenants = self.limits.tenants().len(), "read the limits of tenants again"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(error = %error, "the limits of tenants cannot be read again: the old ones stay in force");
                self.metrics.limits_reloaded(false);
                return;
            }
        }
        self.metrics.limits_reloaded(true);
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_system(std::time::SystemTime::now())
    }

    pub(crate) fn waiting_queries(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A budget with the limits of a query.
    pub(crate) fn budget(&self, limits: &Limits) -> Budget {
        let mut budget = BudgetLimits::default();
        budget.memory_bytes = Some(self.settings.query_memory_bytes);
        budget.series = (limits.max_query_series > 0).then_some(limits.max_query_series);
        budget.read_bytes = (limits.max_query_bytes_read > 0).then_some(limits.max_query_bytes_read);
        budget.time = (!limits.query_timeout.is_zero()).then_some(limits.query_timeout);
        Budget::new(budget)
    }

    /// Runs blocking work on the store. When the client goes away and the handler is dropped, the budget is cancelled,
    /// which ends the work.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        budget: Budget,
        work: impl FnOnce(&Self, &Budget) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<(T, Duration), ApiError> {
        let arrived = Instant::now();
        let waiting = Waiting::new(&self.waiting);
        if self.running.available_permits() == 0 && waiting.place > self.settings.waiting_queries {
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too many outstanding requests"));
        }
        let permit = self.running.acquire().await.map_err(|_| ApiError::internal("the server is shutting down"))?;
        drop(waiting);
        let waited = arrived.elapsed();
        let answer = self.run(budget, work).await;
        drop(permit);
        answer.map(|answer| (answer, waited))
    }

    /// Runs blocking work on the store at once; see [`App::ask`].
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        budget: Budget,
        work: impl FnOnce(&Self, &Budget) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let cancel = CancelOnDrop(budget.clone());
        let app = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&app, &budget)).await;
        drop(cancel);
        done.unwrap_or_else(|_| {
            self.metrics.panicked();
            Err(ApiError::internal("the query failed unexpectedly; the server's log says more"))
        })
    }
}

/// A query in the queue; leaving it, also when the client goes away, makes room.
struct Waiting<'a> {
    queue: &'a AtomicUsize,
    place: usize,
}

impl<'a> Waiting<'a> {
    fn new(queue: &'a AtomicUsize) -> Self {
        Self { queue, place: queue.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.fetch_sub(1, Ordering::Relaxed);
    }
}

struct CancelOnDrop(Budget);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
