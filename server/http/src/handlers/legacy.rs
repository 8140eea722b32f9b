//! The read paths of Loki before its version 1: `/api/prom/query`, `/api/prom/label`.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use narvi::{
    TimeRange,
    logql::{
        self, Params, Query,
        ast::{Expr, LineFilter, LineMatch, LineOperand, Stage},
    },
};

use super::{
    Asked, json,
    query::{check, check_entries, check_length},
};
use crate::{App, encode, error::ApiError};

pub(crate) async fn query_legacy(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let (form, limits) = (&asked.form, asked.limits.clone());
    let limit = form.limit()?;
    let (start, end) = form.ordered_bounds(app.now())?;
    let direction = form.direction()?;
    let expr = with_regexp(logql::parse(form.get("query"))?, form.get("regexp"))?;
    if matches!(expr, Expr::Metric(_)) {
        return Err(ApiError::bad("legacy endpoints only support streams result type"));
    }
    check(&expr, &limits)?;
    check_entries(limit, &limits)?;
    check_length(start, end, &limits)?;
    let mut params = Params::range(start, end, 0);
    params.direction = direction;
    params.limit = Some(limit);
    let query = Query::new(expr, params);
    let work = move |app: &App, budget: &logql::Budget| {
        let answer = app.evaluate(&asked.tenants, &query, budget)?;
        Ok(encode::legacy_answer(&answer))
    };
    let (body, _) = app.ask(app.budget(&limits), work).await?;
    Ok(json(body))
}

/// Adds the old parameter `regexp` as a line filter.
pub(super) fn with_regexp(expr: Expr, regexp: &str) -> Result<Expr, ApiError> {
    let Expr::Log(mut log) = expr else { return Ok(expr) };
    if regexp.is_empty() {
        return Ok(Expr::Log(log));
    }
    let operand = LineOperand { value: regexp.as_bytes().to_vec(), ip: false };
    log.stages.push(Stage::LineFilter(LineFilter { op: LineMatch::Regex, operands: vec![operand] }));
    // Printed and read again: the expression is checked where all queries are.
    Ok(logql::parse(&logql::pretty(&Expr::Log(log)))?)
}

/// Names of labels. Loki 3 answers so on `/api/prom/label/{name}/values` too, whatever label is asked for.
pub(crate) async fn label_legacy(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let (start, end) = asked.form.ordered_bounds(app.now())?;
    check_length(start, end, &asked.limits)?;
    let matchers = super::labels::matchers(&asked)?;
    let budget = app.budget(&asked.limits);
    let range = TimeRange::new(start, end);
    let work = move |app: &App, budget: &_| app.view(&asked.tenants)?.label_names(&matchers, range, budget);
    let (names, _) = app.ask(budget, work).await?;
    let mut out = b"{".to_vec();
    if !names.is_empty() {
        out.extend_from_slice(b"\"values\":");
        encode::list(&mut out, &names, |out, name| encode::string(out, name.as_bytes(), false));
    }
    out.push(b'}');
    Ok(json(out))
}
