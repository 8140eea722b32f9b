//! Results that are kept: encoded partials of pieces, and the knowledge that there are no lines.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use narvi::{
    Direction, Tenant, TimeRange,
    logql::{Params, Piece},
};
use narvi_cache::Cache;
use parking_lot::Mutex;

/// The form of keys and values.
const VERSION: u8 = 1;
/// More tenants are not remembered; then all are forgotten.
const MOST_TENANTS: usize = 10_000;

/// A cache of results.
#[derive(Debug)]
pub(crate) struct Results {
    cache: Arc<dyn Cache>,
    /// The requests to delete of tenants, by their names, and when they were asked for.
    known: Mutex<HashMap<String, (u64, Instant)>>,
}

/// What is kept under a key.
pub(crate) enum Found {
    Nothing,
    /// It was made when there were other requests to delete.
    Outdated,
    Kept(Bytes),
}

impl Results {
    pub(crate) fn new(cache: Arc<dyn Cache>) -> Self {
        Self { cache, known: Mutex::default() }
    }

    /// What is kept, if it was made with these requests to delete.
    pub(crate) async fn get(&self, key: &Bytes, deletes: u64) -> Found {
        let found = self.cache.get_many(std::slice::from_ref(key)).await.into_iter().next().flatten();
        let Some(found) = found else { return Found::Nothing };
        let Some((head, _)) = found.split_first_chunk::<9>() else { return Found::Nothing };
        if head[0] != VERSION {
            return Found::Nothing;
        }
        match head[1..] == deletes.to_le_bytes() {
            true => Found::Kept(found.slice(head.len()..)),
            false => Found::Outdated,
        }
    }

    /// Keeps what was made with these requests to delete. Never waits.
    pub(crate) fn set(&self, key: Bytes, deletes: u64, value: &[u8]) {
        let mut bytes = Vec::with_capacity(9 + value.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&deletes.to_le_bytes());
        bytes.extend_from_slice(value);
        self.cache.set_many(vec![(key, bytes.into())]);
    }

    /// Which requests to delete there are, if that was asked lately.
    pub(crate) fn known_deletes(&self, tenants: &[Tenant], max_age: Duration) -> Option<u64> {
        let known = self.known.lock();
        let (deletes, at) = known.get(&names(tenants))?;
        (at.elapsed() < max_age).then_some(*deletes)
    }

    /// Remembers which requests to delete there were at a time.
    pub(crate) fn learn_deletes(&self, tenants: &[Tenant], deletes: u64, at: Instant) {
        let mut known = self.known.lock();
        if known.len() >= MOST_TENANTS {
            known.clear();
        }
        let held = known.entry(names(tenants)).or_insert((deletes, at));
        // Of several answers under way at once the one that was asked for last counts.
        if held.1 <= at {
            *held = (deletes, at);
        }
    }
}

fn names(tenants: &[Tenant]) -> String {
    tenants.iter().map(Tenant::as_str).collect::<Vec<_>>().join("|")
}

/// What a metric query does not hang on is the same in all keys.
pub(crate) fn plain(params: &Params) -> Params {
    let mut params = params.clone();
    params.limit = None;
    params.direction = Direction::Forward;
    params.interval_ns = 0;
    params.categorize = false;
    params
}

/// The key of a piece of a metric query.
pub(crate) fn key_of_piece(tenants: &[Tenant], text: &str, piece: &Piece) -> Bytes {
    key(tenants, text, b'm', piece.scope(None).leaf, piece.rows(), &plain(piece.params()))
}

/// The key of the knowledge that a range of a log query is empty, whatever is asked of its lines.
pub(crate) fn key_of_nothing(tenants: &[Tenant], text: &str, rows: TimeRange) -> Bytes {
    key(tenants, text, b'l', 0, rows, &plain(&Params::range(0, 0, 0)))
}

/// Each part of variable length comes with its length, so that no two keys run into one another.
fn key(tenants: &[Tenant], text: &str, kind: u8, leaf: u32, rows: TimeRange, params: &Params) -> Bytes {
    let mut bytes = vec![VERSION, kind];
    bytes.extend_from_slice(&leaf.to_le_bytes());
    bytes.extend_from_slice(&rows.min.to_le_bytes());
    bytes.extend_from_slice(&rows.max.to_le_bytes());
    let mut encoded = Vec::new();
    params.encode(&mut encoded);
    for part in [&encoded[..], names(tenants).as_bytes(), text.as_bytes()] {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes.into()
}
