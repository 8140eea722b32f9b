//! The server: services on a listener, until it is told to stop.

mod calls;
pub(crate) mod health;
mod index_gateway;
mod ingester;
mod queue;
mod scheduler;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{net::TcpListener, sync::oneshot};
use tonic::{
    codec::CompressionEncoding,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

pub use self::calls::CallObserver;
use self::calls::Calls;
use crate::{
    error::{RpcError, RpcErrorKind},
    pb::{
        health::health_server::HealthServer,
        narvi::{
            index_gateway_server::IndexGatewayServer, ingester_server::IngesterServer,
            scheduler_server::SchedulerServer,
        },
    },
    scheduling::SchedulerService,
    service::{IndexGatewayService, IngesterService},
    settings::ServerLimits,
};

/// Bytes that a peer may send ahead: the 64 KiB of HTTP/2 would make each frame of rows several round trips.
pub(crate) const STREAM_WINDOW: u32 = 2 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 8 << 20;
/// Calls of one connection to a scheduler: more than the jobs of a tenant that may wait by default, so that none of one tenant
/// stand in the way of another's.
const JOBS_OF_A_CONNECTION: u32 = 1 << 17;
/// Jobs of a connection that are given up before the server saw them.
const JOBS_GIVEN_UP: usize = 1 << 14;
/// How often those who have jobs are asked for a sign of life at least, and how long that may take: the jobs of a querier that
/// cannot be reached any more are to be handed to others.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// What a process offers.
#[derive(Clone, Default)]
pub struct Services {
    ingester: Option<Arc<dyn IngesterService>>,
    scheduler: Option<Arc<dyn SchedulerService>>,
    index_gateway: Option<Arc<dyn IndexGatewayService>>,
    observer: Option<Arc<dyn CallObserver>>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (ingester, scheduler) = (self.ingester.is_some(), self.scheduler.is_some());
        let mut out = f.debug_struct("Services");
        out.field("ingester", &ingester).field("scheduler", &scheduler);
        out.field("index_gateway", &self.index_gateway.is_some()).finish_non_exhaustive()
    }
}

impl Services {
    /// Nothing but health.
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers an ingester.
    #[must_use]
    pub fn ingester(mut self, service: Arc<dyn IngesterService>) -> Self {
        self.ingester = Some(service);
        self
    }

    /// Offers a scheduler. Each job and each place of a querier is a call that waits: their number on a connection is
    /// limited by the queue, and no longer by [`ServerLimits::max_concurrent_streams`]. Connections are asked for a sign of
    /// life every few seconds, since jobs of a querier that is lost are handed to another.
    #[must_use]
    pub fn scheduler(mut self, service: Arc<dyn SchedulerService>) -> Self {
        self.scheduler = Some(service);
        self
    }

    /// Offers an index gateway.
    #[must_use]
    pub fn index_gateway(mut self, service: Arc<dyn IndexGatewayService>) -> Self {
        self.index_gateway = Some(service);
        self
    }

    /// Tells of each call that was answered.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn CallObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    fn routes(self, limits: &ServerLimits) -> (Routes, Arc<Calls>) {
        let calls = Arc::new(Calls::new(limits, self.observer));
        let (recv, send) = (limits.max_recv_bytes, limits.max_send_bytes);
        let health = health::Adapter {
            ingester: self.ingester.clone(),
            scheduler: self.scheduler.clone(),
            index_gateway: self.index_gateway.clone(),
        };
        let mut routes = Routes::new(HealthServer::new(health));
        // Both limits are set: the library's own are 4 MiB for what comes, and none for what goes. Answers are compressed for
        // callers that compress what they ask.
        if let Some(service) = self.ingester {
            let adapter = ingester::Adapter { service, calls: calls.clone() };
            let server = IngesterServer::new(adapter).max_decoding_message_size(recv).max_encoding_message_size(send);
            let gzip = CompressionEncoding::Gzip;
            routes = routes.add_service(server.accept_compressed(gzip).send_compressed(gzip));
        }
        if let Some(service) = self.scheduler {
            let adapter = scheduler::Adapter { service, calls: calls.clone() };
            let server = SchedulerServer::new(adapter).max_decoding_message_size(recv).max_encoding_message_size(send);
            let gzip = CompressionEncoding::Gzip;
            routes = routes.add_service(server.accept_compressed(gzip).send_compressed(gzip));
        }
        if let Some(service) = self.index_gateway {
            let adapter = index_gateway::Adapter { service, calls: calls.clone() };
            let server =
                IndexGatewayServer::new(adapter).max_decoding_message_size(recv).max_encoding_message_size(send);
            let gzip = CompressionEncoding::Gzip;
            routes = routes.add_service(server.accept_compressed(gzip).send_compressed(gzip));
        }
        (routes, calls)
    }
}

/// The services as routes of an HTTP server, which must speak HTTP/2 and bounds its connections itself.
pub fn router(services: Services, limits: &ServerLimits) -> axum::Router {
    services.routes(limits).0.into_axum_router()
}

/// What limits a server with a queue of jobs.
fn of_scheduler(mut limits: ServerLimits) -> ServerLimits {
    if limits.max_concurrent_streams > 0 {
        limits.max_concurrent_streams = limits.max_concurrent_streams.max(JOBS_OF_A_CONNECTION);
    }
    for time in [&mut limits.keepalive_time, &mut limits.keepalive_timeout] {
        *time = if time.is_zero() { SIGN_OF_LIFE } else { (*time).min(SIGN_OF_LIFE) };
    }
    limits
}

/// Answers calls on a listener until `shutdown` is over. Then no call is taken any more, tails end, and what else is under way
/// has the time of grace; what is not over then ends with the runtime.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    services: Services,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RpcError> {
    let some = |time: Duration| (!time.is_zero()).then_some(time);
    let scheduler = services.scheduler.clone();
    let limits = if scheduler.is_some() { of_scheduler(limits) } else { limits };
    let (routes, calls) = services.routes(&limits);
    let mut server = Server::builder()
        .max_concurrent_streams((limits.max_concurrent_streams > 0).then_some(limits.max_concurrent_streams))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(some(limits.keepalive_time))
        .http2_keepalive_timeout(some(limits.keepalive_timeout));
    if scheduler.is_some() {
        // Jobs that are given up as soon as they are handed in are no attack here.
        server = server.http2_max_pending_accept_reset_streams(Some(JOBS_GIVEN_UP));
    }
    if let Some(age) = some(limits.max_connection_age) {
        server = server.max_connection_age(age);
    }
    if let Some(grace) = some(limits.max_connection_age_grace) {
        server = server.max_connection_age_grace(grace);
    }
    let (stopping, stopped) = oneshot::channel();
    let signal = async {
        shutdown.await;
        calls.closing.store(true, Ordering::Relaxed);
        if let Some(scheduler) = scheduler {
            scheduler.close();
        }
        // The server may be over already.
        let _ = stopping.send(());
    };
    let patience = async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(limits.grace).await;
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::select! {
        served = server.add_routes(routes).serve_with_incoming_shutdown(incoming, signal) => served.map_err(|error| {
            RpcError::new(RpcErrorKind::Unavailable, format!("the gRPC server failed: {error}"))
        }),
        () = patience => {
            tracing::warn!(seconds = limits.grace.as_secs(), "gRPC calls go on after the time of grace; they end now");
            Ok(())
        }
    }
}
