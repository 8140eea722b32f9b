//! The configuration as the server understands it, with secrets masked.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use narvi_config::{Config, PageMode};

use crate::{App, error::ApiError, params::Form};

/// The whole configuration; `mode=diff` shows what differs from the defaults, `mode=defaults` those.
pub(crate) async fn config(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let mode = mode(&request)?;
    let own = Config::default;
    let text = app.settings.config.as_ref().map_or_else(|| own().page(mode), |config| config.page(mode));
    Ok(yaml(text))
}

/// The limits of tenants, as their files say or, without `mode=diff`, completed.
pub(crate) async fn runtime_config(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let mode = mode(&request)?;
    match app.limits.period() {
        Some(_) => Ok(yaml(app.limits.page(mode))),
        None => {
            let text = "no runtime configuration: name a file in runtime_config.file";
            Err(ApiError::new(StatusCode::NOT_FOUND, text))
        }
    }
}

fn mode(request: &Request) -> Result<PageMode, ApiError> {
    let form = Form::new(request.uri().query().unwrap_or(""), &[]);
    match form.get("mode") {
        "" => Ok(PageMode::Whole),
        "diff" => Ok(PageMode::Difference),
        "defaults" => Ok(PageMode::Defaults),
        other => Err(ApiError::bad(format!("unknown mode {other:?}; use diff or defaults"))),
    }
}

fn yaml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
