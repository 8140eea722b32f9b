//! The time of day, which tests set.

use std::time::{SystemTime, UNIX_EPOCH};

/// Gives the time of day.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    #[cfg(test)]
    set_ms: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
}

impl Clock {
    /// A clock that stands still until it is set.
    #[cfg(test)]
    pub(crate) fn manual(ms: u64) -> (Self, std::sync::Arc<std::sync::atomic::AtomicU64>) {
        let shared = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(ms));
        (Self { set_ms: Some(shared.clone()) }, shared)
    }

    /// Milliseconds since the epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        #[cfg(test)]
        if let Some(ms) = &self.set_ms {
            return ms.load(std::sync::atomic::Ordering::SeqCst);
        }
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
