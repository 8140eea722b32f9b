//! `query` and `query_range`.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use narvi::logql::{self, Answer, Budget, Data, Params, Query, ast::Expr};
use narvi_config::Limits;
use narvi_logs::Asking;

use super::{Asked, json, policy};
use crate::{
    App,
    encode::{self, Timing},
    error::ApiError,
    metrics::QueryDone,
    params::{go_duration, print_prometheus_duration},
};

/// The header by which a client asks for the categories of labels.
pub(crate) const ENCODING_FLAGS: &str = "X-Loki-Response-Encoding-Flags";

/// The header that says who asks.
pub(crate) const QUERY_TAGS: &str = "X-Query-Tags";

fn header<'a>(asked: &'a Asked, name: &str) -> &'a str {
    asked.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

pub(super) fn flags(asked: &Asked) -> Vec<String> {
    let flags = header(asked, ENCODING_FLAGS).split(',').map(str::trim);
    flags.filter(|flag| !flag.is_empty()).map(str::to_owned).collect()
}

pub(super) fn categorize(asked: &Asked) -> bool {
    flags(asked).iter().any(|flag| flag == "categorize-labels")
}

/// Grafana's explorer of logs wants the first series and a warning rather than an error.
fn wants_partial_series(asked: &Asked) -> bool {
    header(asked, QUERY_TAGS).split(',').filter_map(|tag| tag.split_once('=')).any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("source") && value.trim().eq_ignore_ascii_case("grafana-lokiexplore-app")
    })
}

pub(crate) async fn query_range(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let (form, limits) = (&asked.form, &asked.limits);
    let limit = form.limit()?;
    let (start, end) = form.ordered_bounds(app.now())?;
    let direction = form.direction()?;
    let step = form.step(start, end)?;
    let interval = form.interval()?;
    logql::check_resolution(start, end, step)?;
    let expr = logql::parse(form.get("query"))?;
    check(&expr, limits)?;
    policy::check(&expr, form.get("query"), limits)?;
    let oldest = policy::oldest(limits, app.now());
    if end < oldest {
        return Ok(nothing(
            &asked,
            if matches!(expr, Expr::Log(_)) { Data::Streams(vec![]) } else { Data::Matrix(vec![]) },
        ));
    }
    let start = start.max(oldest);
    let mut params = Params::range(start, end, step);
    params.direction = direction;
    params.interval_ns = interval;
    params.categorize = categorize(&asked);
    params.partial_series = wants_partial_series(&asked);
    params.max_series = (limits.max_query_series > 0).then_some(limits.max_query_series);
    params.limit = Some(limit);
    match &expr {
        Expr::Log(_) => check_entries(limit, limits)?,
        Expr::Metric(_) if app.settings.align_queries_with_step => {
            (params.start_ns, params.end_ns) = (logql::floor_to_step(start, step), logql::floor_to_step(end, step));
        }
        Expr::Metric(_) if !limits.split_queries_by_interval.is_zero() => {
            (params.start_ns, params.end_ns) = logql::align_to_step(start, end, step);
        }
        Expr::Metric(_) => {}
    }
    check_length(start, end, limits)?;
    run(app.clone(), asked, Query::new(expr, params)).await
}

pub(crate) async fn query(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let (form, limits) = (&asked.form, &asked.limits);
    let limit = form.limit()?;
    let time = form.time("time", app.now().as_ns())?;
    let direction = form.direction()?;
    let expr = logql::parse(form.get("query"))?;
    check(&expr, limits)?;
    policy::check(&expr, form.get("query"), limits)?;
    if time < policy::oldest(limits, app.now()) {
        return Ok(nothing(&asked, Data::Vector(vec![])));
    }
    let mut params = Params::instant(time);
    params.direction = direction;
    params.limit = Some(limit);
    params.partial_series = wants_partial_series(&asked);
    params.max_series = (limits.max_query_series > 0).then_some(limits.max_query_series);
    run(app.clone(), asked, Query::new(expr, params)).await
}

/// An answer without data, to a question about times that the tenant may not ask for.
fn nothing(asked: &Asked, data: Data) -> Response {
    let timing = Timing { exec_secs: 0.0, queue_secs: 0.0 };
    json(encode::answer(&Answer::new(data), &flags(asked), categorize(asked), timing))
}

