//! Memcached servers that work, die, stand still, forget, and hold what others wrote.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use narvi_cache::{CacheSettings, block_on};

use crate::servers::{Server, made, memcached, odd_values, values, with_memcached};

fn with(servers: &[&Server]) -> CacheSettings {
    with_memcached(&servers.iter().map(|server| server.address()).collect::<Vec<_>>())
}

/// What a server answers to a raw command, up to a text.
fn raw(server: &Server, command: &[u8], until: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("it is up");
    stream.write_all(command).expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(until.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("it answers");
        answer.push(byte[0]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn values_come_back_to_those_of_the_same_version_and_name() {
    let Some(server) = memcached(&[]) else { return };
    let settings = CacheSettings { compress_from: Some(1_000), ..with(&[&server]) };
    let (one, entries) = (made(&settings), odd_values());
    assert_eq!(one.found(&entries), 0);
    one.set(&entries);
    assert_eq!(one.found(&entries), entries.len());
    let twice = [entries[3].clone(), entries[3].clone()];
    assert_eq!(one.found(&twice), 2, "a key that is asked for twice");
    assert_eq!(one.count("loki_cache_hits", "name=\"results.memcached\""), entries.len() as f64 + 2.0);
    assert!(one.count("loki_memcache_request_duration_seconds_count", "method=\"Memcache.GetMulti\"") > 50.0);
    assert_eq!(one.count("loki_cache_dropped_background_writes_total", ""), 0.0);
    one.cache.close_blocking();
    assert_eq!(one.found(&entries), 0, "it is closed");
    assert_eq!(made(&settings).found(&entries), entries.len(), "another process");
    let newer = CacheSettings { version: "next".to_owned(), ..settings.clone() };
    assert_eq!(made(&newer).found(&entries), 0);
    let by_name = with_memcached(&[format!("dns+127.0.0.1:{}", server.port)]);
    assert_eq!(made(&by_name).found(&entries), entries.len(), "found by its name");
    assert_eq!(made(&CacheSettings { prefix: "x".to_owned(), ..settings }).found(&entries), 0);
}

#[test]
fn a_server_that_is_killed_costs_misses_until_it_is_back() {
    let Some(mut server) = memcached(&[]) else { return };
    let (cache, entries) = (made(&with(&[&server])), values(100));
    cache.set(&entries);
    assert_eq!(cache.found(&entries), 100);
    server.kill();
    for _ in 0..5 {
        assert_eq!(cache.found(&entries), 0);
    }
    cache.set(&entries);
    assert!(cache.count("loki_cache_breaker_opened", "") >= 1.0);
    assert_eq!(cache.count("loki_cache_dropped_background_writes_total", "reason=\"failed\""), 100.0);
    server.restart();
    cache.recovers(&entries);
}

#[test]
fn a_server_that_is_started_anew_in_between_is_no_failure() {
    let Some(mut server) = memcached(&[]) else { return };
    let (cache, entries) = (made(&with(&[&server])), values(20));
    cache.set(&entries);
    assert_eq!(cache.found(&entries), 20);
    server.kill();
    server.restart();
    assert_eq!(cache.found(&entries), 0, "it has forgotten");
    cache.set(&entries);
    assert_eq!(cache.found(&entries), 20);
    assert_eq!(cache.count("loki_memcache_request_duration_seconds_count", "status_code=\"500\""), 0.0);
}

#[test]
fn a_server_that_stands_still_costs_a_bounded_time() {
    let Some(server) = memcached(&[]) else { return };
    let mut settings = with(&[&server]);
    let memcached = settings.memcached.as_mut().expect("it is set");
    memcached.timeout = Duration::from_millis(300);
    settings.breaker.pause = Duration::from_secs(3_600);
    let (cache, entries) = (made(&settings), values(1_000));
    cache.recovers(&entries);
    let broken = cache.count("loki_cache_breaker_opened", "");
    server.signal("-STOP");
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(cache.found(&entries), 0);
    }
    cache.set(&entries);
    // One round of batches, perhaps two; 5,000 batches that wait would take five minutes.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(cache.count("loki_cache_breaker_opened", ""), broken + 1.0);
    server.signal("-CONT");

    settings.breaker.pause = Duration::from_millis(100);
    let cache = made(&settings);
    server.signal("-STOP");
    assert_eq!(cache.found(&entries), 0);
    server.signal("-CONT");
    cache.recovers(&entries);
}

#[test]
fn one_of_two_that_dies_takes_its_own_keys_with_it() {
    let (Some(mut one), Some(two)) = (memcached(&[]), memcached(&[])) else { return };
    let (cache, entries) = (made(&with(&[&one, &two])), values(400));
    cache.set(&entries);
    assert_eq!(cache.found(&entries), 400);
    let other = made(&with(&[&two, &one]));
    assert_eq!(other.found(&entries), 400, "the order of addresses does not matter");
    one.kill();
    let left = cache.found(&entries);
    assert!((120..280).contains(&left), "{left} of 400");
    assert_eq!(cache.found(&entries), left);

    let Some(three) = memcached(&[]) else { return };
    let cache = made(&with(&[&two, &three]));
    let kept = cache.found(&entries);
    assert!(kept > left / 4 && kept <= left, "{kept} of {left}");
    cache.set(&entries);
    assert_eq!(cache.found(&entries), 400);
}

#[test]
fn damaged_values_are_misses() {
    let Some(server) = memcached(&[]) else { return };
    let (cache, entries) = (made(&with(&[&server])), values(6));
    cache.set(&entries);
    let key = |n: usize| format!("narvi1:5.7:{}:results:key-{n}", env!("CARGO_PKG_VERSION"));
    let before = raw(&server, format!("get {}\r\n", key(3)).as_bytes(), "END\r\n");
    assert!(before.starts_with("VALUE "), "{before}");
    let sealed_of_another = raw(&server, format!("get {}\r\n", key(2)).as_bytes(), "END\r\n");
    let body = sealed_of_another.split_once("\r\n").and_then(|(_, rest)| rest.strip_suffix("\r\nEND\r\n"));
    assert!(body.is_some());
    for (n, value) in [(0, &b""[..]), (1, b"short"), (2, b"\x01\x00\x00\x00\x00\x00value"), (3, &[255; 300])] {
        let command = [format!("set {} 0 0 {}\r\n", key(n), value.len()).as_bytes(), value, b"\r\n"].concat();
        assert_eq!(raw(&server, &command, "\r\n"), "STORED\r\n");
    }
    raw(&server, format!("append {} 0 0 1\r\nx\r\n", key(4)).as_bytes(), "STORED\r\n");
    let found: Vec<_> = cache.get(&entries).iter().map(Option::is_some).collect();
    assert_eq!(found, [false, false, false, false, false, true]);
    assert_eq!(cache.count("loki_cache_corrupt_values_total", "name=\"results.memcached\""), 5.0);
}

#[test]
fn values_expire() {
    let Some(server) = memcached(&[]) else { return };
    let mut settings = with(&[&server]);
    settings.memcached.as_mut().expect("it is set").expiration = Duration::from_secs(3);
    let (cache, entries) = (made(&settings), values(10));
    cache.set(&entries);
    cache.forgets(&entries);
    let month = with(&[&server]);
    let mut month = month.clone();
    month.memcached.as_mut().expect("it is set").expiration = Duration::from_secs(60 * 86_400);
    let cache = made(&month);
    cache.set(&entries);
    assert_eq!(cache.found(&entries), 10, "a long life is a point in time to memcached");
}

#[test]
fn a_full_server_forgets_and_a_large_value_is_left_out() {
    let Some(server) = memcached(&["-m", "2", "-I", "512k"]) else { return };
    let cache = made(&with(&[&server]));
    let large = [("large".into(), vec![7; 600 << 10].into()), ("small".into(), "s".into())];
    cache.set(&large);
    assert_eq!(cache.found(&large), 1);
    assert_eq!(cache.count("loki_cache_dropped_background_writes_total", "reason=\"refused\""), 1.0);
    assert_eq!(cache.count("loki_memcache_request_duration_seconds_count", "status_code=\"500\""), 0.0);
    let many: Vec<_> = (0..300).map(|n| (format!("many-{n}").into(), vec![n as u8; 40 << 10].into())).collect();
    cache.set(&many);
    let found = cache.found(&many);
    assert!(found < 300, "12 MB do not fit into 2");
    let mut settings = with(&[&server]);
    settings.memcached.as_mut().expect("it is set").max_item_size = 1_000;
    let cache = made(&settings);
    cache.set(&[("fits".into(), vec![1; 900].into()), ("does not".into(), vec![1; 1_001].into())]);
    assert_eq!(cache.count("loki_cache_dropped_background_writes_total", "reason=\"refused\""), 1.0);
}

#[test]
fn a_queue_that_is_full_drops_and_counts() {
    let Some(server) = memcached(&[]) else { return };
    let mut settings = with(&[&server]);
    settings.background.max_entries = 100;
    let cache = made(&settings);
    server.signal("-STOP");
    for chunk in values(1_000).chunks(50) {
        cache.cache.set_many(chunk.to_vec());
    }
    let dropped = cache.count("loki_cache_dropped_background_writes_total", "reason=\"full\"");
    assert_eq!(dropped, 900.0);
    server.signal("-CONT");
    block_on(cache.cache.flush());
    assert_eq!(cache.found(&values(1_000)), 100);
    assert_eq!(cache.count("loki_cache_background_queue_length", ""), 0.0);
}

#[tokio::test]
async fn it_works_and_goes_inside_of_another_runtime() {
    let Some(server) = memcached(&[]) else { return };
    let (cache, entries) = (made(&with(&[&server])), values(10));
    cache.cache.set_many(entries.clone());
    cache.cache.flush().await;
    let keys: Vec<_> = entries.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(cache.cache.get_many(&keys).await.iter().flatten().count(), 10);
    assert_eq!(cache.cache.get_many_blocking(&keys).iter().flatten().count(), 10, "it blocks the thread, and works");
    cache.cache.close().await;
    drop(cache);
}
