//! Points and ranges of time, in nanoseconds since the Unix epoch.

use std::fmt;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z. Every `i64` is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time that can be stored.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time that can be stored.
    pub const MAX: Self = Self(i64::MAX);

    /// Makes a timestamp from nanoseconds since the epoch.
    pub const fn from_ns(ns: i64) -> Self {
        Self(ns)
    }

    /// Makes a timestamp from whole seconds since the epoch; saturates at the ends.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_ns(self) -> i64 {
        self.0
    }

    /// The current wall-clock time is never taken here: this crate does no I/O. Converts a [`std::time::SystemTime`];
    /// saturates outside the years 1677 to 2262.
    pub fn from_system(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => Self(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns)),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A range of time with both ends inside, so that every `i64` can be asked for. `min > max` is the empty range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct TimeRange {
    /// First nanosecond inside.
    pub min: i64,
    /// Last nanosecond inside.
    pub max: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self { min: i64::MIN, max: i64::MAX };
    /// The empty range; the identity of [`TimeRange::cover`].
    pub const EMPTY: Self = Self { min: i64::MAX, max: i64::MIN };

    /// Makes the range `[min, max]`.
    pub const fn new(min: i64, max: i64) -> Self {
        Self { min, max }
    }

    /// Whether no nanosecond is inside.
    pub const fn is_empty(&self) -> bool {
        self.min > self.max
    }

    /// Whether `ns` is inside.
    pub const fn contains(&self, ns: i64) -> bool {
        self.min <= ns && ns <= self.max
    }

    /// Whether every nanosecond of `other` is inside.
    pub const fn covers(&self, other: &Self) -> bool {
        other.is_empty() || (self.min <= other.min && other.max <= self.max)
    }

    /// Whether the two ranges share a nanosecond.
    pub const fn overlaps(&self, other: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.min <= other.max && other.min <= self.max
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn cover(&self, other: &Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// What both share; empty if nothing.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }
}

/// The order in which entries are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first, Loki's default.
    #[default]
    Backward,
}
