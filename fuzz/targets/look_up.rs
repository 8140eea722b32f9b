//! Look-ups in index tables by others: the first byte chooses what is asked, the rest is what the table is said to hold, under
//! the right checksum; with 3, questions, which come back as they were read. Memory is bounded by the budget.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use narvi::{
    Builder, Entry, Error, IndexAnswer, IndexLookUps, IndexQuestion, IndexTable, Labels, MemoryStore, PushStream,
    Reader, ReaderIndex, ReaderSettings, Selector, Store, Tenant, TimeRange, Timestamp,
    logql::{Budget, BudgetLimits, ScanRequest, Source},
};
use xxhash_rust::xxh3::xxh3_64;

/// A store with one table.
static STORE: LazyLock<Arc<dyn Store>> = LazyLock::new(|| {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let db = Builder::in_memory().store(store.clone()).open().expect("opens");
    let labels = Labels::from_pairs([("app", "x")]).expect("valid");
    let stream = PushStream::new(labels, vec![Entry::new(Timestamp::from_ns(1), "line")]);
    db.push(&Tenant::default(), vec![stream]).expect("pushed");
    db.flush().expect("flushed");
    store
});

/// Says of each table what it was told.
#[derive(Debug)]
struct Told(Vec<u8>);

impl IndexLookUps for Told {
    fn look_up(&self, question: &IndexQuestion, tables: &[IndexTable], _: &Budget) -> Result<Vec<IndexAnswer>, Error> {
        let answer = |table: &IndexTable| {
            let asked = question.encode(std::slice::from_ref(table));
            let sum = xxh3_64(&[&(asked.len() as u64).to_le_bytes()[..], &asked, &self.0].concat());
            let bytes = [&[1][..], &sum.to_le_bytes(), &self.0].concat();
            Ok(IndexAnswer::new(question, table, bytes.into()).expect("the checksum is right"))
        };
        tables.iter().map(answer).collect()
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    if *kind == 3 {
        if let Ok((question, tables)) = IndexQuestion::decode(bytes) {
            let again = IndexQuestion::decode(&question.encode(&tables)).expect("what was encoded decodes");
            assert_eq!(again, (question, tables));
        }
        return;
    }
    let index = ReaderIndex { others: Some(Arc::new(Told(bytes.to_vec()))), ..ReaderIndex::default() };
    let settings = ReaderSettings { max_age_ms: 3_600_000, query_threads: 1 };
    let reader = Reader::open_with(STORE.clone(), settings, index).expect("opens");
    let snapshot = reader.snapshot(&Tenant::default()).expect("a view");
    match kind {
        0 => {
            let mut limits = BudgetLimits::default();
            limits.memory_bytes = Some(64 << 20);
            let request = ScanRequest::new(Selector::default(), TimeRange::ALL);
            let _ = snapshot.parts(&request, &Budget::new(limits));
        }
        1 => drop(snapshot.label_names(&[], TimeRange::ALL)),
        2 => drop(snapshot.label_values("app", &[], TimeRange::ALL)),
        _ => drop(snapshot.stream_stats(&Selector::default(), TimeRange::ALL)),
    }
});
