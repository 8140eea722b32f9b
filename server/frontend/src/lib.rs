//! The query-frontend: answers queries by means of queriers, as one process would answer them.
//!
//! [`Frontend`] plans a query, cuts its leaves by time at multiples of the tenant's interval and by stream where much is
//! read, has the pieces evaluated ([`Queriers`]), a bounded number at once, and puts the partial results together in a fixed
//! order, within the budget of the query. A log query with a limit asks for the pieces in its direction, few at first, and
//! stops when it has enough. What may succeed elsewhere is tried again. Pieces of range queries that lie wholly in the
//! past are kept in a cache, if there is one; so is that no line was found.
//!
//! What was kept knows which requests to delete there were: with others it is not used. Lines that are pushed later, with
//! times for which a result is kept, show when that expires.
//!
//! Other requests of the read side are handed to queriers, or ([`Downstream`]) to a server over HTTP.
#![forbid(unsafe_code)]

mod downstream;
mod frontend;
mod metrics;
mod queriers;
mod results;
mod run;
mod settings;
mod sizes;
mod split;
mod told;

pub use crate::downstream::{Downstream, DownstreamError};
pub use crate::frontend::Frontend;
pub use crate::metrics::FrontendMetrics;
pub use crate::queriers::{Evaluating, HttpAnswering, Queriers};
pub use crate::settings::{FrontendSettings, LimitsOf, TenantLimits};
