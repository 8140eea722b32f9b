//! `narvi serve`, and what both command lines share: open the store, listen, serve, stop.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use narvi::{Builder, Db, LocalStore, ObservedStore, Store, Tenant};
use narvi_compactor::UpkeepLog;
use narvi_config::{Config, Role, RuleStorage, Runtime, StoreConfig};
use narvi_http::{App, Host, HttpSettings, StoreTimes, TailProxy};
use narvi_logs::Logs;
use narvi_ruler::{Ruler, RulerPlaces};
use tokio::{net::TcpListener, signal::unix, sync::Notify};
use tokio_rustls::TlsAcceptor;

use crate::{
    cli::ServeArgs,
    failure::{Failure, Outcome},
    listener, logging, objects,
    roles::{Member, instance_id},
};

/// How long threads may take to end after the last request.
const THREADS_END: Duration = Duration::from_secs(5);
/// How often it is looked at what upkeep has done.
const UPKEEP_TOLD: Duration = Duration::from_secs(5);

/// Runs a server without a file.
pub(crate) fn run(args: ServeArgs) -> Outcome {
    let mut config = Config::default();
    config.data_dir = args.data_dir;
    config.auth_enabled = args.auth;
    config.log_level = args.log_level;
    let listen = args.http_listen.strip_prefix(':').map(|port| format!("0.0.0.0:{port}"));
    server(config, &listen.unwrap_or(args.http_listen), args.in_memory)
}

/// Runs a server until it is told to stop.
pub(crate) fn server(config: Config, listen: &str, in_memory: bool) -> Outcome {
    logging::start(&config.log_level, &config.log_format);
    for warning in &config.warnings {
        tracing::warn!(detail = warning.as_str(), "configuration");
    }
    let config = Arc::new(config);
    // A wrong file of tenants' limits is fatal at the start, and only there.
    let tenants = Arc::new(Runtime::open(&config)?);
    let tls = config.http.tls.as_ref().map(listener::tls).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of("cannot start threads", error))?;
    // The port first: a second server on it should not touch the data.
    let socket = runtime.block_on(bind(listen))?;
    let address = socket.local_addr().map_err(|error| Failure::of("cannot listen", error))?;
    let times = objects::metric_name(&config.object_store).map(StoreTimes::new);
    let process = Arc::new(Process::default());
    let mut settings = http_settings(&config, process.clone(), address);
    settings.tenants = Some(tenants.clone());
    settings.config = Some(config.clone());
    settings.store_times.clone_from(&times);
    let Parts { logs, db, mut member } = match config.cluster.is_clustered() {
        false => Parts::alone(open(&config, &tenants, Place::new(&config, in_memory, times)?)?),
        true => {
            let entered = runtime.block_on(Member::meet(&config, &tenants, &own_folder(&config)))?;
            let _entered = runtime.enter();
            Parts::among_others(entered, &config, &tenants, Place::new(&config, false, times)?)?
        }
    };
    if let Some(member) = &mut member {
        settings.in_cluster = true;
        settings.tail_proxy = tail_proxy(&config)?;
        member.tell(&mut settings)?;
        settings.registry = Some(member.registry());
    }
    let marker = settings.shutdown_marker.clone();
    let app = App::new(logs, settings);
    // A ruler keeps files.
    let has_ruler = !in_memory && config.cluster.roles.contains(Role::Ruler);
    let ruler = if has_ruler { Some(ruler(&config, &app, member.as_ref())?) } else { None };
    if let Some(ruler) = &ruler {
        let _entered = runtime.enter();
        ruler.start();
    }
    if let Some(period) = tenants.period() {
        runtime.spawn(reload(app.clone(), period));
    }
    if let Some(db) = db.clone() {
        runtime.spawn(log_upkeep(db));
    }
    let served = runtime.block_on(async {
        let served = serve(&app, &process, socket, tls, &config, member.as_mut()).await;
        if let Some(ruler) = &ruler {
            ruler.stop().await;
        }
        if let Some(member) = member {
            member.leave().await;
        }
        served
    });
    drop((app, ruler));
    runtime.shutdown_timeout(THREADS_END);
    if let Some(db) = db {
        let flushed = flush_if_marked(&db, marker.as_deref());
        db.close()?;
        flushed?;
    }
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// Reads the limits of tenants again, for as long as the server runs.
async fn reload(app: Arc<App>, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        let app = app.clone();
        let _ = tokio::task::spawn_blocking(move || app.reload_limits()).await;
    }
}

