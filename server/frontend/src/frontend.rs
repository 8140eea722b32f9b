//! The frontend: queries and requests on their way to queriers.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use narvi::{
    Tenant,
    logql::{Answer, Budget, BudgetError, Error, Query},
};
use narvi_cache::Cache;
use narvi_logs::{Asking, Evaluate, Forward, Forwarded, Forwarding, LogsError, Request};
use narvi_rpc::{HttpRequest, RpcError};
use tokio::{runtime::Handle, time::sleep};

use crate::{
    FrontendMetrics, FrontendSettings, LimitsOf, Queriers,
    results::Results,
    run::Run,
    sizes::Sizes,
    told::{may_succeed, told},
};

/// How often it is looked whether a query was cancelled.
const LOOK: Duration = Duration::from_millis(25);
/// How long to wait before a job is tried again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest of these.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Answers queries by means of queriers. Cheap to clone.
#[derive(Clone)]
pub struct Frontend(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) queriers: Arc<dyn Queriers>,
    pub(crate) settings: FrontendSettings,
    pub(crate) limits: LimitsOf,
    pub(crate) results: Option<Results>,
    pub(crate) sizes: Sizes,
    pub(crate) metrics: FrontendMetrics,
    runtime: Handle,
}

impl fmt::Debug for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frontend").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Frontend {
    /// A frontend over queriers, which are called on a runtime with time. Results are kept in `cache`, if there is one.
    pub fn new(
        queriers: Arc<dyn Queriers>,
        settings: FrontendSettings,
        limits: LimitsOf,
        cache: Option<Arc<dyn Cache>>,
        metrics: FrontendMetrics,
        runtime: Handle,
    ) -> Self {
        let (results, sizes) = (cache.map(Results::new), Sizes::default());
        Self(Arc::new(Inner { queriers, settings, limits, results, sizes, metrics, runtime }))
    }
}

impl Evaluate for Frontend {
    /// Must be called where a thread may block, outside the tasks of a runtime.
    fn evaluate(
        &self,
        tenants: &[Tenant],
        query: &Query,
        budget: &Budget,
        asking: &Asking,
    ) -> Result<Answer, LogsError> {
        let inner = &self.0;
        let plan = query.plan()?;
        let run = Run::new(inner, tenants, query, &plan, budget, asking);
        inner.runtime.block_on(async {
            tokio::select! {
                answer = run.answer() => answer,
                error = ended(budget) => Err(match error {
                    BudgetError::Time if !run.was_answered() => LogsError::answer(
                        504,
                        "request timed out: no querier has answered in time; look whether queriers run and take work from \
                         this frontend, or ask for less",
                    ),
                    error => Error::from(error).into(),
                }),
            }
        })
    }
}

/// Waits until a query may not go on.
async fn ended(budget: &Budget) -> BudgetError {
    loop {
        if let Err(error) = budget.check() {
            return error;
        }
        sleep(LOOK).await;
    }
}

impl Forward for Frontend {
    fn forward(&self, tenants: &[Tenant], timeout: Option<Duration>, request: Request) -> Forwarding {
        let (inner, tenants) = (self.0.clone(), tenants.to_vec());
        let Request { method, uri, headers, body } = request;
        let request = HttpRequest { method, uri, headers, body };
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Box::pin(async move {
            let left = || deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let ask = || inner.queriers.http(&tenants, left(), request.clone());
            let answer = inner.retried(ask).await.map_err(|error| told(&error))?;
            Ok(Forwarded { status: answer.status, headers: answer.headers, body: answer.body })
        })
    }
}

impl Inner {
    /// Asks again as long as that may help.
    pub(crate) async fn retried<T, F: Future<Output = Result<T, RpcError>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, RpcError> {
        let mut pause = FIRST_PAUSE;
        let mut tries = 0;
        let result = loop {
            match ask().await {
                Err(error) if tries < self.settings.max_retries && may_succeed(&error) => {
                    tries += 1;
                    tracing::debug!(tries, %error, "a job failed and is tried again");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                result => break result,
            }
        };
        self.metrics.retries.observe(tries as f64);
        result
    }
}
