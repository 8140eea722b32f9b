//! Tails over several ingesters: each of them tells of its pushes, and a row that several tell of is given once.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use narvi::{
    Dropped, Error, PushStream, Selector, TailQuery, Tenant,
    logql::{Budget, Row, ast::Expr},
};
use narvi_logs::{Follow, LogsError};
use narvi_ring::Instance;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    Inner,
    ask::late,
    ingesters::{IngesterCall, TailItem},
    seen::Seen,
};

/// What waits for the reader of a tail. When it is full, ingesters drop lines, and say so.
const ITEMS_AHEAD: usize = 16;
/// How often ingesters are looked for that came, or that broke off.
const LOOK: Duration = Duration::from_millis(200);
/// Dropped lines that are listed one by one; the rest is only counted.
const MOST_LISTED: usize = 50_000;

/// A log query that is followed on all ingesters.
pub(crate) struct MergedTail {
    runtime: Handle,
    items: mpsc::Receiver<TailItem>,
    query: TailQuery,
    waiting: VecDeque<PushStream>,
    seen: Seen,
    dropped: (Vec<Dropped>, u64),
    closed: bool,
}

type Feed = (String, mpsc::Receiver<TailItem>);

impl MergedTail {
    /// Follows on as many ingesters as the quorum says, then on the others too.
    pub(crate) fn open(querier: &Arc<Inner>, tenant: &Tenant, expr: &Expr, categorize: bool) -> Result<Self, Error> {
        let query = TailQuery::new(expr.clone(), categorize)?;
        let selector = query.selector().clone();
        let first = querier.ask(&Budget::unlimited(), |of| connect(querier, of, tenant, &selector))?;
        let (out, items) = mpsc::channel(ITEMS_AHEAD);
        let feeds = Feeds { querier: querier.clone(), tenant: tenant.clone(), selector, out };
        querier.runtime.spawn(feeds.run(first));
        Ok(Self {
            runtime: querier.runtime.clone(),
            items,
            query,
            waiting: VecDeque::new(),
            seen: Seen::default(),
            dropped: (Vec::new(), 0),
            closed: false,
        })
    }

    fn take(&mut self, item: TailItem) {
        self.waiting.extend(item.streams);
        let listed = item.dropped.len() as u64;
        for line in item.dropped {
            if self.seen.is_new((1u8, line.labels.hash64(), line.timestamp.as_ns())) {
                self.dropped.1 += 1;
                if self.dropped.0.len() < MOST_LISTED {
                    self.dropped.0.push(line);
                }
            }
        }
        self.dropped.1 += item.dropped_count.saturating_sub(listed);
    }
}

impl Follow for MergedTail {
    fn recv_timeout(&mut self, wait: Duration) -> Result<Option<Vec<Row>>, LogsError> {
        let deadline = Instant::now().checked_add(wait);
        loop {
            while let Some(stream) = self.waiting.pop_front() {
                let (labels, mut entries) = (stream.labels, stream.entries);
                let of = labels.hash64();
                entries.retain(|e| self.seen.is_new((0u8, of, e.timestamp.as_ns(), &e.line[..], e.metadata.packed())));
                if entries.is_empty() {
                    continue;
                }
                let rows = self.query.rows(&labels, entries)?;
                if !rows.is_empty() {
                    return Ok(Some(rows));
                }
            }
            if self.closed {
                return Ok(None);
            }
            let left = deadline.map_or(wait, |at| at.saturating_duration_since(Instant::now()));
            let items = &mut self.items;
            match self.runtime.block_on(async move { timeout(left, items.recv()).await }) {
                Ok(Some(item)) => self.take(item),
                Ok(None) => self.closed = true,
                Err(_) => return Ok(None),
            }
        }
    }

    fn take_dropped(&mut self) -> (Vec<Dropped>, u64) {
        std::mem::take(&mut self.dropped)
    }

    fn is_closed(&self) -> bool {
        self.closed && self.waiting.is_empty()
    }
}

fn connect(querier: &Inner, of: &Arc<Instance>, tenant: &Tenant, selector: &Selector) -> IngesterCall<Feed> {
    let (id, call) = (of.id.clone(), querier.ingesters.tail(of, tenant, selector));
    Box::pin(async move { Ok((id, call.await?)) })
}

/// Brings together what ingesters tell, for as long as there is a reader.
struct Feeds {
    querier: Arc<Inner>,
    tenant: Tenant,
    selector: Selector,
    out: mpsc::Sender<TailItem>,
}

impl Feeds {
    async fn run(self, first: Vec<Feed>) {
        let mut tasks = JoinSet::new();
        // By task: the ingester that it follows.
        let mut followed: HashMap<_, String> = HashMap::new();
        for (id, items) in first {
            let task = tasks.spawn(forward(items, self.out.clone()));
            followed.insert(task.id(), id);
        }
        // The first look is at once: for those that the quorum did not wait for.
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.out.closed() => return,
                Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                    followed.remove(&ended.map_or_else(|error| error.id(), |(task, ())| task));
                }
                _ = look.tick() => {
                    let known: HashSet<&String> = followed.values().collect();
                    for instance in self.missing(&known) {
                        let call = connect(&self.querier, &instance, &self.tenant, &self.selector);
                        let task = tasks.spawn(follow(call, self.querier.settings.timeout, self.out.clone()));
                        followed.insert(task.id(), instance.id.clone());
                    }
                }
            }
        }
    }

    /// Ingesters that are not followed.
    fn missing(&self, known: &HashSet<&String>) -> Vec<Arc<Instance>> {
        match self.querier.ring.current().read_set(self.querier.clock.now_ms()) {
            Ok(set) => set.instances.into_iter().filter(|one| !known.contains(&one.id)).collect(),
            Err(error) => {
                tracing::warn!(%error, "a tail goes on with the ingesters that it has");
                Vec::new()
            }
        }
    }
}

async fn follow(call: IngesterCall<Feed>, wait: Duration, out: mpsc::Sender<TailItem>) {
    match timeout(wait, call).await.unwrap_or_else(|_| Err(late())) {
        Ok((_, items)) => forward(items, out).await,
        Err(error) => tracing::warn!(?error, "cannot follow the pushes of an ingester; trying again"),
    }
}

async fn forward(mut items: mpsc::Receiver<TailItem>, out: mpsc::Sender<TailItem>) {
    while let Some(item) = items.recv().await {
        if out.send(item).await.is_err() {
            return;
        }
    }
}
