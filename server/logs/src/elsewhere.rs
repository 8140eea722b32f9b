//! Queries and requests that other processes answer: what a query-frontend is to those who serve requests.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use narvi::{
    Tenant,
    logql::{Answer, Budget, Query},
};

use crate::LogsError;

/// Evaluates queries by means of other processes.
pub trait Evaluate: Send + Sync {
    /// Evaluates a query on the rows of tenants, one at least; the answer is what one process would give. Blocks until the
    /// budget is cancelled at the latest.
    ///
    /// # Errors
    /// As those of queries in one process; nobody answers in time.
    fn evaluate(
        &self,
        tenants: &[Tenant],
        query: &Query,
        budget: &Budget,
        asking: &Asking,
    ) -> Result<Answer, LogsError>;
}

/// How a query is to be answered, besides what it asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct Asking {
    /// Nothing that was kept of earlier answers may be used.
    pub no_cache: bool,
}

/// The answer to a request that is forwarded, once it comes. Dropping it gives the request up.
pub type Forwarding = Pin<Box<dyn Future<Output = Result<Forwarded, LogsError>> + Send>>;

/// Has requests of the read side answered by other processes.
pub trait Forward: Send + Sync {
    /// Sends a request of tenants, which must be answered in time.
    fn forward(&self, tenants: &[Tenant], timeout: Option<Duration>, request: Request) -> Forwarding;
}

/// A request of Loki's HTTP API. Whose logs are meant goes with it, and is no header of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Request {
    /// The method, as `GET`.
    pub method: String,
    /// Path and query, as `/loki/api/v1/labels?start=1`.
    pub uri: String,
    /// Names and values of headers.
    pub headers: Vec<(String, Bytes)>,
    /// The body; empty if there is none.
    pub body: Bytes,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Forwarded {
    /// The status, as 200.
    pub status: u16,
    /// Names and values of headers.
    pub headers: Vec<(String, Bytes)>,
    /// The body.
    pub body: Bytes,
}
