//! The cache in memory: bounded in bytes and items, each value for a limited time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::DefaultLifecycle};

use crate::{BoxFuture, Cache, EmbeddedSettings, Metrics, clock::Clock};

/// Bookkeeping of one value, estimated.
const OVERHEAD: u64 = 160;
/// A part of the cache with a lock of its own must be able to hold large values: it has at least this many bytes.
const MIN_SHARD: u64 = 16 << 20;

/// A cache in memory.
pub(crate) struct Embedded {
    name: String,
    settings: EmbeddedSettings,
    clock: Clock,
    values: Values,
    last_purge: Mutex<Duration>,
    entries: Gauge,
    bytes: Gauge,
    expired: Counter,
    metrics: Metrics,
}

type Lives = DefaultLifecycle<Bytes, Arc<Held>>;
type Values = quick_cache::sync::Cache<Bytes, Arc<Held>, Weigh, DefaultHashBuilder, Lives>;

/// A value, and its share of the gauges for as long as it lives: they fall by what is evicted, replaced or removed
/// alike.
struct Held {
    value: Bytes,
    /// When it is not to be answered any more.
    expires: Option<Duration>,
    charge: i64,
    entries: Gauge,
    bytes: Gauge,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.entries.dec();
        self.bytes.dec_by(self.charge);
    }
}

impl Held {
    fn is_expired(&self, now: Duration) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// Weighs values so that one capacity holds both limits: a value weighs at least the share of one item.
#[derive(Clone)]
struct Weigh {
    at_least: u64,
    by_items: bool,
}

impl Weighter<Bytes, Arc<Held>> for Weigh {
    fn weight(&self, key: &Bytes, held: &Arc<Held>) -> u64 {
        if self.by_items { 1 } else { charge(key, &held.value).max(self.at_least) }
    }
}

fn charge(key: &Bytes, value: &Bytes) -> u64 {
    (key.len() + value.len()) as u64 + OVERHEAD
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("name", &self.name).field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Embedded {
    pub(crate) fn new(name: String, settings: EmbeddedSettings, clock: Clock, metrics: &Metrics) -> Self {
        let by_items = settings.max_bytes == 0;
        let capacity = if by_items { settings.max_items } else { settings.max_bytes };
        let at_least = if settings.max_items == 0 { 0 } else { capacity.div_ceil(settings.max_items) };
        // Few shards where few items fit, since each holds its own share and no more.
        let shards = if by_items { capacity / 1_024 } else { capacity / MIN_SHARD.max(at_least.saturating_mul(1_024)) };
        let items = (capacity / at_least.max(if by_items { 1 } else { 4_096 })).clamp(32, 1 << 20);
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards.clamp(1, 16)).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(items).unwrap_or(32))
            .weight_capacity(capacity)
            .build();
        let weigh = Weigh { at_least, by_items };
        let values = match options {
            Ok(options) => Values::with_options(options, weigh, DefaultHashBuilder::default(), Lives::default()),
            Err(_) => Values::with(32, capacity, weigh, DefaultHashBuilder::default(), Lives::default()),
        };
        let (entries, bytes) = metrics.embedded(&name);
        let expired = metrics.evicted(&name, "expired");
        let last_purge = Mutex::new(clock.now());
        Self { name, settings, clock, values, last_purge, entries, bytes, expired, metrics: metrics.clone() }
    }

    fn get(&self, key: &Bytes, now: Duration) -> Option<Bytes> {
        let held = self.values.get(key)?;
        if !held.is_expired(now) {
            return Some(held.value.clone());
        }
        // Unless it was replaced just now.
        if self.values.remove_if(key, |held| held.is_expired(now)).is_some() {
            self.expired.inc();
        }
        None
    }

    fn set(&self, key: &Bytes, value: &Bytes, now: Duration) {
        // Copies, since a value may be a small part of a large buffer that would stay with it.
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        let charge = i64::try_from(charge(&key, &value)).unwrap_or(i64::MAX);
        let expires = (!self.settings.ttl.is_zero()).then(|| now + self.settings.ttl);
        self.entries.inc();
        self.bytes.inc_by(charge);
        let (entries, bytes) = (self.entries.clone(), self.bytes.clone());
        self.values.insert(key, Arc::new(Held { value, expires, charge, entries, bytes }));
    }