async fn run(app: Arc<App>, asked: Asked, query: Query) -> Result<Response, ApiError> {
    let started = Instant::now();
    let mut done = QueryDone {
        status: StatusCode::OK.as_u16(),
        is_log: matches!(query.expr(), Expr::Log(_)),
        is_instant: query.params().instant,
        seconds: 0.0,
        waited_seconds: None,
        bytes: 0,
        parts: 0,
    };
    let tags = super::request_limits::tags(&asked.headers);
    let limits = asked.limits.clone();
    let asking = Asking { no_cache: header(&asked, "Cache-Control").split(',').any(|word| word.trim() == "no-cache") };
    let (flags, categorized) = (flags(&asked), categorize(&asked));
    let work = move |app: &App, budget: &Budget| {
        let queue_secs = started.elapsed().as_secs_f64();
        policy::check_bytes(app, &asked, &query, budget)?;
        let answer = app.evaluate_as(&asked.tenants, &query, budget, &asking)?;
        let exec_secs = started.elapsed().as_secs_f64() - queue_secs;
        let read = &answer.statistics;
        let done = QueryDone {
            seconds: exec_secs,
            waited_seconds: Some(queue_secs),
            bytes: read.bytes,
            parts: read.parts,
            ..done
        };
        app.metrics.query(&done);
        tracing::debug!(query_type = done.kind(), exec_secs, query_tags = tags.as_str(), "query");
        Ok(encode::answer(&answer, &flags, categorized, Timing { exec_secs, queue_secs }))
    };
    match app.ask(app.budget(&limits), work).await {
        Ok((body, _)) => Ok(json(body)),
        Err(error) => {
            (done.status, done.seconds) = (error.status.as_u16(), started.elapsed().as_secs_f64());
            app.metrics.query(&done);
            Err(error)
        }
    }
}

/// Refuses queries that the tenant's limits do not allow.
pub(super) fn check(expr: &Expr, limits: &Limits) -> Result<(), ApiError> {
    for selector in expr.selectors() {
        let count = selector.matchers().len();
        let most = limits.max_streams_matchers_per_query;
        if most > 0 && count > most {
            let message = format!("max streams matchers per query exceeded, matchers-count > limit ({count} > {most})");
            return Err(ApiError::bad(message));
        }
    }
    let longest = i64::try_from(limits.max_query_range.as_nanos()).unwrap_or(i64::MAX);
    for range in expr.ranges() {
        if longest > 0 && range.range_ns > longest {
            let (range, limit) = (go_duration(range.range_ns), go_duration(longest));
            return Err(ApiError::bad(format!("[interval] value exceeds limit: [{range}] > [{limit}]")));
        }
    }
    Ok(())
}

pub(super) fn check_entries(limit: usize, limits: &Limits) -> Result<(), ApiError> {
    let most = limits.max_entries_limit_per_query;
    if most > 0 && limit > most {
        return Err(ApiError::bad(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {most})"
        )));
    }
    Ok(())
}

pub(super) fn check_length(start: i64, end: i64, limits: &Limits) -> Result<(), ApiError> {
    let longest = i64::try_from(limits.max_query_length.as_nanos()).unwrap_or(i64::MAX);
    let length = end.saturating_sub(start);
    if longest > 0 && length > longest {
        return Err(ApiError::bad(format!(
            "the query time range exceeds the limit (query length: {}, limit: {})",
            go_duration(length),
            print_prometheus_duration(limits.max_query_length),
        )));
    }
    Ok(())
}

/// Prints a query the way Loki does.
pub(crate) async fn format_query(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = super::read_body(&app, body, 1 << 20).await.unwrap_or_default();
    let form = crate::params::Form::new(parts.uri.query().unwrap_or(""), &body);
    let (status, body) = match logql::parse(form.get("query")) {
        Ok(expr) => {
            let mut out = b"{\"status\":\"success\",\"data\":".to_vec();
            encode::string(&mut out, logql::pretty(&expr).as_bytes(), true);
            (StatusCode::OK, out)
        }
        Err(error) => {
            let mut out = b"{\"status\":\"invalid-query\",\"error\":".to_vec();
            encode::string(&mut out, error.to_string().as_bytes(), true);
            (StatusCode::BAD_REQUEST, out)
        }
    };
    let body = [body.as_slice(), b"}"].concat();
    (status, json(body)).into_response()
}
