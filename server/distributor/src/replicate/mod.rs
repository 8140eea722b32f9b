//! Replication: each stream goes to the ingesters that own its place on the ring, and is acknowledged once a quorum of them
//! has it.
//!
//! Of one push each ingester gets one request with all of its streams. What is sent again after a failure may be there
//! already: the same row of a stream is answered once, so that trying again never shows lines twice. The answer waits
//! for quorums only; what remains of a push goes on behind it, within the bytes that may be on their way to one ingester.
//! An ingester that is slow or dead fills that room and is then counted as failing at once, so that it slows nobody.

mod metrics;
mod progress;

use std::{
    collections::HashMap,
    future::Future,
    hash::{BuildHasher, Hasher, RandomState},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use narvi::{PushStream, Tenant};
use narvi_logs::{LogsError, Push, Pushing};
use narvi_ring::{Answers, Clock, Instance, Operation, RingError, RingView, stream_key};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{sleep, timeout},
};

pub use self::metrics::ReplicationMetrics;
use self::progress::Progress;

/// What one ingester gets of one push.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Batch {
    /// Whose.
    pub tenant: Tenant,
    /// Its streams that the ingester holds.
    pub streams: Vec<PushStream>,
}

/// Why an ingester does not have a batch, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum ReplicaError {
    /// It refuses the lines: sending them again is of no use.
    #[error("{message}")]
    Permanent {
        /// The status that the client gets.
        status: u16,
        /// The text that the client gets.
        message: String,
    },
    /// It could not be reached, or not store now; it may also have stored without being able to say so.
    #[error("{message}")]
    Retryable {
        /// The status that the client gets.
        status: u16,
        /// The text that the client gets.
        message: String,
    },
}

/// An ingester's answer, once it comes. Dropping it gives up waiting.
pub type ReplicaCall = Pin<Box<dyn Future<Output = Result<(), ReplicaError>> + Send>>;

/// Reaches ingesters.
pub trait Replicas: Send + Sync + 'static {
    /// Sends a batch to an ingester, once. Its time is limited by who calls.
    fn push(&self, to: &Arc<Instance>, batch: &Arc<Batch>) -> ReplicaCall;
}

/// How a push is replicated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct ReplicationSettings {
    /// How long one request to an ingester may take.
    pub timeout: Duration,
    /// How often a batch is sent at most.
    pub attempts: u32,
    /// The pause before the second time; it doubles.
    pub min_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// Bytes that may be on their way to one ingester; a single larger batch goes alone.
    pub max_in_flight_bytes: usize,
}

impl Default for ReplicationSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            attempts: 2,
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            max_in_flight_bytes: 128 << 20,
        }
    }
}

/// Stores pushes on the ingesters of a ring. Cheap to clone. Its futures need a tokio runtime with time.
#[derive(Clone)]
pub struct Replicator(Arc<Inner>);

struct Inner {
    ring: Arc<RingView>,
    clock: Arc<dyn Clock>,
    replicas: Arc<dyn Replicas>,
    settings: ReplicationSettings,
    metrics: ReplicationMetrics,
    /// What may still be sent to each ingester, in units of [`UNIT_BYTES`].
    rooms: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// What room is counted in: permits are fewer than bytes can be.
const UNIT_BYTES: usize = 1024;
/// What an entry takes beside its line and metadata.
const ENTRY_BYTES: usize = 32;

/// The part of a push that one ingester gets.
struct Share {
    to: Arc<Instance>,
    streams: Vec<PushStream>,
    /// Which of the push these are.
    places: Vec<usize>,
    bytes: usize,
}

/// A push and where it goes.
struct Spread {
    shares: Vec<Share>,
    /// By stream.
    answers: Vec<Answers>,
}

impl Replicator {
    /// Replicates over the ingesters of a ring.
    pub fn new(
        ring: Arc<RingView>,
        clock: Arc<dyn Clock>,
        replicas: Arc<dyn Replicas>,
        settings: ReplicationSettings,
        metrics: ReplicationMetrics,
    ) -> Self {
        metrics.factor(ring.current().settings().replication_factor);
        Self(Arc::new(Inner { ring, clock, replicas, settings, metrics, rooms: Mutex::default() }))
    }
}

impl Push for Replicator {
    fn push(&self, tenant: &Tenant, streams: Vec<PushStream>) -> Pushing {
        let spread = self.0.spread(tenant, streams).map_err(|error| LogsError::answer(500, error.to_string()));
        let (inner, tenant) = (self.0.clone(), tenant.clone());
        Box::pin(async move { inner.send(tenant, spread?).await })
    }
}

impl Inner {
    /// Says which ingesters get which streams.
    fn spread(&self, tenant: &Tenant, streams: Vec<PushStream>) -> Result<Spread, RingError> {
        let (ring, now_ms) = (self.ring.current(), self.clock.now_ms());
        let mut spread = Spread { shares: Vec::new(), answers: Vec::with_capacity(streams.len()) };
        for (place, stream) in streams.into_iter().enumerate() {
            let key = stream_key(tenant.as_str(), &stream.labels.to_string());
            let set = ring.replicas(key, Operation::WriteAround, now_ms)?;
            spread.answers.push(Answers::of(&set));
            let sizes = stream.entries.iter().map(|e| e.line.len() + e.metadata.packed().len() + ENTRY_BYTES);
            let bytes: usize = sizes.sum();
            for instance in set.instances {
                // One picture of the ring has each instance once.
                let known = spread.shares.iter_mut().position(|share| Arc::ptr_eq(&share.to, &instance));
                let at = known.unwrap_or_else(|| {
                    let (streams, places) = (Vec::new(), Vec::new());
                    spread.shares.push(Share { to: instance, streams, places, bytes: 0 });
                    spread.shares.len() - 1
                });
                let Some(share) = spread.shares.get_mut(at) else { continue };
                // Lines are shared.
                share.streams.push(stream.clone());
                share.places.push(place);
                share.bytes += bytes;
            }
        }
        Ok(spread)
    }

