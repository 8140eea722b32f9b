//! A querier's side: places at all schedulers, which take jobs and run them.

mod place;
mod run;

use std::{collections::BTreeMap, ops::ControlFlow, pin::Pin, sync::Arc, time::Duration};

use narvi_rpc::{Call, ClientPool, Evaluation, HttpAnswer, HttpRequest, PartialAnswer, RpcError};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::addresses::Addresses;

/// Runs jobs.
pub trait Work: Send + Sync + 'static {
    /// Gives a partial result for each scope, in their order, until `give` breaks off. It blocks, on a thread made for that, and
    /// looks at the budget of the call now and then.
    ///
    /// # Errors
    /// As those of queries; the budget of the call is used up.
    fn evaluate(
        &self,
        call: &Call,
        evaluation: &Evaluation,
        give: &mut dyn FnMut(PartialAnswer) -> ControlFlow<()>,
    ) -> Result<(), RpcError>;

    /// Answers a request. A future that is dropped ends the work for it.
    fn http(&self, call: &Call, request: HttpRequest) -> HttpWork;
}

/// An answer over HTTP, once it comes.
pub type HttpWork = Pin<Box<dyn Future<Output = Result<HttpAnswer, RpcError>> + Send>>;

/// How a worker behaves. Plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct WorkerSettings {
    /// The name of the querier, `frontend_worker.id`; the same after a restart.
    pub querier: String,
    /// Jobs that run at once; `querier.max_concurrent`. Divided over the schedulers, each of which has one place at least.
    pub max_concurrent: usize,
    /// How long a place waits before it tries again to reach its scheduler; longer each time.
    pub min_backoff: Duration,
    /// And at most.
    pub max_backoff: Duration,
    /// How long a scheduler may take to let a place go.
    pub farewell: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            querier: "querier".to_owned(),
            max_concurrent: 4,
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            farewell: Duration::from_secs(5),
        }
    }
}

/// Takes jobs from schedulers and runs them. Dropping it ends what runs.
#[derive(Debug)]
pub struct Worker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What all places of a worker share.
struct Shared {
    settings: WorkerSettings,
    work: Arc<dyn Work>,
    pool: ClientPool,
}

/// What a place is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stay,
    /// The scheduler is to have fewer places.
    Leave,
    /// The querier stops.
    Stop,
}

impl Worker {
    /// Takes jobs from all addresses, by clients of a pool that is the worker's own: connections to addresses that are gone are
    /// dropped. Must be called within an async runtime.
    pub fn start(settings: WorkerSettings, work: Arc<dyn Work>, pool: ClientPool, addresses: Addresses) -> Self {
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(manage(Arc::new(Shared { settings, work, pool }), addresses, stopping));
        Self { stop, task }
    }

    /// Takes no more jobs, and is over when those that run are.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // It fails only if it was ended by a defect.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps as many places as each address is to have.
async fn manage(shared: Arc<Shared>, addresses: Addresses, mut stopping: watch::Receiver<bool>) {
    let mut changes = addresses.changes();
    let mut places: BTreeMap<String, Vec<watch::Sender<Wish>>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let current = changes.borrow_and_update().clone();
        let shares = divide(shared.settings.max_concurrent, &current);
        // Whose sender is dropped leaves.
        places.retain(|address, _| shares.contains_key(address));
        shared.pool.retain(|address| shares.contains_key(address));
        for (address, share) in shares {
            let there = places.entry(address.clone()).or_default();
            there.truncate(share);
            while there.len() < share {
                let (wish, wishes) = watch::channel(Wish::Stay);
                tasks.spawn(place::keep(shared.clone(), address.clone(), wishes));
                there.push(wish);
            }
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            Ok(()) = changes.changed() => {}
            Some(_) = tasks.join_next() => {}
        }
    }
    for wish in places.values().flatten() {
        wish.send_replace(Wish::Stop);
    }
    while tasks.join_next().await.is_some() {}
}

/// How many places each address has.
fn divide(most: usize, addresses: &[String]) -> BTreeMap<String, usize> {
    let (each, rest) = (most.checked_div(addresses.len()).unwrap_or(0), most.checked_rem(addresses.len()).unwrap_or(0));
    let share = |at: usize| (each + usize::from(at < rest)).max(1);
    addresses.iter().enumerate().map(|(at, address)| (address.clone(), share(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::divide;

    #[test]
    fn places_are_divided() {
        let of = |most, addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|&address| address.to_owned()).collect();
            divide(most, &addresses).into_values().collect::<Vec<_>>()
        };
        assert_eq!(of(10, &["a", "b", "c"]), [4, 3, 3]);
        assert_eq!(of(1, &["a", "b"]), [1, 1]);
        assert_eq!(of(0, &["a"]), [1]);
        assert!(of(4, &[]).is_empty());
    }
}
