//! Puts a cache together.

use std::sync::Arc;

use crate::{
    Cache, CacheSettings, Metrics,
    cache::Nothing,
    clock::Clock,
    embedded::Embedded,
    envelope::Envelope,
    memcached::Memcached,
    redis_client::Redis,
    remote::{Backend, Io, Remote},
    tiered::Tiered,
};

/// Why a cache cannot be made. A server that cannot be reached is no reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Settings that cannot be used.
    #[error("cache {cache}: {message}")]
    Settings {
        /// Its name.
        cache: String,
        /// What to write instead.
        message: String,
    },
    /// No runtime for its connections.
    #[error("cache {cache}: cannot start the thread of its connections: {source}")]
    Start {
        /// Its name.
        cache: String,
        /// What went wrong.
        source: std::io::Error,
    },
}

/// Makes the cache that settings describe; one that holds nothing if they ask for none. In metrics its parts are
/// `NAME.embedded-cache`, `NAME.memcached` and `NAME.redis`. Caches that share servers must have different names.
///
/// # Errors
/// Settings that cannot be used.
pub fn build(settings: &CacheSettings, name: &str, metrics: &Metrics) -> Result<Arc<dyn Cache>, CacheError> {
    let embedded = settings
        .embedded
        .enabled
        .then(|| Embedded::new(format!("{name}.embedded-cache"), settings.embedded.clone(), Clock::real(), metrics));
    if let Some(wrong) =
        embedded.as_ref().filter(|_| settings.embedded.max_bytes == 0 && settings.embedded.max_items == 0)
    {
        let message = format!("{wrong:?} has no limit; set max_size_mb or max_size_items");
        return Err(CacheError::Settings { cache: name.to_owned(), message });
    }
    Ok(match (embedded, remote(settings, name, metrics)?) {
        (Some(near), Some(far)) => Arc::new(Tiered { name: name.to_owned(), near, far }),
        (Some(near), None) => Arc::new(near),
        (None, Some(far)) => Arc::new(far),
        (None, None) => Arc::new(Nothing { name: name.to_owned() }),
    })
}

fn remote(settings: &CacheSettings, name: &str, metrics: &Metrics) -> Result<Option<Remote>, CacheError> {
    let wrong = |message: String| CacheError::Settings { cache: name.to_owned(), message };
    if settings.memcached.is_none() && settings.redis.is_none() {
        return Ok(None);
    }
    let io = Io::start().map_err(|source| CacheError::Start { cache: name.to_owned(), source })?;
    let (part, backend): (_, Arc<dyn Backend>) = match (&settings.memcached, &settings.redis) {
        (Some(_), Some(_)) => return Err(wrong("memcached and redis are both given; leave one out".to_owned())),
        (Some(memcached), None) => {
            let part = format!("{name}.memcached");
            let client = Memcached::start(&part, memcached, &settings.breaker, metrics, &io);
            (part, client.map_err(|message| wrong(format!("memcached_client: {message}")))?)
        }
        (None, Some(redis)) => {
            let part = format!("{name}.redis");
            let client = Redis::new(&part, redis, &settings.breaker, metrics);
            (part, client.map_err(|message| wrong(format!("redis: {message}")))?)
        }
        (None, None) => return Ok(None),
    };
    let envelope = Envelope::new(&settings.prefix, &settings.version, name, settings.compress_from);
    Ok(Some(Remote::new(part, (envelope, backend, io), &settings.background, settings.max_wait, metrics)))
}

#[cfg(test)]
mod tests {
    use super::build;
    use crate::{CacheSettings, EmbeddedSettings, MemcachedSettings, Metrics, RedisSettings};

    #[test]
    fn settings_that_contradict_themselves_are_refused() {
        let memcached =
            Some(MemcachedSettings { addresses: vec!["127.0.0.1:1".to_owned()], ..MemcachedSettings::default() });
        let redis = Some(RedisSettings { endpoint: "127.0.0.1:1".to_owned(), ..RedisSettings::default() });
        let unlimited = EmbeddedSettings { enabled: true, max_bytes: 0, max_items: 0, ..EmbeddedSettings::default() };
        for (settings, message) in [
            (CacheSettings { memcached, redis, ..CacheSettings::default() }, "both given"),
            (
                CacheSettings { memcached: Some(MemcachedSettings::default()), ..CacheSettings::default() },
                "neither host",
            ),
            (CacheSettings { redis: Some(RedisSettings::default()), ..CacheSettings::default() }, "endpoint"),
            (CacheSettings { embedded: unlimited, ..CacheSettings::default() }, "no limit"),
        ] {
            let error = build(&settings, "results", &Metrics::default()).expect_err("it is wrong").to_string();
            assert!(error.starts_with("cache results: ") && error.contains(message), "{error}");
        }
    }

    #[test]
    fn none_is_a_cache_that_holds_nothing() {
        let cache = build(&CacheSettings::default(), "chunks", &Metrics::default()).expect("it is right");
        cache.set_many(vec![("k".into(), "v".into())]);
        assert_eq!(cache.get_many_blocking(&["k".into()]), [None]);
        cache.close_blocking();
    }
}