/// Logs what upkeep has done, for as long as the server runs.
async fn log_upkeep(db: Db) {
    let mut log = UpkeepLog::default();
    loop {
        tokio::time::sleep(UPKEEP_TOLD).await;
        log.tell(&db);
    }
}

async fn bind(listen: &str) -> Outcome<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; another process listens there: stop it, or choose another port",
            std::io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges",
            _ => "",
        };
        Failure(format!("cannot listen on {listen}: {error}{advice}"))
    })
}

/// Where a frontend passes tails on to.
fn tail_proxy(config: &Config) -> Outcome<Option<TailProxy>> {
    let frontend = &config.cluster.frontend;
    if frontend.tail_proxy_url.is_empty() {
        return Ok(None);
    }
    let proxy = TailProxy::new(&frontend.tail_proxy_url, &frontend.tail_tls);
    proxy.map(Some).map_err(|error| Failure(error.to_string()))
}

/// What a process is made of.
struct Parts {
    logs: Logs,
    /// The database, if a role keeps one.
    db: Option<Db>,
    /// This process among others.
    member: Option<Member>,
}

impl Parts {
    fn alone(db: Db) -> Self {
        Self { logs: Logs::from(db.clone()), db: Some(db), member: None }
    }

    fn among_others(mut member: Member, config: &Config, tenants: &Arc<Runtime>, place: Place) -> Outcome<Self> {
        let roles = &config.cluster.roles;
        let store = place.shared()?;
        let keeps = roles.contains(Role::Ingester) || roles.contains(Role::Compactor);
        let db = if keeps { Some(open(config, tenants, place)?) } else { None };
        Ok(Self { logs: member.logs(db.clone(), &store)?, db, member: Some(member) })
    }
}

/// Where data lies.
struct Place {
    /// What belongs to this process alone; nothing: memory.
    folder: Option<PathBuf>,
    /// Where packs, tables and manifests lie, if not in the folder.
    store: Option<Arc<dyn Store>>,
}

impl Place {
    fn new(config: &Config, in_memory: bool, times: Option<StoreTimes>) -> Outcome<Self> {
        let mut store = objects::open(&config.object_store)?;
        if let Some(opened) = store.take() {
            tracing::info!(store = format!("{opened:?}"), "objects are kept in an object store");
            store = Some(match times {
                Some(times) => {
                    Arc::new(ObservedStore::new(opened, move |done| times.count(done.name, done.status, done.time)))
                }
                None => opened,
            });
        }
        if in_memory {
            return Ok(Self { folder: None, store });
        }
        if store.is_none() && config.cluster.is_clustered() {
            // Several processes over one folder share the files, and nothing else.
            let shared = LocalStore::open(&config.data_dir);
            store = Some(Arc::new(shared.map_err(|error| {
                Failure::of(format_args!("cannot use the folder {}", config.data_dir.display()), error)
            })?));
        }
        Ok(Self { folder: Some(own_folder(config)), store })
    }

    /// The store that this process shares with others.
    fn shared(&self) -> Outcome<Arc<dyn Store>> {
        self.store.clone().ok_or_else(|| Failure("processes of a cluster need a store that they share".to_owned()))
    }
}

/// The folder that belongs to this process alone.
fn own_folder(config: &Config) -> PathBuf {
    match (config.cluster.is_clustered(), &config.object_store) {
        (true, StoreConfig::Files) => config.data_dir.join("members").join(id_of(config)),
        _ => config.data_dir.clone(),
    }
}

/// What this instance is called, as a name of a folder.
fn id_of(config: &Config) -> String {
    let id = &config.cluster.rings.ingester.id;
    let id = if id.is_empty() { instance_id() } else { id.clone() };
    let kept = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    id.trim_start_matches('.').chars().map(kept).collect()
}

