//! Tests of the cache blocks.

use std::time::Duration;

use super::Caches;
use crate::{Config, Flags};

fn read(text: &str) -> Config {
    Config::from_yaml(text, &Flags::default()).expect("it is right")
}

#[test]
fn chunks_and_results_are_cached_in_memory_unless_it_is_said_otherwise() {
    let Caches { chunks, results, index_queries } = read("").caches;
    assert!(chunks.embedded.enabled && results.embedded.enabled && !index_queries.embedded.enabled);
    assert_eq!(chunks.embedded.max_bytes, 100 << 20);
    assert_eq!(chunks.embedded.ttl, Duration::from_secs(3600));
    assert!(read("").warnings.is_empty());
    let text =
        "query_range: {results_cache: {cache: {embedded_cache: {max_size_mb: 500, max_size_items: 7, ttl: 24h}}}}";
    let results = read(text).caches.results;
    assert!(results.embedded.enabled && results.compress_from.is_some());
    let embedded = results.embedded;
    assert_eq!((embedded.max_bytes, embedded.max_items), (500 << 20, 7));
    assert_eq!(embedded.ttl, Duration::from_secs(86_400));
    let text = "chunk_store_config: {chunk_cache_config: {redis: {endpoint: 'redis:6379'}}}";
    assert!(!read(text).caches.chunks.embedded.enabled);
}

#[test]
fn an_old_cache_in_memory_is_read_as_the_new_one() {
    let config = read(
        "query_range:\n  results_cache:\n    cache:\n      enable_fifocache: true\n      fifocache:\n        \
         max_size_items: 1024\n        max_size_bytes: 1GB\n        validity: 24h\n",
    );
    let embedded = &config.caches.results.embedded;
    assert!(embedded.enabled);
    assert_eq!((embedded.max_items, embedded.max_bytes, embedded.ttl.as_secs()), (1024, 1 << 30, 86_400));
    assert!(config.warnings.iter().any(|w| w.contains("fifocache no longer exists; use embedded_cache")));
}

#[test]
fn memcached_and_redis_with_their_keys() {
    let config = read(
        "chunk_store_config:\n  chunk_cache_config:\n    default_validity: 2h\n    background: {writeback_goroutines: 4, \
         writeback_buffer: 1000, writeback_size_limit: 1MB}\n    memcached: {batch_size: 256, parallelism: 10}\n    \
         memcached_client:\n      addresses: dnssrvnoa+_memcached-client._tcp.chunks-cache, a:1\n      timeout: 2s\n      \
         max_idle_conns: 72\n      max_item_size: 5242880\n      consistent_hash: true\n      \
         circuit_breaker_consecutive_failures: 3\n      circuit_breaker_timeout: 1m\n\
         storage_config:\n  index_queries_cache_config:\n    redis: {endpoint: 'a:1,b:2', expiration: 1h, db: 2, password: hunter2}\n",
    );
    let chunks = &config.caches.chunks;
    let memcached = chunks.memcached.as_ref().expect("it is set");
    assert_eq!(memcached.addresses, ["dnssrvnoa+_memcached-client._tcp.chunks-cache", "a:1"]);
    assert_eq!((memcached.batch_size, memcached.parallelism, memcached.max_idle_conns), (256, 10, 72));
    assert_eq!((memcached.timeout.as_secs(), memcached.expiration.as_secs()), (2, 7_200));
    assert_eq!(memcached.max_item_size, 5_242_880);
    assert_eq!((chunks.breaker.failures, chunks.breaker.pause.as_secs()), (3, 60));
    assert_eq!(
        (chunks.background.workers, chunks.background.max_entries, chunks.background.max_bytes),
        (4, 1000, 1 << 20)
    );
    let redis = config.caches.index_queries.redis.as_ref().expect("it is set");
    assert_eq!((redis.endpoint.as_str(), redis.db, redis.expiration.as_secs()), ("a:1,b:2", 2, 3600));
    assert_eq!(redis.password.0, "hunter2");
    assert!(!format!("{config:?}").contains("Secret(\"hunter2"));
    let no_effect: Vec<_> = config.warnings.iter().filter(|warning| warning.contains("no effect")).collect();
    assert!(no_effect.is_empty(), "{no_effect:?}");
}

#[test]
fn keys_that_are_not_read_are_told_of() {
    let text = "chunk_store_config: {chunk_cache_config: {memcached_client: {hots: a, consistent_hash: true}}}";
    let warnings = read(text).warnings;
    let no_effect: Vec<_> = warnings.iter().filter(|warning| warning.contains("no effect")).collect();
    let expected = "line 1: chunk_store_config.chunk_cache_config.memcached_client.hots has no effect on Narvi";
    assert_eq!(no_effect, [expected]);
}

#[test]
fn flags_set_the_same_keys() {
    let flag = "-store.chunks-cache.memcached.addresses=a:1,b:2 -frontend.results-cache.redis.endpoint=c:3";
    let args: Vec<String> = flag.split(' ').map(str::to_owned).collect();
    let config = Config::from_yaml("", &Flags::parse(&args).expect("they are right")).expect("it is right");
    assert_eq!(config.caches.chunks.memcached.expect("it is set").addresses, ["a:1", "b:2"]);
    assert_eq!(config.caches.results.redis.expect("it is set").endpoint, "c:3");
}

#[test]
fn a_cache_against_writing_twice_is_told_of_once() {
    let config = read(
        "chunk_store_config:\n  write_dedupe_cache_config:\n    redis:\n      endpoint: redis:6379\n      expiration: 1h\n",
    );
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    let expected = "line 3: chunk_store_config.write_dedupe_cache_config has no effect on Narvi: ";
    assert!(config.warnings[0].starts_with(expected), "{:?}", config.warnings);
}

#[test]
fn wrong_values_are_refused_with_their_key() {
    for (text, expected) in [
        ("query_range: {results_cache: {compression: gzip}}", "unsupported compression type"),
        ("chunk_store_config: {chunk_cache_config: {memcached_client: {timeout: x}}}", "memcached_client.timeout"),
        ("chunk_store_config: {chunk_cache_config: {memcached: {batch_size: x}}}", "memcached.batch_size"),
    ] {
        let error = Config::from_yaml(text, &Flags::default()).expect_err("it is wrong").to_string();
        assert!(error.contains(expected), "{error}");
    }
}
