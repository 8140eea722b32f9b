//! Points at which tests let an operation fail or the process die. Without tests and the feature, they are nothing.

use crate::Result;

/// The fail points of one database.
#[derive(Debug, Default)]
pub(crate) struct Failpoints {
    #[cfg(any(test, feature = "failpoints"))]
    armed: parking_lot::Mutex<std::collections::HashMap<String, Armed>>,
}

#[cfg(any(test, feature = "failpoints"))]
#[derive(Clone, Copy, Debug)]
struct Armed {
    /// How often the point is still passed before it acts.
    skip: u64,
    /// How often it acts.
    times: u64,
    action: Action,
}

/// What happens at an armed point.
#[cfg(any(test, feature = "failpoints"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Fail,
    Abort,
}

#[cfg(not(any(test, feature = "failpoints")))]
impl Failpoints {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[inline]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "has a body in tests")]
    pub(crate) fn hit(&self, _name: &str) -> Result<()> {
        Ok(())
    }
}

#[cfg(any(test, feature = "failpoints"))]
impl Failpoints {
    /// Reads `NARVI_FAILPOINT`: `name=abort` or `name=fail`, with `@n` behind to act at the n-th time (from 0) only,
    /// several separated by commas.
    pub(crate) fn new() -> Self {
        let points = Self::default();
        for point in std::env::var("NARVI_FAILPOINT").unwrap_or_default().split(',') {
            let Some((name, rest)) = point.split_once('=') else { continue };
            let (action, skip) = rest.split_once('@').unwrap_or((rest, "0"));
            let action = if action == "abort" { Action::Abort } else { Action::Fail };
            points.arm(name, action, skip.parse().unwrap_or(0), u64::MAX);
        }
        points
    }

    /// Lets a point act `times` times after it was passed `skip` times.
    pub(crate) fn arm(&self, name: &str, action: Action, skip: u64, times: u64) {
        self.armed.lock().insert(name.to_owned(), Armed { skip, times, action });
    }

    pub(crate) fn hit(&self, name: &str) -> Result<()> {
        let mut armed = self.armed.lock();
        let Some(point) = armed.get_mut(name) else { return Ok(()) };
        if point.skip > 0 {
            point.skip -= 1;
            return Ok(());
        }
        if point.times == 0 {
            return Ok(());
        }
        point.times -= 1;
        match point.action {
            Action::Abort => std::process::abort(),
            Action::Fail => {
                let text = format!("injected fault at {name}");
                Err(crate::Error::new(crate::ErrorKind::Unavailable, text))
            }
        }
    }
}
