//! What is remembered of streams and tenants between pushes: newest times, token buckets, which streams are active.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use narvi_types::Timestamp;
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Streams remembered per shard; past that all are forgotten, which accepts more and refuses nothing wrongly.
const MOST: usize = 1 << 17;
/// How often idle streams are looked for.
const SWEEP: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(1800);

/// A token bucket: so many bytes a second, so many at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at_ns: i64,
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(burst: f64, now: Timestamp) -> Self {
        Self { tokens: burst, at_ns: now.as_ns() }
    }

    /// Takes bytes out, all or none.
    pub(crate) fn take(&mut self, bytes: f64, rate: f64, burst: f64, now: Timestamp) -> bool {
        if rate.is_infinite() {
            return true;
        }
        let passed = now.as_ns().saturating_sub(self.at_ns).max(0) as f64 / 1e9;
        self.tokens = (self.tokens + passed * rate).min(burst);
        self.at_ns = self.at_ns.max(now.as_ns());
        let fits = bytes <= self.tokens;
        if fits {
            self.tokens -= bytes;
        }
        fits
    }
}

/// What is remembered of a stream.
#[derive(Debug)]
pub(crate) struct Stream {
    tenant: Arc<Tenant>,
    /// The highest timestamp seen.
    pub(crate) highest: i64,
    pub(crate) bucket: Bucket,
    last_push_ns: i64,
}

/// What is remembered of a tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) bucket: Mutex<Option<Bucket>>,
    active: AtomicU64,
    created: AtomicU64,
    removed: AtomicU64,
}

/// The streams of one tenant, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain figures")]
pub struct TenantStreams {
    /// The tenant.
    pub tenant: String,
    /// Active streams.
    pub active: u64,
    /// Streams that became active, ever.
    pub created: u64,
    /// Streams that became idle, ever.
    pub removed: u64,
}

/// The streams that were pushed to, by a hash of tenant and labels.
#[derive(Debug)]
pub(crate) struct Streams {
    shards: [Mutex<HashMap<u64, Stream>>; SHARDS],
    tenants: Mutex<HashMap<String, Arc<Tenant>>>,
    idle: Duration,
    swept_ns: Mutex<i64>,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(IDLE)
    }
}

impl Streams {
    pub(crate) fn new(idle: Duration) -> Self {
        Self { shards: Default::default(), tenants: Mutex::default(), idle, swept_ns: Mutex::new(i64::MIN) }
    }

    pub(crate) fn tenant(&self, name: &str) -> Arc<Tenant> {
        let mut tenants = self.tenants.lock();
        if let Some(tenant) = tenants.get(name) {
            return tenant.clone();
        }
        let counter = || AtomicU64::new(0);
        let tenant =
            Arc::new(Tenant { bucket: Mutex::default(), active: counter(), created: counter(), removed: counter() });
        tenants.insert(name.to_owned(), tenant.clone());
        tenant
    }

    /// Runs `each` over what is remembered of a stream. A stream that is new is refused when its tenant has `most` active
    /// ones already; 0 is no limit.
    pub(crate) fn with<R>(
        &self,
        stream: u64,
        tenant: &Arc<Tenant>,
        most: usize,
        now: Timestamp,
        new: impl FnOnce() -> Bucket,
        each: impl FnOnce(&mut Stream) -> R,
    ) -> Option<R> {
        self.sweep(now);
        let mut shard = self.shards[stream as usize % SHARDS].lock();
        if !shard.contains_key(&stream) {
            let active = tenant.active.load(Ordering::Relaxed);
            if most > 0 && active >= most as u64 {
                return None;
            }
            if shard.len() >= MOST {
                shard.drain().for_each(|(_, stream)| stream.tenant.forget());
            }
            tenant.active.fetch_add(1, Ordering::Relaxed);
            tenant.created.fetch_add(1, Ordering::Relaxed);
        }
        let stream = shard.entry(stream).or_insert_with(|| Stream {
            tenant: tenant.clone(),
            highest: i64::MIN,
            bucket: new(),
            last_push_ns: now.as_ns(),
        });
        stream.last_push_ns = now.as_ns();
        Some(each(stream))
    }

    /// Forgets streams that got nothing for long, now and then.
    fn sweep(&self, now: Timestamp) {
        let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        {
            let Some(mut swept) = self.swept_ns.try_lock() else { return };
            if now.as_ns().saturating_sub(*swept) < ns(SWEEP) {
                return;
            }
            *swept = now.as_ns();
        }
        let oldest = now.as_ns().saturating_sub(ns(self.idle));
        for shard in &self.shards {
            shard.lock().retain(|_, stream| {
                let active = stream.last_push_ns >= oldest;
                if !active {
                    stream.tenant.forget();
                }
                active
            });
        }
    }

    pub(crate) fn by_tenant(&self) -> Vec<TenantStreams> {
        let tenants = self.tenants.lock();
        let of = |(name, tenant): (&String, &Arc<Tenant>)| TenantStreams {
            tenant: name.clone(),
            active: tenant.active.load(Ordering::Relaxed),
            created: tenant.created.load(Ordering::Relaxed),
            removed: tenant.removed.load(Ordering::Relaxed),
        };
        let mut all: Vec<_> = tenants.iter().map(of).collect();
        all.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        all
    }
}

impl Tenant {
    fn forget(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        self.removed.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use narvi_types::Timestamp;

    use super::{Bucket, Streams};

    #[test]
    fn buckets_fill_again() {
        let at = Timestamp::from_secs;
        let mut bucket = Bucket::full(10.0, at(0));
        assert!(bucket.take(10.0, 5.0, 10.0, at(0)) && !bucket.take(1.0, 5.0, 10.0, at(0)));
        assert!(bucket.take(5.0, 5.0, 10.0, at(1)) && !bucket.take(1.0, 5.0, 10.0, at(1)));
        // Never more than the burst, and a clock that goes back gives nothing.
        assert!(!bucket.take(11.0, 5.0, 10.0, at(100)) && bucket.take(10.0, 5.0, 10.0, at(100)));
        assert!(!bucket.take(1.0, 5.0, 10.0, at(50)));
        assert!(bucket.take(1e18, f64::INFINITY, 0.0, at(50)));
    }

    #[test]
    fn idle_streams_make_room() {
        let streams = Streams::new(Duration::from_secs(60));
        let tenant = streams.tenant("t");
        let push = |stream: u64, secs: i64| {
            let now = Timestamp::from_secs(secs);
            streams.with(stream, &tenant, 2, now, || Bucket::full(0.0, now), |_| ()).is_some()
        };
        assert!(push(1, 0) && push(2, 50) && !push(3, 55) && push(1, 56));
        assert!(!push(3, 100) && push(3, 112));
        let figures = &streams.by_tenant()[0];
        assert_eq!((figures.active, figures.created, figures.removed), (2, 3, 1));
    }
}
