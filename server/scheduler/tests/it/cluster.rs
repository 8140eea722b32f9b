//! Schedulers and queriers for tests: work made of closures, servers on ports of their own.

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use narvi::{
    Tenant, TimeRange,
    logql::{BudgetLimits, LeafScope, Params},
};
use narvi_rpc::{
    Call, ClientPool, ClientSettings, Evaluation, HttpAnswer, HttpRequest, PartialAnswer, RpcError, ServerLimits,
    Services, serve,
};
use narvi_scheduler::{
    Addresses, HttpWork, Jobs, MaxQueriers, QueueMetrics, QueuePlace, Scheduler, SchedulerSettings, Work, Worker,
    WorkerSettings,
};
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinHandle,
};

pub(crate) type Http = dyn Fn(&Call, HttpRequest) -> HttpWork + Send + Sync;
type Evaluate =
    dyn Fn(&Call, &Evaluation, &mut dyn FnMut(PartialAnswer) -> ControlFlow<()>) -> Result<(), RpcError> + Send + Sync;

/// Work that does what a test says.
pub(crate) struct Fake {
    pub(crate) http: Box<Http>,
    pub(crate) evaluate: Box<Evaluate>,
}

impl Fake {
    /// Answers requests with the name of the querier and the tenants.
    pub(crate) fn named(name: &str) -> Self {
        let name = name.to_owned();
        let http = move |call: &Call, _| -> HttpWork {
            let tenants: Vec<_> = call.tenants().iter().map(Tenant::as_str).collect();
            let body = format!("{name} {}", tenants.join("|")).into();
            Box::pin(async { Ok(HttpAnswer { status: 200, headers: Vec::new(), body }) })
        };
        Self { http: Box::new(http), evaluate: Box::new(|_, _, _| Ok(())) }
    }

    pub(crate) fn http(http: impl Fn(&Call, HttpRequest) -> HttpWork + Send + Sync + 'static) -> Self {
        Self { http: Box::new(http), ..Self::named("") }
    }
}

impl Work for Fake {
    fn evaluate(
        &self,
        call: &Call,
        evaluation: &Evaluation,
        give: &mut dyn FnMut(PartialAnswer) -> ControlFlow<()>,
    ) -> Result<(), RpcError> {
        (self.evaluate)(call, evaluation, give)
    }

    fn http(&self, call: &Call, request: HttpRequest) -> HttpWork {
        (self.http)(call, request)
    }
}

pub(crate) fn scheduler_with(settings: SchedulerSettings, most: MaxQueriers) -> (Scheduler, Registry) {
    let mut registry = Registry::default();
    let metrics = QueueMetrics::new(&mut registry, QueuePlace::Scheduler);
    (Scheduler::new(settings, most, metrics), registry)
}

pub(crate) fn scheduler() -> Scheduler {
    scheduler_with(SchedulerSettings::default(), Arc::new(|_, _| 0)).0
}

/// A scheduler behind gRPC.
pub(crate) struct Running {
    pub(crate) address: String,
    pub(crate) scheduler: Scheduler,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), RpcError>>,
    /// Its own, so that it can end with all its connections, as a process does.
    runtime: Runtime,
}

impl Running {
    pub(crate) async fn start(scheduler: Scheduler) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), scheduler).await
    }

    pub(crate) async fn start_at(at: SocketAddr, scheduler: Scheduler) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let bound = runtime.spawn(async move { TcpListener::bind(at).await });
        let listener = bound.await.expect("no panic").expect("binds");
        let address = listener.local_addr().expect("bound").to_string();
        let services = Services::new().scheduler(Arc::new(scheduler.clone()));
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let served = runtime.spawn(serve(listener, services, ServerLimits::default(), shutdown));
        Self { address, scheduler, stop, served, runtime }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.served.await.expect("no panic").expect("served");
        self.runtime.shutdown_background();
    }

    /// Breaks all connections off.
    pub(crate) async fn kill(self) {
        self.runtime.shutdown_background();
        // Its port is free.
        assert!(self.served.await.is_err());
    }
}

pub(crate) fn pool() -> ClientPool {
    ClientPool::new(ClientSettings::default())
}

pub(crate) fn worker(name: &str, max_concurrent: usize, work: Fake, addresses: &[&str]) -> Worker {
    let settings = WorkerSettings {
        querier: name.to_owned(),
        max_concurrent,
        min_backoff: Duration::from_millis(5),
        max_backoff: Duration::from_millis(50),
        ..WorkerSettings::default()
    };
    let addresses: Vec<_> = addresses.iter().map(|&address| address.to_owned()).collect();
    Worker::start(settings, Arc::new(work), pool(), Addresses::fixed(&addresses))
}

pub(crate) fn jobs(addresses: &[&str]) -> Jobs {
    let addresses: Vec<_> = addresses.iter().map(|&address| address.to_owned()).collect();
    Jobs::there(pool(), Addresses::fixed(&addresses), "frontend", 100 << 20)
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant::new(name).expect("valid")
}

pub(crate) fn request(uri: &str) -> HttpRequest {
    HttpRequest { method: "GET".to_owned(), uri: uri.to_owned(), ..HttpRequest::default() }
}

/// The body of the answer to a request of a tenant.
pub(crate) async fn ask(jobs: &Jobs, name: &str, uri: &str) -> Result<Bytes, RpcError> {
    jobs.http(&[tenant(name)], None, request(uri)).await.map(|answer| answer.body)
}

/// Waits until something is so. There is no limit: a test that never ends is ended from outside.
pub(crate) async fn until(is: impl Fn() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A gate that work waits at until it is opened.
#[derive(Clone)]
pub(crate) struct Gate {
    open: Arc<tokio::sync::Semaphore>,
    pub(crate) arrived: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    pub(crate) fn closed() -> Self {
        Self { open: Arc::new(tokio::sync::Semaphore::new(0)), arrived: Arc::default() }
    }

    /// Work that notes the path and waits at the gate.
    pub(crate) fn work(&self) -> Fake {
        let gate = self.clone();
        Fake::http(move |_, request| {
            let gate = gate.clone();
            Box::pin(async move {
                let body = Bytes::from(request.uri.clone());
                gate.arrived.lock().expect("no panic").push(request.uri);
                gate.open.acquire().await.expect("stays").forget();
                Ok(HttpAnswer { status: 200, headers: Vec::new(), body })
            })
        })
    }

    pub(crate) fn let_through(&self, count: usize) {
        self.open.add_permits(count);
    }

    pub(crate) fn arrived(&self) -> usize {
        self.arrived.lock().expect("no panic").len()
    }
}

pub(crate) fn evaluation(leaves: &[u32]) -> Evaluation {
    let scope = |leaf: &u32| LeafScope { leaf: *leaf, shard: None, rows: TimeRange::new(1, i64::from(*leaf)) };
    let scopes = leaves.iter().map(scope).collect();
    Evaluation { query: "{app=\"x\"}".to_owned(), params: Params::range(1, 2, 1), scopes }
}

pub(crate) fn limits() -> BudgetLimits {
    let mut limits = BudgetLimits::default();
    (limits.memory_bytes, limits.series, limits.read_bytes) = (Some(1 << 20), Some(7), Some(1 << 30));
    limits
}
