//! Times of rules: when a group is due, and times as text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the epoch.
pub(crate) type Nanos = i64;

/// What time it is.
pub(crate) fn now() -> Nanos {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos)
}

pub(crate) fn nanos(duration: Duration) -> Nanos {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The last instant at or before `at` that a group is due: a multiple of its interval and an offset of its own, so that
/// groups are spread over time and come at the same instants after a restart.
pub(crate) fn slot(at: Nanos, interval: Duration, hash: u64) -> Nanos {
    let interval = nanos(interval).max(1);
    let offset = i64::try_from(hash % interval.unsigned_abs()).unwrap_or(0);
    let back = at.saturating_sub(offset).rem_euclid(interval);
    at.saturating_sub(back)
}

/// RFC 3339 with as many digits as needed; the zero time of Go where there is none.
pub(crate) fn rfc3339(at: Option<Nanos>) -> String {
    let Some(at) = at else { return "0001-01-01T00:00:00Z".to_owned() };
    jiff::Timestamp::from_nanosecond(i128::from(at)).map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{rfc3339, slot};

    const S: i64 = 1_000_000_000;

    #[test]
    fn groups_are_due_at_their_own_instants() {
        let minute = Duration::from_secs(60);
        assert_eq!(slot(120 * S, minute, 0), 120 * S);
        assert_eq!(slot(179 * S, minute, 0), 120 * S);
        let offset = 7 * S.unsigned_abs();
        assert_eq!(slot(120 * S, minute, offset), 67 * S);
        assert_eq!(slot(127 * S, minute, offset), 127 * S);
        assert_eq!(slot(127 * S, minute, offset + 60 * S.unsigned_abs()), 127 * S);
        assert_eq!(slot(5, Duration::ZERO, 9), 5);
    }

    #[test]
    fn times_are_written_as_go_does() {
        assert_eq!(rfc3339(None), "0001-01-01T00:00:00Z");
        assert_eq!(rfc3339(Some(1_700_000_000 * S + 120_000_000)), "2023-11-14T22:13:20.12Z");
    }
}
