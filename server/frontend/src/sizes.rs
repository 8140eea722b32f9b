//! How much queries of some streams have read lately: by it a piece is cut by stream, or left whole.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use narvi::{Tenant, TimeRange, logql::Leaf};
use parking_lot::Mutex;

/// More selectors are not remembered; then all are forgotten.
const MOST: usize = 4096;
/// A piece is cut into so many shards at most.
const MOST_SHARDS: u64 = 16;

/// Bytes for each nanosecond of logs, by tenants and selector.
#[derive(Debug, Default)]
pub(crate) struct Sizes(Mutex<HashMap<u64, f64>>);

impl Sizes {
    /// Remembers what a piece has read.
    pub(crate) fn read(&self, tenants: &[Tenant], leaf: &Leaf, rows: TimeRange, bytes: u64) {
        let rate = bytes as f64 / length(rows);
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.entry(key(tenants, leaf)).and_modify(|old| *old = f64::midpoint(*old, rate)).or_insert(rate);
    }

    /// Into how many shards a piece is to be cut so that each reads about so much at most: a power of two, so that it
    /// changes seldom. One as long as nothing is known.
    pub(crate) fn shards(&self, tenants: &[Tenant], leaf: &Leaf, rows: TimeRange, shard_bytes: u64) -> u32 {
        let Some(rate) = self.0.lock().get(&key(tenants, leaf)).copied() else { return 1 };
        let wanted = (rate * length(rows) / shard_bytes.max(1) as f64).ceil() as u64;
        wanted.clamp(1, MOST_SHARDS).next_power_of_two() as u32
    }
}

fn length(rows: TimeRange) -> f64 {
    (rows.max as f64 - rows.min as f64 + 1.0).max(1.0)
}

fn key(tenants: &[Tenant], leaf: &Leaf) -> u64 {
    let mut hasher = DefaultHasher::new();
    for tenant in tenants {
        tenant.as_str().hash(&mut hasher);
    }
    leaf.selector().to_string().hash(&mut hasher);
    hasher.finish()
}
