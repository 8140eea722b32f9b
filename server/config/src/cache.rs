//! The cache blocks of a file: chunks, results, look-ups in the index.

use narvi_cache::{CacheSettings, MemcachedSettings, RedisSettings, Secret};

use crate::{ConfigError, apply::Reader, schema::place, tree::Node};

/// The caches of a server.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Caches {
    /// Parts of packs: `chunk_store_config.chunk_cache_config`.
    pub chunks: CacheSettings,
    /// Answers: `query_range.results_cache.cache`.
    pub results: CacheSettings,
    /// Look-ups in the index: `storage_config.index_queries_cache_config`.
    pub index_queries: CacheSettings,
}

const RESULTS: &str = "query_range.results_cache.cache";

/// Results of queries are text and numbers: large ones are worth compressing. Chunks and index tables are compressed.
const COMPRESS_RESULTS_FROM: usize = 4 << 10;

/// Sections that the table of keys does not look into, since Loki's versions differ in them, and their keys that are read
/// or ask for what is done anyway.
const OPEN: [(&str, &[&str]); 3] = [
    ("background", &["writeback_goroutines", "writeback_buffer", "writeback_size_limit"]),
    ("memcached", &["expiration", "batch_size", "parallelism"]),
    (
        "memcached_client",
        &[
            "host",
            "service",
            "addresses",
            "timeout",
            "max_idle_conns",
            "max_item_size",
            "update_interval",
            "consistent_hash",
            "circuit_breaker_consecutive_failures",
            "circuit_breaker_timeout",
            "circuit_breaker_interval",
        ],
    ),
];

/// Reads the blocks of a file. Chunks and results are cached in memory unless it names another place, as in Loki.
pub(crate) fn apply(reader: &Reader<'_>, caches: &mut Caches, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    let blocks = [
        ("chunk_store_config.chunk_cache_config", true, &mut caches.chunks),
        (RESULTS, true, &mut caches.results),
        ("storage_config.index_queries_cache_config", false, &mut caches.index_queries),
    ];
    for (path, in_memory, cache) in blocks {
        block(reader, path, cache)?;
        open_sections(reader, path, warnings);
        cache.embedded.enabled |= in_memory && cache.memcached.is_none() && cache.redis.is_none();
        if path == RESULTS
            && let Some(given) = reader.at(path)
        {
            let warning =
                "is used by processes that queries are split in; one process with everything keeps no results";
            warnings.push(format!("{}{path} {warning}", place(given.line)));
        }
    }
    let compressed = reader.optional_text("query_range.results_cache.compression")?;
    match compressed.as_deref() {
        None | Some("none") => {}
        Some("snappy") => caches.results.compress_from = Some(0),
        Some(other) => {
            let message = format!("unsupported compression type: {other:?}; use snappy, or leave it out");
            let (place, key) = (String::new(), "query_range.results_cache.compression".to_owned());
            return Err(ConfigError::Value { place, key, message });
        }
    }
    caches.results.compress_from.get_or_insert(COMPRESS_RESULTS_FROM);
    let dedupe = "chunk_store_config.write_dedupe_cache_config";
    if let Some(given) = reader.whole(dedupe) {
        let reason = "the index has no entries that could be written twice";
        warnings.push(format!("{}{dedupe} has no effect on Narvi: {reason}", place(given.line)));
    }
    Ok(())
}

fn block(reader: &Reader<'_>, path: &str, cache: &mut CacheSettings) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{path}.{name}");
    let mut validity = std::time::Duration::from_secs(3600);
    reader.duration(&key("default_validity"), &mut validity)?;
    reader.text(&key("prefix"), &mut cache.prefix)?;
    embedded(reader, path, cache)?;
    let background = &mut cache.background;
    reader.count(&key("background.writeback_goroutines"), &mut background.workers)?;
    reader.count(&key("background.writeback_buffer"), &mut background.max_entries)?;
    let mut most = background.max_bytes as u64;
    reader.bytes(&key("background.writeback_size_limit"), &mut most)?;
    background.max_bytes = usize::try_from(most).unwrap_or(usize::MAX);
    let (mut memcached, mut redis) = (MemcachedSettings::default(), RedisSettings::default());
    let failures = &mut cache.breaker.failures;
    reader.read(&key("memcached_client.circuit_breaker_consecutive_failures"), failures, |text| {
        text.parse().map_err(|_| format!("{text:?} is not a whole number"))
    })?;
    reader.duration(&key("memcached_client.circuit_breaker_timeout"), &mut cache.breaker.pause)?;
    read_memcached(reader, path, &mut memcached)?;
    read_redis(reader, &key("redis"), &mut redis)?;
    for expiration in [&mut memcached.expiration, &mut redis.expiration] {
        if expiration.is_zero() {
            *expiration = validity;
        }
    }
    cache.memcached = (!memcached.host.is_empty() || !memcached.addresses.is_empty()).then_some(memcached);
    cache.redis = (!redis.endpoint.is_empty()).then_some(redis);
    Ok(())
}

