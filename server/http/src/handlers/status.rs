//! What a server says of itself.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use narvi::Db;

use super::{json, read_body};
use crate::{App, error::ApiError, metrics::StoreFigures, params::Form};

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
    let (ingester, compactor) = (&app.logs().ingester, &app.logs().compactor);
    let usage = ingester.as_ref().map(Db::memory_usage).unwrap_or_default();
    let now_ms = app.now().as_ns() / 1_000_000;
    if let Some(db) = compactor {
        app.metrics.compactor.update(db, u64::try_from(now_ms).unwrap_or(0));
    }
    if let Some(db) = ingester.clone() {
        let of_task = app.clone();
        // Looks into folders.
        let _ = tokio::task::spawn_blocking(move || of_task.metrics.update(&db)).await;
    }
    let figures = StoreFigures {
        memory_streams: usage.streams,
        memory_bytes: usage.bytes,
        wal_corruptions: ingester.as_ref().map_or(0, |db| db.open_report().damage.len() as u64),
        waiting_queries: app.waiting_queries() as u64,
        tenants: app.distributor.active_streams(),
    };
    let mut others = app.ruler_metrics();
    if let Some(registry) = &app.settings.registry {
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode_registry(&mut others, registry);
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text(figures, &others)).into_response()
}

pub(crate) async fn flush(State(app): State<Arc<App>>) -> Result<StatusCode, ApiError> {
    let db = app.ingester()?.clone();
    let flushed = tokio::task::spawn_blocking(move || db.flush()).await;
    flushed.map_err(|_| ApiError::internal("the flush failed unexpectedly; the server's log says more"))??;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn log_level(State(app): State<Arc<App>>) -> Response {
    message(StatusCode::OK, &format!("Current log level is {}", app.settings.host.log_level()), None)
}

/// Changes the level of the process' own log at once.
pub(crate) async fn set_log_level(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let form = form(&app, request).await?;
    let level = form.get("log_level");
    if !matches!(level, "debug" | "info" | "warn" | "error") {
        let text = format!("unrecognized log level {level:?}");
        return Ok(message(StatusCode::BAD_REQUEST, &text, Some("failed")));
    }
    if !app.settings.host.set_log_level(level) {
        let text = "the log level of this process cannot be changed";
        return Ok(message(StatusCode::INTERNAL_SERVER_ERROR, text, Some("failed")));
    }
    tracing::warn!(level, "the log level was changed");
    Ok(message(StatusCode::OK, &format!("Log level set to {level}"), Some("success")))
}

fn message(status: StatusCode, text: &str, outcome: Option<&str>) -> Response {
    let body = match outcome {
        Some(outcome) => serde_json::json!({"message": text, "status": outcome}),
        None => serde_json::json!({"message": text}),
    };
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

/// The parameters of a request that needs no tenant.
async fn form(app: &App, request: Request) -> Result<Form, ApiError> {
    let (parts, body) = request.into_parts();
    let body = read_body(app, body, 1 << 20).await?;
    Ok(Form::new(parts.uri.query().unwrap_or(""), &body))
}

/// Sets, tells and takes back that everything is flushed when the process is next told to stop.
pub(crate) async fn prepare_shutdown(State(app): State<Arc<App>>, method: Method) -> Result<Response, ApiError> {
    let Some(marker) = app.settings.shutdown_marker.clone() else {
        return Err(ApiError::internal(
            "no path of a shutdown marker is configured; set ingester.shutdown_marker_path",
        ));
    };
    let failed = |error: std::io::Error| {
        ApiError::internal(format!("the shutdown marker {} cannot be changed: {error}", marker.display()))
    };
    match method {
        Method::POST => {
            if let Some(folder) = marker.parent() {
                std::fs::create_dir_all(folder).map_err(failed)?;
            }
            std::fs::write(&marker, b"set").map_err(failed)?;
        }
        Method::DELETE => match std::fs::remove_file(&marker) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        },
        _ => {
            let text = if marker.exists() { "set" } else { "unset" };
            return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Flushes, refuses pushes from then on, and ends the process; parameters say not to.
pub(crate) async fn shutdown(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, ApiError> {
    let form = form(&app, request).await?;
    let flag = |name: &str, default: bool| match form.get(name) {
        "" => Ok(default),
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        text => Err(ApiError::bad(format!("invalid value of {name}: {text:?} is neither true nor false"))),
    };
    let db = app.ingester()?.clone();
    let (flush, terminate) = (flag("flush", true)?, flag("terminate", true)?);
    flag("delete_ring_tokens", false)?;
    if !app.stop() {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the ingester is already stopping"));
    }
    let done = tokio::task::spawn_blocking(move || {
        let flushed = if flush { db.flush() } else { Ok(()) };
        flushed.and_then(|()| db.close())
    });
    done.await.map_err(|_| ApiError::internal("the shutdown failed unexpectedly; the server's log says more"))??;
    if terminate {
        app.settings.host.shut_down();
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn build_info(State(app): State<Arc<App>>) -> Response {
    tracing::debug!(uptime_secs = app.uptime().as_secs(), "build information asked for");
    let (loki, narvi) = (super::LOKI_VERSION, env!("CARGO_PKG_VERSION"));
    let body = format!(
        "{{\"version\":\"{loki}\",\"revision\":\"narvi-{narvi}\",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\
         \"goVersion\":\"\"}}"
    );
    json(body.into_bytes())
}
