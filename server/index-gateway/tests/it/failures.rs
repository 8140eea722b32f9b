//! Gateways that die, hang or were never there: the next one answers, then the reader itself if it may.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use narvi::{
    ErrorKind, IndexAnswer, IndexLookUps, IndexQuestion, IndexTable, ReaderIndex, TableCopies, Tenant, TimeRange,
    logql::{Budget, BudgetError, BudgetLimits},
};
use narvi_index_gateway::{GatewaySettings, Gateways};
use parking_lot::Mutex;

use crate::gateway::{Running, gateways, push, reader, runtime, says, store, writer};

const RANGE: TimeRange = TimeRange::new(-100, 100);

fn filled() -> Arc<dyn narvi::Store> {
    let store = store();
    let db = writer(&store);
    for flush in 0..4 {
        push(&db, &[(0, flush, 0), (1, flush + 1, 1), (4, flush, 2)]);
        db.flush().expect("it flushes");
    }
    store
}

#[test]
fn a_gateway_that_is_killed_costs_no_answer_and_without_any_the_reader_says_so_or_opens_tables() {
    let (runtime, store) = (runtime(), filled());
    let mut running = [Running::start(&runtime, &store), Running::start(&runtime, &store)];
    let addresses: Vec<_> = running.iter().map(|one| one.address.clone()).collect();
    let others: Arc<Gateways> = gateways(&runtime, &addresses, GatewaySettings::default());
    let expected = {
        let own = reader(&store, ReaderIndex::default());
        says(&own.snapshot(&Tenant::default()).expect("a view"), &own, RANGE).expect("an answer")
    };
    let asking = reader(&store, ReaderIndex { others: Some(others.clone()), ..ReaderIndex::default() });
    let ask = || says(&asking.snapshot(&Tenant::default()).expect("a view"), &asking, RANGE);
    assert_eq!(ask().expect("an answer"), expected);
    running[0].kill(&runtime);
    for _ in 0..3 {
        assert_eq!(ask().expect("an answer"), expected);
    }
    running[1].kill(&runtime);
    let error = ask().expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().starts_with("no index gateway answers; the last one, 127.0.0.1:"), "{error}");
    let folder = tempfile::tempdir().expect("a folder");
    let copies = TableCopies { path: folder.path().to_owned(), max_bytes: 1 << 20 };
    let index = ReaderIndex { others: Some(others), fallback: true, folder: Some(copies) };
    let fallback = reader(&store, index);
    let answered = says(&fallback.snapshot(&Tenant::default()).expect("a view"), &fallback, RANGE);
    assert_eq!(answered.expect("an answer"), expected);
}

/// Kills a gateway before one of the calls.
struct Killing {
    inner: Arc<Gateways>,
    calls: AtomicUsize,
    at: usize,
    deed: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Killing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl IndexLookUps for Killing {
    fn look_up(
        &self,
        question: &IndexQuestion,
        tables: &[IndexTable],
        budget: &Budget,
    ) -> narvi::Result<Vec<IndexAnswer>> {
        if self.calls.fetch_add(1, Ordering::Relaxed) == self.at
            && let Some(deed) = self.deed.lock().take()
        {
            deed();
        }
        self.inner.look_up(question, tables, budget)
    }
}

#[test]
fn a_gateway_that_is_killed_amid_a_request_costs_no_answer() {
    let (runtime, store) = (Arc::new(runtime()), filled());
    let own = reader(&store, ReaderIndex::default());
    let expected = says(&own.snapshot(&Tenant::default()).expect("a view"), &own, RANGE).expect("an answer");
    for at in 0..6 {
        let running = [Running::start(&runtime, &store), Running::start(&runtime, &store)];
        let addresses: Vec<_> = running.iter().map(|one| one.address.clone()).collect();
        let settings = GatewaySettings { tables: 1, ..GatewaySettings::default() };
        let inner = gateways(&runtime, &addresses, settings);
        let [mut first, _second] = running;
        let of_deed = runtime.clone();
        let deed: Box<dyn FnOnce() + Send> = Box::new(move || first.kill(&of_deed));
        let killing = Killing { inner, calls: AtomicUsize::new(0), at, deed: Mutex::new(Some(deed)) };
        let asking = reader(&store, ReaderIndex { others: Some(Arc::new(killing)), ..ReaderIndex::default() });
        let answered = says(&asking.snapshot(&Tenant::default()).expect("a view"), &asking, RANGE);
        assert_eq!(answered.expect("an answer"), expected);
    }
}

#[test]
fn a_gateway_that_hangs_is_left_for_the_next() {
    let (runtime, store) = (runtime(), filled());
    let running = Running::start(&runtime, &store);
    // Connections are taken by the system, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("it binds");
    let nobody = TcpListener::bind("127.0.0.1:0").expect("it binds").local_addr().expect("it is bound");
    let addresses =
        [silent.local_addr().expect("it is bound").to_string(), nobody.to_string(), running.address.clone()];
    let settings = GatewaySettings { timeout: Duration::from_millis(500), ..GatewaySettings::default() };
    let others = gateways(&runtime, &addresses, settings);
    let asking = reader(&store, ReaderIndex { others: Some(others), ..ReaderIndex::default() });
    let own = reader(&store, ReaderIndex::default());
    let expected = says(&own.snapshot(&Tenant::default()).expect("a view"), &own, RANGE).expect("an answer");
    for _ in 0..3 {
        let answered = says(&asking.snapshot(&Tenant::default()).expect("a view"), &asking, RANGE);
        assert_eq!(answered.expect("an answer"), expected);
    }
}

#[test]
fn none_at_all_and_what_the_query_used_up_are_told() {
    let (runtime, store) = (runtime(), filled());
    let asking = |addresses: &[String]| {
        let others = gateways(&runtime, addresses, GatewaySettings::default());
        reader(&store, ReaderIndex { others: Some(others), fallback: false, folder: None })
    };
    let nobody = asking(&[]);
    let error =
        says(&nobody.snapshot(&Tenant::default()).expect("a view"), &nobody, RANGE).expect_err("nobody is there");
    assert!(error.message().starts_with("no index gateway is known"), "{error}");
    let running = Running::start(&runtime, &store);
    let others = gateways(&runtime, std::slice::from_ref(&running.address), GatewaySettings::default());
    let question =
        IndexQuestion { tenant: Tenant::default(), wanted: narvi::IndexWanted::Blocks, matchers: Vec::new() };
    let key = store.list("index").expect("it lists")[0].key.clone();
    let table = IndexTable { key, range: TimeRange::ALL };
    let mut limits = BudgetLimits::default();
    limits.memory_bytes = Some(10);
    let failed = |budget: &Budget| {
        let error = others.look_up(&question, std::slice::from_ref(&table), budget).expect_err("it is used up");
        std::error::Error::source(&error).and_then(|source| source.downcast_ref::<BudgetError>()).copied()
    };
    assert_eq!(failed(&Budget::new(limits)), Some(BudgetError::Memory { limit_bytes: 10 }));
    let cancelled = Budget::unlimited();
    cancelled.cancel();
    assert_eq!(failed(&cancelled), Some(BudgetError::Cancelled));
    let gone = IndexTable { key: "index/gone.index".to_owned(), range: TimeRange::ALL };
    let error = others.look_up(&question, &[gone], &Budget::unlimited()).expect_err("there is none");
    assert!(error.message().contains("object index/gone.index does not exist"), "{error}");
}
