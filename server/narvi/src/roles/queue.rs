//! Where jobs of queries wait: the queue of this process, a frontend's way to queriers, a querier's places at queues.

use std::{net::SocketAddr, sync::Arc};

use narvi_config::{ClusterConfig, Role, Runtime};
use narvi_http::App;
use narvi_ring::{Clock, RingView};
use narvi_rpc::ClientPool;
use narvi_scheduler::{
    Addresses, Jobs, MaxQueriers, QueueMetrics, QueuePlace, Scheduler, SchedulerSettings, Worker, WorkerSettings,
};
use prometheus_client::registry::Registry;

use super::work::AppWork;
use crate::failure::{Failure, Outcome};

/// The queue of this process: it is a scheduler, or a frontend without one. Other processes reach it by gRPC.
pub(super) fn queue(cluster: &ClusterConfig, tenants: &Arc<Runtime>, registry: &mut Registry) -> Option<Scheduler> {
    let (place, max_outstanding_per_tenant, querier_forget_delay) = if cluster.roles.contains(Role::QueryScheduler) {
        let given = &cluster.scheduler;
        (QueuePlace::Scheduler, given.max_outstanding_requests_per_tenant, given.querier_forget_delay)
    } else if cluster.roles.contains(Role::QueryFrontend) && !names_schedulers(cluster) {
        let given = &cluster.frontend;
        (QueuePlace::Frontend, given.max_outstanding_per_tenant, given.querier_forget_delay)
    } else {
        return None;
    };
    let settings =
        SchedulerSettings { max_outstanding_per_tenant, querier_forget_delay, ..SchedulerSettings::default() };
    let tenants = tenants.clone();
    let most: MaxQueriers = Arc::new(move |tenant, there| tenants.limits(tenant.as_str()).most_queriers(there));
    Some(Scheduler::new(settings, most, QueueMetrics::new(registry, place)))
}

/// Whether frontends find schedulers elsewhere.
fn names_schedulers(cluster: &ClusterConfig) -> bool {
    !cluster.frontend.scheduler_address.is_empty() || cluster.uses_scheduler_ring()
}

/// The ring of schedulers, and the time by which its members are alive.
pub(super) struct Schedulers {
    pub(super) ring: Arc<RingView>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Schedulers {
    fn addresses(&self) -> Addresses {
        Addresses::of_ring(self.ring.clone(), self.clock.clone())
    }
}

/// How this frontend brings jobs to queriers: by schedulers, or by the queue of this process.
pub(super) fn jobs(
    cluster: &ClusterConfig,
    queue: Option<&Scheduler>,
    schedulers: &Schedulers,
    name: &str,
) -> Outcome<Jobs> {
    let given = &cluster.frontend;
    let most = given.client.max_answer_bytes;
    let addresses = match queue {
        _ if !given.scheduler_address.is_empty() => {
            let addresses = Addresses::of_names(&given.scheduler_address, given.scheduler_dns_lookup_period);
            addresses.map_err(|error| Failure(format!("frontend.scheduler_address: {error}")))?
        }
        _ if cluster.uses_scheduler_ring() => schedulers.addresses(),
        Some(queue) => return Ok(Jobs::here(queue.clone(), most)),
        None => return Err(Failure("this frontend has no way to queriers: set frontend.scheduler_address".to_owned())),
    };
    Ok(Jobs::there(ClientPool::new(given.client.clone()), addresses, name, most))
}

/// Takes jobs for this querier, from the queues that the file names, those of the ring, or the one of this process. `None` if
/// there is none of these: then it answers those alone who ask it.
pub(super) fn worker(
    cluster: &ClusterConfig,
    app: &Arc<App>,
    queue: Option<&Scheduler>,
    schedulers: &Schedulers,
    name: &str,
    own: SocketAddr,
) -> Outcome<Option<Worker>> {
    let given = &cluster.worker;
    let named = [&given.scheduler_address, &given.frontend_address].into_iter().find(|names| !names.is_empty());
    let addresses = match (named, queue) {
        (Some(names), _) => {
            let addresses = Addresses::of_names(names, given.dns_lookup_duration);
            addresses.map_err(|error| Failure(format!("frontend_worker: {error}")))?
        }
        _ if cluster.uses_scheduler_ring() => schedulers.addresses(),
        (None, Some(_)) => Addresses::fixed(&[reachable(own).to_string()]),
        (None, None) => return Ok(None),
    };
    let querier = if given.id.is_empty() { name.to_owned() } else { given.id.clone() };
    let max_concurrent = cluster.querier.max_concurrent;
    let settings = WorkerSettings { querier, max_concurrent, ..WorkerSettings::default() };
    let work = Arc::new(AppWork::new(app.clone(), given.client.max_answer_bytes));
    Ok(Some(Worker::start(settings, work, ClientPool::new(given.client.clone()), addresses)))
}

/// How this process reaches itself.
fn reachable(own: SocketAddr) -> SocketAddr {
    match own {
        SocketAddr::V4(address) if address.ip().is_unspecified() => ([127, 0, 0, 1], address.port()).into(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, address.port()).into()
        }
        own => own,
    }
}