fn open(config: &Config, tenants: &Arc<Runtime>, place: Place) -> Outcome<Db> {
    let mut builder = place.folder.as_deref().map_or_else(Builder::in_memory, Db::builder);
    if let Some(store) = place.store {
        builder = builder.store(store);
    }
    let limits = tenants.clone();
    let of_tenant = Arc::new(move |tenant: &Tenant| limits.limits(tenant.as_str()));
    let retention = narvi_compactor::retention(&config.compactor, of_tenant);
    let mut settings = config.store.clone();
    // Who takes no pushes needs no log of them.
    settings.wal.enabled &= config.cluster.roles.contains(Role::Ingester);
    if config.cluster.is_clustered() {
        // Who is elected is told later; who is no compactor never.
        builder = builder.upkeep(false);
        // Until all that was pushed before a request to delete is in files, it is not done.
        let flushed_secs = settings.flush.max_age_secs.saturating_add(settings.flush.idle_secs);
        settings.retention.settle_secs = flushed_secs.saturating_mul(2);
        // Replicas write the same rows into as many tables, and only a merge makes one of them.
        let factor = config.cluster.rings.ingester.settings.replication_factor;
        if factor > 1 {
            let most = &mut settings.compaction.tables_per_level;
            *most = (*most).min(factor.max(2));
            // What was pushed before is in files by then, with all replicas.
            settings.compaction.quiet_secs = flushed_secs;
        }
    }
    let db = builder.settings(settings).retention(retention).open()?;
    let Some(folder) = place.folder else {
        tracing::info!("all data is kept in memory and is gone when the server ends");
        return Ok(db);
    };
    let report = db.open_report();
    let place = std::path::absolute(&folder).unwrap_or(folder);
    tracing::info!(
        path = %place.display(),
        replayed_rows = report.replayed_rows,
        replayed_segments = report.replayed_segments,
        "opened the data directory"
    );
    for damage in &report.damage {
        tracing::error!(detail = damage.as_str(), "the write-ahead log is damaged");
    }
    Ok(db)
}

/// This process, as its HTTP server sees it.
#[derive(Debug, Default)]
struct Process {
    end: Notify,
}

impl Host for Process {
    fn log_level(&self) -> String {
        logging::level().to_owned()
    }

    fn set_log_level(&self, level: &str) -> bool {
        logging::set_level(level)
    }

    fn shut_down(&self) {
        self.end.notify_one();
    }
}

/// Flushes everything if an operator asked for it by the marker.
fn flush_if_marked(db: &Db, marker: Option<&Path>) -> Outcome {
    let Some(marker) = marker.filter(|marker| marker.exists()) else { return Ok(()) };
    tracing::info!(marker = %marker.display(), "flushing everything, as the shutdown marker asks");
    db.flush()?;
    Ok(())
}

/// The file in the folder that a file of Loki names.
fn marker(folder: &Path) -> PathBuf {
    folder.join("shutdown-requested.txt")
}

/// Makes the ruler, which asks the server's own queries.
fn ruler(config: &Config, app: &Arc<App>, member: Option<&Member>) -> Outcome<Arc<Ruler>> {
    let mut places = RulerPlaces::in_data(&own_folder(config), &config.ruler);
    if let RuleStorage::Objects(store) = &config.ruler.storage {
        places.objects = objects::open(store)?;
    }
    let made = match member.map(Member::share).transpose()?.flatten() {
        Some(share) => Ruler::sharing(&config.ruler, places, app.rule_queries(), share),
        None => Ruler::new(&config.ruler, places, app.rule_queries()),
    };
    let ruler = made.map_err(|error| Failure::of("the ruler cannot start", error))?;
    app.attach_ruler(ruler.clone(), config.ruler.enable_api);
    Ok(ruler)
}

