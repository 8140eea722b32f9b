//! One process of several: where it is in rings, what it tells others over gRPC, and what its roles make of logs.
//!
//! The order matters. At the start: the ports, the data, gossip, what reads and writes, gRPC, and only then the rings, so that
//! who is found there can be called. At the end the other way round, so that nobody calls who is gone.

mod ingesters;
mod membership;
mod queue;
mod reading;
mod replicas;
mod work;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use narvi::{Db, Store, Tenant};
use narvi_config::{ClusterConfig, Config, RingConfig, Role, Runtime};
use narvi_distributor::{ReplicationMetrics, ReplicationSettings, Replicator, RingShares};
use narvi_frontend::Downstream;
use narvi_http::{App, HttpSettings, Rings};
use narvi_index_gateway::IndexGateway;
use narvi_ingester::{Ingester, IngesterSettings};
use narvi_logs::Logs;
use narvi_querier::{Querier, QuerierSettings};
use narvi_ring::{Clock, Leader, LifecycleSettings, Membership, RingMetrics, RingName, RingView, SystemClock};
use narvi_rpc::{CallObserver, ClientPool, Services};
use narvi_ruler::{Owns, RingShare};
use narvi_scheduler::{Scheduler, Worker};
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::watch,
    task::{JoinHandle, spawn_blocking},
};

use self::{
    ingesters::RemoteIngesters, membership::Selves, queue::Schedulers, reading::Reading, replicas::RemoteReplicas,
};
use crate::failure::{Failure, Outcome};

/// How long an ingester answers queries after it has written its last rows into files: until no querier uses a view of the
/// files from before.
const LINGER: Duration = Duration::from_millis(2500);

/// How long an ingester is known to queriers before distributors write to it.
const ANNOUNCE: Duration = Duration::from_millis(1500);
/// How often it is looked whether those that were called live.
const CHECK_CLIENTS: Duration = Duration::from_secs(15);

/// How often a gateway looks for new index tables.
const LOOK_FOR_TABLES: Duration = Duration::from_secs(30);
/// How long a compactor must be the first of its ring before it works.
const ELECTED_AFTER: Duration = Duration::from_secs(5);

