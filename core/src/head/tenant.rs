//! The heads of one tenant's streams in one generation, found by labels or by matchers.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::Arc,
};

use narvi_types::{Labels, Matcher, Tenant, TimeRange};
use parking_lot::RwLock;

use super::{StreamHead, index::HeadIndex};

/// One tenant's streams in one generation. Streams are made under a lock over all of them, rows are appended under one lock
/// per stream.
#[derive(Debug)]
pub(crate) struct TenantHead {
    tenant: Tenant,
    streams: RwLock<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    by_labels: HashMap<Key, u32, BuildHasherDefault<Passed>>,
    /// By position; the index knows streams by it.
    heads: Vec<Arc<StreamHead>>,
    index: HeadIndex,
}

impl TenantHead {
    pub(crate) fn new(tenant: Tenant) -> Self {
        Self { tenant, streams: RwLock::default() }
    }

    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The head of a stream, made if there is none; `make_id` gives a new one its number. Says whether it is new.
    pub(crate) fn stream(&self, labels: &Labels, make_id: impl FnOnce() -> u32) -> (Arc<StreamHead>, bool) {
        let key = Key { hash: labels.hash64(), labels: labels.clone() };
        {
            let streams = self.streams.read();
            if let Some(head) = streams.by_labels.get(&key).and_then(|at| streams.heads.get(*at as usize)) {
                return (head.clone(), false);
            }
        }
        let streams = &mut *self.streams.write();
        let at = streams.heads.len() as u32;
        match streams.by_labels.entry(key) {
            Entry::Occupied(found) => (streams.heads[*found.get() as usize].clone(), false),
            Entry::Vacant(free) => {
                free.insert(at);
                let head = Arc::new(StreamHead::new(labels.clone(), make_id()));
                streams.heads.push(head.clone());
                streams.index.add(at, labels);
                (head, true)
            }
        }
    }

    /// All streams, in the order in which they were made. Some may have no row yet.
    pub(crate) fn streams(&self) -> Vec<Arc<StreamHead>> {
        self.streams.read().heads.clone()
    }

    /// The streams that pass all matchers and may have rows in the time range.
    pub(crate) fn select(&self, matchers: &[Matcher], range: &TimeRange) -> Vec<Arc<StreamHead>> {
        let streams = self.streams.read();
        let found = streams.select(matchers);
        let heads = found.iter().filter_map(|at| streams.heads.get(at as usize));
        heads.filter(|head| head.overlaps(range)).cloned().collect()
    }

    /// Adds the label names of those streams.
    pub(crate) fn label_names(&self, matchers: &[Matcher], range: &TimeRange, out: &mut BTreeSet<String>) {
        let streams = self.streams.read();
        if matchers.is_empty() {
            for name in streams.index.names().filter(|name| !out.contains(*name)).collect::<Vec<_>>() {
                if streams.index.values(name).any(|(_, ids)| streams.any_overlaps(ids, range)) {
                    out.insert(name.to_owned());
                }
            }
            return;
        }
        drop(streams);
        for head in self.select(matchers, range) {
            for (name, _) in head.labels() {
                if !out.contains(name) {
                    out.insert(name.to_owned());
                }
            }
        }
    }

    /// Adds the values that a label has in those streams.
    pub(crate) fn label_values(&self, name: &str, matchers: &[Matcher], range: &TimeRange, out: &mut BTreeSet<String>) {
        let streams = self.streams.read();
        if matchers.is_empty() {
            let live = streams.index.values(name).filter(|(_, ids)| streams.any_overlaps(ids, range));
            out.extend(live.map(|(value, _)| value.to_owned()));
            return;
        }
        drop(streams);
        let selected = self.select(matchers, range);
        out.extend(selected.iter().filter_map(|head| head.labels().get(name)).map(str::to_owned));
    }
}

impl Streams {
    fn select(&self, matchers: &[Matcher]) -> roaring::RoaringBitmap {
        let label = |at: u32, name: &str| self.heads.get(at as usize).and_then(|head| head.labels().get(name));
        self.index.select(self.heads.len() as u32, matchers, label)
    }

    fn any_overlaps(&self, ids: &[u32], range: &TimeRange) -> bool {
        ids.iter().filter_map(|at| self.heads.get(*at as usize)).any(|head| head.overlaps(range))
    }
}

/// Labels with their hash, so that it is computed once.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    hash: u64,
    labels: Labels,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A hasher for what is a hash already.
#[derive(Default)]
struct Passed(u64);

impl Hasher for Passed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0.rotate_left(8) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
