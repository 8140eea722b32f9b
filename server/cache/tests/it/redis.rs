//! Redis alone, as a cluster, behind sentinels; full, killed, stopped.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use narvi_cache::{CacheSettings, Secret};

use crate::servers::{Server, made, odd_values, redis, sentinel, values, with_redis};

fn with(server: &Server) -> CacheSettings {
    with_redis(server.address())
}

/// What a server answers to an inline command.
fn raw(server: &Server, command: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("it is up");
    write!(stream, "{command}\r\n").expect("it reads");
    let mut answer = [0; 4_096];
    let length = stream.read(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn values_come_back_from_the_database_that_is_set() {
    let Some(server) = redis(&["--requirepass", "secret"]) else { return };
    let mut settings = with(&server);
    let redis = settings.redis.as_mut().expect("it is set");
    (redis.password, redis.db) = (Secret("secret".to_owned()), 3);
    let (one, entries) = (made(&settings), odd_values());
    assert_eq!(one.found(&entries), 0);
    one.set(&entries);
    assert_eq!(one.found(&entries), entries.len());
    assert_eq!(one.count("loki_cache_fetched_keys", "name=\"results.redis\""), 2.0 * entries.len() as f64);
    let mut other = settings.clone();
    other.redis.as_mut().expect("it is set").db = 0;
    assert_eq!(made(&other).found(&entries), 0, "another database");
    other.redis.as_mut().expect("it is set").password = Secret("wrong".to_owned());
    let refused = made(&other);
    refused.set(&entries);
    assert_eq!(refused.found(&entries), 0);
    assert!(!format!("{other:?}").contains("wrong"));
}

#[test]
fn values_expire_and_damaged_ones_are_misses() {
    let Some(server) = redis(&[]) else { return };
    let mut settings = with(&server);
    let (cache, entries) = (made(&settings), values(4));
    cache.set(&entries);
    let key = |n: usize| format!("narvi1:5.7:{}:results:key-{n}", env!("CARGO_PKG_VERSION"));
    assert_eq!(raw(&server, &format!("SET {} nonsense", key(1))), "+OK\r\n");
    assert!(raw(&server, &format!("APPEND {} x", key(2))).starts_with(':'));
    assert_eq!(cache.found(&entries), 2);
    assert_eq!(cache.count("loki_cache_corrupt_values_total", ""), 2.0);
    assert_eq!(raw(&server, &format!("TTL {}", key(0))), ":-1\r\n");
    settings.redis.as_mut().expect("it is set").expiration = Duration::from_millis(1_500);
    let cache = made(&settings);
    cache.set(&entries);
    cache.forgets(&entries);
}

#[test]
fn a_server_that_is_killed_costs_misses_until_it_is_back() {
    let Some(mut server) = redis(&[]) else { return };
    let (cache, entries) = (made(&with(&server)), values(100));
    cache.set(&entries);
    assert_eq!(cache.found(&entries), 100);
    server.kill();
    for _ in 0..10 {
        assert_eq!(cache.found(&entries), 0);
    }
    assert!(cache.count("loki_cache_breaker_opened", "") >= 1.0);
    server.restart();
    cache.recovers(&entries);
}

#[test]
fn a_server_that_stands_still_costs_a_bounded_time() {
    let Some(server) = redis(&[]) else { return };
    let mut settings = with(&server);
    settings.redis.as_mut().expect("it is set").timeout = Duration::from_millis(300);
    settings.breaker.pause = Duration::from_secs(1);
    let (cache, entries) = (made(&settings), values(500));
    cache.recovers(&entries);
    server.signal("-STOP");
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(cache.found(&entries), 0);
    }
    cache.set(&entries);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    server.signal("-CONT");
    cache.recovers(&entries);
}

#[test]
fn a_full_server_still_answers() {
    let Some(server) = redis(&["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]) else { return };
    let cache = made(&with(&server));
    let few = values(10);
    cache.set(&few);
    let many: Vec<_> = (0..400).map(|n| (format!("many-{n}").into(), vec![n as u8; 40 << 10].into())).collect();
    cache.set(&many);
    assert!(cache.count("loki_cache_dropped_background_writes_total", "reason=\"refused\"") > 0.0);
    assert_eq!(cache.found(&few), 10);
    assert_eq!(cache.count("loki_cache_breaker_opened", ""), 0.0);
    raw(&server, "CONFIG SET maxmemory-policy allkeys-lru");
    cache.set(&many);
    assert!(cache.found(&many) < 400);
}

#[test]
fn a_cluster_has_each_key_somewhere() {
    let on = ["--cluster-enabled", "yes"];
    let (Some(one), Some(two)) = (redis(&on), redis(&on)) else { return };
    assert_eq!(raw(&one, "CLUSTER ADDSLOTSRANGE 0 8000"), "+OK\r\n");
    assert_eq!(raw(&two, "CLUSTER ADDSLOTSRANGE 8001 16383"), "+OK\r\n");
    assert_eq!(raw(&one, &format!("CLUSTER MEET 127.0.0.1 {}", two.port)), "+OK\r\n");
    let joined = |server| raw(server, "CLUSTER INFO").contains("cluster_state:ok");
    for _ in 0..600 {
        if joined(&one) && joined(&two) {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let cache = made(&with_redis(format!("{},{}", one.address(), two.address())));
    let entries = values(300);
    cache.set(&entries);
    assert_eq!(cache.found(&entries), 300);
    let sizes = [&one, &two].map(|server| raw(server, "DBSIZE"));
    assert!(sizes.iter().all(|size| size != ":0\r\n"), "{sizes:?}");
    drop(two);
    for _ in 0..3 {
        assert!(cache.found(&entries) < 300);
    }
}

#[test]
fn sentinels_name_the_master() {
    let Some(mut master) = redis(&[]) else { return };
    let Some(sentinel) = sentinel(&master) else { return };
    let mut settings = with(&sentinel);
    settings.redis.as_mut().expect("it is set").master_name = "mymaster".to_owned();
    let (cache, entries) = (made(&settings), values(50));
    cache.recovers(&entries);
    assert_ne!(raw(&master, "DBSIZE"), ":0\r\n");
    master.kill();
    assert_eq!(cache.found(&entries), 0);
    master.restart();
    cache.recovers(&entries);
}
