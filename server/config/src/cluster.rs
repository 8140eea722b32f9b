//! What several processes have to know to work together, read from all over Loki's file.

use std::time::Duration;

use narvi_ring::GossipSettings;
use narvi_rpc::ClientSettings;

use crate::{
    ConfigError, FrontendConfig, GrpcConfig, IndexGatewayConfig, QuerierConfig, QueryRangeConfig, Rings, Role, Roles,
    RulerCluster, SchedulerConfig, WorkerConfig,
    apply::{Reader, wrong},
    cluster_read,
    cluster_rings::{self, KvStore, line_of},
    cluster_rpc, roles,
    schema::place,
};

/// What several processes have to know to work together. The default is one process with everything, which needs none of
/// the rest; single values are Loki's.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// What this process does.
    pub roles: Roles,
    /// Gossip with other processes; `None`: there are none, or they need not be known.
    pub gossip: Option<GossipSettings>,
    /// The rings, of all roles.
    pub rings: Rings,
    /// Where this process takes calls of others.
    pub grpc: GrpcConfig,
    /// How ingesters are called, by distributors, queriers and rulers.
    pub ingester_client: ClientSettings,
    /// How distributors store pushes on ingesters.
    pub replication: ReplicationConfig,
    /// What queriers ask.
    pub querier: QuerierConfig,
    /// Where queriers take their work from.
    pub worker: WorkerConfig,
    /// The query frontend.
    pub frontend: FrontendConfig,
    /// The query scheduler.
    pub scheduler: SchedulerConfig,
    /// What the frontend makes of queries.
    pub query_range: QueryRangeConfig,
    /// The index gateway, and how it is reached.
    pub index_gateway: IndexGatewayConfig,
    /// Several rulers.
    pub ruler: RulerCluster,
    /// URL of the compactor, which takes requests to delete; empty: none is named.
    pub compactor_address: String,
}

/// How distributors store pushes on ingesters: `ingester_client`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicationConfig {
    /// How long one request to an ingester may take; `remote_timeout`.
    pub timeout: Duration,
    /// How often a batch is sent at most; one more than `grpc_client_config.backoff_config.max_retries`.
    pub attempts: u32,
    /// The pause before the second time, which doubles; `min_period` there.
    pub min_backoff: Duration,
    /// The longest pause; `max_period` there.
    pub max_backoff: Duration,
}

impl Default for ReplicationConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            attempts: 2,
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
        }
    }
}

impl ClusterConfig {
    /// Whether there are other processes to work with: this one is no whole, or it gossips.
    pub fn is_clustered(&self) -> bool {
        !self.roles.is_whole() || self.gossip.is_some()
    }

    /// Whether frontends and queriers find schedulers by their ring. Addresses go first.
    pub fn uses_scheduler_ring(&self) -> bool {
        self.scheduler.use_ring && self.rings.scheduler.store == KvStore::Memberlist
    }
}

/// Reads all of it.
pub(crate) fn apply(
    reader: &Reader<'_>,
    cluster: &mut ClusterConfig,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    cluster.roles = roles::read(reader, warnings)?;
    cluster.gossip = cluster_rings::read(reader, cluster.roles, &mut cluster.rings, warnings)?;
    cluster_rpc::server(reader, cluster.is_clustered(), &mut cluster.grpc, warnings)?;
    ingester_client(reader, cluster, warnings)?;
    cluster_read::querier(reader, &mut cluster.querier, &mut cluster.worker, warnings)?;
    cluster_read::frontend(reader, &mut cluster.frontend, warnings)?;
    cluster_read::query_range(reader, &mut cluster.query_range, warnings)?;
    cluster_read::scheduler(reader, &mut cluster.scheduler)?;
    cluster_read::index_gateway(reader, cluster.roles, &cluster.rings, &mut cluster.index_gateway, warnings)?;
    cluster_read::ruler(reader, &cluster.rings, &mut cluster.ruler, warnings)?;
    cluster_read::url(reader, "common.compactor_address", &mut cluster.compactor_address)?;
    scheduler_ring(reader, cluster)?;
    check_rings(reader, cluster, warnings)
}

