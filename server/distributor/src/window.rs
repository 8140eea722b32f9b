//! How far behind the newest entry of its stream an entry may lie.

use std::collections::HashMap;

use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Streams remembered per shard; past that all are forgotten, which accepts more and refuses nothing wrongly.
const MOST: usize = 1 << 17;

/// The highest timestamp seen of each stream since the process started.
#[derive(Debug, Default)]
pub(crate) struct Highest {
    shards: [Mutex<HashMap<u64, i64>>; SHARDS],
}

impl Highest {
    /// Runs `each` over the stream's highest timestamp so far, which it may raise. `stream` is a hash of tenant and labels.
    pub(crate) fn with<R>(&self, stream: u64, each: impl FnOnce(&mut i64) -> R) -> R {
        let mut shard = self.shards[stream as usize % SHARDS].lock();
        if shard.len() >= MOST && !shard.contains_key(&stream) {
            shard.clear();
        }
        each(shard.entry(stream).or_insert(i64::MIN))
    }
}
