//! What can be asked of logs: detected labels and detected fields.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Path, Request, State},
    response::Response,
};
use narvi::logql::{
    self, Budget, Data, Params, Query,
    ast::{Expr, LogExpr},
    value,
};

use super::{
    Asked, json,
    labels::{bounds, matchers},
    query::{check, check_entries},
};
use crate::{App, encode, error::ApiError, fields};

/// Labels that are told even where all their values are numbers or ids.
const ALWAYS: [&str; 4] = ["cluster", "namespace", "instance", "pod"];
/// A long range is sampled in at most so many pieces.
const MOST_PIECES: i64 = 24;

pub(crate) async fn detected_labels(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let range = bounds(&app, &asked)?;
    let matchers = matchers(&asked)?;
    let budget = app.budget(&asked.limits);
    let work = move |app: &App, budget: &Budget| {
        let mut found = Vec::new();
        let view = app.view(&asked.tenants)?;
        for name in view.label_names(&matchers, range, budget)? {
            budget.check().map_err(logql::Error::from)?;
            let values = view.label_values(&name, &matchers, range, budget)?;
            if ALWAYS.contains(&name.as_str()) || !values.iter().all(|value| is_id(value)) {
                found.push((name, values.len()));
            }
        }
        Ok(found)
    };
    let (found, _) = app.ask(budget, work).await?;
    let mut out = b"{".to_vec();
    if !found.is_empty() {
        out.extend_from_slice(b"\"detectedLabels\":");
        encode::list(&mut out, &found, |out, (name, count)| {
            out.extend_from_slice(b"{\"label\":");
            encode::string(out, name.as_bytes(), false);
            out.extend_from_slice(format!(",\"cardinality\":{count}}}").as_bytes());
        });
    }
    out.push(b'}');
    Ok(json(out))
}

/// A number or a UUID, of which a client would not want a list to choose from.
fn is_id(text: &str) -> bool {
    value::parse_float(text.as_bytes()).is_ok() || is_uuid(text)
}

/// A UUID in one of its usual forms: with dashes, in braces, as a URN, or as 32 digits.
fn is_uuid(text: &str) -> bool {
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    match text.len() {
        32 => hex(text),
        36 => {
            let parts: Vec<&str> = text.split('-').collect();
            parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| hex(part))
        }
        _ => false,
    }
}

pub(crate) async fn detected_fields(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let (fields, limit) = sample(&app, asked, None).await?;
    let mut out = b"{".to_vec();
    if !fields.all().is_empty() {
        out.extend_from_slice(b"\"fields\":");
        encode::list(&mut out, fields.all(), field);
        out.push(b',');
    }
    out.extend_from_slice(format!("\"limit\":{limit}}}").as_bytes());
    Ok(json(out))
}

fn field(out: &mut Vec<u8>, field: &fields::Field) {
    out.extend_from_slice(b"{\"label\":");
    encode::string(out, field.name.as_bytes(), false);
    let (kind, count) = (field.kind.name(), field.values.len());
    out.extend_from_slice(format!(",\"type\":\"{kind}\",\"cardinality\":{count},\"parsers\":").as_bytes());
    match field.parsers.is_empty() {
        true => out.extend_from_slice(b"null"),
        false => encode::list(out, &field.parsers, |out, parser| encode::string(out, parser.as_bytes(), false)),
    }
    if !field.json_path.is_empty() {
        out.extend_from_slice(b",\"jsonPath\":");
        encode::list(out, &field.json_path, |out, key| encode::string(out, key.as_bytes(), false));
    }
    out.push(b'}');
}

pub(crate) async fn detected_field_values(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = Asked::from_request(request, &app).await?;
    let (fields, limit) = sample(&app, asked, Some(())).await?;
    let mut out = b"{".to_vec();
    if let Some(field) = fields.get(&name) {
        let values: Vec<&String> = field.values.iter().take(limit).collect();
        out.extend_from_slice(b"\"values\":");
        encode::list(&mut out, &values, |out, value| encode::string(out, value.as_bytes(), false));
        out.extend_from_slice(format!(",\"limit\":{limit}").as_bytes());
    }
    out.push(b'}');
    Ok(json(out))
}

