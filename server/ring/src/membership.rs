//! Membership: who is there, as each instance tells of itself. What a ring is made of, without the ring.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc};

use tokio::sync::watch;

use crate::instance::{Instance, RecordError};

/// The rings of a cluster. Records of one are not seen in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RingName {
    /// Those that hold recent logs.
    Ingester,
    /// Those that take pushes; counted for global rate limits.
    Distributor,
    /// Of which one compacts.
    Compactor,
    /// Those that evaluate rules.
    Ruler,
    /// Those that queue queries.
    Scheduler,
    /// Those that answer from the index.
    IndexGateway,
}

impl RingName {
    /// All rings.
    pub const ALL: [Self; 6] =
        [Self::Ingester, Self::Distributor, Self::Compactor, Self::Ruler, Self::Scheduler, Self::IndexGateway];

    /// The name in metrics, pages and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingester => "ingester",
            Self::Distributor => "distributor",
            Self::Compactor => "compactor",
            Self::Ruler => "ruler",
            Self::Scheduler => "scheduler",
            Self::IndexGateway => "index-gateway",
        }
    }

    /// The ring of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ring| ring.as_str() == name)
    }
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The records of one ring at one time, by id; those that left are among them until they are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(pub(crate) BTreeMap<String, Arc<Instance>>);

impl Members {
    /// The record of an instance.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Instance>> {
        self.0.get(id)
    }

    /// All records in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.0.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Instance> for Members {
    fn from_iter<T: IntoIterator<Item = Instance>>(instances: T) -> Self {
        Self(instances.into_iter().map(|instance| (instance.id.clone(), Arc::new(instance))).collect())
    }
}

/// What cannot be done with a membership.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// A record breaks a limit.
    #[error("cannot publish the record of an instance")]
    Record(#[from] RecordError),
    /// More instances than a ring may have.
    #[error("ring {ring} has {limit} instances, no more are taken: forget those that are gone")]
    Full {
        /// Which ring.
        ring: RingName,
        /// How many it may have.
        limit: usize,
    },
    /// The members are written in the configuration.
    #[error("members of ring {ring} are a fixed list: change the configuration instead")]
    Fixed {
        /// Which ring.
        ring: RingName,
    },
    /// Settings that cannot be used.
    #[error("cannot use {what} {value}: {reason}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Gossip could not start.
    #[error("cannot gossip on {address}: {reason}")]
    Gossip {
        /// Where it should listen.
        address: String,
        /// What the system says.
        reason: String,
    },
}

/// What [`Membership::leave`] returns.
pub type Leaving<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Knows who is there: publishes own records and watches those of all. One serves all roles of a process.
///
/// Records of the same instance are compared by heartbeat: the newest holds, and one that left wins over one of the
/// same time.
pub trait Membership: Send + Sync {
    /// Publishes the record of an instance of this process, or renews it. The others see it soon.
    ///
    /// # Errors
    /// The record breaks a limit, or the ring is full.
    fn publish(&self, ring: RingName, instance: Instance) -> Result<(), MembershipError>;

    /// The records of a ring now, and as they change.
    fn watch(&self, ring: RingName) -> watch::Receiver<Arc<Members>>;

    /// Takes the record of a dead instance out everywhere. One that lives comes back with its next heartbeat. Whether
    /// there was such a record.
    ///
    /// # Errors
    /// Members are a fixed list.
    fn forget(&self, ring: RingName, id: &str) -> Result<bool, MembershipError>;

    /// Tells the others what was published last, then takes part no more. Records stay as published.
    fn leave(&self) -> Leaving<'_>;

    /// Whether it works: false when its loop ended, after which nothing is heard of the others any more.
    fn healthy(&self) -> bool;

    /// What the page of the cluster shows.
    fn cluster(&self) -> ClusterPage;
}

/// The cluster under the rings, for its page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterPage {
    /// Whether processes talk with each other at all.
    pub enabled: bool,
    /// Whether it works.
    pub healthy: bool,
    /// The name of this process in it.
    pub node: String,
    /// The name of the cluster.
    pub label: String,
    /// Who is in it, this process included.
    pub nodes: Vec<ClusterNode>,
    /// How many records each ring has.
    pub records: Vec<(RingName, usize)>,
}

/// A process in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// Where it gossips.
    pub address: String,
    /// Whether it was heard of lately.
    pub alive: bool,
}
