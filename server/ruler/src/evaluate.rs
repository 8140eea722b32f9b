//! What answers the queries of rules.

use std::{future::Future, pin::Pin, sync::Arc};

use narvi::{Tenant, logql::Sample};
use narvi_config::RulerLimits;

/// The series of an instant query, or why there are none.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Sample>, String>> + Send + 'a>>;

/// Evaluates instant queries of a tenant, within the tenant's limits.
pub trait Evaluate: Send + Sync {
    /// The series of a query at an instant in nanoseconds since the epoch. A number is one series without labels; logs
    /// are an error.
    fn instant<'a>(&'a self, tenant: &'a Tenant, query: &'a str, at_ns: i64) -> Answer<'a>;

    /// What the tenant's limits say of its rules at the moment; asked often.
    fn limits(&self, tenant: &Tenant) -> Arc<RulerLimits> {
        let _ = tenant;
        Arc::default()
    }
}
