//! Leaves a server alone that failed several times in a row, and tries it again later with one request.

use std::{fmt, time::Duration};

use parking_lot::Mutex;

use crate::{BreakerSettings, clock::Clock, metrics::Plain};

/// Guards one server.
pub(crate) struct Breaker {
    settings: BreakerSettings,
    clock: Clock,
    /// Counts how often the server was given up.
    opened: Plain,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// When it may be tried again, if it was given up.
    until: Option<Duration>,
    /// Whether a request is trying it.
    trial: bool,
}

/// One request that may be made. Dropped without a verdict, it says nothing of the server.
#[must_use]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    trial: bool,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings, clock: Clock, opened: Plain) -> Self {
        Self { settings, clock, opened, state: Mutex::default() }
    }

    /// Whether a request may be made.
    pub(crate) fn enter(&self) -> Option<Permit<'_>> {
        let mut state = self.state.lock();
        let Some(until) = state.until else { return Some(Permit { breaker: self, trial: false }) };
        if state.trial || self.clock.now() < until {
            return None;
        }
        state.trial = true;
        Some(Permit { breaker: self, trial: true })
    }
}

impl Permit<'_> {
    /// The server answered.
    pub(crate) fn succeeded(self) {
        let mut state = self.breaker.state.lock();
        // A late answer of before the server was given up does not vouch for it.
        if self.trial || state.until.is_none() {
            *state = State { trial: state.trial, ..State::default() };
        }
    }

    /// It did not, or answered nonsense.
    pub(crate) fn failed(self) {
        let breaker = self.breaker;
        let mut state = breaker.state.lock();
        state.failures = state.failures.saturating_add(1);
        let many = breaker.settings.failures > 0 && state.failures >= breaker.settings.failures;
        if self.trial || (many && state.until.is_none()) {
            state.until = Some(breaker.clock.now() + breaker.settings.pause);
            breaker.opened.add(1);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.trial {
            self.breaker.state.lock().trial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Breaker;
    use crate::{BreakerSettings, clock::Clock, metrics::Plain};

    #[test]
    fn opens_waits_tries_and_closes() {
        let (clock, advance) = Clock::manual();
        let opened = Plain::default();
        let settings = BreakerSettings { failures: 2, pause: Duration::from_secs(10) };
        let breaker = Breaker::new(settings, clock, opened.clone());
        let enter = || breaker.enter().expect("it is closed");
        enter().failed();
        enter().succeeded();
        enter().failed();
        let late = enter();
        enter().failed();
        assert!(breaker.enter().is_none(), "two failures in a row");
        late.succeeded();
        assert!(breaker.enter().is_none(), "a late answer changes nothing");
        advance(Duration::from_secs(10));
        let trial = enter();
        assert!(breaker.enter().is_none(), "one trial at a time");
        trial.failed();
        assert!(breaker.enter().is_none(), "a failed trial opens it again");
        assert_eq!(opened.get(), 2);
        advance(Duration::from_secs(10));
        drop(enter());
        enter().succeeded();
        let (_one, _two) = (enter(), enter());
        assert_eq!(opened.get(), 2);
    }
}
