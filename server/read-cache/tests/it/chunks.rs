//! Parts of packs through a cache: the bytes are those of the store, and the second reader asks it for none.

use std::{
    io::Read as _,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use narvi::{
    Builder, Entry, Fault, FaultStore, Labels, MemoryStore, PushStream, Reader, ReaderSettings, Selector, Store,
    StoreErrorKind, Tenant, TimeRange, Timestamp,
    logql::{self, Budget, Params, Query},
};
use narvi_cache::{Cache, CacheSettings, EmbeddedSettings, Metrics, block_on, build};
use narvi_read_cache::{ChunkCache, chunks};
use proptest::{collection::vec, prelude::*};

use crate::{
    servers::{memcached, redis, with_memcached, with_redis},
    spoilt::{ALL, Spoil, Spoilt},
};

/// A store that counts the reads of packs.
fn counted(store: Arc<dyn Store>) -> (Arc<dyn Store>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let of_store = count.clone();
    let counting = move |_: u64, operation: &str, key: &str| -> Option<Fault> {
        if key.starts_with("packs/") && matches!(operation, "get_range" | "size" | "get") {
            of_store.fetch_add(1, Ordering::Relaxed);
        }
        None
    };
    (Arc::new(FaultStore::new(store, counting)), count)
}

/// A store with some flushed lines.
fn filled() -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let db = Builder::in_memory().store(store.clone()).open().expect("it opens");
    for flush in 0..3 {
        for app in ["a", "b"] {
            let labels = Labels::from_pairs([("app", app)]).expect("labels");
            let entry = |n: i64| Entry::new(Timestamp::from_ns(flush * 1000 + n), format!("line {flush} {n} of {app}"));
            let push = PushStream::new(labels, (0..100).map(entry).collect());
            db.push(&Tenant::default(), vec![push]).expect("taken").wait().expect("kept");
        }
        db.flush().expect("written");
    }
    db.close().expect("closed");
    store
}

/// The lines that a reader finds.
fn lines(store: Arc<dyn Store>) -> Vec<String> {
    let reader = Reader::open(store, ReaderSettings::default()).expect("it opens");
    let snapshot = reader.snapshot(&Tenant::default()).expect("a view");
    let mut params = Params::range(0, 10_000, 0);
    params.limit = None;
    let query = Query::new(logql::parse(r#"{app=~".+"} |= "line""#).expect("a query"), params);
    let mut found = Vec::new();
    let mut give = |row: logql::Row| {
        found.push(format!("{row:?}"));
        std::ops::ControlFlow::Continue(())
    };
    logql::for_each_row(&query, &snapshot, &reader.executor(), &Budget::unlimited(), &mut give).expect("an answer");
    assert_eq!(snapshot.series(&[Selector::default()], TimeRange::new(0, 10_000)).expect("series").len(), 2);
    found.sort();
    found
}

#[test]
fn the_second_reader_asks_the_store_for_no_pack() {
    let store = filled();
    let expected = lines(store.clone());
    assert_eq!(expected.len(), 600);
    let embedded = CacheSettings {
        embedded: EmbeddedSettings { enabled: true, ..EmbeddedSettings::default() },
        ..CacheSettings::default()
    };
    let servers = (memcached(&[]), redis(&[]));
    let mut all = vec![embedded];
    all.extend(servers.0.as_ref().map(|server| with_memcached(&[server.address()])));
    all.extend(servers.1.as_ref().map(|server| with_redis(server.address())));
    for settings in all {
        let (counting, count) = counted(store.clone());
        let cache = build(&settings, "chunks", &Metrics::default()).expect("it is right");
        let cached = Arc::new(ChunkCache::new(counting.clone(), cache.clone()));
        assert_eq!(lines(cached.clone()), expected);
        let first = count.swap(0, Ordering::Relaxed);
        assert!(first > 3, "{first}");
        block_on(cache.flush());
        assert_eq!(lines(cached), expected);
        assert_eq!(count.load(Ordering::Relaxed), 0, "{settings:?}");
    }
}

#[test]
fn a_server_that_dies_or_stands_still_costs_no_answer() {
    let store = filled();
    let expected = lines(store.clone());
    let (Some(mut cache), Some(other)) = (memcached(&[]), redis(&[])) else { return };
    let mut settings = with_memcached(&[cache.address()]);
    settings.memcached.as_mut().expect("it is set").timeout = Duration::from_millis(300);
    let cached = chunks(store.clone(), &settings, &Metrics::default()).expect("it is right");
    assert_eq!(lines(cached.clone()), expected);
    cache.kill();
    assert_eq!(lines(cached.clone()), expected);
    cache.restart();
    assert_eq!(lines(cached), expected);
    let mut settings = with_redis(other.address());
    settings.redis.as_mut().expect("it is set").timeout = Duration::from_millis(300);
    let cached = chunks(store, &settings, &Metrics::default()).expect("it is right");
    assert_eq!(lines(cached.clone()), expected);
    other.signal("-STOP");
    assert_eq!(lines(cached.clone()), expected);
    other.signal("-CONT");
    assert_eq!(lines(cached), expected);
}

/// Takes connections and never says a word.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            thread::spawn(move || {
                let mut received = [0; 4096];
                while stream.read(&mut received).is_ok_and(|length| length > 0) {}
            });
        }
    });
    address
}

