//! One query: its pieces on their way to queriers, and what they give on its way into the answer.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::try_join_all, stream};
use narvi::{
    Direction, Tenant, TimeRange, Timestamp,
    logql::{
        Answer, Budget, Charge, Error, Gathered, Leaf, LeafScope, Params, Partial, Piece, Plan, Query, StreamShard,
    },
};
use narvi_logs::{Asking, LogsError};
use narvi_rpc::{Evaluation, PartialAnswer};
use tokio::sync::Semaphore;

use crate::{
    TenantLimits,
    frontend::Inner,
    results::{Found, Results, key_of_nothing, key_of_piece, plain},
    split::{Cut, cut},
    told::told,
};

/// A query under way.
pub(crate) struct Run<'a> {
    inner: &'a Inner,
    tenants: &'a [Tenant],
    text: String,
    params: &'a Params,
    plan: &'a Plan,
    budget: &'a Budget,
    limits: TenantLimits,
    /// The results that were kept, if they may be used.
    results: Option<&'a Results>,
    /// Results of later times are not kept.
    settled: i64,
    jobs: Semaphore,
    answered: AtomicBool,
}

/// Some rows of a metric leaf.
struct Work {
    leaf: Leaf,
    rows: TimeRange,
    piece: Option<Piece>,
    /// Whether what it gives may be kept.
    is_kept: bool,
    shards: u32,
}

