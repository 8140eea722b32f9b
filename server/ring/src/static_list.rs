//! Membership by configuration: the same list in every process, no one joins or leaves.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use crate::{
    clock::Draw,
    instance::{Instance, State},
    membership::{ClusterPage, Leaving, Members, Membership, MembershipError, RingName},
};

/// A member of a fixed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticMember {
    /// Its name; its tokens follow from it, the same in every process.
    pub id: String,
    /// Where its gRPC is.
    pub address: String,
    /// Its zone, or nothing.
    pub zone: String,
}

/// A fixed list of members, all of which count as alive: who does not answer is noticed by those who call.
pub struct StaticList {
    rings: BTreeMap<RingName, watch::Sender<Arc<Members>>>,
}

impl StaticList {
    /// Makes the rings of a configuration, each member with `tokens` tokens.
    ///
    /// # Errors
    /// A member breaks a limit.
    pub fn new(lists: &[(RingName, Vec<StaticMember>)], tokens: usize) -> Result<Self, MembershipError> {
        let mut rings: BTreeMap<_, _> =
            RingName::ALL.into_iter().map(|ring| (ring, watch::Sender::new(Arc::default()))).collect();
        for (ring, list) in lists {
            let mut members = Vec::with_capacity(list.len());
            for member in list {
                let mut draw = Draw::new(xxhash_rust::xxh3::xxh3_64(member.id.as_bytes()));
                let instance = Instance {
                    id: member.id.clone(),
                    address: member.address.clone(),
                    zone: member.zone.clone(),
                    state: State::Active,
                    tokens: crate::tokens::spread_alone(tokens, &mut draw),
                    registered_ms: 0,
                    heartbeat_ms: Instance::NEVER_STALE,
                };
                instance.validate()?;
                members.push(instance);
            }
            rings.insert(*ring, watch::Sender::new(Arc::new(members.into_iter().collect())));
        }
        Ok(Self { rings })
    }
}

impl Membership for StaticList {
    /// Changes nothing: the list says who is there.
    fn publish(&self, _: RingName, instance: Instance) -> Result<(), MembershipError> {
        Ok(instance.validate()?)
    }

    fn watch(&self, ring: RingName) -> watch::Receiver<Arc<Members>> {
        self.rings.get(&ring).map_or_else(|| watch::Sender::new(Arc::default()).subscribe(), watch::Sender::subscribe)
    }

    fn forget(&self, ring: RingName, _: &str) -> Result<bool, MembershipError> {
        Err(MembershipError::Fixed { ring })
    }

    fn leave(&self) -> Leaving<'_> {
        Box::pin(std::future::ready(()))
    }

    fn healthy(&self) -> bool {
        true
    }

    fn cluster(&self) -> ClusterPage {
        let records = self.rings.iter().map(|(ring, members)| (*ring, members.borrow().len())).collect();
        ClusterPage { healthy: true, records, ..ClusterPage::default() }
    }
}
