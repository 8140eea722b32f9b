//! A frontend's way to queriers: over a queue in its own process, or over schedulers.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use narvi::{Tenant, logql::BudgetLimits};
use narvi_rpc::{
    AnswerReader, ClientPool, Evaluation, HttpAnswer, HttpRequest, Job, PartialAnswer, RpcError, RpcErrorKind,
    SchedulerService as _, Task,
};
use parking_lot::Mutex;

use crate::{addresses::Addresses, scheduler::Scheduler};

/// How long a scheduler that could not be reached comes last.
const AVOIDED: Duration = Duration::from_secs(5);
/// How many schedulers are tried for a job.
const MOST_TRIED: usize = 3;

/// Has queriers do jobs. Cheap to clone. A future that is dropped gives its job up.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    way: Way,
    name: String,
    max_answer_bytes: usize,
}

enum Way {
    Here(Scheduler),
    There(Schedulers),
}

/// Schedulers in other processes.
struct Schedulers {
    pool: ClientPool,
    addresses: Addresses,
    /// The addresses for which the pool has connections.
    connected: Mutex<Arc<[String]>>,
    next: AtomicUsize,
    down: Mutex<HashMap<String, Instant>>,
}

impl Schedulers {
    /// Whom to try, in this order. Connections to addresses that are gone are dropped.
    fn order(&self) -> Vec<String> {
        let current = self.addresses.current();
        let mut connected = self.connected.lock();
        if !Arc::ptr_eq(&connected, &current) {
            connected.clone_from(&current);
            self.pool.retain(|address| current.iter().any(|one| one == address));
        }
        drop(connected);
        order(&current, self.next.fetch_add(1, Ordering::Relaxed), &self.down)
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl Jobs {
    /// Over a queue in this process.
    pub fn here(scheduler: Scheduler, max_answer_bytes: usize) -> Self {
        Self(Arc::new(Inner { way: Way::Here(scheduler), name: String::new(), max_answer_bytes }))
    }

    /// Over the schedulers at some addresses, as the frontend of a name, by clients of a pool that is for this alone. They take
    /// turns; one that cannot be reached is left out for a while, and another is tried.
    pub fn there(pool: ClientPool, addresses: Addresses, name: &str, max_answer_bytes: usize) -> Self {
        let (connected, next) = (Mutex::new(addresses.current()), AtomicUsize::new(0));
        let schedulers = Schedulers { pool, addresses, connected, next, down: Mutex::default() };
        Self(Arc::new(Inner { way: Way::There(schedulers), name: name.to_owned(), max_answer_bytes }))
    }

    /// Whether somebody is there to take jobs, as far as is known; if not, who is missing.
    ///
    /// # Errors
    /// The reason.
    pub fn ready(&self) -> Result<(), String> {
        match &self.0.way {
            Way::Here(scheduler) if scheduler.queriers() == 0 => Err("no querier is connected".to_owned()),
            Way::There(schedulers) if schedulers.addresses.current().is_empty() => {
                Err("no scheduler is known".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Has parts of a query evaluated: gives a partial result for each scope, in their order.
    ///
    /// # Errors
    /// As queriers and schedulers say; [`RpcErrorKind::Busy`] when too many jobs of the tenants wait.
    pub async fn evaluate(
        &self,
        tenants: &[Tenant],
        timeout: Option<Duration>,
        evaluation: Evaluation,
        limits: BudgetLimits,
    ) -> Result<Vec<PartialAnswer>, RpcError> {
        let count = evaluation.scopes.len();
        self.run(tenants, timeout, Task::Evaluate(evaluation, limits)).await?.partials(count)
    }

    /// Has a request answered.
    ///
    /// # Errors
    /// See [`Jobs::evaluate`].
    pub async fn http(
        &self,
        tenants: &[Tenant],
        timeout: Option<Duration>,
        request: HttpRequest,
    ) -> Result<HttpAnswer, RpcError> {
        self.run(tenants, timeout, Task::Http(request)).await?.http()
    }

    async fn run(&self, tenants: &[Tenant], timeout: Option<Duration>, task: Task) -> Result<AnswerReader, RpcError> {
        if tenants.is_empty() {
            return Err(RpcError::new(RpcErrorKind::Invalid, "no org id"));
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let job = Job::new(tenants, task).until(deadline);
        match &self.0.way {
            Way::Here(scheduler) => {
                let mut answer = scheduler.submit(&self.0.name, job)?;
                let mut reader = AnswerReader::new(self.0.max_answer_bytes);
                while let Some(piece) = answer.next().await {
                    reader.add(piece?)?;
                }
                Ok(reader)
            }
            Way::There(schedulers) => {
                let Schedulers { pool, down, .. } = schedulers;
                let tried = schedulers.order();
                let mut last = RpcError::new(RpcErrorKind::Unavailable, "no scheduler is known; look at its address");
                // A single one is tried twice: its connection may be that to a process that is gone.
                let tries = tried.len().clamp(2, MOST_TRIED);
                for address in tried.iter().cycle().take(tries) {
                    match self.ask(pool, address, &job).await {
                        Err(error) if error.kind() == RpcErrorKind::Unavailable && error.is_retryable() => {
                            tracing::debug!(address, %error, "a scheduler could not be used");
                            down.lock().insert(address.clone(), Instant::now());
                            last = error;
                        }
                        result => {
                            down.lock().remove(address);
                            return result;
                        }
                    }
                }
                Err(last)
            }
        }
    }

    async fn ask(&self, pool: &ClientPool, address: &str, job: &Job) -> Result<AnswerReader, RpcError> {
        let mut answer = pool.scheduler(address)?.submit(&self.0.name, job).await?;
        let mut reader = AnswerReader::new(self.0.max_answer_bytes);
        while let Some(piece) = answer.next().await {
            reader.add(piece?)?;
        }
        Ok(reader)
    }
}

/// The addresses in turn; those that could not be reached lately come last.
fn order(addresses: &[String], turn: usize, down: &Mutex<HashMap<String, Instant>>) -> Vec<String> {
    let mut down = down.lock();
    down.retain(|_, since| since.elapsed() < AVOIDED);
    let start = turn.checked_rem(addresses.len()).unwrap_or(0);
    let in_turn = addresses[start..].iter().chain(&addresses[..start]);
    let (avoided, good): (Vec<_>, Vec<_>) = in_turn.cloned().partition(|address| down.contains_key(address));
    good.into_iter().chain(avoided).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedulers_take_turns_and_the_lost_come_last() {
        let addresses = ["a", "b", "c"].map(str::to_owned);
        let down = Mutex::new(HashMap::new());
        assert_eq!(order(&addresses, 4, &down), ["b", "c", "a"]);
        down.lock().insert("b".to_owned(), Instant::now());
        assert_eq!(order(&addresses, 4, &down), ["c", "a", "b"]);
        assert!(order(&[], 4, &down).is_empty());
    }
}