/// Tells of keys that nothing reads.
fn open_sections(reader: &Reader<'_>, path: &str, warnings: &mut Vec<String>) {
    for (section, known) in OPEN {
        let entries = reader.node(&format!("{path}.{section}")).map(Node::entries).unwrap_or_default();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            warnings.push(format!("{}{path}.{section}.{} has no effect on Narvi", place(entry.line), entry.key));
        }
    }
}

/// The cache in memory; its earlier name is `fifocache`.
fn embedded(reader: &Reader<'_>, path: &str, cache: &mut CacheSettings) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{path}.{name}");
    let embedded = &mut cache.embedded;
    reader.bool(&key("enable_fifocache"), &mut embedded.enabled)?;
    reader.bytes(&key("fifocache.max_size_bytes"), &mut embedded.max_bytes)?;
    let (mut items, mut megabytes) = (0, usize::MAX);
    for name in ["fifocache.size", "fifocache.max_size_items", "embedded_cache.max_size_items"] {
        reader.count(&key(name), &mut items)?;
    }
    for name in ["fifocache.validity", "embedded_cache.ttl"] {
        reader.duration(&key(name), &mut embedded.ttl)?;
    }
    for name in ["fifocache.purge_interval", "embedded_cache.purge_interval"] {
        reader.duration(&key(name), &mut embedded.purge_interval)?;
    }
    reader.bool(&key("embedded_cache.enabled"), &mut embedded.enabled)?;
    reader.count(&key("embedded_cache.max_size_mb"), &mut megabytes)?;
    if megabytes != usize::MAX {
        embedded.max_bytes = (megabytes as u64).saturating_mul(1 << 20);
    }
    embedded.max_items = items as u64;
    // Loki takes a life of no time for an hour.
    if embedded.ttl.is_zero() {
        embedded.ttl = std::time::Duration::from_secs(3600);
    }
    Ok(())
}

fn read_memcached(reader: &Reader<'_>, path: &str, into: &mut MemcachedSettings) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{path}.memcached.{name}");
    reader.duration(&key("expiration"), &mut into.expiration)?;
    reader.count(&key("batch_size"), &mut into.batch_size)?;
    reader.count(&key("parallelism"), &mut into.parallelism)?;
    let key = |name: &str| format!("{path}.memcached_client.{name}");
    reader.text(&key("host"), &mut into.host)?;
    reader.text(&key("service"), &mut into.service)?;
    reader.words(&key("addresses"), &mut into.addresses)?;
    reader.duration(&key("timeout"), &mut into.timeout)?;
    reader.count(&key("max_idle_conns"), &mut into.max_idle_conns)?;
    reader.count(&key("max_item_size"), &mut into.max_item_size)?;
    reader.duration(&key("update_interval"), &mut into.update_interval)
}

fn read_redis(reader: &Reader<'_>, path: &str, into: &mut RedisSettings) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{path}.{name}");
    reader.text(&key("endpoint"), &mut into.endpoint)?;
    reader.text(&key("master_name"), &mut into.master_name)?;
    reader.duration(&key("timeout"), &mut into.timeout)?;
    reader.duration(&key("expiration"), &mut into.expiration)?;
    reader
        .read(&key("db"), &mut into.db, |text| text.parse().map_err(|_| format!("{text:?} is not a whole number")))?;
    reader.text(&key("username"), &mut into.username)?;
    reader.text(&key("sentinel_username"), &mut into.sentinel_username)?;
    for (name, secret) in [("password", &mut into.password), ("sentinel_password", &mut into.sentinel_password)] {
        let mut text = String::new();
        reader.text(&key(name), &mut text)?;
        *secret = Secret(text);
    }
    reader.bool(&key("tls_enabled"), &mut into.tls_enabled)
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
