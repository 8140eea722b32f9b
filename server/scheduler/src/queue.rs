//! The order of waiting: first come, first served within a tenant, tenants in turn. Neither time nor threads.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use crate::queriers::{Queriers, Shard};

/// What waits, by tenant.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    tenants: HashMap<Arc<str>, Waiting<T>>,
    /// Tenants of whom something waits, in the order of their turns. Who was served goes to the end, so that each of the others
    /// is served at most once before it is one's turn.
    turns: VecDeque<Arc<str>>,
    pub(crate) queriers: Queriers,
    most: usize,
    next: u64,
    count: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    /// By number, which ascends: one that comes back has its old place.
    items: BTreeMap<u64, T>,
    max_queriers: usize,
    shard: Shard,
}

/// Where an item waits. The numbers of a queue are never used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) tenant: Arc<str>,
    pub(crate) number: u64,
    /// How many queriers may serve the tenant; 0 for all.
    pub(crate) max_queriers: usize,
}

impl<T> FairQueue<T> {
    /// A queue in which at most so many items of a tenant wait.
    pub(crate) fn new(max_outstanding_per_tenant: usize, queriers: Queriers) -> Self {
        let (tenants, turns) = (HashMap::new(), VecDeque::new());
        Self { tenants, turns, queriers, most: max_outstanding_per_tenant, next: 0, count: 0 }
    }

    /// Lets an item wait; nothing if too many of the tenant do.
    pub(crate) fn push(
        &mut self,
        tenant: &str,
        max_queriers: usize,
        make: impl FnOnce(&Ticket) -> T,
    ) -> Option<Ticket> {
        if self.waiting(tenant) >= self.most {
            return None;
        }
        let tenant = self.tenants.get_key_value(tenant).map_or_else(|| Arc::from(tenant), |(name, _)| name.clone());
        let ticket = Ticket { tenant, number: self.next, max_queriers };
        self.next += 1;
        let item = make(&ticket);
        self.put_back(&ticket, item);
        Some(ticket)
    }

    /// Lets an item wait again that was taken, whatever the limit.
    pub(crate) fn put_back(&mut self, ticket: &Ticket, item: T) {
        let waiting = self.tenants.entry(ticket.tenant.clone()).or_insert_with(|| {
            self.turns.push_back(ticket.tenant.clone());
            Waiting { items: BTreeMap::new(), max_queriers: 0, shard: Shard::default() }
        });
        waiting.max_queriers = ticket.max_queriers;
        if waiting.items.insert(ticket.number, item).is_none() {
            self.count += 1;
        }
    }

    /// The next item for a querier: the first of the tenant whose turn it is, of those that it serves.
    pub(crate) fn pop(&mut self, querier: &str) -> Option<(Ticket, T)> {
        let turn = self.turns.iter().position(|tenant| {
            let Some(waiting) = self.tenants.get_mut(tenant) else { return false };
            self.queriers.refresh(&mut waiting.shard, tenant, waiting.max_queriers);
            waiting.shard.has(querier)
        })?;
        let tenant = self.turns.remove(turn)?;
        let waiting = self.tenants.get_mut(&tenant)?;
        let (number, item) = waiting.items.pop_first()?;
        let max_queriers = waiting.max_queriers;
        self.count -= 1;
        if waiting.items.is_empty() {
            self.tenants.remove(&tenant);
        } else {
            self.turns.push_back(tenant.clone());
        }
        Some((Ticket { tenant, number, max_queriers }, item))
    }

    /// Takes an item out that is not wanted any more; nothing if it does not wait.
    pub(crate) fn remove(&mut self, ticket: &Ticket) -> Option<T> {
        let waiting = self.tenants.get_mut(&ticket.tenant)?;
        let item = waiting.items.remove(&ticket.number)?;
        self.count -= 1;
        if waiting.items.is_empty() {
            self.tenants.remove(&ticket.tenant);
            self.turns.retain(|tenant| *tenant != ticket.tenant);
        }
        Some(item)
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<(Arc<str>, T)> {
        self.turns.clear();
        self.count = 0;
        let all = self.tenants.drain();
        all.flat_map(|(tenant, waiting)| waiting.items.into_values().map(move |item| (tenant.clone(), item))).collect()
    }

    /// How many items of a tenant wait.
    pub(crate) fn waiting(&self, tenant: &str) -> usize {
        self.tenants.get(tenant).map_or(0, |waiting| waiting.items.len())
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
