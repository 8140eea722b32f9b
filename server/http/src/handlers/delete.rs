//! Requests to delete lines: made, listed, cancelled.
//!
//! As in Loki, parameters come from the URL alone, also for POST.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request},
    response::{IntoResponse, Response},
};
use narvi::{DeleteId, DeleteRequest, DeleteStatus, Tenant, TimeRange, logql::parse_log};
use narvi_config::DeletionMode;
use serde::Serialize;

use crate::{App, error::ApiError, params, params::Form, tenant};

const MS: i64 = 1_000_000;

/// A request about deletes by a tenant that may make it.
pub(crate) struct Deleting {
    tenant: Tenant,
    form: Form,
}

impl FromRequestParts<Arc<App>> for Deleting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let tenant = tenant::of_request(&parts.headers, app.settings.auth_enabled)?;
        if !app.settings.deletes_enabled {
            return Err(ApiError::bad("Retention is not enabled"));
        }
        if app.limits.limits(tenant.as_str()).retention.deletion_mode == DeletionMode::Disabled {
            return Err(ApiError::new(StatusCode::FORBIDDEN, "deletion is not available for this tenant"));
        }
        Ok(Self { tenant, form: Form::new(parts.uri.query().unwrap_or(""), b"") })
    }
}

/// What is to be deleted.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    query: String,
    range: TimeRange,
}

impl Wanted {
    fn read(form: &Form, now_ms: i64) -> Result<Self, ApiError> {
        let query = form.get("query");
        if query.is_empty() {
            return Err(ApiError::bad("query not set"));
        }
        if parse_log(query).is_err() {
            return Err(ApiError::bad("invalid query expression"));
        }
        let time = |name: &str| {
            let text = format!("invalid {name} time: require unix seconds or RFC3339 format");
            time_ms(form.get(name)).ok_or_else(|| ApiError::bad(text))
        };
        if form.get("start").is_empty() {
            return Err(ApiError::bad("start time not set"));
        }
        let start = time("start")?;
        let end = if form.get("end").is_empty() { now_ms } else { time("end")? };
        if end > now_ms {
            return Err(ApiError::bad("deletes in the future are not allowed"));
        }
        if start >= end {
            return Err(ApiError::bad("start time can't be greater than or equal to end time"));
        }
        let range = TimeRange::new(start.saturating_mul(MS), end.saturating_mul(MS));
        Ok(Self { query: query.to_owned(), range })
    }
}

/// Unix seconds after 1970 in at most ten digits, or RFC 3339; as milliseconds.
fn time_ms(text: &str) -> Option<i64> {
    if text.len() <= 10 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: i64 = text.parse().ok()?;
        return (seconds > 0).then_some(seconds * 1000);
    }
    params::rfc3339(text).map(|ns| ns.div_euclid(MS))
}

/// Runs blocking work on the store.
async fn blocking<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let of_task = app.clone();
    let done = tokio::task::spawn_blocking(move || work(&of_task)).await;
    done.map_err(|_| ApiError::internal("the request failed unexpectedly; the server's log says more"))?
}

pub(crate) async fn create_delete(State(app): State<Arc<App>>, asked: Deleting) -> Result<Response, ApiError> {
    let wanted = Wanted::read(&asked.form, app.now().as_ns().div_euclid(MS))?;
    let tenant = asked.tenant;
    let request =
        blocking(&app, move |app| Ok(app.compactor()?.create_delete(&tenant, &wanted.query, wanted.range)?)).await?;
    seen_by_queriers(&app).await;
    app.metrics.compactor.received(&request.tenant);
    tracing::info!(tenant = %request.tenant, id = %request.id, query = request.query, "delete request received");
    let mut headers = HeaderMap::new();
    if let Ok(id) = HeaderValue::from_str(&request.id.to_string()) {
        headers.insert("X-Delete-Request-Id", id);
    }
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Queriers of other processes look for requests once a second: until all have, a client that was answered could still see
/// what it had deleted.
const SEEN: Duration = Duration::from_millis(1200);

async fn seen_by_queriers(app: &App) {
    if app.settings.in_cluster {
        tokio::time::sleep(SEEN).await;
    }
}

/// A request as Loki lists it.
#[derive(Serialize)]
struct Listed<'a> {
    request_id: String,
    start_time: Seconds,
    end_time: Seconds,
    query: &'a str,
    status: &'a str,
    created_at: Seconds,
    user_id: &'a str,
}

/// Milliseconds, written as seconds with the fraction that is needed.
struct Seconds(i64);

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 1000 {
            0 => serializer.serialize_i64(self.0 / 1000),
            _ => serializer.serialize_f64(self.0 as f64 / 1000.0),
        }
    }
}

