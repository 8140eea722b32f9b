//! Look-ups through a cache: the answers are those of the tables, and the second time nobody is asked.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use narvi::{
    Builder, Entry, IndexAnswer, IndexLookUps, IndexQuestion, IndexTable, IndexTables, Labels, MatchOp, Matcher,
    MemoryStore, PushStream, Reader, ReaderIndex, ReaderSettings, Selector, Store, Tenant, TimeRange, Timestamp,
    logql::Budget,
};
use narvi_cache::{CacheSettings, EmbeddedSettings, Metrics, block_on, build};
use narvi_read_cache::{LookUpCache, look_ups};

use crate::{
    servers::{memcached, redis, with_memcached, with_redis},
    spoilt::{ALL, Spoilt},
};

/// Counts the tables that are asked.
#[derive(Debug)]
struct Counted {
    tables: IndexTables,
    asked: AtomicUsize,
}

impl IndexLookUps for Counted {
    fn look_up(
        &self,
        question: &IndexQuestion,
        tables: &[IndexTable],
        budget: &Budget,
    ) -> narvi::Result<Vec<IndexAnswer>> {
        self.asked.fetch_add(tables.len(), Ordering::Relaxed);
        self.tables.look_up(question, tables, budget)
    }
}

fn filled() -> (Arc<dyn Store>, Arc<Counted>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let db = Builder::in_memory().store(store.clone()).open().expect("it opens");
    for flush in 0..4 {
        for app in ["a", "b"] {
            let labels = Labels::from_pairs([("app", app), ("flush", &flush.to_string())]).expect("labels");
            let push = PushStream::new(labels, vec![Entry::new(Timestamp::from_ns(flush), "line")]);
            db.push(&Tenant::default(), vec![push]).expect("taken").wait().expect("kept");
        }
        db.flush().expect("written");
    }
    db.close().expect("closed");
    let reader = Reader::open(store.clone(), ReaderSettings::default()).expect("it opens");
    (store, Arc::new(Counted { tables: reader.index_tables(), asked: AtomicUsize::new(0) }))
}

fn says(store: &Arc<dyn Store>, others: Option<Arc<dyn IndexLookUps>>) -> Vec<String> {
    let index = ReaderIndex { others, ..ReaderIndex::default() };
    let reader = Reader::open_with(store.clone(), ReaderSettings::default(), index).expect("it opens");
    let snapshot = reader.snapshot(&Tenant::default()).expect("a view");
    let matchers = vec![Matcher::new("app", MatchOp::Equal, "a").expect("it compiles")];
    let selector = Selector::new(matchers.clone());
    let mut all = Vec::new();
    for range in [TimeRange::ALL, TimeRange::new(1, 2)] {
        all.push(format!("{:?}", snapshot.label_names(&[], range).expect("names")));
        all.push(format!("{:?}", snapshot.label_values("flush", &matchers, range).expect("values")));
        all.push(format!("{:?}", snapshot.series(&[], range).expect("series")));
        all.push(format!("{:?}", snapshot.stream_stats(&selector, range).expect("statistics")));
    }
    all
}

#[test]
fn the_second_reader_asks_nobody() {
    let (store, counted) = filled();
    let expected = says(&store, None);
    let embedded = CacheSettings {
        embedded: EmbeddedSettings { enabled: true, ..EmbeddedSettings::default() },
        ..CacheSettings::default()
    };
    let servers = (memcached(&[]), redis(&[]));
    let mut all = vec![embedded];
    all.extend(servers.0.as_ref().map(|server| with_memcached(&[server.address()])));
    all.extend(servers.1.as_ref().map(|server| with_redis(server.address())));
    for settings in all {
        let cache = build(&settings, "index-queries", &Metrics::default()).expect("it is right");
        let cached: Arc<dyn IndexLookUps> = Arc::new(LookUpCache::new(counted.clone(), cache.clone()));
        assert_eq!(says(&store, Some(cached.clone())), expected);
        assert!(counted.asked.swap(0, Ordering::Relaxed) >= 16);
        block_on(cache.flush());
        assert_eq!(says(&store, Some(cached)), expected);
        assert_eq!(counted.asked.load(Ordering::Relaxed), 0, "{settings:?}");
    }
}

#[test]
fn wrong_answers_of_a_cache_are_asked_again() {
    let (store, counted) = filled();
    let expected = says(&store, None);
    let mut ways: Vec<Vec<_>> = ALL.iter().map(|spoil| vec![*spoil]).collect();
    ways.push(ALL.to_vec());
    for does in ways {
        let cached: Arc<dyn IndexLookUps> = Arc::new(LookUpCache::new(counted.clone(), Spoilt::new(&does)));
        for _ in 0..3 {
            assert_eq!(says(&store, Some(cached.clone())), expected, "{does:?}");
        }
    }
}

#[test]
fn a_server_that_dies_costs_no_answer_and_no_settings_are_no_cache() {
    let (store, counted) = filled();
    let expected = says(&store, None);
    let plain: Arc<dyn IndexLookUps> = counted.clone();
    let same = look_ups(plain.clone(), &CacheSettings::default(), &Metrics::default()).expect("it is right");
    assert!(Arc::ptr_eq(&same, &plain));
    let Some(mut server) = memcached(&[]) else { return };
    let cached = look_ups(plain, &with_memcached(&[server.address()]), &Metrics::default()).expect("it is right");
    assert_eq!(says(&store, Some(cached.clone())), expected);
    server.kill();
    assert_eq!(says(&store, Some(cached)), expected);
}