fn http_settings(config: &Config, process: Arc<Process>, address: SocketAddr) -> HttpSettings {
    let mut settings =
        HttpSettings { auth_enabled: config.auth_enabled, limits: config.limits.clone(), ..HttpSettings::default() };
    settings.deletes_enabled = config.compactor.retention_enabled;
    settings.concurrent_queries = config.concurrent_queries.unwrap_or(settings.concurrent_queries);
    settings.waiting_queries = config.waiting_queries.unwrap_or(settings.waiting_queries);
    let endpoints = &config.endpoints;
    settings.multi_tenant_queries = endpoints.multi_tenant_queries;
    settings.per_request_limits = endpoints.per_request_limits;
    settings.align_queries_with_step = config.cluster.query_range.align_queries_with_step;
    settings.compress_responses = endpoints.compress_responses;
    settings.tail_max_duration = endpoints.tail_max_duration;
    settings.patterns = endpoints.patterns;
    settings.shutdown_marker = endpoints.shutdown_marker_path.as_deref().map(marker);
    settings.instance_id = instance_id();
    settings.instance_address = endpoints.instance_address.clone().unwrap_or_else(|| address.to_string());
    settings.host = process;
    settings.max_body_bytes = config.max_push_bytes.unwrap_or(settings.max_body_bytes);
    settings.max_decompressed_bytes = config.max_decompressed_bytes.unwrap_or(settings.max_decompressed_bytes);
    settings.max_form_bytes = config.max_form_bytes.unwrap_or(settings.max_form_bytes);
    settings.body_timeout = config.http.read_timeout;
    settings.log_queries_longer_than = config.cluster.frontend.log_queries_longer_than;
    settings
}

/// Serves until a signal comes, then lets requests under way end.
async fn serve(
    app: &Arc<App>,
    process: &Process,
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    config: &Config,
    mut member: Option<&mut Member>,
) -> Outcome {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let address = socket.local_addr().map_err(|error| Failure::of("cannot listen", error))?;
    let router = match config.http.path_prefix.as_str() {
        "" => app.router(),
        prefix => Router::new().nest(prefix, app.router()),
    };
    let http = config.http.clone();
    let has_tls = tls.is_some();
    let mut server = tokio::spawn(async move { listener::serve(socket, tls, router, &http, stopped).await });
    let ended = || Failure("the HTTP server ended unexpectedly".to_owned());
    let starting = async {
        if let Some(member) = &mut member {
            member.join(app).await?;
        }
        app.set_ready(true);
        let (version, target) = (env!("CARGO_PKG_VERSION"), config.targets.join(","));
        tracing::info!(version, target, http = %address, tls = has_tls, auth = config.auth_enabled, "narvi is ready");
        Outcome::Ok(())
    };
    let stopping = async {
        tokio::select! {
            signal = signal() => tracing::info!(signal = signal?, "stopping"),
            () = process.end.notified() => tracing::info!("stopping, as a client asked for"),
        }
        Outcome::Ok(())
    };
    tokio::pin!(stopping);
    let started = tokio::select! {
        _ = &mut server => return Err(ended()),
        stopped = &mut stopping => stopped.map(|()| false)?,
        started = starting => started.map(|()| true)?,
    };
    if started {
        tokio::select! {
            _ = &mut server => return Err(ended()),
            stopped = &mut stopping => stopped?,
        }
    }
    if let Some(member) = member {
        app.set_ready(false);
        member.start_leaving().await;
    }
    if !config.shutdown_delay.is_zero() {
        // Who balances the load looks at /ready, and needs time to send requests elsewhere.
        app.set_ready(false);
        tracing::info!(seconds = config.shutdown_delay.as_secs_f64(), "not ready any more, and still answering");
        tokio::select! {
            () = tokio::time::sleep(config.shutdown_delay) => {}
            signal = signal() => tracing::info!(signal = signal?, "stopping at once"),
        }
    }
    app.stop();
    let _ = stop.send(true);
    let deadline = config.shutdown_timeout;
    if tokio::time::timeout(deadline, &mut server).await.is_err() {
        tracing::warn!(seconds = deadline.as_secs(), "requests did not end in time and are cut off");
        server.abort();
    }
    Ok(())
}

/// Waits for the first of the signals that end a process.
async fn signal() -> Outcome<&'static str> {
    let failed = |error| Failure::of("cannot wait for signals", error);
    let mut terminate = unix::signal(unix::SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}