fn listed(request: &DeleteRequest) -> Listed<'_> {
    Listed {
        request_id: request.id.to_string(),
        start_time: Seconds(request.range.min.div_euclid(MS)),
        end_time: Seconds(request.range.max.div_euclid(MS)),
        query: &request.query,
        status: match request.status {
            DeleteStatus::Processed { .. } => "processed",
            _ => "received",
        },
        created_at: Seconds(i64::try_from(request.created_ms).unwrap_or(i64::MAX)),
        // Loki leaves it empty in this list.
        user_id: "",
    }
}

pub(crate) async fn list_deletes(State(app): State<Arc<App>>, asked: Deleting) -> Result<Response, ApiError> {
    let within = |name: &str, default| time_ms(asked.form.get(name)).map_or(default, |ms| ms.saturating_mul(MS));
    let range = TimeRange::new(within("start", i64::MIN), within("end", i64::MAX));
    // What Loki's queriers ask for: only what still hides lines.
    let pending_only = asked.form.get("for_querytime_filtering") == "true";
    let requests = app.compactor()?.delete_requests(&asked.tenant);
    let wanted = requests.iter().filter(|r| r.range.overlaps(&range) && (r.is_pending() || !pending_only));
    let body = serde_json::to_vec(&wanted.map(listed).collect::<Vec<_>>())
        .map_err(|error| ApiError::internal(format!("cannot write the list of delete requests: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

pub(crate) async fn cancel_delete(State(app): State<Arc<App>>, asked: Deleting) -> Result<StatusCode, ApiError> {
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, "could not find delete request with given id");
    let id: DeleteId = asked.form.get("request_id").parse().map_err(|_| unknown())?;
    let force = asked.form.get("force") == "true";
    let tenant = asked.tenant;
    let cancelled = blocking(&app, move |app| Ok(app.compactor()?.cancel_delete(&tenant, id, force)?)).await?;
    if cancelled {
        seen_by_queriers(&app).await;
    }
    if cancelled { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

/// A text that changes whenever a tenant's requests do, so that answers kept elsewhere can be told to be old.
pub(crate) async fn generation_numbers(State(app): State<Arc<App>>, asked: Deleting) -> Result<Response, ApiError> {
    let version = app.compactor()?.deletes_version(&asked.tenant);
    let text = if version == 0 { String::new() } else { version.to_string() };
    Ok(([(header::CONTENT_TYPE, "application/json")], format!("\"{text}\"\n")).into_response())
}

#[cfg(test)]
mod tests {
    use narvi::TimeRange;

    use super::{Seconds, Wanted};
    use crate::params::Form;

    const NOW: i64 = 1_795_221_972_374;

    fn read(query: &str) -> Result<Wanted, String> {
        Wanted::read(&Form::new(query, b""), NOW).map_err(|error| error.message)
    }

    #[test]
    fn parameters_are_checked_in_order() {
        for (query, text) in [
            ("", "query not set"),
            ("query=app", "invalid query expression"),
            ("query=rate({a=\"b\"}[1m])", "invalid query expression"),
            ("query={a=\"b\"}", "start time not set"),
            ("query={a=\"b\"}&start=1.5", "invalid start time: require unix seconds or RFC3339 format"),
            ("query={a=\"b\"}&start=0", "invalid start time: require unix seconds or RFC3339 format"),
            ("query={a=\"b\"}&start=17898624000", "invalid start time: require unix seconds or RFC3339 format"),
            ("query={a=\"b\"}&start=5&end=x", "invalid end time: require unix seconds or RFC3339 format"),
            ("query={a=\"b\"}&start=5&end=1795221973", "deletes in the future are not allowed"),
            ("query={a=\"b\"}&start=5&end=5", "start time can't be greater than or equal to end time"),
        ] {
            assert_eq!(read(&query.replace('+', "%2B")), Err(text.to_owned()), "{query}");
        }
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        let wanted = read("query={a=\"b\"} |= \"c\"&start=1970-01-01T00:00:10Z").expect("right");
        assert_eq!(wanted.range, TimeRange::new(10_000_000_000, NOW * 1_000_000));
        assert_eq!(wanted.query, "{a=\"b\"} |= \"c\"");
        let text = |ms| serde_json::to_string(&Seconds(ms)).expect("a number");
        assert_eq!(text(1_795_221_972_370), "1795221972.37");
        assert_eq!(text(1_789_862_400_000), "1789862400");
    }
}
