//! Live tails: lines as they are pushed, over a WebSocket.
//!
//! A thread follows the store and makes frames; the task of the socket sends them. Between the two there is room for a few
//! frames only, so that a slow reader fills the bounded queue of its subscription, and what does not fit there is
//! dropped and told to it.

mod follow;
mod frame;
mod proxy;
mod session;

use std::{collections::HashMap, sync::Arc};

use narvi::{Direction, Tenant, logql::ast::Expr};
use parking_lot::Mutex;

pub use self::proxy::{TailProxy, TailProxyError};
pub(crate) use self::{proxy::proxied, session::serve};
use crate::{App, error::ApiError};

/// What a client wants to follow.
pub(crate) struct Wanted {
    pub(crate) tenant: Tenant,
    pub(crate) expr: Expr,
    /// First nanosecond of the lines that are told before the live ones.
    pub(crate) start: i64,
    /// The most of those.
    pub(crate) limit: usize,
    /// How long live lines are held back, so that late ones find their place.
    pub(crate) delay: std::time::Duration,
    /// The encoding flags as the client sent them.
    pub(crate) flags: Vec<String>,
    pub(crate) categorize: bool,
    /// Frames as before Loki 1.
    pub(crate) legacy: bool,
}

impl Wanted {
    /// A selector without stages: of its live lines Loki tells the labels of the stream alone, unless asked for more.
    fn is_bare(&self) -> bool {
        matches!(&self.expr, Expr::Log(log) if log.stages.is_empty()) && !self.categorize
    }

    /// Whether rows come with their metadata apart.
    fn apart(&self) -> bool {
        self.categorize || self.is_bare()
    }

    fn history(&self, now: i64) -> narvi::logql::Params {
        let mut params = narvi::logql::Params::range(self.start, now.saturating_add(1), 0);
        params.direction = Direction::Backward;
        params.limit = Some(self.limit);
        params.categorize = self.apart();
        params
    }
}

/// How many tails there are, by tenant.
#[derive(Debug, Default)]
pub(crate) struct Tails(Mutex<HashMap<Tenant, usize>>);

/// One of the tails that a tenant may have.
pub(crate) struct Place {
    app: Arc<App>,
    tenant: Tenant,
}

impl Place {
    /// Takes a place, if one is free.
    pub(crate) fn take(app: &Arc<App>, tenant: &Tenant, most: usize) -> Result<Self, ApiError> {
        let mut tails = app.tails.0.lock();
        let count = tails.entry(tenant.clone()).or_default();
        if most > 0 && *count >= most {
            let wanted = *count + 1;
            return Err(ApiError::bad(format!(
                "max concurrent tail requests limit exceeded, count > limit ({wanted} > {most})"
            )));
        }
        *count += 1;
        app.metrics.tails.active.inc();
        Ok(Self { app: app.clone(), tenant: tenant.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.metrics.tails.active.dec();
        let mut tails = self.app.tails.0.lock();
        if let Some(count) = tails.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                tails.remove(&self.tenant);
            }
        }
    }
}
