//! What a process knows of the others, for the pages that tell of it.

use std::{fmt, sync::Arc};

use narvi_config::{Role, Roles};
use narvi_ring::{Clock, ClusterPage, Membership, RingName, RingPage, RingView};

/// The other processes as the pages of rings, of gossip and of services show them.
pub trait Cluster: Send + Sync + fmt::Debug {
    /// A ring, if this process shows it.
    fn ring(&self, name: RingName) -> Option<RingPage>;

    /// Takes the record of a dead instance out of a ring. Says whether there was one.
    ///
    /// # Errors
    /// It cannot be done, and why.
    fn forget(&self, name: RingName, id: &str) -> Result<bool, String>;

    /// The processes under the rings.
    fn members(&self) -> ClusterPage;

    /// The parts that run in this process, by Loki's names.
    fn services(&self) -> Vec<&'static str>;
}

/// The rings of this process.
pub struct Rings {
    roles: Roles,
    membership: Arc<dyn Membership>,
    views: Vec<Arc<RingView>>,
    clock: Arc<dyn Clock>,
}

impl Rings {
    /// Shows of these rings those that concern the roles of this process.
    pub fn new(
        roles: Roles,
        membership: Arc<dyn Membership>,
        views: Vec<Arc<RingView>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { roles, membership, views, clock }
    }

    fn shows(&self, name: RingName) -> bool {
        let roles: &[Role] = match name {
            RingName::Ingester => &[Role::Distributor, Role::Ingester, Role::Querier, Role::Ruler],
            RingName::Distributor => &[Role::Distributor],
            RingName::Compactor => &[Role::Compactor],
            RingName::Ruler => &[Role::Ruler],
            RingName::Scheduler => &[Role::QueryScheduler],
            RingName::IndexGateway => &[Role::IndexGateway],
            _ => &[],
        };
        roles.iter().any(|role| self.roles.contains(*role))
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rings").field("roles", &self.roles).finish_non_exhaustive()
    }
}

impl Cluster for Rings {
    fn ring(&self, name: RingName) -> Option<RingPage> {
        let view = self.views.iter().find(|view| view.name() == name).filter(|_| self.shows(name))?;
        Some(view.current().page(self.clock.now_ms()))
    }

    fn forget(&self, name: RingName, id: &str) -> Result<bool, String> {
        self.membership.forget(name, id).map_err(|error| error.to_string())
    }

    fn members(&self) -> ClusterPage {
        self.membership.cluster()
    }

    fn services(&self) -> Vec<&'static str> {
        let mut names = vec!["analytics", "memberlist-kv", "server"];
        for role in Role::ALL.into_iter().filter(|role| self.roles.contains(*role)) {
            names.push(role.as_str());
            names.extend_from_slice(match role {
                Role::Distributor => &["ring"],
                Role::Ingester => &["ring", "store"],
                Role::Querier | Role::Ruler => &["ingester-querier", "ring", "store"],
                Role::QueryFrontend => &["query-frontend-tripperware"],
                Role::Compactor | Role::IndexGateway => &["store"],
                Role::QueryScheduler => &[],
            });
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}
