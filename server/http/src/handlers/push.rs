//! Pushes: every protocol decodes, then all go the same way.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use narvi::{PushStream, Tenant};
use narvi_config::Limits;
use narvi_distributor::RawStream;
use narvi_logs::Pushing;

use super::read_body;
use crate::{
    App,
    error::ApiError,
    push::{self, JsonShape, PushError},
    tenant,
};

pub(crate) async fn push(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, ApiError> {
    loki(app, request, JsonShape::V1).await
}

pub(crate) async fn push_legacy(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, ApiError> {
    loki(app, request, JsonShape::Legacy).await
}

async fn loki(app: Arc<App>, request: Request, shape: JsonShape) -> Result<StatusCode, ApiError> {
    let (tenant, headers, body) = open(&app, request)?;
    let format = match text(&headers, header::CONTENT_TYPE) {
        Some(kind) if kind.trim_start().starts_with("application/json") => "json",
        _ => "protobuf",
    };
    let body = receive(&app, &tenant, format, body).await?;
    run(app, tenant, format, move |app, _| {
        let (kind, encoding) = (text(&headers, header::CONTENT_TYPE), text(&headers, header::CONTENT_ENCODING));
        push::decode(shape, kind, encoding, body, app.settings.max_decompressed_bytes)
    })
    .await
}

/// OTLP's errors are a protobuf status, for JSON too, and what is no fault of the client is 503, so that it tries again.
pub(crate) async fn push_otlp(State(app): State<Arc<App>>, request: Request) -> Response {
    let done = async {
        let (tenant, headers, body) = open(&app, request)?;
        let body = receive(&app, &tenant, "otlp", body).await?;
        run(app, tenant, "otlp", move |app, limits| {
            let (kind, encoding) = (text(&headers, header::CONTENT_TYPE), text(&headers, header::CONTENT_ENCODING));
            let most = app.settings.max_decompressed_bytes;
            push::otlp::decode(kind, encoding, body, most, Some(&limits.otlp), app.now())
        })
        .await
    };
    match done.await {
        Ok(status) => status.into_response(),
        Err(error) if error.status == StatusCode::UNAUTHORIZED => error.into_response(),
        Err(error) => {
            let status = match error.status {
                StatusCode::INTERNAL_SERVER_ERROR => StatusCode::SERVICE_UNAVAILABLE,
                status => status,
            };
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            (status, kind, push::otlp::status_body(&error.message)).into_response()
        }
    }
}

/// Reads the body as it was sent; counts one that is too large.
async fn receive(app: &App, tenant: &Tenant, format: &str, body: Body) -> Result<Bytes, ApiError> {
    let read = read_body(app, body, app.settings.max_body_bytes).await;
    if read.as_ref().is_err_and(|error| error.status == StatusCode::PAYLOAD_TOO_LARGE) {
        app.metrics.refused(tenant.as_str(), format, "request_body_too_large");
    }
    read
}

fn open(app: &App, request: Request) -> Result<(Tenant, HeaderMap, Body), ApiError> {
    let (parts, body) = request.into_parts();
    let tenant = tenant::of_request(&parts.headers, app.settings.auth_enabled)?;
    Ok((tenant, parts.headers, body))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// Decodes, checks and stores on a thread where that may take its time.
async fn run(
    app: Arc<App>,
    tenant: Tenant,
    format: &'static str,
    decode: impl FnOnce(&App, &Limits) -> Result<Vec<RawStream>, PushError> + Send + 'static,
) -> Result<StatusCode, ApiError> {
    let of_task = app.clone();
    let work = move || {
        let limits = of_task.limits.limits(tenant.as_str());
        let streams = decode(&of_task, &limits).inspect_err(|error| {
            if error.status == StatusCode::PAYLOAD_TOO_LARGE.as_u16() {
                of_task.metrics.refused(tenant.as_str(), format, "request_body_too_large");
            }
        })?;
        begin(&of_task, tenant, format, &limits, streams)
    };
    let begun = blocking(&app, work).await??;
    if let Some(pushing) = begun.pushing {
        let stored = pushing.await;
        if !app.settings.in_cluster {
            app.metrics.appended(&app.settings.instance_address, stored.is_ok());
        }
        stored?;
    }
    if !begun.learned.is_empty() {
        let of_task = app.clone();
        blocking(&app, move || of_task.learn_patterns(&begun.tenant, &begun.learned)).await?;
    }
    begun.answer
}

async fn blocking<T: Send + 'static>(app: &App, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        app.metrics.panicked();
        ApiError::internal("the push failed unexpectedly; the server's log says more")
    })
}

/// A push on its way.
struct Begun {
    tenant: Tenant,
    /// Without, nothing was to be stored.
    pushing: Option<Pushing>,
    /// What patterns are to be learned from once it is stored, so that a push that is sent again is not counted twice.
    learned: Vec<PushStream>,
    /// The answer when it is stored: some of it may have been refused.
    answer: Result<StatusCode, ApiError>,
}

fn begin(app: &App, tenant: Tenant, format: &str, limits: &Limits, streams: Vec<RawStream>) -> Result<Begun, ApiError> {
    let prepared = app.distributor.prepare(tenant.as_str(), streams, limits, app.now());
    app.metrics.pushed(tenant.as_str(), format, &prepared);
    if prepared.empty {
        let message = "error at least one valid stream is required for ingestion";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    let streams: Vec<_> = prepared.streams.into_iter().map(|s| PushStream::new(s.labels, s.entries)).collect();
    // Lines are shared.
    let learned = if app.patterns.is_some() { streams.clone() } else { Vec::new() };
    let pushing = if streams.is_empty() { None } else { Some(app.push()?.push(&tenant, streams)) };
    let answer = match prepared.error {
        None => Ok(StatusCode::NO_CONTENT),
        Some(message) => {
            Err(ApiError::new(StatusCode::from_u16(prepared.status).unwrap_or(StatusCode::BAD_REQUEST), message))
        }
    };
    Ok(Begun { tenant, pushing, learned, answer })
}
