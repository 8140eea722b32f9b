//! The queue in its process: jobs come in, places of queriers take them.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use narvi::Tenant;
use narvi_rpc::{Job, RpcError, RpcErrorKind};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, oneshot};

use crate::{
    answer::{AHEAD, Answer, late},
    lease::{Entry, Lease},
    metrics::QueueMetrics,
    queriers::Queriers,
    queue::{FairQueue, Ticket},
};

/// How a queue behaves. Plain data.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct SchedulerSettings {
    /// Jobs of a tenant that may wait; `query_scheduler.max_outstanding_requests_per_tenant` or
    /// `frontend.max_outstanding_per_tenant`.
    pub max_outstanding_per_tenant: usize,
    /// How long a querier that is lost keeps its tenants; `querier_forget_delay`. Only where tenants have a few queriers each.
    pub querier_forget_delay: Duration,
    /// How many queriers may be lost over a job before it fails.
    pub most_lost: u32,
    /// How long a frontend may take nothing before its answer is broken off.
    pub stall: Duration,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self {
            max_outstanding_per_tenant: 32_000,
            querier_forget_delay: Duration::ZERO,
            most_lost: 3,
            stall: Duration::from_secs(60),
        }
    }
}

/// How many of the connected queriers a tenant may have: 0 for all. Loki's `max_queriers_per_tenant` and `max_query_capacity`.
pub type MaxQueriers = Arc<dyn Fn(&Tenant, usize) -> usize + Send + Sync>;

/// The fair queue between frontends and queriers. Cheap to clone; clones are the same queue.
#[derive(Clone)]
pub struct Scheduler(Arc<Shared>);

struct Shared {
    settings: SchedulerSettings,
    max_queriers: MaxQueriers,
    metrics: QueueMetrics,
    state: Mutex<State>,
}

struct State {
    queue: FairQueue<Entry>,
    /// Places without a job, the one that waits longest first. What waits in the queue is for none of them.
    idle: VecDeque<Idle>,
    next_place: u64,
    /// Jobs that places have.
    running: usize,
    frontends: HashMap<String, Frontend>,
    closed: bool,
}

struct Idle {
    place: u64,
    querier: Arc<str>,
    give: oneshot::Sender<Lease>,
}

struct Frontend {
    jobs: usize,
    last: Instant,
}

/// How long a frontend without jobs counts as connected.
const FRONTEND_LIVES: Duration = Duration::from_secs(60);

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        f.debug_struct("Scheduler")
            .field("waiting", &state.queue.len())
            .field("running", &state.running)
            .field("queriers", &state.queue.queriers.connected())
            .finish_non_exhaustive()
    }
}

impl Scheduler {
    /// A queue that is empty.
    pub fn new(settings: SchedulerSettings, max_queriers: MaxQueriers, metrics: QueueMetrics) -> Self {
        let queriers = Queriers::new(settings.querier_forget_delay);
        let state = State {
            queue: FairQueue::new(settings.max_outstanding_per_tenant, queriers),
            idle: VecDeque::new(),
            next_place: 0,
            running: 0,
            frontends: HashMap::new(),
            closed: false,
        };
        Self(Arc::new(Shared { settings, max_queriers, metrics, state: Mutex::new(state) }))
    }

    /// How many jobs wait.
    pub fn waiting(&self) -> usize {
        self.0.state.lock().queue.len()
    }

    /// How many jobs queriers have.
    pub fn running(&self) -> usize {
        self.0.state.lock().running
    }

    /// How many queriers are connected.
    pub fn queriers(&self) -> usize {
        self.0.state.lock().queue.queriers.connected()
    }

    /// Takes a job in.
    pub(crate) fn enqueue(&self, frontend: &str, job: Job) -> Result<Answer, RpcError> {
        let mut state = self.0.state.lock();
        if state.closed {
            return Err(stops());
        }
        let name = job.tenants().iter().map(Tenant::as_str).collect::<Vec<_>>().join("|");
        let connected = state.queue.queriers.connected();
        // Of several tenants, the one that may have the fewest decides.
        let most = job.tenants().iter().map(|tenant| (self.0.max_queriers)(tenant, connected));
        let most = most.filter(|most| *most > 0).min().unwrap_or(0);
        let (sender, items) = mpsc::channel(AHEAD);
        let late = job.deadline().map(|at| Box::pin(tokio::time::sleep_until(at.into())));
        let entry = Entry { job, since: Instant::now(), lost: 0, answer: sender };
        let Some(ticket) = state.queue.push(&name, most, |_| entry) else {
            drop(state);
            self.0.metrics.refused(&name);
            let refused = RpcError::new(RpcErrorKind::Busy, "too many outstanding requests");
            return Err(refused.with_retryable(false));
        };
        let known = state.frontends.entry(frontend.to_owned());
        known.or_insert_with(|| Frontend { jobs: 0, last: Instant::now() }).jobs += 1;
        self.hand_out(&mut state);
        self.tell(&state, &ticket.tenant);
        drop(state);
        Ok(Answer { scheduler: self.clone(), frontend: frontend.to_owned(), ticket, items, late, over: false })
    }

    /// Nobody waits for the answer to a job any more.
    pub(crate) fn give_up(&self, ticket: &Ticket, frontend: &str) {
        let mut state = self.0.state.lock();
        let entry = state.queue.remove(ticket);
        let now = Instant::now();
        if let Some(known) = state.frontends.get_mut(frontend) {
            known.jobs = known.jobs.saturating_sub(1);
            known.last = now;
        }
        state.frontends.retain(|_, known| known.jobs > 0 || now.duration_since(known.last) < FRONTEND_LIVES);
        self.tell(&state, &ticket.tenant);
        drop(state);
        drop(entry);
    }

