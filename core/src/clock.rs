//! The time of day and drawn numbers.

use std::time::{SystemTime, UNIX_EPOCH};

/// Gives the time of day; the one place that asks for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock;

impl Clock {
    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A number that no one else draws: the standard library's random hasher keys, mixed with time and process.
pub(crate) fn draw_u64() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u128(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos());
    hasher.write_u32(std::process::id());
    hasher.finish()
}
