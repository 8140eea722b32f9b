//! Queriers that evaluate in this process, fail when told to, and count what they are asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use narvi::{
    Entry, Labels, Tenant, TimeRange, Timestamp,
    logql::{self, Answer, Budget, BudgetLimits, Inline, Params, Query, memory::MemorySource},
};
use narvi_cache::{Cache, CacheSettings, EmbeddedSettings, Metrics, build};
use narvi_frontend::{Evaluating, Frontend, FrontendMetrics, FrontendSettings, HttpAnswering, Queriers, TenantLimits};
use narvi_logs::{Asking, Evaluate, LogsError};
use narvi_rpc::{Evaluation, HttpAnswer, HttpRequest, PartialAnswer, RpcError, RpcErrorKind};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

pub(crate) type Logs = Vec<(Labels, Entry)>;

/// Queriers of which each job reaches the next one.
#[derive(Default)]
pub(crate) struct Fakes {
    pub(crate) sources: Mutex<Vec<Arc<MemorySource>>>,
    /// Jobs that were handed in.
    pub(crate) jobs: AtomicUsize,
    /// Jobs that read rows, by their ranges.
    pub(crate) read: Mutex<Vec<TimeRange>>,
    /// What the next jobs fail with.
    pub(crate) fail: Mutex<Vec<RpcError>>,
    /// Whether jobs never end, and how many were dropped.
    pub(crate) hang: AtomicUsize,
    pub(crate) dropped: Arc<AtomicUsize>,
    pub(crate) deletes: AtomicU64,
    /// How many jobs are under way, and were at most.
    pub(crate) running: Arc<AtomicUsize>,
    pub(crate) most: Arc<AtomicUsize>,
}

struct Under(Arc<AtomicUsize>, Arc<AtomicUsize>);

impl Drop for Under {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

impl Fakes {
    pub(crate) fn of(logs: &Logs, part_rows: &[usize]) -> Arc<Self> {
        let fakes = Self::default();
        fakes.fill(logs, part_rows);
        Arc::new(fakes)
    }

    pub(crate) fn fill(&self, logs: &Logs, part_rows: &[usize]) {
        *self.sources.lock() = part_rows.iter().map(|rows| Arc::new(source(logs, *rows))).collect();
    }

    pub(crate) fn jobs(&self) -> usize {
        self.jobs.load(Ordering::SeqCst)
    }

    fn run(&self, evaluation: &Evaluation, limits: BudgetLimits) -> Result<Vec<PartialAnswer>, RpcError> {
        let number = self.jobs.load(Ordering::SeqCst);
        let source = {
            let sources = self.sources.lock();
            sources[number % sources.len()].clone()
        };
        let query = Query::new(logql::parse(&evaluation.query)?, evaluation.params.clone());
        let plan = query.plan()?;
        let mut out = Vec::new();
        for scope in &evaluation.scopes {
            let budget = Budget::new(limits.clone());
            let leaf = plan.leaf(*scope).expect("has it");
            if !scope.rows.is_empty() {
                self.read.lock().push(scope.rows);
            }
            let partial = logql::evaluate_leaf(&leaf, &*source, &Inline, &budget)?;
            out.push(PartialAnswer {
                partial: partial.encode().into(),
                bytes_read: budget.bytes_read(),
                lines_read: budget.lines_read(),
                warnings: Vec::new(),
                deletes: self.deletes.load(Ordering::SeqCst),
            });
        }
        Ok(out)
    }
}

/// The same for the frontend and the test.
pub(crate) struct Shared(pub(crate) Arc<Fakes>);

impl Queriers for Shared {
    fn evaluate(&self, _: &[Tenant], _: Option<Duration>, evaluation: Evaluation, limits: BudgetLimits) -> Evaluating {
        let fakes = self.0.clone();
        Box::pin(async move {
            fakes.jobs.fetch_add(1, Ordering::SeqCst);
            let running = fakes.running.fetch_add(1, Ordering::SeqCst) + 1;
            fakes.most.fetch_max(running, Ordering::SeqCst);
            let _under = Under(fakes.running.clone(), fakes.dropped.clone());
            if fakes.hang.load(Ordering::SeqCst) > 0 {
                std::future::pending::<()>().await;
            }
            tokio::task::yield_now().await;
            let failed = fakes.fail.lock().pop();
            match failed {
                Some(error) => Err(error),
                None => fakes.run(&evaluation, limits),
            }
        })
    }

    fn http(&self, tenants: &[Tenant], _: Option<Duration>, request: HttpRequest) -> HttpAnswering {
        let fakes = self.0.clone();
        let tenant = tenants[0].as_str().to_owned();
        Box::pin(async move {
            fakes.jobs.fetch_add(1, Ordering::SeqCst);
            if let Some(error) = fakes.fail.lock().pop() {
                return Err(error);
            }
            let body = format!("{tenant} {} {}", request.method, request.uri).into();
            Ok(HttpAnswer { status: 200, headers: request.headers, body })
        })
    }
}

pub(crate) fn source(logs: &Logs, part_rows: usize) -> MemorySource {
    let mut source = MemorySource::with_part_rows(part_rows);
    for (labels, entry) in logs {
        source.push(labels, entry.clone());
    }
    source
}

/// A frontend and what it is made of.
pub(crate) struct Made {
    pub(crate) fakes: Arc<Fakes>,
    pub(crate) frontend: Frontend,
    pub(crate) cache: Option<Arc<dyn Cache>>,
    pub(crate) runtime: Runtime,
}

pub(crate) fn limits(split_ns: u64) -> TenantLimits {
    let split_interval = Duration::from_nanos(split_ns);
    TenantLimits {
        split_interval,
        instant_split_interval: split_interval,
        parallelism: 3,
        cache_freshness: Duration::from_secs(600),
    }
}

pub(crate) fn made(fakes: Arc<Fakes>, limits: TenantLimits, cached: bool) -> Made {
    made_of(fakes, limits, cached, FrontendSettings { shard: false, ..FrontendSettings::default() })
}

pub(crate) fn made_of(fakes: Arc<Fakes>, limits: TenantLimits, cached: bool, settings: FrontendSettings) -> Made {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("starts");
    let settings = FrontendSettings { deletes_max_age: Duration::ZERO, ..settings };
    let of_cache = CacheSettings {
        embedded: EmbeddedSettings { enabled: true, ..EmbeddedSettings::default() },
        ..CacheSettings::default()
    };
    let cache = cached.then(|| build(&of_cache, "results", &Metrics::default()).expect("a cache"));
    let limits = Arc::new(move |_: &Tenant| limits);
    let queriers = Arc::new(Shared(fakes.clone()));
    let metrics = FrontendMetrics::new();
    let frontend = Frontend::new(queriers, settings, limits, cache.clone(), metrics, runtime.handle().clone());
    Made { fakes, frontend, cache, runtime }
}

impl Made {
    pub(crate) fn ask(&self, query: &Query) -> Result<Answer, LogsError> {
        self.frontend.evaluate(&[Tenant::default()], query, &Budget::unlimited(), &Asking::default())
    }
}

pub(crate) fn query(text: &str, params: Params) -> Query {
    Query::new(logql::parse(text).expect("right"), params)
}

/// A line each second of a stream.
pub(crate) fn seconds(count: i64) -> Logs {
    let labels = Labels::from_pairs([("app", "a")]).expect("valid");
    (0..count).map(|n| (labels.clone(), Entry::new(Timestamp::from_secs(n), format!("line {n}")))).collect()
}

pub(crate) fn error(kind: RpcErrorKind) -> RpcError {
    RpcError::new(kind, "why")
}
