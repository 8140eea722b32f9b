//! Requests of the read side that other processes answer, for a process that reads no logs itself.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use narvi_config::Limits;
use narvi_logs::{Forward, Forwarded, Request as Forwarding};

use super::{Asked, ENCODING_FLAGS, QUERY_TAGS, read_body, request_limits};
use crate::{App, error::ApiError};

/// Headers that a request is passed on with: what tells an answer from another. Who asks is told besides them; how the answer
/// is packed is a matter between the client and this process.
const PASSED: [&str; 7] = [
    "content-type",
    "accept",
    "cache-control",
    ENCODING_FLAGS,
    QUERY_TAGS,
    request_limits::LIMITS,
    "x-loki-disable-pipeline-wrappers",
];

/// Headers of answers that are passed on: what is about the connection is not.
const ANSWERED: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::X_CONTENT_TYPE_OPTIONS, header::CACHE_CONTROL, header::LOCATION];

/// Passes a request on.
pub(crate) async fn forward(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let asked = Asked::of_parts(&app, &parts)?;
    let body = match parts.method {
        Method::POST => read_body(&app, body, app.settings.max_form_bytes).await?,
        _ => Bytes::new(),
    };
    let value = |name: &&str| {
        parts.headers.get(*name).map(|value| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes())))
    };
    let request = Forwarding {
        method: parts.method.to_string(),
        uri: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: PASSED.iter().filter_map(value).collect(),
        body,
    };
    answer(app.forward()?.forward(&asked.tenants, time(&asked.limits), request).await?)
}

/// How long a request may take.
fn time(limits: &Limits) -> Option<Duration> {
    Some(limits.query_timeout).filter(|time| !time.is_zero())
}

fn answer(forwarded: Forwarded) -> Result<Response, ApiError> {
    let Forwarded { status, headers, body } = forwarded;
    let status = StatusCode::from_u16(status)
        .map_err(|_| ApiError::new(StatusCode::BAD_GATEWAY, "a querier answers with a status that is none"))?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in headers {
        let found = ANSWERED.iter().find(|known| known.as_str().eq_ignore_ascii_case(&name));
        if let (Some(name), Ok(value)) = (found, HeaderValue::from_bytes(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// The bytes of lines that the index says a selector has in a range, asked of another process. Blocks, on a thread where that
/// is allowed.
pub(super) fn line_bytes(
    forward: &dyn Forward,
    asked: &Asked,
    selector: &str,
    range: narvi::TimeRange,
) -> Result<u64, ApiError> {
    let (start, end) = (range.min.max(0).to_string(), range.max.max(0).to_string());
    let mut form = form_urlencoded::Serializer::new(String::new());
    let form = form.append_pair("query", selector).append_pair("start", &start).append_pair("end", &end).finish();
    let uri = format!("/loki/api/v1/index/stats?{form}");
    let request = Forwarding { method: "GET".to_owned(), uri, ..Forwarding::default() };
    let future = forward.forward(&asked.tenants, time(&asked.limits), request);
    let answer = tokio::runtime::Handle::current().block_on(future)?;
    if answer.status != 200 {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
        return Err(ApiError::new(status, String::from_utf8_lossy(&answer.body).trim_end()));
    }
    let stats: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|error| ApiError::internal(format!("a querier gives statistics that are none: {error}")))?;
    Ok(stats["bytes"].as_u64().unwrap_or(0))
}