    /// Lets a job wait again whose querier was lost, or refuses it.
    pub(crate) fn put_back(&self, ticket: &Ticket, entry: Entry) {
        if entry.lost >= self.0.settings.most_lost.max(1) {
            // Not to be tried again: it may be what they died of.
            let text = format!("{} queriers in a row were lost while they had the query", entry.lost);
            entry.refuse(RpcError::new(RpcErrorKind::Unavailable, text).with_retryable(false));
            return;
        }
        let mut state = self.0.state.lock();
        if state.closed {
            drop(state);
            entry.refuse(stops());
            return;
        }
        // Whoever gives up closes the answer first, and then looks into the queue.
        if !entry.is_given_up() {
            state.queue.put_back(ticket, entry);
            self.hand_out(&mut state);
            self.tell(&state, &ticket.tenant);
        }
    }

    /// A place has its job no more.
    pub(crate) fn ended(&self) {
        let mut state = self.0.state.lock();
        state.running = state.running.saturating_sub(1);
        self.0.metrics.in_flight(state.queue.len() + state.running);
    }

    /// A place of a querier is there.
    pub(crate) fn connect(&self, querier: &str) -> Place {
        let querier: Arc<str> = Arc::from(querier);
        let mut state = self.0.state.lock();
        state.queue.queriers.connect(&querier);
        state.next_place += 1;
        self.rearranged(&mut state);
        Place { scheduler: self.clone(), querier, number: state.next_place }
    }

    /// Forgets queriers that are gone for too long.
    fn forget(&self) {
        let mut state = self.0.state.lock();
        state.queue.queriers.forget(Instant::now());
        self.rearranged(&mut state);
    }

    /// The queriers of tenants may have changed: what waits may be for others now.
    fn rearranged(&self, state: &mut MutexGuard<'_, State>) {
        self.0.metrics.connected(state.queue.queriers.places());
        self.hand_out(state);
    }

    /// Gives what waits to places without a job.
    fn hand_out(&self, state: &mut MutexGuard<'_, State>) {
        let mut at = 0;
        while at < state.idle.len() && state.queue.len() > 0 {
            let querier = state.idle[at].querier.clone();
            let Some(lease) = self.take(state, &querier) else {
                at += 1;
                continue;
            };
            let Some(idle) = state.idle.remove(at) else { return };
            // A place that is gone meanwhile gives it back. Its lease must not be dropped here, where the lock is held.
            if let Err(lease) = idle.give.send(lease)
                && let Some((ticket, entry)) = lease.undo()
            {
                state.running = state.running.saturating_sub(1);
                state.queue.put_back(&ticket, entry);
                self.tell(state, &ticket.tenant);
            }
        }
    }

    /// The next job for a querier.
    fn take(&self, state: &mut MutexGuard<'_, State>, querier: &str) -> Option<Lease> {
        loop {
            let (ticket, entry) = state.queue.pop(querier)?;
            self.tell(state, &ticket.tenant);
            if entry.is_given_up() {
                continue;
            }
            if entry.job.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                entry.refuse(late());
                continue;
            }
            self.0.metrics.taken(entry.since.elapsed());
            state.running += 1;
            return Some(Lease::new(self.clone(), ticket, entry, self.0.settings.stall));
        }
    }

    fn tell(&self, state: &State, tenant: &str) {
        self.0.metrics.waiting(tenant, state.queue.waiting(tenant));
        self.0.metrics.in_flight(state.queue.len() + state.running);
        self.0.metrics.frontends(state.frontends.len());
    }

    pub(crate) fn shut(&self) {
        let mut state = self.0.state.lock();
        state.closed = true;
        let refused = state.queue.drain();
        let idle = std::mem::take(&mut state.idle);
        refused.iter().for_each(|(tenant, _)| self.tell(&state, tenant));
        drop(state);
        drop(idle);
        refused.into_iter().for_each(|(_, entry)| entry.refuse(stops()));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.state.lock().closed
    }
}

fn stops() -> RpcError {
    RpcError::new(RpcErrorKind::Unavailable, "the queue of queries stops; try again, on another instance")
}

/// A place of a querier that is connected.
pub(crate) struct Place {
    scheduler: Scheduler,
    querier: Arc<str>,
    number: u64,
}

impl Place {
    /// Waits for a job. Nothing when the scheduler stops. A future that is dropped leaves the queue.
    pub(crate) async fn next(&self) -> Option<Lease> {
        let (give, given) = oneshot::channel();
        {
            let mut state = self.scheduler.0.state.lock();
            if state.closed {
                return None;
            }
            // One that was waited for in vain before.
            state.idle.retain(|idle| idle.place != self.number);
            if let Some(lease) = self.scheduler.take(&mut state, &self.querier) {
                return Some(lease);
            }
            state.idle.push_back(Idle { place: self.number, querier: self.querier.clone(), give });
        }
        given.await.ok()
    }

    /// The whole querier stops.
    pub(crate) fn stops(&self) {
        let mut state = self.scheduler.0.state.lock();
        state.queue.queriers.stops(&self.querier);
        self.scheduler.rearranged(&mut state);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let scheduler = &self.scheduler;
        let mut state = scheduler.0.state.lock();
        state.idle.retain(|idle| idle.place != self.number);
        state.queue.queriers.disconnect(&self.querier, Instant::now());
        scheduler.rearranged(&mut state);
        drop(state);
        let delay = scheduler.0.settings.querier_forget_delay;
        if !delay.is_zero()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let scheduler = Arc::downgrade(&scheduler.0);
            runtime.spawn(async move {
                tokio::time::sleep(delay).await;
                if let Some(scheduler) = scheduler.upgrade() {
                    Scheduler(scheduler).forget();
                }
            });
        }
    }
}
