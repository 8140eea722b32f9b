//! The querier: reads a store that others write, and asks the ingesters of a ring for what they hold in memory.
//!
//! [`Querier`] implements [`narvi_logs::Read`]. For each leaf of a query it asks all ingesters first, as many of which must
//! answer as the ring's quorum says, and then takes a view of the store that is at least as new as what any of them
//! knew: each acknowledged row is there once, whatever is flushed meanwhile and however many ingesters hold it. How
//! ingesters are reached is the caller's: see [`Ingesters`].
#![forbid(unsafe_code)]

mod ask;
mod ingesters;
mod seen;
mod tail;
mod view;

use std::{sync::Arc, time::Duration};

use narvi::{
    Error, Reader, Tenant, TimeRange,
    logql::{Executor, ast::Expr},
};
use narvi_logs::{Follow, LogsError, Read, View};
use narvi_ring::{Clock, RingView};
use tokio::runtime::Handle;

pub use crate::ingesters::{HeadLabels, IngesterCall, Ingesters, TailItem};

/// How a querier reads. The names are those of Loki's file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct QuerierSettings {
    /// Ingesters are not asked about times that are all older than this; zero: they are always asked. Of a range that
    /// reaches into it they are asked for all.
    pub query_ingesters_within: Duration,
    /// Ingesters are never asked.
    pub query_store_only: bool,
    /// The store is not read.
    pub query_ingester_only: bool,
    /// How long an ingester may take to answer; the query's own time limit counts too.
    pub timeout: Duration,
}

impl Default for QuerierSettings {
    fn default() -> Self {
        Self {
            query_ingesters_within: Duration::from_secs(3 * 3600),
            query_store_only: false,
            query_ingester_only: false,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Answers queries from a store and from ingesters. Cheap to clone. Its functions block on a runtime: they must not be called
/// from a task of one, other than where blocking is allowed.
#[derive(Clone)]
pub struct Querier(Arc<Inner>);

pub(crate) struct Inner {
    reader: Reader,
    ring: Arc<RingView>,
    clock: Arc<dyn Clock>,
    ingesters: Arc<dyn Ingesters>,
    settings: QuerierSettings,
    runtime: Handle,
}

impl Querier {
    /// Reads a store and the ingesters of a ring, which are called on a runtime with time.
    pub fn new(
        reader: Reader,
        ring: Arc<RingView>,
        clock: Arc<dyn Clock>,
        ingesters: Arc<dyn Ingesters>,
        settings: QuerierSettings,
        runtime: Handle,
    ) -> Self {
        Self(Arc::new(Inner { reader, ring, clock, ingesters, settings, runtime }))
    }
}

impl Read for Querier {
    fn view(&self, tenant: &Tenant) -> Box<dyn View> {
        Box::new(view::QuerierView::new(self.0.clone(), tenant.clone()))
    }

    fn tail(&self, tenant: &Tenant, expr: &Expr, categorize: bool) -> Result<Box<dyn Follow>, LogsError> {
        Ok(Box::new(tail::MergedTail::open(&self.0, tenant, expr, categorize).map_err(told)?))
    }

    fn executor(&self) -> Box<dyn Executor> {
        Box::new(self.0.reader.executor())
    }

    fn deletes_version(&self, tenant: &Tenant) -> Result<u64, LogsError> {
        self.0.reader.deletes_version(tenant).map_err(told)
    }
}

impl Inner {
    /// Whether ingesters may hold rows of a range.
    fn asks_ingesters(&self, range: &TimeRange) -> bool {
        if self.settings.query_store_only || range.is_empty() {
            return false;
        }
        let within = i64::try_from(self.settings.query_ingesters_within.as_nanos()).unwrap_or(i64::MAX);
        let now = i64::try_from(self.clock.now_ms()).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        within == 0 || range.max >= now.saturating_sub(within)
    }
}

/// What a client is told: that ingesters or the store cannot be reached is no fault of the client, and 500 in Loki.
fn told(error: Error) -> LogsError {
    match error.kind() {
        narvi::ErrorKind::Unavailable => LogsError::answer(500, text(&error)),
        _ => LogsError::Store(error),
    }
}

/// An error with its cause.
fn text(error: &Error) -> String {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}
