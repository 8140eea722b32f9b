//! Whether the upkeep may run.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::{Error, ErrorKind, Result};

/// Turns the upkeep on and off, and off for good. What runs looks at it often and ends soon.
#[derive(Debug)]
pub(super) struct Switch {
    off: AtomicBool,
    why: Mutex<Why>,
}

#[derive(Debug)]
struct Why {
    closed: bool,
    allowed: bool,
}

impl Switch {
    pub(super) fn new(allowed: bool) -> Self {
        Self { off: AtomicBool::new(!allowed), why: Mutex::new(Why { closed: false, allowed }) }
    }

    /// Turns it on or off; what is closed stays off.
    pub(super) fn allow(&self, allowed: bool) {
        let mut why = self.why.lock();
        why.allowed = allowed;
        self.off.store(why.closed || !allowed, Ordering::SeqCst);
    }

    /// Turns it off for good.
    pub(super) fn close(&self) {
        self.why.lock().closed = true;
        self.off.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_off(&self) -> bool {
        self.off.load(Ordering::SeqCst)
    }

    /// Why it is off.
    pub(super) fn error(&self) -> Error {
        let text = match self.why.lock().closed {
            true => "the database is closed",
            false => "the upkeep of this database is switched off",
        };
        Error::new(ErrorKind::Closed, text)
    }

    /// # Errors
    /// It is off.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_off() { Err(self.error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Switch;

    #[test]
    fn what_is_closed_stays_off() {
        let switch = Switch::new(false);
        assert!(switch.error().to_string().contains("switched off"));
        switch.allow(true);
        assert!(switch.check().is_ok());
        switch.allow(false);
        assert!(switch.is_off());
        switch.close();
        switch.allow(true);
        assert_eq!(switch.check().expect_err("closed").to_string(), "the database is closed");
    }
}
