//! The handlers: one file per family of paths.

mod labels;
mod push;
mod query;
mod status;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::FromRequest,
    http::{HeaderMap, Method, header},
    response::{IntoResponse, Response},
};
use narvi::Tenant;

pub(crate) use self::{
    labels::{label_values, labels, series, stats},
    push::{push, push_legacy, push_otlp},
    query::{format_query, query, query_range},
    status::{build_info, flush, metrics, ready},
};
use crate::{App, error::ApiError, params::Form, tenant};

/// A request for data: its tenant, parameters and headers.
pub(crate) struct Asked {
    pub(crate) tenant: Tenant,
    pub(crate) form: Form,
    pub(crate) headers: HeaderMap,
}

impl FromRequest<Arc<App>> for Asked {
    type Rejection = ApiError;

    async fn from_request(request: axum::extract::Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let tenant = tenant::of_request(&parts.headers, app.settings.auth_enabled)?;
        let form = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_form = form.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let body = match parts.method == Method::POST && is_form {
            true => read_body(body, app.settings.max_form_bytes).await?,
            false => bytes::Bytes::new(),
        };
        let form = Form::new(parts.uri.query().unwrap_or(""), &body);
        Ok(Self { tenant, form, headers: parts.headers })
    }
}

/// Reads a body of limited size.
pub(crate) async fn read_body(body: Body, limit_bytes: usize) -> Result<bytes::Bytes, ApiError> {
    use http_body_util::{BodyExt, Limited};
    match Limited::new(body, limit_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ApiError::new(
            axum::http::StatusCode::PAYLOAD_TOO_LARGE,
            format!("request body too large: more than {limit_bytes} bytes"),
        )),
        Err(error) => Err(ApiError::bad(format!("cannot read the request body: {error}"))),
    }
}

/// A JSON answer.
pub(crate) fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}
