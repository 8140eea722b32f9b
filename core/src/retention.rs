//! How long rows are kept: a policy that the embedding program gives, per tenant.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use narvi_types::{Labels, Selector, Tenant, TimeRange};
use parking_lot::Mutex;

/// How long the rows of one tenant are kept.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data, made with `..Default::default()`")]
pub struct RetentionPolicy {
    /// Of streams that none of `streams` selects; zero is for ever.
    pub period: Duration,
    /// Of some streams. Of several that select a stream the highest priority counts, then the shortest period.
    pub streams: Vec<StreamRetention>,
    /// Whether the lines of requests to delete are removed from files when their cancel period is over. Otherwise they
    /// stay hidden, and the requests pending.
    pub process_deletes: bool,
}

/// How long the rows of the streams that a selector selects are kept.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct StreamRetention {
    /// Which streams.
    pub selector: Selector,
    /// The highest counts.
    pub priority: i64,
    /// How long; zero is for ever.
    pub period: Duration,
}

impl Default for RetentionPolicy {
    /// Keeps all rows for ever, but those that requests delete.
    fn default() -> Self {
        Self { period: Duration::ZERO, streams: Vec::new(), process_deletes: true }
    }
}

/// Gives the policy of a tenant. Asked anew at every run of the upkeep, so that it may change; between two runs the answer
/// is kept. A closure will do.
pub trait Retention: Send + Sync {
    /// How long the tenant's rows are kept.
    fn of_tenant(&self, tenant: &Tenant) -> Arc<RetentionPolicy>;
}

impl<F: Fn(&Tenant) -> Arc<RetentionPolicy> + Send + Sync> Retention for F {
    fn of_tenant(&self, tenant: &Tenant) -> Arc<RetentionPolicy> {
        self(tenant)
    }
}

/// The policy of a database that has none: all is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeepAll;

impl Retention for KeepAll {
    fn of_tenant(&self, _: &Tenant) -> Arc<RetentionPolicy> {
        Arc::default()
    }
}

/// A shared [`Retention`].
#[derive(Clone)]
pub(crate) struct SharedRetention(pub(crate) Arc<dyn Retention>);

impl fmt::Debug for SharedRetention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Retention")
    }
}

impl RetentionPolicy {
    /// How long a stream's rows are kept; nothing is for ever.
    pub fn period_of(&self, labels: &Labels) -> Option<Duration> {
        let matching = self.streams.iter().filter(|stream| stream.selector.matches(labels));
        // For ever is the longest.
        let length = |period: Duration| if period.is_zero() { Duration::MAX } else { period };
        let best = matching.max_by_key(|stream| (stream.priority, std::cmp::Reverse(length(stream.period))));
        let period = best.map_or(self.period, |stream| stream.period);
        (!period.is_zero()).then_some(period)
    }

    /// The class of a stream in files that are split by it, in seconds; 0 is for ever. Nothing where all is kept for ever.
    pub(crate) fn class_of(&self, labels: &Labels) -> Option<u64> {
        self.shortest().map(|_| self.period_of(labels).map_or(0, |period| period.as_secs().max(1)))
    }

    /// The shortest period of any stream; nothing if all are kept for ever.
    fn shortest(&self) -> Option<Duration> {
        let periods = self.streams.iter().map(|stream| stream.period).chain([self.period]);
        periods.filter(|period| !period.is_zero()).min()
    }
}

/// A policy at one moment: what is too old.
#[derive(Clone, Debug)]
pub(crate) struct Horizon {
    policy: Arc<RetentionPolicy>,
    now_ns: i64,
    latest: i64,
}

impl Horizon {
    /// Nothing where nothing is ever too old.
    pub(crate) fn new(policy: Arc<RetentionPolicy>, now_ms: u64) -> Option<Self> {
        let now_ns = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let latest = before(now_ns, policy.shortest()?);
        Some(Self { policy, now_ns, latest })
    }

    /// Rows at this time or later are too old in no stream.
    pub(crate) fn latest(&self) -> i64 {
        self.latest
    }

    /// The times of a stream that are too old.
    pub(crate) fn cut(&self, labels: &Labels) -> TimeRange {
        let first_kept = self.policy.period_of(labels).map(|period| before(self.now_ns, period));
        match first_kept {
            Some(first) if first > i64::MIN => TimeRange::new(i64::MIN, first - 1),
            _ => TimeRange::EMPTY,
        }
    }
}

/// The policies as one run of the upkeep found them; each tenant's is asked for once.
#[derive(Debug)]
pub(crate) struct Applied {
    now_ms: u64,
    retention: SharedRetention,
    known: Mutex<HashMap<Tenant, Arc<RetentionPolicy>>>,
}

impl Applied {
    pub(crate) fn new(retention: &SharedRetention, now_ms: u64) -> Self {
        Self { now_ms, retention: retention.clone(), known: Mutex::default() }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(crate) fn policy(&self, tenant: &Tenant) -> Arc<RetentionPolicy> {
        if let Some(policy) = self.known.lock().get(tenant) {
            return policy.clone();
        }
        // Not under the lock: it is the embedding program's code.
        let policy = self.retention.0.of_tenant(tenant);
        self.known.lock().entry(tenant.clone()).or_insert(policy).clone()
    }

    pub(crate) fn horizon(&self, tenant: &Tenant) -> Option<Horizon> {
        Horizon::new(self.policy(tenant), self.now_ms)
    }
}

fn before(now_ns: i64, period: Duration) -> i64 {
    now_ns.saturating_sub(i64::try_from(period.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use narvi_types::{Labels, TimeRange};

    use super::{Horizon, RetentionPolicy, StreamRetention};

    #[test]
    fn the_highest_priority_counts_then_the_shortest_period() {
        let rule = |selector: &str, priority, secs| StreamRetention {
            selector: narvi_logql::parse_selector(selector).expect("valid"),
            priority,
            period: Duration::from_secs(secs),
        };
        let policy = RetentionPolicy {
            period: Duration::from_secs(100),
            streams: vec![
                rule(r#"{a="1"}"#, 1, 10),
                rule(r#"{b="1"}"#, 2, 50),
                rule(r#"{c="1"}"#, 2, 30),
                rule(r#"{d="1"}"#, 2, 0),
            ],
            ..RetentionPolicy::default()
        };
        let of = |pairs: &[(&str, &str)]| {
            let labels = Labels::from_pairs(pairs.iter().copied()).expect("valid");
            policy.period_of(&labels).map(|period| period.as_secs())
        };
        assert_eq!(of(&[("x", "1")]), Some(100));
        assert_eq!(of(&[("a", "1")]), Some(10));
        assert_eq!(of(&[("a", "1"), ("b", "1")]), Some(50));
        assert_eq!(of(&[("b", "1"), ("c", "1")]), Some(30));
        assert_eq!(of(&[("c", "1"), ("d", "1")]), Some(30));
        assert_eq!(of(&[("a", "1"), ("d", "1")]), None);
        let horizon = Horizon::new(Arc::new(policy.clone()), 1_000_000).expect("something is too old");
        assert_eq!(horizon.latest(), 990_000_000_000);
        let labels = Labels::from_pairs([("x", "1")]).expect("valid");
        assert_eq!(horizon.cut(&labels), TimeRange::new(i64::MIN, 899_999_999_999));
        assert!(Horizon::new(Arc::default(), 5).is_none());
        let long = RetentionPolicy { period: Duration::MAX, ..RetentionPolicy::default() };
        assert!(Horizon::new(Arc::new(long), 5).expect("far away").cut(&labels).max < 0);
    }
}