/// What a piece gives, and room for it.
struct Done {
    partials: Vec<Partial>,
    warnings: Vec<String>,
    _charge: Charge,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        inner: &'a Inner,
        tenants: &'a [Tenant],
        query: &'a Query,
        plan: &'a Plan,
        budget: &'a Budget,
        asking: &Asking,
    ) -> Self {
        let limits = tenants.first().map_or_else(TenantLimits::default, |tenant| (inner.limits)(tenant));
        let freshness = i64::try_from(limits.cache_freshness.as_nanos()).unwrap_or(i64::MAX);
        Self {
            inner,
            tenants,
            text: query.expr().to_string(),
            params: query.params(),
            plan,
            budget,
            results: inner.results.as_ref().filter(|_| !asking.no_cache),
            settled: Timestamp::from_system(SystemTime::now()).as_ns().saturating_sub(freshness),
            jobs: Semaphore::new(limits.parallelism.max(1)),
            limits,
            answered: AtomicBool::new(false),
        }
    }

    /// Whether any querier has answered.
    pub(crate) fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// The answer that one process would give.
    pub(crate) async fn answer(&self) -> Result<Answer, LogsError> {
        let mut gathered = self.plan.gather(self.budget);
        let mut warnings = Vec::new();
        match self.plan.leaves().as_slice() {
            [logs] if logs.gives_lines() => self.lines(logs, &mut gathered, &mut warnings).await?,
            leaves => self.metric(leaves, &mut gathered, &mut warnings).await?,
        }
        let mut answer = gathered.finish()?;
        for text in warnings {
            if !answer.warnings.contains(&text) {
                answer.warnings.push(text);
            }
        }
        Ok(answer)
    }

    /// All pieces of all leaves, in the order in which they are put together.
    async fn metric(
        &self,
        leaves: &[Leaf],
        gathered: &mut Gathered<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(), LogsError> {
        let works: Vec<Work> = leaves.iter().flat_map(|leaf| self.works(leaf)).collect();
        self.inner.metrics.partitions.observe(works.len() as f64);
        let kept = works.iter().find(|work| work.is_kept).map(|work| (work.params(), work.leaf.number()));
        let deletes = self.deletes(kept).await?;
        let mut done =
            stream::iter(works).map(|work| self.work(work, deletes)).buffered(self.limits.parallelism.max(1));
        while let Some(done) = done.next().await {
            take(done?, gathered, warnings)?;
        }
        Ok(())
    }

    fn works(&self, leaf: &Leaf) -> Vec<Work> {
        let of_instant = self.limits.instant_split_interval;
        let interval = if self.params.instant { of_instant } else { self.limits.split_interval };
        let settings = &self.inner.settings;
        let work = |Cut { rows, is_whole }: Cut| {
            let leaf = leaf.clone().within(rows);
            let is_old = is_whole && rows.max < self.settled && self.results.is_some();
            let piece = self.plan.piece(&leaf).filter(|_| is_old);
            let shards = match settings.shard && !leaf.needs_order() {
                true => self.inner.sizes.shards(self.tenants, &leaf, rows, settings.shard_bytes),
                false => 1,
            };
            self.inner.metrics.shards.observe(f64::from(shards));
            Work { rows, is_kept: piece.is_some(), piece, leaf, shards }
        };
        cut(leaf.range(), interval).into_iter().map(work).collect()
    }

    /// A piece of a metric leaf: what is kept of it, or what queriers make of it.
    async fn work(&self, work: Work, deletes: Option<u64>) -> Result<Done, LogsError> {
        let kept = match (&work.piece, self.results, deletes) {
            (Some(piece), Some(results), Some(deletes)) => {
                Some((piece, results, deletes, key_of_piece(self.tenants, &self.text, piece)))
            }
            _ => None,
        };
        if let Some((piece, results, deletes, key)) = &kept
            && let Some(bytes) = self.found(results, key, *deletes).await
            && let Ok(partial) = piece.read(&[&bytes]).and_then(|partial| piece.place(partial))
        {
            let charge = self.budget.charge(bytes.len() as u64).map_err(Error::from)?;
            return Ok(Done { partials: vec![partial], warnings: Vec::new(), _charge: charge });
        }
        let jobs = (0..work.shards).map(|index| {
            let shard = (work.shards > 1).then_some(StreamShard { index, of: work.shards });
            let scope = LeafScope { shard, ..work.leaf.scope() };
            let params = work.params().unwrap_or_else(|| self.params.clone());
            self.job(params, scope)
        });
        let answers = try_join_all(jobs).await?;
        self.inner.sizes.read(self.tenants, &work.leaf, work.rows, answers.iter().map(|one| one.bytes_read).sum());
        let bytes = answers.iter().map(|one| one.partial.len() as u64).sum();
        let charge = self.budget.charge(bytes).map_err(Error::from)?;
        let parts: Vec<&Bytes> = answers.iter().map(|one| &one.partial).collect();
        let partials = match &work.piece {
            Some(piece) => {
                let mut partial = piece.read(&parts)?;
                // Only what all shards made with the same requests to delete.
                let same = |deletes: u64| answers.iter().all(|one| one.deletes == deletes && one.warnings.is_empty());
                if let Some((_, results, _, key)) = kept
                    && let Some(made) = answers.first().map(|one| one.deletes).filter(|made| same(*made))
                    && let Some(bytes) = piece.keep(&mut partial)
                {
                    results.set(key, made, &bytes);
                }
                vec![piece.place(partial)?]
            }
            None => parts.iter().map(|bytes| Partial::decode(bytes, self.plan)).collect::<Result<_, _>>()?,
        };
        let warnings = answers.into_iter().flat_map(|one| one.warnings).collect();
        Ok(Done { partials, warnings, _charge: charge })
    }

    async fn found(&self, results: &Results, key: &Bytes, deletes: u64) -> Option<Bytes> {
        let metrics = &self.inner.metrics;
        match results.get(key, deletes).await {
            Found::Kept(bytes) => {
                metrics.hits.inc();
                return Some(bytes);
            }
            Found::Outdated => metrics.outdated.inc(),
            Found::Nothing => 0,
        };
        metrics.misses.inc();
        None
    }

    /// The pieces of a log query in its direction, few at first if few lines are wanted, until there are enough.
    async fn lines(
        &self,
        leaf: &Leaf,
        gathered: &mut Gathered<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(), LogsError> {
        let mut cuts = cut(leaf.range(), self.limits.split_interval);
        if self.params.direction == Direction::Backward {
            cuts.reverse();
        }
        self.inner.metrics.partitions.observe(cuts.len() as f64);
        let is_kept = |cut: &Cut| cut.is_whole && cut.rows.max < self.settled && self.results.is_some();
        let kept = cuts.iter().any(is_kept).then(|| (Some(self.params.clone()), leaf.number()));
        let deletes = self.deletes(kept).await?;
        let most = self.limits.parallelism.max(1);
        let mut width = if self.params.limit.is_some() { 1 } else { most };
        let mut rest = cuts.as_slice();
        while !rest.is_empty() {
            let (wave, later) = rest.split_at(if width < most { width.min(rest.len()) } else { rest.len() });
            rest = later;
            let piece = |cut: &Cut| self.some_lines(leaf, cut.rows, deletes.filter(|_| is_kept(cut)));
            let mut done = stream::iter(wave).map(piece).buffered(width);
            while let Some(done) = done.next().await {
                take(done?, gathered, warnings)?;
                if gathered.is_full() {
                    return Ok(());
                }
            }
            width = (width * 2).min(most);
        }
        Ok(())
    }

    /// The lines of some rows. `deletes`: it may be known that there are none.
    async fn some_lines(&self, leaf: &Leaf, rows: TimeRange, deletes: Option<u64>) -> Result<Done, LogsError> {
        let metrics = &self.inner.metrics;
        let kept = self.results.zip(deletes);
        let key = key_of_nothing(self.tenants, &self.text, rows);
        if let Some((results, deletes)) = kept {
            if matches!(results.get(&key, deletes).await, Found::Kept(_)) {
                metrics.log_hits.inc();
                let charge = self.budget.charge(0).map_err(Error::from)?;
                return Ok(Done { partials: Vec::new(), warnings: Vec::new(), _charge: charge });
            }
            metrics.log_misses.inc();
        }
        let answer = self.job(self.params.clone(), leaf.clone().within(rows).scope()).await?;
        let charge = self.budget.charge(answer.partial.len() as u64).map_err(Error::from)?;
        let partial = Partial::decode(&answer.partial, self.plan)?;
        if let Some((results, _)) = kept
            && partial.is_empty()
            && answer.warnings.is_empty()
            && self.params.limit != Some(0)
        {
            results.set(key, answer.deletes, &[]);
        }
        Ok(Done { partials: vec![partial], warnings: answer.warnings, _charge: charge })
    }

    /// Which requests to delete there are: asked of a querier, if something may be kept and it was not asked lately.
    async fn deletes(&self, kept: Option<(Option<Params>, u32)>) -> Result<Option<u64>, LogsError> {
        let (Some(results), Some((params, leaf))) = (self.results, kept) else { return Ok(None) };
        if let Some(known) = results.known_deletes(self.tenants, self.inner.settings.deletes_max_age) {
            return Ok(Some(known));
        }
        let asked = Instant::now();
        // No row is read for it.
        let scope = LeafScope { leaf, shard: None, rows: TimeRange::EMPTY };
        let answer = self.job(params.unwrap_or_else(|| self.params.clone()), scope).await?;
        results.learn_deletes(self.tenants, answer.deletes, asked);
        Ok(Some(answer.deletes))
    }

    /// Has one scope evaluated, by several queriers one after the other if need be.
    async fn job(&self, params: Params, scope: LeafScope) -> Result<PartialAnswer, LogsError> {
        let evaluation = Evaluation { query: self.text.clone(), params, scopes: vec![scope] };
        let ask = || async {
            // Closed never.
            let _permit = self.jobs.acquire().await.ok();
            let left: Option<Duration> = self.budget.time_left();
            let limits = self.budget.limits().clone();
            self.inner.queriers.evaluate(self.tenants, left, evaluation.clone(), limits).await
        };
        let mut answers = self.inner.retried(ask).await.map_err(|error| told(&error))?;
        self.answered.store(true, Ordering::Relaxed);
        let (Some(answer), true) = (answers.pop(), answers.is_empty()) else {
            return Err(LogsError::answer(500, "a querier has not given one partial result for one part of the query"));
        };
        self.budget.read(answer.bytes_read, answer.lines_read).map_err(Error::from)?;
        Ok(answer)
    }
}

impl Work {
    /// What it is to be evaluated with, if not with the parameters of the query.
    fn params(&self) -> Option<Params> {
        self.piece.as_ref().map(|piece| plain(piece.params()))
    }
}

fn take(done: Done, gathered: &mut Gathered<'_>, warnings: &mut Vec<String>) -> Result<(), LogsError> {
    for partial in done.partials {
        gathered.add(partial)?;
    }
    for text in done.warnings {
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }
    Ok(())
}