/// This process among others.
pub(crate) struct Member {
    config: Arc<Config>,
    tenants: Arc<Runtime>,
    /// What belongs to this process alone lies there.
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    membership: Arc<dyn Membership>,
    /// All rings, in the order of the configuration.
    views: Vec<Arc<RingView>>,
    pool: ClientPool,
    registry: Registry,
    caches: narvi_cache::Metrics,
    queue: Option<Scheduler>,
    gateway: Option<Arc<IndexGateway>>,
    worker: Option<Worker>,
    leader: Option<Leader>,
    listener: Option<TcpListener>,
    address: SocketAddr,
    ingester: Option<Arc<Ingester>>,
    selves: Selves,
    server: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Member {
    /// Opens the port for gRPC and begins to hear of the others. Nobody hears of this process yet.
    pub(crate) async fn meet(config: &Arc<Config>, tenants: &Arc<Runtime>, folder: &Path) -> Outcome<Self> {
        let cluster = &config.cluster;
        let host = if cluster.grpc.listen_address.is_empty() { "0.0.0.0" } else { &cluster.grpc.listen_address };
        let listen = format!("{host}:{}", cluster.grpc.listen_port);
        let listener = TcpListener::bind(&listen).await;
        let listener = listener.map_err(|error| Failure(format!("cannot listen on {listen} for gRPC: {error}")))?;
        let address = listener.local_addr().map_err(|error| Failure::of("cannot listen for gRPC", error))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let membership = membership::start(cluster.gossip.as_ref(), &clock).await?;
        let view = |ring: &RingConfig| Arc::new(RingView::new(&*membership, ring.name, ring.settings.clone()));
        let views: Vec<_> = cluster.rings.iter().map(view).collect();
        let mut registry = Registry::default();
        let metrics = RingMetrics::new(&mut registry);
        let caches = narvi_cache::Metrics::default();
        caches.register(&mut registry);
        let queue = queue::queue(cluster, tenants, &mut registry);
        let pool = ClientPool::new(cluster.ingester_client.clone());
        let figures = tokio::spawn(membership::watch(metrics, membership.clone(), clock.clone(), views.clone()));
        let checked = pool.clone();
        let checks = tokio::spawn(async move { checked.keep_checking(CHECK_CLIENTS).await });
        Ok(Self {
            config: config.clone(),
            tenants: tenants.clone(),
            folder: folder.to_owned(),
            clock,
            membership,
            views,
            pool,
            registry,
            caches,
            queue,
            gateway: None,
            worker: None,
            leader: None,
            listener: Some(listener),
            address,
            ingester: None,
            selves: Selves::default(),
            server: None,
            stop: watch::Sender::new(false),
            tasks: vec![figures, checks],
        })
    }

    fn cluster(&self) -> &ClusterConfig {
        &self.config.cluster
    }

    fn is(&self, role: Role) -> bool {
        self.cluster().roles.contains(role)
    }

    fn ring(&self, name: RingName) -> Outcome<Arc<RingView>> {
        let found = self.views.iter().find(|view| view.name() == name);
        found.cloned().ok_or_else(|| Failure(format!("there is no ring {name}")))
    }

    /// What the pages of rings show, and with whom the limits of tenants are shared.
    pub(crate) fn tell(&self, settings: &mut HttpSettings) -> Outcome {
        let (membership, clock) = (self.membership.clone(), self.clock.clone());
        let rings = Rings::new(self.cluster().roles, membership, self.views.clone(), clock.clone());
        settings.cluster = Some(Arc::new(rings));
        if self.is(Role::Distributor) {
            let (distributors, ingesters) = (self.ring(RingName::Distributor)?, self.ring(RingName::Ingester)?);
            settings.shares = Some(Arc::new(RingShares::new(distributors, ingesters, clock)));
        }
        Ok(())
    }

    /// Which groups of rules are this ruler's; nothing: all.
    pub(crate) fn share(&self) -> Outcome<Option<Arc<dyn Owns>>> {
        let given = &self.cluster().ruler;
        if !given.enable_sharding {
            return Ok(None);
        }
        let id = id_in(&self.cluster().rings.ruler);
        let share = RingShare::new(self.ring(RingName::Ruler)?, self.clock.clone(), id);
        if !given.shuffle_sharding {
            return Ok(Some(Arc::new(share)));
        }
        let tenants = self.tenants.clone();
        let size = move |tenant: &Tenant| tenants.limits(tenant.as_str()).ruler.tenant_shard_size;
        Ok(Some(Arc::new(share.shuffled(Arc::new(size)))))
    }

    fn schedulers(&self) -> Outcome<Schedulers> {
        Ok(Schedulers { ring: self.ring(RingName::Scheduler)?, clock: self.clock.clone() })
    }

    /// What the roles of this process do with logs. `db` is there if one of them keeps some.
    pub(crate) fn logs(&mut self, db: Option<Db>, store: &Arc<dyn Store>) -> Outcome<Logs> {
        let mut logs = Logs::default();
        if self.is(Role::Distributor) {
            logs.push = Some(Arc::new(self.replicator()?));
        }
        if self.is(Role::Querier) || self.is(Role::Ruler) {
            logs.read = Some(Arc::new(self.querier(store)?));
        }
        if self.is(Role::QueryFrontend) {
            self.frontend(&mut logs)?;
        }
        if self.is(Role::IndexGateway) {
            let gateway = Arc::new(IndexGateway::new(self.reading(store).with_tables()?));
            self.tasks.push(tokio::spawn(gateway.clone().keep_fresh(LOOK_FOR_TABLES)));
            self.gateway = Some(gateway);
        }
        if let (true, Some(db)) = (self.is(Role::Compactor), &db) {
            self.elect(db)?;
            logs.compactor = Some(db.clone());
        }
        if let (true, Some(db)) = (self.is(Role::Ingester), db) {
            self.ingester = Some(Arc::new(Ingester::new(db.clone(), IngesterSettings::default())));
            logs.ingester = Some(db);
        }
        Ok(logs)
    }

    /// Who takes queries has queriers evaluate them, if it is told where they take work, or if none is here.
    fn frontend(&mut self, logs: &mut Logs) -> Outcome {
        let cluster = &self.config.cluster;
        let url = &cluster.frontend.downstream_url;
        if logs.read.is_none() && !url.is_empty() {
            let downstream = Downstream::new(url).map_err(|error| Failure(error.to_string()))?;
            logs.forward = Some(Arc::new(downstream));
            return Ok(());
        }
        let queued = !cluster.frontend.scheduler_address.is_empty() || cluster.uses_scheduler_ring();
        if logs.read.is_some() && (cluster.roles.is_whole() || !queued) {
            return Ok(());
        }
        let jobs = queue::jobs(cluster, self.queue.as_ref(), &self.schedulers()?, &instance_id())?;
        let (config, tenants) = (self.config.clone(), self.tenants.clone());
        let frontend = reading::frontend(&config, &tenants, jobs, &self.caches, &mut self.registry)?;
        let frontend = Arc::new(frontend);
        logs.queries = Some(frontend.clone());
        if logs.read.is_none() {
            logs.forward = Some(frontend);
        }
        Ok(())
    }

    /// Of several compactors the elected one works.
    fn elect(&mut self, db: &Db) -> Outcome {
        let ring = self.ring(RingName::Compactor)?;
        let id = id_in(&self.cluster().rings.compactor);
        let db = db.clone();
        let tell = move |elected| db.set_upkeep(elected);
        self.leader = Some(Leader::follow(ring, id, self.clock.clone(), ELECTED_AFTER, tell));
        Ok(())
    }

    fn reading<'a>(&'a self, store: &'a Arc<dyn Store>) -> Reading<'a> {
        Reading { config: &self.config, store, caches: &self.caches, folder: &self.folder }
    }

    fn replicator(&mut self) -> Outcome<Replicator> {
        let metrics = ReplicationMetrics::new(&mut self.registry);
        let given = &self.cluster().replication;
        let settings = ReplicationSettings {
            timeout: given.timeout,
            attempts: given.attempts,
            min_backoff: given.min_backoff,
            max_backoff: given.max_backoff,
            ..ReplicationSettings::default()
        };
        let replicas = Arc::new(RemoteReplicas(self.pool.clone()));
        let ring = self.ring(RingName::Ingester)?;
        Ok(Replicator::new(ring, self.clock.clone(), replicas, settings, metrics))
    }

    fn querier(&self, store: &Arc<dyn Store>) -> Outcome<Querier> {
        let cluster = self.cluster();
        let gateways = self.ring(RingName::IndexGateway)?;
        let reader = self.reading(store).with_gateways(gateways, self.clock.clone())?;
        let settings = QuerierSettings {
            query_ingesters_within: cluster.querier.query_ingesters_within,
            query_store_only: cluster.querier.query_store_only,
            query_ingester_only: cluster.querier.query_ingester_only,
            ..QuerierSettings::default()
        };
        let ingesters = Arc::new(RemoteIngesters(self.pool.clone()));
        let (ring, clock) = (self.ring(RingName::Ingester)?, self.clock.clone());
        Ok(Querier::new(reader, ring, clock, ingesters, settings, Handle::current()))
    }

    /// The metrics of what others make of this process; taken once, after all parts were made.
    pub(crate) fn registry(&mut self) -> Arc<Registry> {
        Arc::new(std::mem::take(&mut self.registry))
    }

    /// Answers the calls of others, then joins the rings; returns when this process is ready for requests.
    pub(crate) async fn join(&mut self, app: &Arc<App>) -> Outcome {
        self.serve(app)?;
        if self.is(Role::Querier) {
            let (queue, schedulers) = (self.queue.as_ref(), self.schedulers()?);
            self.worker = queue::worker(self.cluster(), app, queue, &schedulers, &instance_id(), self.address)?;
        }
        for (role, name) in RINGS {
            if let (true, Some(ring)) = (self.is(role), self.cluster().rings.get(name)) {
                let settings = self.lifecycle(ring);
                self.selves.join(settings, &self.membership, &self.clock).await?;
            }
        }
        if let Some(ingester) = &self.ingester {
            self.selves.active(RingName::Ingester).await;
            ingester.set_ready();
        }
        if let Some(gateway) = &self.gateway {
            gateway.set_ready(true);
        }
        self.selves.ready().await;
        Ok(())
    }

    fn lifecycle(&self, ring: &RingConfig) -> LifecycleSettings {
        let host = ring.advertised_host().unwrap_or_default();
        let address = membership::advertised(&host, ring.port, self.address);
        let mut settings = ring.lifecycle(&instance_id(), &address);
        if ring.name == RingName::Ingester && self.cluster().gossip.is_some() {
            settings.announce_period = ANNOUNCE;
        }
        settings
    }

    fn serve(&mut self, app: &Arc<App>) -> Outcome {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let mut services = Services::new().observer(Arc::new(Calls(app.clone())));
        if let Some(ingester) = &self.ingester {
            services = services.ingester(ingester.clone());
        }
        if let Some(queue) = &self.queue {
            services = services.scheduler(Arc::new(queue.clone()));
        }
        if let Some(gateway) = &self.gateway {
            services = services.index_gateway(gateway.clone());
        }
        let (limits, mut stopped) = (self.cluster().grpc.limits.clone(), self.stop.subscribe());
        tracing::info!(grpc = %self.address, "answering other processes");
        self.server = Some(tokio::spawn(async move {
            let shutdown = async {
                // An error means that it is dropped, which stops it too.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            if let Err(error) = narvi_rpc::serve(listener, services, limits, shutdown).await {
                tracing::error!(%error, "cannot answer other processes any more");
            }
        }));
        Ok(())
    }

    /// Tells the others that this process leaves. It does all its work until they have heard.
    pub(crate) async fn start_leaving(&mut self) {
        self.leader = None;
        if let Some(worker) = self.worker.take() {
            worker.shutdown().await;
        }
        self.selves.start_leaving().await;
    }

    /// Leaves when no client is served any more: what is in memory goes into files, then the others forget this process.
    pub(crate) async fn leave(mut self) {
        if let Some(ingester) = self.ingester.clone() {
            let left = spawn_blocking(move || ingester.leave()).await;
            match left {
                Ok(Ok(())) => tracing::info!("everything in memory is in files"),
                Ok(Err(error)) => tracing::error!(%error, "not all is in files; the rest stays in the write-ahead log"),
                Err(error) => tracing::error!(%error, "the last flush failed unexpectedly"),
            }
            tokio::time::sleep(LINGER).await;
        }
        self.selves.leave().await;
        self.membership.leave().await;
        self.stop.send_replace(true);
        if let Some(server) = self.server.take() {
            // It logs what fails, and ends by itself after its time of grace.
            let _ = server.await;
        }
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The rings that roles are members of.
const RINGS: [(Role, RingName); 6] = [
    (Role::Ingester, RingName::Ingester),
    (Role::Distributor, RingName::Distributor),
    (Role::Compactor, RingName::Compactor),
    (Role::Ruler, RingName::Ruler),
    (Role::QueryScheduler, RingName::Scheduler),
    (Role::IndexGateway, RingName::IndexGateway),
];

/// What this instance is called where the file does not say: as its host, the same after a restart.
pub(crate) fn instance_id() -> String {
    let told = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let host = || std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_owned());
    told.or_else(host).filter(|name| !name.is_empty()).unwrap_or_else(|| "narvi".to_owned())
}

/// What this instance is called in a ring.
fn id_in(ring: &RingConfig) -> String {
    if ring.id.is_empty() { instance_id() } else { ring.id.clone() }
}

/// Counts calls where requests are counted.
struct Calls(Arc<App>);

impl CallObserver for Calls {
    fn called(&self, route: &'static str, outcome: &'static str, took: Duration) {
        self.0.called(route, outcome, took);
    }
}
