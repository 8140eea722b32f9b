//! What a frontend asks of those who bring work to queriers.

use std::{future::Future, pin::Pin, time::Duration};

use narvi::{Tenant, logql::BudgetLimits};
use narvi_rpc::{Evaluation, HttpAnswer, HttpRequest, PartialAnswer, RpcError};

/// The partial results of an evaluation, once they come.
pub type Evaluating = Pin<Box<dyn Future<Output = Result<Vec<PartialAnswer>, RpcError>> + Send>>;

/// The answer to a request, once it comes.
pub type HttpAnswering = Pin<Box<dyn Future<Output = Result<HttpAnswer, RpcError>> + Send>>;

/// Brings jobs of tenants to queriers. A future that is dropped cancels its job; a second try may reach another querier.
pub trait Queriers: Send + Sync {
    /// Has scopes of a query evaluated: a partial result for each, in their order.
    fn evaluate(
        &self,
        tenants: &[Tenant],
        timeout: Option<Duration>,
        evaluation: Evaluation,
        limits: BudgetLimits,
    ) -> Evaluating;

    /// Has a request answered by the routes of a querier.
    fn http(&self, tenants: &[Tenant], timeout: Option<Duration>, request: HttpRequest) -> HttpAnswering;
}