    async fn send(self: Arc<Self>, tenant: Tenant, spread: Spread) -> Result<(), LogsError> {
        if spread.answers.is_empty() {
            return Ok(());
        }
        let (told, outcome) = oneshot::channel();
        let progress = Arc::new(Mutex::new(Progress::new(spread.answers, told)));
        for share in spread.shares {
            let (inner, progress) = (self.clone(), progress.clone());
            let batch = Arc::new(Batch { tenant: tenant.clone(), streams: share.streams });
            let room = self.room(&share.to, share.bytes);
            tokio::spawn(async move {
                let done = match room {
                    Some(_held) => inner.deliver(&share.to, &batch).await,
                    None => {
                        inner.metrics.failed(&share.to);
                        Err(full(&share.to))
                    }
                };
                progress.lock().record(&share.to, &share.places, &done);
            });
        }
        // The tasks alone hold it, so that the outcome is known even if one of them panics.
        drop(progress);
        match outcome.await {
            Ok(outcome) => outcome.map_err(|error| match error {
                ReplicaError::Permanent { status, message } | ReplicaError::Retryable { status, message } => {
                    LogsError::answer(status, message)
                }
            }),
            Err(_) => Err(LogsError::answer(500, "the push failed unexpectedly; the distributor's log says more")),
        }
    }

    /// Takes room for bytes to an ingester, if there is.
    fn room(&self, to: &Instance, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let all = (self.settings.max_in_flight_bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let wanted = u32::try_from(bytes.div_ceil(UNIT_BYTES).clamp(1, all)).unwrap_or(u32::MAX);
        let mut rooms = self.rooms.lock();
        if !rooms.contains_key(&to.id) {
            // Those that are gone; what is still on its way to them keeps its own.
            let ring = self.ring.current();
            rooms.retain(|id, _| ring.instances().iter().any(|one| one.id == *id));
        }
        let room = rooms.entry(to.id.clone()).or_insert_with(|| Arc::new(Semaphore::new(all))).clone();
        room.try_acquire_many_owned(wanted).ok()
    }

    /// Sends a batch until it is stored, refused, or was sent as often as allowed.
    async fn deliver(&self, to: &Arc<Instance>, batch: &Arc<Batch>) -> Result<(), ReplicaError> {
        let mut pause = self.settings.min_backoff;
        let mut attempt = 1;
        loop {
            self.metrics.sent(to);
            let called = timeout(self.settings.timeout, self.replicas.push(to, batch)).await;
            let Err(error) = called.unwrap_or_else(|_| Err(late())) else { return Ok(()) };
            self.metrics.failed(to);
            let is_last = attempt >= self.settings.attempts || matches!(error, ReplicaError::Permanent { .. });
            tracing::warn!(ingester = to.id, address = to.address, attempt, is_last, %error, "push failed");
            if is_last {
                return Err(error);
            }
            sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2).min(self.settings.max_backoff);
            attempt += 1;
        }
    }
}

/// Between half of a pause and all of it, so that those who failed at once do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let drawn = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause.mul_f64(drawn as f64 / 2048.0)
}

/// As gRPC says it.
fn late() -> ReplicaError {
    let message = "rpc error: code = DeadlineExceeded desc = context deadline exceeded".to_owned();
    ReplicaError::Retryable { status: 500, message }
}

fn full(to: &Instance) -> ReplicaError {
    let message = format!("too much is on its way to ingester {} already; try again later", to.id);
    ReplicaError::Retryable { status: 503, message }
}

#[cfg(test)]
mod tests;
