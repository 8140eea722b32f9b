//! The handlers: one file per family of paths.

mod cluster;
mod config;
mod delete;
mod detected;
mod forward;
mod labels;
mod legacy;
mod limits;
mod patterns;
mod policy;
mod push;
mod query;
mod request_limits;
mod rules;
mod shards;
mod status;
mod tail;
mod volume;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::FromRequest,
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use narvi::Tenant;
use narvi_config::Limits;

pub(crate) use self::{
    cluster::{analytics, memberlist, ring, services},
    config::{config, runtime_config},
    delete::{cancel_delete, create_delete, generation_numbers, list_deletes},
    detected::{detected_field_values, detected_fields, detected_labels},
    forward::forward,
    labels::{label_values, labels, series, stats},
    legacy::{label_legacy, query_legacy},
    limits::{drilldown_limits, tenant_limits},
    patterns::patterns,
    push::{push, push_legacy, push_otlp},
    query::{ENCODING_FLAGS, QUERY_TAGS, format_query, query, query_range},
    rules::{Attached, delete_rules, get_rules, list_rules, prometheus_alerts, prometheus_rules, set_rules},
    shards::shards,
    status::{build_info, flush, log_level, metrics, prepare_shutdown, ready, set_log_level, shutdown},
    tail::{tail, tail_legacy},
    volume::{volume, volume_range},
};
use crate::{App, error::ApiError, params::Form, tenant};

/// The release of Loki whose API this is. Clients ask for it to know what they may ask for; our own version is the revision.
const LOKI_VERSION: &str = "3.7.6";

/// The media type of forms.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// A request for data: its tenant, parameters and headers.
pub(crate) struct Asked {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) form: Form,
    pub(crate) headers: HeaderMap,
}

impl FromRequest<Arc<App>> for Asked {
    type Rejection = ApiError;

    async fn from_request(request: axum::extract::Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let is_form = kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(FORM);
        // Who asks is looked at before what is asked.
        let mut asked = Self::of_parts(app, &parts)?;
        if parts.method == Method::POST && is_form {
            let body = read_body(app, body, app.settings.max_form_bytes).await?;
            asked.form = Form::read(parts.uri.query().unwrap_or(""), &body)?;
        }
        Ok(asked)
    }
}

impl Asked {
    /// What a request without a body asks for.
    pub(crate) fn of_parts(app: &App, parts: &Parts) -> Result<Self, ApiError> {
        let tenants = tenant::several(&parts.headers, app.settings.auth_enabled)?;
        if !app.settings.multi_tenant_queries {
            tenant::one(&tenants)?;
        }
        let limits = request_limits::tightened(app, &tenants, &parts.headers)?;
        let form = Form::read(parts.uri.query().unwrap_or(""), &[])?;
        Ok(Self { tenants, limits, form, headers: parts.headers.clone() })
    }
}

/// Reads a body of limited size, which must arrive in time.
pub(crate) async fn read_body(app: &App, body: Body, limit_bytes: usize) -> Result<bytes::Bytes, ApiError> {
    use http_body_util::{BodyExt, Limited};
    let limit = app.settings.body_timeout;
    let read = Limited::new(body, limit_bytes).collect();
    let read = match limit.is_zero() {
        true => read.await,
        false => tokio::time::timeout(limit, read).await.map_err(|_| {
            let text = format!("the request body did not arrive within {} seconds", limit.as_secs_f64());
            ApiError::new(StatusCode::REQUEST_TIMEOUT, text)
        })?,
    };
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("request body too large: more than {limit_bytes} bytes"),
        )),
        Err(error) => Err(ApiError::bad(format!("cannot read the request body: {error}"))),
    }
}

/// A JSON answer.
pub(crate) fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}