#[test]
fn a_server_that_never_answers_costs_no_answer() {
    let store = filled();
    let expected = lines(store.clone());
    let mut to_memcached = with_memcached(&[silent()]);
    to_memcached.memcached.as_mut().expect("it is set").timeout = Duration::from_millis(100);
    let mut to_redis = with_redis(silent());
    to_redis.redis.as_mut().expect("it is set").timeout = Duration::from_millis(100);
    for settings in [to_memcached, to_redis] {
        let cached = chunks(store.clone(), &settings, &Metrics::default()).expect("it is right");
        assert_eq!(lines(cached), expected);
    }
}

#[test]
fn wrong_bytes_of_a_cache_are_read_from_the_store() {
    let store = filled();
    let expected = lines(store.clone());
    for spoil in ALL {
        let cache = Spoilt::new(&[spoil]);
        let cached = Arc::new(ChunkCache::new(store.clone(), cache.clone()));
        for _ in 0..3 {
            assert_eq!(lines(cached.clone()), expected, "{spoil:?}");
        }
        let asked = cache.asked();
        assert!(!asked.is_empty() && asked.iter().all(|key| key.starts_with(b"packs/")), "{asked:?}");
    }
}

#[test]
fn all_but_packs_is_read_from_the_store_and_no_settings_are_no_cache() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let cache = Spoilt::new(&[Spoil::Right]);
    let cached = ChunkCache::new(store.clone(), cache.clone());
    for text in ["one", "three"] {
        cached.put("manifest/1", &[Bytes::from(text)]).expect("written");
        assert_eq!(cached.get("manifest/1").expect("there"), text);
        assert_eq!(cached.get_range("manifest/1", 0..2).expect("there"), text[..2]);
        assert_eq!(cached.size("manifest/1").expect("there"), text.len() as u64);
    }
    assert!(cache.asked().is_empty());
    assert_eq!(cached.get_range("packs/none", 0..1).map_err(|e| e.kind()), Err(StoreErrorKind::NotFound));
    assert_eq!(cached.size("packs/none").map_err(|e| e.kind()), Err(StoreErrorKind::NotFound));
    let same = chunks(store.clone(), &CacheSettings::default(), &Metrics::default()).expect("it is right");
    assert!(Arc::ptr_eq(&same, &store));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Ranges of objects, asked for again and again, through a cache that spoils what it holds.
    #[test]
    fn ranges_are_those_of_the_store(
        sizes in vec(0..200_u64, 1..4),
        reads in vec((0..4_usize, vec((0..220_u64, 0..60_u64), 1..4), any::<bool>()), 1..60),
        does in vec(prop::sample::select(ALL.to_vec()), 1..7),
    ) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        for (n, size) in sizes.iter().enumerate() {
            let bytes: Vec<u8> = (0..*size).map(|at| (at * 7 + n as u64) as u8).collect();
            store.put(&format!("packs/{n}.pack"), &[bytes.into()]).expect("written");
        }
        let cached = ChunkCache::new(store.clone(), Spoilt::new(&does) as Arc<dyn Cache>);
        for (object, ranges, together) in reads {
            let key = format!("packs/{object}.pack");
            let ranges: Vec<_> = ranges.into_iter().map(|(start, len)| start..start + len).collect();
            prop_assert_eq!(cached.size(&key).ok(), store.size(&key).ok());
            if together {
                prop_assert_eq!(cached.get_ranges(&key, &ranges).ok(), store.get_ranges(&key, &ranges).ok());
                continue;
            }
            for range in ranges {
                prop_assert_eq!(cached.get_range(&key, range.clone()).ok(), store.get_range(&key, range).ok());
            }
        }
    }
}
