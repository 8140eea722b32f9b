//! Queries on a database: LogQL, and questions about streams.

use std::{ops::ControlFlow, sync::mpsc, thread, time::Duration};

use narvi_logql::{
    self as logql, Answer, Budget, BudgetLimits, Charge, Executor, Params, Part, Query, Row, ScanRequest, Source,
    SourceError,
};
use narvi_types::{Direction, Labels, Matcher, Selector, Tenant, TimeRange, Timestamp};

use crate::{
    Db, Error, ErrorKind, Result,
    read::{LabelScan, StoreCatalog, StreamStats, TenantSource, Threads},
};

/// One consistent view of the rows of a tenant: a [`Source`] that answers the same however long it is kept, whatever is
/// pushed, flushed or compacted meanwhile.
pub struct Snapshot {
    pub(crate) source: TenantSource,
    /// What rows from other processes cost.
    pub(crate) _charges: Vec<Charge>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("tenant", &self.source.tenant).finish_non_exhaustive()
    }
}

impl Source for Snapshot {
    fn parts(&self, request: &ScanRequest, budget: &Budget) -> std::result::Result<Vec<Box<dyn Part>>, SourceError> {
        self.source.parts(request, budget)
    }
}

impl Snapshot {
    fn scan(&self, range: TimeRange) -> Result<LabelScan<'_>> {
        let source = &self.source;
        let (tenant, catalog, generations) = (&source.tenant, &*source.catalog, &source.generations[..]);
        Ok(LabelScan { tenant, catalog, generations, range, cuts: source.cuts.as_ref().map_err(Clone::clone)? })
    }

    /// The names of labels of streams that may have lines in the range: all streams, or those that pass the matchers.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>> {
        self.scan(range)?.label_names(matchers)
    }

    /// The values of a label of streams that may have lines in the range: all streams, or those that pass the matchers.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>> {
        self.scan(range)?.label_values(name, matchers)
    }

    /// The streams that one of the selectors selects and that may have lines in the range, sorted; without a selector all.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn series(&self, selectors: &[Selector], range: TimeRange) -> Result<Vec<Labels>> {
        self.scan(range)?.series(selectors)
    }

    /// Counts what the blocks and heads of the selected streams hold that may have lines in the range.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn stream_stats(&self, selector: &Selector, range: TimeRange) -> Result<StreamStats> {
        self.scan(range)?.stats(selector)
    }

    /// Bytes of lines of each selected stream that may have lines in the range, counted by whole blocks.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn stream_volumes(&self, selector: &Selector, range: TimeRange) -> Result<Vec<(Labels, u64)>> {
        Ok(self.scan(range)?.volume(selector)?.into_iter().collect())
    }
}

/// What is in memory and not flushed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Heads of streams; a stream counts once for every generation that holds some of it.
    pub streams: u64,
    /// Rows.
    pub rows: u64,
    /// An estimate of the memory that they take, in bytes.
    pub bytes: u64,
}

impl Db {
    /// What is in memory and not flushed yet.
    pub fn memory_usage(&self) -> MemoryUsage {
        let mut usage = MemoryUsage::default();
        for generation in &self.state().generations {
            let stats = generation.stats();
            usage.streams += u64::from(stats.streams);
            usage.rows += stats.rows;
            usage.bytes += stats.memory_bytes;
        }
        usage
    }

    /// Takes a view of a tenant's rows. Costs no I/O.
    pub fn snapshot(&self, tenant: &Tenant) -> Snapshot {
        let state = self.state();
        let catalog = StoreCatalog::new(state.manifest.clone(), self.tables().clone());
        Snapshot {
            source: TenantSource {
                tenant: tenant.clone(),
                catalog: std::sync::Arc::new(catalog),
                generations: state.generations.clone(),
                packs: self.packs().clone(),
                cuts: self.book().cuts(&state.manifest, tenant, self.horizon(tenant)),
                marks: self.marks().clone(),
            },
            _charges: Vec::new(),
        }
    }

    /// Runs queries on as many threads as the settings allow.
    pub fn executor(&self) -> impl Executor + use<> {
        Threads::new(self.settings().query_threads)
    }

    /// Starts a LogQL query on the tenant `fake`, from the beginning of time to its end.
    pub fn query(&self, text: &str) -> DbQuery {
        DbQuery {
            db: self.clone(),
            text: text.to_owned(),
            tenant: Tenant::default(),
            params: Params::range(i64::MIN, i64::MAX, 0),
            limited: false,
            limits: BudgetLimits::default(),
        }
    }

    /// Evaluates a query that was parsed already.
    ///
    /// # Errors
    /// As [`logql::evaluate`]: the query's own errors, more series than allowed, the budget.
    pub fn evaluate(
        &self,
        tenant: &Tenant,
        query: &Query,
        budget: &Budget,
    ) -> std::result::Result<Answer, logql::Error> {
        logql::evaluate(query, &self.snapshot(tenant), &self.executor(), budget)
    }

