//! What a query may use: bytes, series, time; and the way to cancel it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The limits of one query. Plain data; the default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetLimits {
    /// Bytes of memory that the query may hold at once.
    pub memory_bytes: Option<u64>,
    /// Series in a metric answer; Loki's `max_query_series`.
    pub series: Option<usize>,
    /// Uncompressed bytes that the query may read.
    pub read_bytes: Option<u64>,
    /// How long it may take.
    pub time: Option<Duration>,
}

/// Handed to every stage and every [`Source`](crate::Source) call of a query. Cloning shares it; threads may share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: BudgetLimits,
    deadline: Option<Instant>,
    memory: AtomicU64,
    memory_peak: AtomicU64,
    read: AtomicU64,
    lines: AtomicU64,
    cancelled: AtomicBool,
}

/// What was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// Memory.
    #[error(
        "the query needs more than its memory limit of {limit_bytes} bytes; narrow the selector or the time range, \
         aggregate by fewer labels, or raise the limit"
    )]
    Memory {
        /// The limit.
        limit_bytes: u64,
    },
    /// Bytes read.
    #[error(
        "the query would read too many bytes (limit: {limit_bytes} bytes); narrow the selector or the time range, or \
         raise max_query_bytes_read"
    )]
    Read {
        /// The limit.
        limit_bytes: u64,
    },
    /// Time.
    #[error("request timed out, decrease the duration of the request or add more label matchers")]
    Time,
    /// Cancelled by its owner.
    #[error("the query was cancelled")]
    Cancelled,
}

impl Budget {
    /// A budget with limits; its clock starts now.
    pub fn new(limits: BudgetLimits) -> Self {
        let deadline = limits.time.and_then(|time| Instant::now().checked_add(time));
        Self(Arc::new(Inner {
            limits,
            deadline,
            memory: AtomicU64::new(0),
            memory_peak: AtomicU64::new(0),
            read: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
        }))
    }

    /// A budget without limits; it can still be cancelled.
    pub fn unlimited() -> Self {
        Self::new(BudgetLimits::default())
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &BudgetLimits {
        &self.0.limits
    }

    /// Tells the query to stop; its next check fails.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Fails when the query was cancelled or its time is over. Cheap enough for once a batch.
    ///
    /// # Errors
    /// [`BudgetError::Cancelled`], [`BudgetError::Time`].
    pub fn check(&self) -> Result<(), BudgetError> {
        if self.0.cancelled.load(Ordering::Relaxed) {
            return Err(BudgetError::Cancelled);
        }
        match self.0.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(BudgetError::Time),
            _ => Ok(()),
        }
    }

    /// How long it may still take; `None` for no limit.
    pub fn time_left(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Reserves memory until the charge is dropped.
    ///
    /// # Errors
    /// [`BudgetError::Memory`].
    pub fn charge(&self, bytes: u64) -> Result<Charge, BudgetError> {
        let mut charge = Charge { budget: self.clone(), bytes: 0 };
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// Counts bytes and lines read from blocks and heads.
    ///
    /// # Errors
    /// [`BudgetError::Read`].
    pub fn read(&self, bytes: u64, lines: u64) -> Result<(), BudgetError> {
        self.0.lines.fetch_add(lines, Ordering::Relaxed);
        let total = self.0.read.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match self.0.limits.read_bytes {
            Some(limit_bytes) if total > limit_bytes => Err(BudgetError::Read { limit_bytes }),
            _ => Ok(()),
        }
    }

    /// Bytes read so far, uncompressed.
    pub fn bytes_read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Lines read so far.
    pub fn lines_read(&self) -> u64 {
        self.0.lines.load(Ordering::Relaxed)
    }

    /// The most memory that was reserved at once, in bytes.
    pub fn memory_peak(&self) -> u64 {
        self.0.memory_peak.load(Ordering::Relaxed)
    }
}

/// Memory reserved from a [`Budget`]; given back on drop.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    bytes: u64,
}

impl Charge {
    /// Reserves more.
    ///
    /// # Errors
    /// [`BudgetError::Memory`]; what was reserved before stays reserved.
    pub fn grow(&mut self, bytes: u64) -> Result<(), BudgetError> {
        let inner = &self.budget.0;
        let total = inner.memory.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if let Some(limit_bytes) = inner.limits.memory_bytes
            && total > limit_bytes
        {
            inner.memory.fetch_sub(bytes, Ordering::Relaxed);
            return Err(BudgetError::Memory { limit_bytes });
        }
        inner.memory_peak.fetch_max(total, Ordering::Relaxed);
        self.bytes += bytes;
        Ok(())
    }

    /// Reserves so many bytes from now on, more or fewer than before.
    ///
    /// # Errors
    /// [`BudgetError::Memory`]; what was reserved before stays reserved.
    pub fn set(&mut self, bytes: u64) -> Result<(), BudgetError> {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.budget.0.memory.fetch_sub(less, Ordering::Relaxed);
            self.bytes = bytes;
            return Ok(());
        }
        self.grow(bytes - self.bytes)
    }

    /// Bytes reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.0.memory.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, BudgetError, BudgetLimits};

    #[test]
    fn a_charge_follows_what_it_stands_for() {
        let budget = Budget::new(BudgetLimits { memory_bytes: Some(100), ..BudgetLimits::default() });
        let mut charge = budget.charge(60).expect("fits");
        charge.set(90).expect("fits");
        assert_eq!(charge.set(110).err(), Some(BudgetError::Memory { limit_bytes: 100 }));
        assert_eq!(charge.bytes(), 90);
        charge.set(10).expect("fewer always fit");
        assert_eq!(budget.charge(91).err(), Some(BudgetError::Memory { limit_bytes: 100 }));
        assert!(budget.charge(90).is_ok());
        assert_eq!(budget.memory_peak(), 100);
    }

    #[test]
    fn memory_is_given_back() {
        let budget = Budget::new(BudgetLimits { memory_bytes: Some(100), ..BudgetLimits::default() });
        let first = budget.charge(60).expect("fits");
        assert_eq!(budget.charge(50).err(), Some(BudgetError::Memory { limit_bytes: 100 }));
        drop(first);
        assert!(budget.charge(100).is_ok());
        assert_eq!(budget.memory_peak(), 100);
    }

    #[test]
    fn cancel_reaches_all_clones() {
        let budget = Budget::unlimited();
        let other = budget.clone();
        assert_eq!(other.check(), Ok(()));
        budget.cancel();
        assert_eq!(other.check(), Err(BudgetError::Cancelled));
    }
}
