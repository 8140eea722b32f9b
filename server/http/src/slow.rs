//! Tells of queries that take long, as Loki's query-frontend does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    App,
    handlers::{FORM, QUERY_TAGS, read_body},
    params::{Form, go_duration},
    tenant,
};

/// Logs requests that take longer than the settings say.
pub(crate) async fn log_slow(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(limit) = app.settings.log_queries_longer_than else { return next.run(request).await };
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let is_form = parts.method == Method::POST && kind.split(';').next().unwrap_or("").trim() == FORM;
    // A form is small, and says what is asked.
    let (body, form) = match is_form {
        false => (body, bytes::Bytes::new()),
        true => match read_body(&app, body, app.settings.max_form_bytes).await {
            Ok(form) => (Body::from(form.clone()), form),
            Err(error) => return error.into_response(),
        },
    };
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let asked = Form::new(parts.uri.query().unwrap_or(""), &form);
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let (org_id, tags) = (text(tenant::HEADER), text(QUERY_TAGS));
    let response = next.run(Request::from_parts(parts, body)).await;
    let took = started.elapsed();
    if took >= limit && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status().as_u16();
        tracing::info!(
            component = "query-frontend",
            method = method.as_str(),
            path,
            org_id,
            status,
            time_taken = go_duration(nanos(took)),
            param_query = asked.get("query"),
            param_start = asked.get("start"),
            param_end = asked.get("end"),
            param_step = asked.get("step"),
            param_limit = asked.get("limit"),
            param_direction = asked.get("direction"),
            query_tags = tags,
            "slow query detected"
        );
    }
    response
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