fn ingester_client(
    reader: &Reader<'_>,
    cluster: &mut ClusterConfig,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let (client, replication) = (&mut cluster.ingester_client, &mut cluster.replication);
    reader.duration("ingester_client.remote_timeout", &mut client.push_timeout)?;
    if client.push_timeout.is_zero() {
        let path = "ingester_client.remote_timeout";
        return Err(wrong(&line_of(reader, path), path, "must be longer than 0s".to_owned()));
    }
    replication.timeout = client.push_timeout;
    let path = "ingester_client.grpc_client_config";
    cluster_rpc::client(reader, path, client, warnings)?;
    let backoff = |name: &str| format!("{path}.backoff_config.{name}");
    reader.duration(&backoff("min_period"), &mut replication.min_backoff)?;
    reader.duration(&backoff("max_period"), &mut replication.max_backoff)?;
    let mut retries = replication.attempts as usize - 1;
    reader.count(&backoff("max_retries"), &mut retries)?;
    replication.attempts = u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1);
    // A connection is checked before it is used, and closed when nobody is there.
    let pool = |name: &str| format!("ingester_client.pool_config.{name}");
    reader.duration(&pool("remote_timeout"), &mut client.check_timeout)
}

/// Whether schedulers are found by their ring: also if nothing else says where queries are queued.
fn scheduler_ring(reader: &Reader<'_>, cluster: &mut ClusterConfig) -> Result<(), ConfigError> {
    let ClusterConfig { worker, frontend, scheduler, rings, roles, .. } = cluster;
    let carried = rings.scheduler.store == KvStore::Memberlist;
    let path = "query_scheduler.use_scheduler_ring";
    if scheduler.use_ring && !carried && !roles.is_whole() {
        let message = "is true, and the ring is kept in memory: set memberlist.join_members, or name schedulers by \
                       frontend.scheduler_address and frontend_worker.scheduler_address";
        return Err(wrong(&line_of(reader, path), path, message.to_owned()));
    }
    let addresses =
        [&worker.frontend_address, &worker.scheduler_address, &frontend.scheduler_address, &frontend.downstream_url];
    let unnamed = addresses.iter().all(|address| address.is_empty());
    if !reader.has(path) && unnamed && carried {
        scheduler.use_ring = true;
    }
    Ok(())
}

/// Refuses roles that have no way to find the processes they cannot do without.
fn check_rings(reader: &Reader<'_>, cluster: &ClusterConfig, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    let has = |role: Role| cluster.roles.contains(role);
    if cluster.roles.is_whole() || cluster.rings.ingester.store == KvStore::Memberlist {
        return Ok(());
    }
    let target = line_of(reader, "target");
    let alone = |role: Role, lacks: &str| {
        let todo = match cluster.gossip {
            Some(_) => {
                "the ring of ingesters is kept in memory; write memberlist as ingester.lifecycler.ring.kvstore.store"
            }
            None => {
                "set memberlist.join_members in the configuration of all processes, or run them as one with -target=all"
            }
        };
        let message = format!("{role} has no {lacks} in this process, and no ring to find one by: {todo}");
        Err(wrong(&target, "target", message))
    };
    if has(Role::Distributor) && !has(Role::Ingester) {
        return alone(Role::Distributor, "ingester");
    }
    if has(Role::Ingester) && !has(Role::Distributor) {
        return alone(Role::Ingester, "distributor");
    }
    let store_only = cluster.querier.query_store_only;
    for role in [Role::Querier, Role::Ruler] {
        if has(role) && !has(Role::Ingester) && !store_only {
            return alone(role, "ingester");
        }
    }
    if has(Role::Ingester) && !has(Role::Querier) {
        let warning = "no querier finds the ingester of this process without memberlist.join_members: what is pushed is \
                       answered once it is flushed";
        warnings.push(format!("{}target: {warning}", place(target.line)));
    }
    Ok(())
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
