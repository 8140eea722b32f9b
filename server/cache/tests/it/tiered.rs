//! Memory before memcached.

use std::sync::Arc;

use narvi_cache::{Cache as _, CacheSettings, Counted, EmbeddedSettings, Flights};

use crate::servers::{made, memcached, values, with_memcached};

#[test]
fn memory_is_asked_first_and_keeps_what_it_had_not() {
    let Some(mut server) = memcached(&[]) else { return };
    let far = with_memcached(&[server.address()]);
    let embedded = EmbeddedSettings { enabled: true, ..EmbeddedSettings::default() };
    let near = CacheSettings { embedded, ..far.clone() };
    let entries = values(100);
    made(&far).set(&entries[..50]);
    let cache = made(&near);
    cache.set(&entries[50..60]);
    assert_eq!(cache.found(&entries), 60);
    assert_eq!(cache.count("loki_cache_hits", "name=\"results.embedded-cache\""), 10.0);
    assert_eq!(cache.count("loki_cache_fetched_keys", "name=\"results.memcached\""), 90.0);
    assert_eq!(cache.count("loki_cache_hits", "name=\"results.memcached\""), 50.0);
    assert_eq!(cache.count("loki_embeddedcache_entries", ""), 60.0);
    assert_eq!(made(&far).found(&entries), 60, "what memory got, memcached got too");
    server.kill();
    assert_eq!(cache.found(&entries), 60);

    let counted = Counted::new(cache.cache.clone());
    let keys: Vec<_> = entries[..70].iter().map(|(key, _)| key.clone()).collect();
    counted.get_many_blocking(&keys);
    counted.set_many(entries[..2].to_vec());
    let stats = counted.stats();
    assert_eq!((stats.requests, stats.entries_requested, stats.entries_found, stats.entries_stored), (1, 70, 60, 2));
    let bytes: usize = entries[..60].iter().map(|(_, value)| value.len()).sum();
    assert_eq!(stats.bytes_received, bytes as u64);
}

#[test]
fn a_value_is_computed_when_all_caches_are_down() {
    let Some(mut server) = memcached(&[]) else { return };
    let cache = made(&with_memcached(&[server.address()]));
    let flights = Arc::new(Flights::default());
    let ask = || flights.get_or_compute_blocking::<String>(&cache.cache, "k".into(), || Ok("computed".into()));
    assert_eq!(ask(), Ok("computed".into()));
    narvi_cache::block_on(cache.cache.flush());
    let never = || Err("it is in the cache".to_owned());
    assert_eq!(flights.get_or_compute_blocking(&cache.cache, "k".into(), never), Ok("computed".into()));
    server.kill();
    assert_eq!(ask(), Ok("computed".into()));
}
