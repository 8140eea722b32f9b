//! The queue against a naive model, and what fairness means.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{FairQueue, Ticket};
use crate::queriers::Queriers;

const TENANTS: [&str; 4] = ["a", "b", "c", "d"];
const QUERIERS: [&str; 4] = ["p", "q", "r", "s"];
const MOST: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Push(usize, usize),
    Pop(usize),
    /// One that waits or was taken, counted from the oldest.
    Remove(usize),
    PutBack(usize),
    Connect(usize),
    Disconnect(usize),
    Stops(usize),
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..TENANTS.len(), 0usize..3).prop_map(|(tenant, most)| Step::Push(tenant, most)),
        6 => (0..QUERIERS.len()).prop_map(Step::Pop),
        1 => (0usize..100).prop_map(Step::Remove),
        1 => (0usize..100).prop_map(Step::PutBack),
        1 => (0..QUERIERS.len()).prop_map(Step::Connect),
        1 => (0..QUERIERS.len()).prop_map(Step::Disconnect),
        1 => (0..QUERIERS.len()).prop_map(Step::Stops),
        1 => Just(Step::Forget),
    ]
}

/// The model: items as they came, and for each tenant that waits the others that were served since its last turn, by those
/// queriers that could have served it.
#[derive(Default)]
struct Model {
    waiting: Vec<(Ticket, u64)>,
    taken: Vec<(Ticket, u64)>,
    served: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

fn check_pop(queue: &mut FairQueue<u64>, model: &mut Model, querier: &str) {
    let may = |queue: &FairQueue<u64>, tenant: &str, most: usize| {
        let mut shard = Default::default();
        queue.queriers.refresh(&mut shard, tenant, most);
        shard.has(querier)
    };
    // The limit of a tenant is that of its last push.
    let mut limits: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for (ticket, _) in &model.waiting {
        limits.insert(ticket.tenant.clone(), queue.tenants[&ticket.tenant].max_queriers);
    }
    let served: Vec<_> = limits.iter().filter(|(tenant, most)| may(queue, tenant, **most)).map(|(t, _)| t).collect();
    let Some((ticket, item)) = queue.pop(querier) else {
        assert!(served.is_empty(), "{querier} may serve {served:?}");
        return;
    };
    assert!(served.contains(&&ticket.tenant), "{querier} may not serve {}", ticket.tenant);
    let first = model.waiting.iter().filter(|(one, _)| one.tenant == ticket.tenant).map(|(one, _)| one.number).min();
    assert_eq!(first, Some(ticket.number), "first come, first served");
    let at = model.waiting.iter().position(|(one, _)| one.number == ticket.number).expect("it waits");
    assert_eq!(model.waiting.remove(at).1, item);
    for tenant in served {
        if *tenant == ticket.tenant {
            model.served.remove(tenant);
        } else {
            let seen = model.served.entry(tenant.clone()).or_default();
            assert!(!seen.contains(&ticket.tenant), "{} twice before {tenant}", ticket.tenant);
            seen.push(ticket.tenant.clone());
        }
    }
    model.served.retain(|tenant, _| queue.waiting(tenant) > 0);
    if queue.waiting(&ticket.tenant) > 0 {
        model.served.insert(ticket.tenant.clone(), Vec::new());
    }
    model.taken.push((ticket, item));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn fair_and_without_loss(steps in prop::collection::vec(step(), 0..120)) {
        let delay = Duration::from_secs(1);
        let mut now = Instant::now();
        let mut queue = FairQueue::new(MOST, Queriers::new(delay));
        let mut model = Model::default();
        let mut places = [0usize; QUERIERS.len()];
        let mut next = 0u64;
        for step in steps {
            now += delay / 3;
            match step {
                Step::Push(tenant, most) => {
                    let tenant = TENANTS[tenant];
                    let waiting = model.waiting.iter().filter(|(ticket, _)| &*ticket.tenant == tenant).count();
                    next += 1;
                    let pushed = queue.push(tenant, most, |_| next);
                    prop_assert_eq!(pushed.is_some(), waiting < MOST);
                    model.waiting.extend(pushed.map(|ticket| (ticket, next)));
                }
                Step::Pop(querier) if places[querier] > 0 => check_pop(&mut queue, &mut model, QUERIERS[querier]),
                Step::Pop(_) => {}
                Step::Remove(at) => {
                    let all: Vec<_> = model.waiting.iter().chain(&model.taken).cloned().collect();
                    if let Some((ticket, item)) = all.get(at % all.len().max(1)) {
                        let there = model.waiting.iter().position(|(one, _)| one == ticket);
                        prop_assert_eq!(queue.remove(ticket), there.map(|_| *item));
                        if let Some(at) = there {
                            model.waiting.remove(at);
                        }
                        if queue.waiting(&ticket.tenant) == 0 {
                            model.served.remove(&ticket.tenant);
                        }
                    }
                }
                Step::PutBack(at) => {
                    if !model.taken.is_empty() {
                        let (ticket, item) = model.taken.remove(at % model.taken.len());
                        queue.put_back(&ticket, item);
                        model.waiting.push((ticket, item));
                    }
                }
                Step::Connect(querier) => {
                    places[querier] += 1;
                    queue.queriers.connect(&Arc::from(QUERIERS[querier]));
                }
                Step::Disconnect(querier) if places[querier] > 0 => {
                    places[querier] -= 1;
                    queue.queriers.disconnect(QUERIERS[querier], now);
                }
                Step::Disconnect(_) => {}
                Step::Stops(querier) => queue.queriers.stops(QUERIERS[querier]),
                Step::Forget => queue.queriers.forget(now),
            }
            prop_assert_eq!(queue.len(), model.waiting.len());
            prop_assert_eq!(queue.turns.len(), queue.tenants.len());
        }
        // Everything that waits comes out, once.
        let mut left: Vec<u64> = queue.drain().into_iter().map(|(_, item)| item).collect();
        let mut expected: Vec<u64> = model.waiting.iter().map(|(_, item)| *item).collect();
        left.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(left, expected);
        prop_assert_eq!(queue.len(), 0);
    }
}
