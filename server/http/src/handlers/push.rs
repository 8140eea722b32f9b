//! Pushes: every protocol decodes, then all go the same way.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use narvi::{PushStream, Tenant};
use narvi_distributor::RawStream;

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
    let body = read_body(body, app.settings.max_body_bytes).await?;
    run(app, tenant, move |app| {
        let (kind, encoding) = (text(&headers, header::CONTENT_TYPE), text(&headers, header::CONTENT_ENCODING));
        push::decode(shape, kind, encoding, body, app.settings.max_decompressed_bytes)
    })
    .await
}

/// OTLP's errors are a protobuf status, for JSON too, and what is no fault of the client is 503, so that it tries again.
pub(crate) async fn push_otlp(State(app): State<Arc<App>>, request: Request) -> Response {
    let done = async {
        let (tenant, headers, body) = open(&app, request)?;
        let body = read_body(body, app.settings.max_body_bytes).await?;
        run(app, tenant, move |app| {
            let (kind, encoding) = (text(&headers, header::CONTENT_TYPE), text(&headers, header::CONTENT_ENCODING));
            push::otlp::decode(kind, encoding, body, app.settings.max_decompressed_bytes, app.now())
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
    decode: impl FnOnce(&App) -> Result<Vec<RawStream>, PushError> + Send + 'static,
) -> Result<StatusCode, ApiError> {
    let of_task = app.clone();
    let stored = tokio::task::spawn_blocking(move || store(&of_task, &tenant, decode(&of_task)?)).await;
    match stored {
        Ok(done) => done,
        Err(_) => {
            app.metrics.panicked();
            Err(ApiError::internal("the push failed unexpectedly; the server's log says more"))
        }
    }
}

fn store(app: &App, tenant: &Tenant, streams: Vec<RawStream>) -> Result<StatusCode, ApiError> {
    let prepared = app.distributor.prepare(tenant.as_str(), streams, &app.settings.limits, app.now());
    app.metrics.pushed(tenant.as_str(), &prepared);
    if prepared.empty {
        let message = "error at least one valid stream is required for ingestion";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    let streams: Vec<_> = prepared.streams.into_iter().map(|s| PushStream::new(s.labels, s.entries)).collect();
    if !streams.is_empty() {
        // Learned once they are stored, so that a push that is sent again is not counted twice. Lines are shared.
        let learned = app.patterns.is_some().then(|| streams.clone());
        app.db.push(tenant, streams)?.wait()?;
        app.learn_patterns(tenant, &learned.unwrap_or_default());
    }
    match prepared.error {
        None => Ok(StatusCode::NO_CONTENT),
        Some(message) => Err(ApiError::bad(message)),
    }
}
