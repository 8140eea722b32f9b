//! What a client is told of an error of a job.

use narvi_logs::LogsError;
use narvi_rpc::{RpcError, RpcErrorKind as Kind};

/// The status and the text that one process would give.
pub(crate) fn told(error: &RpcError) -> LogsError {
    let status = match error.kind() {
        Kind::Invalid | Kind::Query | Kind::TooLarge => 400,
        Kind::Busy => 429,
        Kind::Cancelled => 499,
        Kind::Deadline => 504,
        Kind::Full => 503,
        _ => 500,
    };
    LogsError::answer(status, error.message())
}

/// Whether a job may succeed when it is tried again. Who is told that too much waits should not add to it, and the time of a
/// job is that of its query.
pub(crate) fn may_succeed(error: &RpcError) -> bool {
    error.is_retryable() && !matches!(error.kind(), Kind::Busy | Kind::Deadline | Kind::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_status_and_text() {
        for (kind, status, again) in [
            (Kind::Query, 400, false),
            (Kind::Busy, 429, false),
            (Kind::Deadline, 504, false),
            (Kind::Unavailable, 500, true),
            (Kind::Internal, 500, false),
        ] {
            let error = RpcError::new(kind, "why");
            assert!(
                matches!(told(&error), LogsError::Answer { status: s, message } if s == status && message == "why")
            );
            assert_eq!(may_succeed(&error), again, "{kind:?}");
        }
    }
}
