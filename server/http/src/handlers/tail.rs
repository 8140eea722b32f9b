//! The requests that become tails.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, Request, State, ws::WebSocketUpgrade},
    response::Response,
};
use narvi::logql;

use super::{
    Asked,
    legacy::with_regexp,
    query::{categorize, check, check_entries, flags},
};
use crate::{
    App,
    error::ApiError,
    tail::{Place, Wanted, serve},
    tenant,
};

/// The longest that live lines can be held back, in seconds.
const MOST_DELAY_SECS: i64 = 5;

pub(crate) async fn tail(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    open(app, request, false).await
}

pub(crate) async fn tail_legacy(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    open(app, request, true).await
}

async fn open(app: Arc<App>, request: Request, legacy: bool) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let asked = Asked::of_parts(&app, &parts)?;
    let tenant = tenant::one(&asked.tenants)?;
    let wanted = wanted(&app, &asked, tenant.clone(), legacy)?;
    // As Go's WebSocket library answers what is no handshake.
    let upgrade =
        WebSocketUpgrade::from_request_parts(&mut parts, &app).await.map_err(|_| ApiError::bad("Bad Request"))?;
    let place = Place::take(&app, &tenant, asked.limits.max_concurrent_tail_requests)?;
    Ok(upgrade.on_upgrade(move |socket| serve(socket, app, wanted, place)))
}

fn wanted(app: &App, asked: &Asked, tenant: narvi::Tenant, legacy: bool) -> Result<Wanted, ApiError> {
    let form = &asked.form;
    let limit = form.limit()?;
    let (start, _) = form.bounds(app.now())?;
    let delay = form.integer("delay_for", 0)?;
    if delay > MOST_DELAY_SECS {
        return Err(ApiError::bad(format!("delay_for can't be greater than {MOST_DELAY_SECS}")));
    }
    let expr = logql::parse(form.get("query"))?;
    let expr = if legacy { with_regexp(expr, form.get("regexp"))? } else { expr };
    check(&expr, &asked.limits)?;
    check_entries(limit, &asked.limits)?;
    let delay = Duration::from_secs(u64::try_from(delay).unwrap_or(0));
    let (flags, categorize) = (flags(asked), categorize(asked) && !legacy);
    Ok(Wanted { tenant, expr, start, limit, delay, flags, categorize, legacy })
}
