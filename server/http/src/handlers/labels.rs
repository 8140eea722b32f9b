//! Label names, values, series and counts of streams.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Path, State},
    response::Response,
};
use narvi::{Matcher, Selector, TimeRange, logql};

use super::{Asked, json, policy, query::check_length};
use crate::{App, encode, error::ApiError};

/// A selector that does not select everything.
pub(super) fn selector(text: &str) -> Result<Selector, ApiError> {
    let selector = logql::parse_selector(text)?;
    logql::require_matcher(&selector)?;
    Ok(selector)
}

/// The matchers of an optional `query`.
pub(super) fn matchers(asked: &Asked) -> Result<Vec<Matcher>, ApiError> {
    match asked.form.get("query") {
        "" => Ok(Vec::new()),
        text => Ok(selector(text)?.matchers().to_vec()),
    }
}

/// Start and end; backwards is 500 in Loki, here it is the client's mistake.
pub(super) fn bounds(app: &App, asked: &Asked) -> Result<TimeRange, ApiError> {
    let (start, end) = asked.form.ordered_bounds(app.now())?;
    check_length(start, end, &asked.limits)?;
    // Past the end if all of it is too old: an empty range has no streams.
    Ok(TimeRange::new(start.max(policy::oldest(&asked.limits, app.now())), end))
}

pub(crate) async fn labels(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let range = bounds(&app, &asked)?;
    let matchers = matchers(&asked)?;
    let limits = asked.limits.clone();
    let ask = move |app: &App, budget: &_| app.view(&asked.tenants)?.label_names(&matchers, range, budget);
    let (names, _) = app.ask(app.budget(&limits), ask).await?;
    Ok(json(encode::strings(&names)))
}

pub(crate) async fn label_values(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: axum::extract::Request,
) -> Result<Response, ApiError> {
    let asked = Asked::from_request(request, &app).await?;
    let range = bounds(&app, &asked)?;
    let matchers = matchers(&asked)?;
    let limits = asked.limits.clone();
    let ask = move |app: &App, budget: &_| app.view(&asked.tenants)?.label_values(&name, &matchers, range, budget);
    let (values, _) = app.ask(app.budget(&limits), ask).await?;
    Ok(json(encode::strings(&values)))
}

pub(crate) async fn series(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let range = bounds(&app, &asked)?;
    let texts: Vec<&String> = asked.form.all("match").iter().chain(asked.form.all("match[]")).collect();
    let empty = |text: &str| text.chars().filter(|c| !c.is_whitespace()).eq("{}".chars());
    let mut selectors: Vec<Selector> = Vec::new();
    for text in &texts {
        if empty(text) {
            if texts.len() > 1 {
                return Err(ApiError::bad("0 matchers in group: {}"));
            }
            continue;
        }
        selectors.push(selector(text)?);
    }
    let limits = asked.limits.clone();
    let ask = move |app: &App, budget: &_| app.view(&asked.tenants)?.series(&selectors, range, budget);
    let (series, _) = app.ask(app.budget(&limits), ask).await?;
    Ok(json(encode::series(&series)))
}

pub(crate) async fn stats(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let range = bounds(&app, &asked)?;
    let selector = selector(asked.form.get("query"))?;
    let limits = asked.limits.clone();
    let ask = move |app: &App, budget: &_| app.view(&asked.tenants)?.stream_stats(&selector, range, budget);
    let (stats, _) = app.ask(app.budget(&limits), ask).await?;
    Ok(json(
        format!(
            "{{\"streams\":{},\"chunks\":{},\"bytes\":{},\"entries\":{}}}",
            stats.streams, stats.blocks, stats.line_bytes, stats.entries
        )
        .into_bytes(),
    ))
}
