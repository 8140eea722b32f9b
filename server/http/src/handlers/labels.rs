//! Label names, values, series and counts of streams.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Path, State},
    response::Response,
};
use narvi::{Matcher, Selector, TimeRange, logql};

use super::{Asked, json, query::check_length};
use crate::{App, encode, error::ApiError};

fn range(start: i64, end: i64) -> TimeRange {
    TimeRange::new(start, end)
}

/// A selector that does not select everything.
fn selector(text: &str) -> Result<Selector, ApiError> {
    let selector = logql::parse_selector(text)?;
    logql::require_matcher(&selector)?;
    Ok(selector)
}

/// The matchers of an optional `query`.
fn matchers(asked: &Asked) -> Result<Vec<Matcher>, ApiError> {
    match asked.form.get("query") {
        "" => Ok(Vec::new()),
        text => Ok(selector(text)?.matchers().to_vec()),
    }
}

/// Start and end; backwards is 500 in Loki, here it is the client's mistake.
fn bounds(app: &App, asked: &Asked) -> Result<TimeRange, ApiError> {
    let (start, end) = asked.form.ordered_bounds(app.now())?;
    check_length(start, end, &app.settings.limits)?;
    Ok(range(start, end))
}

pub(crate) async fn labels(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let range = bounds(&app, &asked)?;
    let matchers = matchers(&asked)?;
    let ask = move |app: &App, _: &_| Ok(app.db.label_names(&asked.tenant, &matchers, range)?);
    let (names, _) = app.ask(app.budget(), ask).await?;
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
    let ask = move |app: &App, _: &_| Ok(app.db.label_values(&asked.tenant, &name, &matchers, range)?);
    let (values, _) = app.ask(app.budget(), ask).await?;
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
    let ask = move |app: &App, _: &_| Ok(app.db.series(&asked.tenant, &selectors, range)?);
    let (series, _) = app.ask(app.budget(), ask).await?;
    Ok(json(encode::series(&series)))
}

pub(crate) async fn stats(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let range = bounds(&app, &asked)?;
    let selector = selector(asked.form.get("query"))?;
    let ask = move |app: &App, _: &_| Ok(app.db.stream_stats(&asked.tenant, &selector, range)?);
    let (stats, _) = app.ask(app.budget(), ask).await?;
    Ok(json(
        format!(
            "{{\"streams\":{},\"chunks\":{},\"bytes\":{},\"entries\":{}}}",
            stats.streams, stats.blocks, stats.line_bytes, stats.entries
        )
        .into_bytes(),
    ))
}
