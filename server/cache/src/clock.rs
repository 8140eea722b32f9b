//! Time that tests can set.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// Tells the time since some point.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// The machine's.
    pub(crate) fn real() -> Self {
        let start = Instant::now();
        Self(Arc::new(move || start.elapsed()))
    }

    pub(crate) fn now(&self) -> Duration {
        (self.0)()
    }

    /// One that stands still until it is told to move on.
    #[cfg(test)]
    pub(crate) fn manual() -> (Self, impl Fn(Duration)) {
        let now = Arc::new(parking_lot::Mutex::new(Duration::ZERO));
        let read = now.clone();
        (Self(Arc::new(move || *read.lock())), move |by| *now.lock() += by)
    }
}