/// Looks at some lines of every piece of the range; the limit is one of fields, or of the values of one.
async fn sample(app: &Arc<App>, asked: Asked, values: Option<()>) -> Result<(fields::Fields, usize), ApiError> {
    let form = &asked.form;
    let range = bounds(app, &asked)?;
    // The name that it had before Loki 3.3 comes second.
    let limit = form.count("limit", form.count("field_limit", 1000)?)?;
    let lines = form.count("line_limit", 100)?;
    form.step(range.min, range.max)?;
    let Expr::Log(log) = logql::parse(form.get("query"))? else {
        return Err(ApiError::bad("only log selector is supported"));
    };
    let expr = Expr::Log(log.clone());
    check(&expr, &asked.limits)?;
    check_entries(lines, &asked.limits)?;
    let most = if values.is_some() { usize::MAX } else { limit };
    let limits = asked.limits.clone();
    let split = i64::try_from(limits.split_queries_by_interval.as_nanos()).unwrap_or(0);
    let pieces = pieces(range.min, range.max, split);
    let work = move |app: &App, budget: &Budget| {
        let mut fields = fields::Fields::new(most);
        for (start, end) in pieces {
            look(app, &asked, &log, (start, end, lines), &mut fields, budget)?;
        }
        Ok(fields)
    };
    let (fields, _) = app.ask(app.budget(&limits), work).await?;
    Ok((fields, limit))
}

fn look(
    app: &App,
    asked: &Asked,
    log: &LogExpr,
    (start, end, lines): (i64, i64, usize),
    fields: &mut fields::Fields,
    budget: &Budget,
) -> Result<(), ApiError> {
    let mut params = Params::range(start, end, 0);
    params.limit = Some(lines);
    params.categorize = true;
    let query = Query::new(Expr::Log(log.clone()), params);
    let answer = app.evaluate(&asked.tenants, &query, budget)?;
    let Data::Streams(streams) = answer.data else { return Ok(()) };
    Ok(fields.add_lines(&streams, &fields::parsers(log))?)
}

/// Pieces of a range, newest first, cut at multiples of the split.
fn pieces(start: i64, end: i64, split: i64) -> Vec<(i64, i64)> {
    if split <= 0 {
        return vec![(start, end)];
    }
    let split = split.max((end.saturating_sub(start) / MOST_PIECES).saturating_add(1));
    let mut pieces = Vec::new();
    let mut upto = end;
    while upto > start || pieces.is_empty() {
        let from = upto.saturating_sub(1).div_euclid(split).saturating_mul(split).max(start).min(upto);
        pieces.push((from, upto));
        if from <= start {
            break;
        }
        upto = from;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::{is_id, pieces};

    #[test]
    fn ids_are_numbers_and_uuids() {
        for id in ["1", "-2.5", "1e9", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b8109dad11d180b400c04fd430c8"] {
            assert!(is_id(id), "{id}");
        }
        for other in ["", "a", "1a", "6ba7b810-9dad-11d1-80b4-00c04fd430cg", "10.0.0.1"] {
            assert!(!is_id(other), "{other}");
        }
    }

    #[test]
    fn ranges_are_cut_at_multiples() {
        assert_eq!(pieces(5, 25, 10), [(20, 25), (10, 20), (5, 10)]);
        assert_eq!(pieces(0, 10, 10), [(0, 10)]);
        assert_eq!(pieces(5, 25, 0), [(5, 25)]);
        assert_eq!(pieces(7, 7, 10), [(7, 7)]);
        let many = pieces(0, 1_000_000, 1);
        assert!(many.len() <= 26, "{}", many.len());
        assert_eq!(many.last().map(|piece| piece.0), Some(0));
    }
}
