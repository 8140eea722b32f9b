//! Times as they stand in messages.

use narvi_types::Timestamp;

pub(crate) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_ns())).map_or_else(|_| time.to_string(), |t| t.to_string())
}

/// Without the fraction, as Go's RFC3339 layout prints.
pub(crate) fn rfc3339_secs(time: Timestamp) -> String {
    rfc3339(Timestamp::from_secs(time.as_ns().div_euclid(1_000_000_000)))
}

/// As Go prints a time: `2026-09-19 23:49:59 +0000 UTC`.
pub(crate) fn go_time(time: Timestamp) -> String {
    rfc3339(time).replace('T', " ").replace('Z', " +0000 UTC")
}
