//! Where a process finds logs: the traits between those who serve requests and those who hold, or reach, rows.
//!
//! [`Logs`] is what the roles of one process can do: [`Push`] and [`Read`] are answered by a [`Db`] in one process, by
//! replication over ingesters and by a reader of a shared store in many. What a role lacks is `None`, and is not served.
//! Nothing here knows of HTTP, gRPC or a runtime.
#![forbid(unsafe_code)]

mod elsewhere;
mod error;
mod local;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use narvi::{
    Db, Dropped, Labels, Matcher, PushStream, Selector, StreamStats, Tenant, TimeRange,
    logql::{Budget, Executor, Row, Source, ast::Expr},
};

pub use crate::elsewhere::{Asking, Evaluate, Forward, Forwarded, Forwarding, Request};
pub use crate::error::{LogsError, with_causes};

/// What the roles of a process can do with logs.
#[derive(Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain parts, made with `..Default::default()`")]
pub struct Logs {
    /// Where pushed lines go.
    pub push: Option<Arc<dyn Push>>,
    /// Where queries read.
    pub read: Option<Arc<dyn Read>>,
    /// Who evaluates queries, if that is not done here.
    pub queries: Option<Arc<dyn Evaluate>>,
    /// Who answers what else is asked of logs, if nothing is read here.
    pub forward: Option<Arc<dyn Forward>>,
    /// The database whose memory holds recent lines: it can be flushed and shut down.
    pub ingester: Option<Db>,
    /// The database that removes what is deleted: it takes requests to delete.
    pub compactor: Option<Db>,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs")
            .field("push", &self.push.is_some())
            .field("read", &self.read.is_some())
            .field("queries", &self.queries.is_some())
            .field("forward", &self.forward.is_some())
            .field("ingester", &self.ingester.is_some())
            .field("compactor", &self.compactor.is_some())
            .finish()
    }
}

impl From<Db> for Logs {
    /// One process that is everything.
    fn from(db: Db) -> Self {
        Self {
            push: Some(Arc::new(db.clone())),
            read: Some(Arc::new(db.clone())),
            queries: None,
            forward: None,
            ingester: Some(db.clone()),
            compactor: Some(db),
        }
    }
}

/// The outcome of a push, once it is known.
pub type Pushing = Pin<Box<dyn Future<Output = Result<(), LogsError>> + Send>>;

/// Takes lines that were checked and completed.
pub trait Push: Send + Sync {
    /// Stores lines of a tenant: once the future has succeeded they are as safe as the process promises. The call itself
    /// may block, so it is made where that is allowed; the future does not block. Dropping the future does not take
    /// back what was begun.
    fn push(&self, tenant: &Tenant, streams: Vec<PushStream>) -> Pushing;
}

/// Answers queries. All functions may block.
pub trait Read: Send + Sync {
    /// The rows of a tenant, for one query. Asks nobody yet.
    fn view(&self, tenant: &Tenant) -> Box<dyn View>;

    /// Follows a log query from now on; `categorize` keeps structured metadata and parsed labels apart from the labels
    /// of the stream.
    ///
    /// # Errors
    /// The query is wrong, or a metric query; too few can be reached of those that take pushes.
    fn tail(&self, tenant: &Tenant, expr: &Expr, categorize: bool) -> Result<Box<dyn Follow>, LogsError>;

    /// What runs the parts of a query.
    fn executor(&self) -> Box<dyn Executor>;

    /// A number that changes whenever the requests to delete lines of a tenant do, and 0 where there are none. Views that
    /// are made later know these requests, or newer ones.
    ///
    /// # Errors
    /// The store cannot be reached.
    fn deletes_version(&self, tenant: &Tenant) -> Result<u64, LogsError>;
}

/// The rows of one tenant as one query sees them, and the look-ups of labels. Each row is alive once.
pub trait View: Source + Send {
    /// The names of labels of streams that may have lines in the range: all streams, or those that pass the matchers.
    ///
    /// # Errors
    /// As for all of these: what cannot be read or reached, or the budget is used up.
    fn label_names(&self, matchers: &[Matcher], range: TimeRange, budget: &Budget) -> Result<Vec<String>, LogsError>;

    /// The values of a label of streams that may have lines in the range: all streams, or those that pass the matchers.
    ///
    /// # Errors
    /// See [`View::label_names`].
    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, LogsError>;

    /// The streams that one of the selectors selects and that may have lines in the range, sorted; without a selector all.
    ///
    /// # Errors
    /// See [`View::label_names`].
    fn series(&self, selectors: &[Selector], range: TimeRange, budget: &Budget) -> Result<Vec<Labels>, LogsError>;

    /// Counts what the blocks and heads of the selected streams hold that may have lines in the range.
    ///
    /// # Errors
    /// See [`View::label_names`].
    fn stream_stats(&self, selector: &Selector, range: TimeRange, budget: &Budget) -> Result<StreamStats, LogsError>;
}

/// The lines that a query selects, as they are pushed. Dropping it ends that.
pub trait Follow: Send {
    /// Waits for lines: those of one push to one stream that pass the stages, oldest first. Nothing when none came in time,
    /// or nothing more can come.
    ///
    /// # Errors
    /// A stage fails in a way that a query would fail too, or too few can be reached.
    fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Vec<Row>>, LogsError>;

    /// Takes the list of the lines dropped since the last call, and how many there were in all.
    fn take_dropped(&mut self) -> (Vec<Dropped>, u64);

    /// Whether nothing more can come and all lines were read.
    fn is_closed(&self) -> bool;
}