    /// Drops what has expired, if that was not done lately.
    fn purge(&self, now: Duration) {
        let interval = self.settings.purge_interval;
        {
            let mut last = self.last_purge.lock();
            if interval.is_zero() || now < *last + interval {
                return;
            }
            *last = now;
        }
        self.values.retain(|_, held| {
            let expired = held.is_expired(now);
            if expired {
                self.expired.inc();
            }
            !expired
        });
    }
}

impl Cache for Embedded {
    fn name(&self) -> &str {
        &self.name
    }

    fn get_many<'a>(&'a self, keys: &'a [Bytes]) -> BoxFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            let start = self.clock.now();
            let found: Vec<_> = keys.iter().map(|key| self.get(key, start)).collect();
            let hits = found.iter().flatten().count();
            self.metrics.fetched(&self.name, keys.len(), hits, false, self.clock.now().saturating_sub(start));
            found
        })
    }

    fn set_many(&self, entries: Vec<(Bytes, Bytes)>) {
        let now = self.clock.now();
        for (key, value) in &entries {
            self.set(key, value, now);
        }
        self.purge(now);
        self.metrics.stored(&self.name, false, self.clock.now().saturating_sub(now));
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.values.clear();
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::{collection::vec, prelude::*};

    use super::Embedded;
    use crate::{Cache as _, EmbeddedSettings, Metrics, clock::Clock};

    fn key(n: u64) -> Bytes {
        Bytes::from(format!("key {n}"))
    }

    fn made(settings: EmbeddedSettings) -> (Embedded, impl Fn(Duration)) {
        let (clock, advance) = Clock::manual();
        (Embedded::new("e".to_owned(), settings, clock, &Metrics::default()), advance)
    }

    fn settings(max_bytes: u64, max_items: u64) -> EmbeddedSettings {
        EmbeddedSettings { enabled: true, max_bytes, max_items, ..EmbeddedSettings::default() }
    }

    #[test]
    fn values_expire_also_unasked() {
        let (cache, advance) = made(settings(1 << 20, 0));
        cache.set_many(vec![(key(1), "a".into()), (key(2), "b".into())]);
        advance(Duration::from_secs(3_599));
        assert_eq!(cache.get_many_blocking(&[key(1)]), [Some("a".into())]);
        advance(Duration::from_secs(1));
        assert_eq!(cache.get_many_blocking(&[key(1)]), [None]);
        assert_eq!(cache.entries.get(), 1, "the other was not asked for");
        cache.set_many(vec![(key(3), "c".into())]);
        assert_eq!((cache.entries.get(), cache.expired.get()), (1, 2));
        assert_eq!(cache.get_many_blocking(&[key(3), key(2)]), [Some("c".into()), None]);
        cache.close_blocking();
        assert_eq!((cache.entries.get(), cache.bytes.get()), (0, 0));
    }

    #[test]
    fn a_value_larger_than_the_cache_is_not_kept() {
        let (cache, _) = made(settings(10_000, 0));
        cache.set_many(vec![(key(1), vec![0; 20_000].into()), (key(2), vec![0; 2_000].into())]);
        let found: Vec<_> = cache.get_many_blocking(&[key(1), key(2)]).iter().map(Option::is_some).collect();
        assert_eq!(found, [false, true]);
    }

    proptest! {
        #[test]
        fn limits_hold_and_values_are_the_last_set(
            max_bytes in prop_oneof![Just(0_u64), 5_000..50_000_u64],
            max_items in 1..100_u64,
            sets in vec((0..200_u64, 0..2_000_usize), 1..300),
        ) {
            let (cache, _) = made(settings(max_bytes, max_items));
            let mut last = std::collections::HashMap::new();
            for (n, length) in sets {
                let value = Bytes::from(vec![n as u8; length]);
                last.insert(n, value.clone());
                cache.set_many(vec![(key(n), value)]);
                prop_assert!(cache.entries.get() as u64 <= max_items);
                prop_assert!(max_bytes == 0 || cache.bytes.get() as u64 <= max_bytes);
            }
            for (n, value) in last {
                let found = cache.get_many_blocking(&[key(n)]).remove(0);
                prop_assert!(found.is_none_or(|found| found == value));
            }
        }
    }
}
