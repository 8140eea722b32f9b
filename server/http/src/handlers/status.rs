//! What a server says of itself.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::json;
use crate::{App, error::ApiError, metrics::StoreFigures};

pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    match app.is_ready() {
        true => (text, "ready\n").into_response(),
        false => {
            (StatusCode::SERVICE_UNAVAILABLE, text, "Application is stopping or not yet started\n").into_response()
        }
    }
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let usage = app.db.memory_usage();
    let figures = StoreFigures { memory_streams: usage.streams, memory_bytes: usage.bytes };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text(figures)).into_response()
}

pub(crate) async fn flush(State(app): State<Arc<App>>) -> Result<StatusCode, ApiError> {
    let of_task = app.clone();
    let flushed = tokio::task::spawn_blocking(move || of_task.db.flush()).await;
    flushed.map_err(|_| ApiError::internal("the flush failed unexpectedly; the server's log says more"))??;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn build_info(State(app): State<Arc<App>>) -> Response {
    tracing::debug!(uptime_secs = app.uptime().as_secs(), "build information asked for");
    let version = env!("CARGO_PKG_VERSION");
    let body = format!(
        "{{\"version\":\"{version}\",\"revision\":\"\",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\
         \"goVersion\":\"\"}}"
    );
    json(body.into_bytes())
}
