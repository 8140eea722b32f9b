//! Look-ups in the index through a cache.

use std::sync::Arc;

use bytes::Bytes;
use narvi::{IndexAnswer, IndexLookUps, IndexQuestion, IndexTable, logql::Budget};
use narvi_cache::{Cache, CacheError, CacheSettings, Metrics, build};

/// Larger answers are not cached.
const MAX_ANSWER: usize = 8 << 20;

/// Puts the cache that settings describe before those who look into index tables, or gives them as they are if they ask for
/// none. In metrics it is called `index-queries`.
///
/// # Errors
/// Settings that cannot be used. A server that cannot be reached is no error.
pub fn look_ups(
    inner: Arc<dyn IndexLookUps>,
    settings: &CacheSettings,
    metrics: &Metrics,
) -> Result<Arc<dyn IndexLookUps>, CacheError> {
    if !settings.embedded.enabled && settings.memcached.is_none() && settings.redis.is_none() {
        return Ok(inner);
    }
    Ok(Arc::new(LookUpCache::new(inner, build(settings, "index-queries", metrics)?)))
}

/// Answers from a cache what was asked of a table before. Tables never change, so an answer is right for ever; it carries a
/// checksum over the question, and what does not pass is asked again.
#[derive(Debug)]
pub struct LookUpCache {
    inner: Arc<dyn IndexLookUps>,
    cache: Arc<dyn Cache>,
}

impl LookUpCache {
    /// Puts a cache before others.
    pub fn new(inner: Arc<dyn IndexLookUps>, cache: Arc<dyn Cache>) -> Self {
        Self { inner, cache }
    }
}

impl IndexLookUps for LookUpCache {
    fn look_up(
        &self,
        question: &IndexQuestion,
        tables: &[IndexTable],
        budget: &Budget,
    ) -> narvi::Result<Vec<IndexAnswer>> {
        let keys: Vec<Bytes> = tables.iter().map(|table| question.cache_key(table).into()).collect();
        let cached = self.cache.get_many_blocking(&keys).into_iter().zip(tables);
        let mut found: Vec<Option<IndexAnswer>> =
            cached.map(|(value, table)| IndexAnswer::new(question, table, value?).ok()).collect();
        found.resize(tables.len(), None);
        let missing: Vec<usize> = (0..tables.len()).filter(|at| found[*at].is_none()).collect();
        if !missing.is_empty() {
            let wanted: Vec<IndexTable> = missing.iter().map(|at| tables[*at].clone()).collect();
            let answers = self.inner.look_up(question, &wanted, budget)?;
            let new = missing.iter().zip(&answers).filter(|(_, answer)| answer.bytes().len() <= MAX_ANSWER);
            self.cache.set_many(new.map(|(at, answer)| (keys[*at].clone(), answer.bytes().clone())).collect());
            for (at, answer) in missing.into_iter().zip(answers) {
                found[at] = Some(answer);
            }
        }
        // Fewer answers than asked for are the caller's to tell.
        Ok(found.into_iter().flatten().collect())
    }
}