    /// As [`Snapshot::label_names`] of what is there now.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn label_names(&self, tenant: &Tenant, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>> {
        self.snapshot(tenant).label_names(matchers, range)
    }

    /// As [`Snapshot::label_values`] of what is there now.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn label_values(
        &self,
        tenant: &Tenant,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<String>> {
        self.snapshot(tenant).label_values(name, matchers, range)
    }

    /// As [`Snapshot::series`] of what is there now.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn series(&self, tenant: &Tenant, selectors: &[Selector], range: TimeRange) -> Result<Vec<Labels>> {
        self.snapshot(tenant).series(selectors, range)
    }

    /// As [`Snapshot::stream_stats`] of what is there now.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn stream_stats(&self, tenant: &Tenant, selector: &Selector, range: TimeRange) -> Result<StreamStats> {
        self.snapshot(tenant).stream_stats(selector, range)
    }

    /// As [`Snapshot::stream_volumes`] of what is there now.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn stream_volumes(&self, tenant: &Tenant, selector: &Selector, range: TimeRange) -> Result<Vec<(Labels, u64)>> {
        self.snapshot(tenant).stream_volumes(selector, range)
    }
}

/// A LogQL query being described; ends with [`DbQuery::run`] or [`DbQuery::rows`].
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until it is run"]
pub struct DbQuery {
    db: Db,
    text: String,
    tenant: Tenant,
    params: Params,
    /// Whether the limit was asked for, and is not the default.
    limited: bool,
    limits: BudgetLimits,
}

impl DbQuery {
    /// Asks another tenant.
    pub fn tenant(mut self, tenant: &Tenant) -> Self {
        self.tenant = tenant.clone();
        self
    }

    /// Only lines from `start` (inside) to `end` (outside); for a metric query the first and the last instant.
    pub fn range(mut self, start: Timestamp, end: Timestamp) -> Self {
        (self.params.start_ns, self.params.end_ns) = (start.as_ns(), end.as_ns());
        self
    }

    /// The distance of the instants of a metric query.
    pub fn step(mut self, step: Duration) -> Self {
        self.params.step_ns = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX);
        self
    }

    /// Evaluates a metric query at one instant.
    pub fn at(mut self, instant: Timestamp) -> Self {
        self.params.instant = true;
        self.params.end_ns = instant.as_ns();
        self
    }

    /// At most so many lines. Without this, [`DbQuery::run`] gives 100 and [`DbQuery::rows`] all.
    pub fn limit(mut self, lines: usize) -> Self {
        self.params.limit = Some(lines);
        self.limited = true;
        self
    }

    /// Oldest line first; the default is newest first.
    pub fn forward(mut self) -> Self {
        self.params.direction = Direction::Forward;
        self
    }

    /// What the query may use at most.
    pub fn limits(mut self, limits: BudgetLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Changes any other parameter; for the limit there is [`DbQuery::limit`].
    pub fn params(mut self, change: impl FnOnce(&mut Params)) -> Self {
        change(&mut self.params);
        self
    }

    fn parse(&self, params: Params) -> Result<Query> {
        let expr = logql::parse(&self.text).map_err(Error::from)?;
        Ok(Query::new(expr, params))
    }

    /// Evaluates the query as a whole.
    ///
    /// # Errors
    /// [`ErrorKind::Query`] with Loki's words; what cannot be read.
    pub fn run(self) -> Result<Answer> {
        let query = self.parse(self.params.clone())?;
        Ok(self.db.evaluate(&self.tenant, &query, &Budget::new(self.limits))?)
    }

    /// Gives the lines of a log query one by one while it is evaluated on a thread of its own. Dropping the iterator
    /// cancels the query. Memory is bounded however many lines there are.
    ///
    /// # Errors
    /// The query is wrong, or a metric query; errors that come later are the last item.
    pub fn rows(self) -> Result<Rows> {
        let mut params = self.params.clone();
        if !self.limited {
            params.limit = None;
        }
        let query = self.parse(params)?;
        query.plan()?;
        let budget = Budget::new(self.limits);
        let (sender, receiver) = mpsc::sync_channel(ROWS_AHEAD);
        let (snapshot, executor) = (self.db.snapshot(&self.tenant), self.db.executor());
        let of_thread = budget.clone();
        let run = move || {
            let mut give = |row| match sender.send(Ok(row)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            if let Err(error) = logql::for_each_row(&query, &snapshot, &executor, &of_thread, &mut give) {
                // Nobody listens when the iterator was dropped.
                let _ = sender.send(Err(Error::from(error)));
            }
        };
        let thread = thread::Builder::new().name("narvi-rows".into()).spawn(run);
        let thread = thread.map_err(|error| Error::io("cannot start a thread for the query", error))?;
        Ok(Rows { receiver: Some(receiver), thread: Some(thread), budget })
    }
}

/// How many rows are evaluated ahead of the reader.
const ROWS_AHEAD: usize = 1024;

/// The lines of a log query; see [`DbQuery::rows`].
#[derive(Debug)]
pub struct Rows {
    receiver: Option<mpsc::Receiver<Result<Row>>>,
    thread: Option<thread::JoinHandle<()>>,
    budget: Budget,
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.as_ref()?.recv().ok()
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.budget.cancel();
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            // A panic on the query's thread ended the rows early; it must not bring down whoever drops them.
            let _ = thread.join();
        }
    }
}

impl From<logql::Error> for Error {
    fn from(error: logql::Error) -> Self {
        let kind = match &error {
            logql::Error::Source(SourceError::Corrupt(_)) => ErrorKind::Corrupt,
            logql::Error::Source(_) => ErrorKind::Unavailable,
            _ => ErrorKind::Query,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}
