//! Errors of the API: a status and Loki's plain text.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use narvi::{ErrorKind, logql};
use narvi_logs::LogsError;

use crate::push::PushError;

/// What a client gets instead of an answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Go's answer to an unknown path: of what no part of this process serves.
    pub(crate) fn not_running() -> Self {
        Self::new(StatusCode::NOT_FOUND, "404 page not found")
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let headers =
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        (self.status, headers, self.message + "\n").into_response()
    }
}

impl From<logql::Error> for ApiError {
    fn from(error: logql::Error) -> Self {
        let status = match &error {
            logql::Error::Parse { .. }
            | logql::Error::Invalid(_)
            | logql::Error::Pipeline(_)
            | logql::Error::SeriesLimit(_) => StatusCode::BAD_REQUEST,
            logql::Error::Budget(logql::BudgetError::Time) => StatusCode::GATEWAY_TIMEOUT,
            // Nobody reads the answer: the client is gone. 499 is what Loki logs.
            logql::Error::Budget(logql::BudgetError::Cancelled) => {
                StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT)
            }
            logql::Error::Budget(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<narvi::Error> for ApiError {
    fn from(error: narvi::Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Invalid | ErrorKind::Query => StatusCode::BAD_REQUEST,
            ErrorKind::Busy => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Full | ErrorKind::Closed | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Self::new(status, format!("{error}{cause}"))
    }
}

impl From<LogsError> for ApiError {
    fn from(error: LogsError) -> Self {
        match error {
            LogsError::Store(error) => error.into(),
            LogsError::Query(error) => error.into(),
            LogsError::Answer { status, message } => {
                Self::new(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), message)
            }
            other => Self::internal(other.to_string()),
        }
    }
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        Self::new(StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST), error.message)
    }
}
