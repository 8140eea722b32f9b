//! Look-ups by others against one's own: the same answers, whatever is pushed, flushed, merged and deleted between.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use narvi_logql::{Budget, BudgetError, BudgetLimits, ScanRequest, Source};
use narvi_types::{Entry, Labels, MatchOp, Matcher, Metadata, Selector, Tenant, TimeRange, Timestamp};
use proptest::prelude::*;

use super::{IndexAnswer, IndexLookUps, IndexQuestion, IndexTable, IndexTables, IndexWanted};
use crate::{
    Builder, Db, Error, ErrorKind, MemoryStore, PushStream, Reader, ReaderIndex, ReaderSettings, Result, Settings,
    Snapshot, Store, TableCopies,
    read::{Finder, FoundBlocks},
};

#[derive(Clone, Debug)]
enum Step {
    /// Tenant, stream, time, line.
    Push(Vec<(u8, u8, i64, u8)>),
    Flush,
    Compact,
    /// With a filter or without.
    Delete(u8, TimeRange, bool),
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = prop::collection::vec((0u8..2, 0u8..5, 0i64..50, 0u8..4), 1..12);
    let range = (0i64..50, 0i64..30).prop_map(|(min, len)| TimeRange::new(min, min + len));
    let step = prop_oneof![
        4 => rows.prop_map(Step::Push),
        4 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => (0u8..5, range, any::<bool>()).prop_map(|(stream, range, filter)| Step::Delete(stream, range, filter)),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..20)
}

fn tenant(n: u8) -> Tenant {
    Tenant::new(&format!("t{n}")).expect("valid")
}

fn labels(stream: u8) -> Labels {
    let n = stream.to_string();
    let pairs =
        [("app", if stream < 3 { "x" } else { "y" }), ("n", n.as_str()), ("odd", ["", "1"][stream as usize % 2])];
    Labels::from_pairs(pairs).expect("valid")
}

fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
    Matcher::new(name, op, value).expect("compiles")
}

fn selectors() -> Vec<Vec<Matcher>> {
    vec![
        vec![],
        vec![matcher("app", MatchOp::Equal, "x")],
        vec![matcher("app", MatchOp::Regex, ".+"), matcher("n", MatchOp::NotEqual, "1")],
        vec![matcher("odd", MatchOp::Equal, "")],
        vec![matcher("n", MatchOp::Regex, "[0-3]"), matcher("odd", MatchOp::NotRegex, "2")],
        vec![matcher("app", MatchOp::Equal, "none")],
    ]
}

fn writer(store: &Arc<dyn Store>) -> Db {
    let mut settings = Settings { garbage_grace_secs: 3600, ..Settings::default() };
    settings.compaction.enabled = false;
    settings.compaction.tables_per_level = 2;
    settings.retention.cancel_period_secs = 0;
    Builder::in_memory().store(store.clone()).settings(settings).open().expect("opens")
}

fn run(step: &Step, db: &Db) {
    match step {
        Step::Push(rows) => {
            for (of, stream, time, line) in rows {
                let mut entry = Entry::new(Timestamp::from_ns(*time), format!("line {line}"));
                if *line > 1 {
                    let keys = if *line == 2 { vec![("trace", "7")] } else { vec![("trace", "8"), ("user", "me")] };
                    entry.metadata = Metadata::from_pairs(keys).expect("valid");
                }
                db.push(&tenant(*of), vec![PushStream::new(labels(*stream), vec![entry])]).expect("pushed");
            }
        }
        Step::Flush => db.flush().expect("flushes"),
        Step::Compact => drop(db.compact().expect("compacts")),
        Step::Delete(stream, range, filter) => {
            let query = format!("{{n=\"{stream}\"}}{}", if *filter { " |= \"line 1\"" } else { "" });
            db.create_delete(&tenant(0), &query, *range).expect("kept");
        }
        Step::Sweep => drop(db.apply_retention().expect("sweeps")),
    }
}

/// Others that are reached by bytes, and may fail.
#[derive(Debug)]
struct Sent {
    tables: IndexTables,
    calls: AtomicU32,
    fails: Option<ErrorKind>,
}

impl Sent {
    fn of(reader: &Reader, fails: Option<ErrorKind>) -> Arc<Self> {
        Arc::new(Self { tables: reader.index_tables(), calls: AtomicU32::new(0), fails })
    }
}

impl IndexLookUps for Sent {
    fn look_up(&self, question: &IndexQuestion, tables: &[IndexTable], budget: &Budget) -> Result<Vec<IndexAnswer>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(kind) = self.fails {
            return Err(Error::new(kind, "no answer"));
        }
        let (sent, of) = IndexQuestion::decode(&question.encode(tables))?;
        assert_eq!((&sent, &of[..]), (question, tables));
        let answers = self.tables.look_up(&sent, &of, budget)?;
        let read = |(table, answer): (_, IndexAnswer)| IndexAnswer::new(question, table, answer.bytes().clone());
        tables.iter().zip(answers).map(read).collect()
    }
}

fn open(store: &Arc<dyn Store>, max_age_ms: u64, index: ReaderIndex) -> Reader {
    Reader::open_with(store.clone(), ReaderSettings { max_age_ms, query_threads: 1 }, index).expect("opens")
}

/// All that a snapshot says of a range.
fn says(snapshot: &Snapshot, range: TimeRange) -> Vec<String> {
    let budget = Budget::unlimited();
    let mut all = Vec::new();
    for matchers in selectors() {
        let selector = Selector::new(matchers.clone());
        all.push(format!("{:?}", snapshot.label_names(&matchers, range).expect("names")));
        for name in ["app", "n", "odd", "none"] {
            all.push(format!("{:?}", snapshot.label_values(name, &matchers, range).expect("values")));
        }
        all.push(format!("{:?}", snapshot.series(std::slice::from_ref(&selector), range).expect("series")));
        all.push(format!("{:?}", snapshot.stream_stats(&selector, range).expect("statistics")));
        all.push(format!("{:?}", snapshot.stream_volumes(&selector, range).expect("volumes")));
        for part in snapshot.parts(&ScanRequest::new(selector, range), &budget).expect("parts") {
            let batch = part.open(&budget).expect("readable");
            let lines = batch.lines().expect("lines");
            for segment in part.segments() {
                let dead = batch.dead_rows().expect("dead");
                let alive = segment.rows.clone().filter(|row| !dead.contains(row));
                let of: Vec<_> = alive.map(|row| String::from_utf8_lossy(lines.get(row)).into_owned()).collect();
                all.push(format!("{segment:?} {of:?}"));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn others_answer_as_the_own_tables_do(
        before in steps(),
        between in steps(),
        from in -5i64..55,
        len in 0i64..60,
    ) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let db = writer(&store);
        before.iter().for_each(|step| run(step, &db));
        // It never looks at the store again, and still answers for manifests that came later.
        let other = open(&store, 3_600_000, ReaderIndex::default());
        between.iter().for_each(|step| run(step, &db));
        let own = open(&store, 0, ReaderIndex::default());
        let others = Sent::of(&other, None);
        let asking = open(&store, 0, ReaderIndex { others: Some(others.clone()), ..ReaderIndex::default() });
        for of in 0..2 {
            for range in [TimeRange::ALL, TimeRange::new(from, from + len)] {
                let (mine, theirs) = (own.snapshot(&tenant(of)), asking.snapshot(&tenant(of)));
                let (mine, theirs) = (mine.expect("a view"), theirs.expect("a view"));
                prop_assert_eq!(says(&mine, range), says(&theirs, range));
            }
        }
        prop_assert_eq!(others.calls.load(Ordering::Relaxed) > 0, !asking.table_keys().is_empty());
        prop_assert!(asking.index_tables().is_unused(), "it opened tables itself");
    }

    #[test]
    fn questions_come_back(
        wanted in 0u8..3,
        name in "\\PC{0,20}",
        tables in prop::collection::vec(("[a-z/]{1,30}", any::<i64>(), any::<i64>()), 0..6),
        pick in 0usize..6,
        bytes in any::<Vec<u8>>(),
    ) {
        let wanted = match wanted {
            0 => IndexWanted::Blocks,
            1 => IndexWanted::LabelNames,
            _ => IndexWanted::LabelValues(name),
        };
        let question = IndexQuestion { tenant: tenant(1), wanted, matchers: selectors().remove(pick) };
        let table = |(key, min, max)| IndexTable { key, range: TimeRange::new(min, max) };
        let tables: Vec<_> = tables.into_iter().map(table).collect();
        let encoded = question.encode(&tables);
        prop_assert_eq!(IndexQuestion::decode(&encoded).expect("it reads back"), (question.clone(), tables.clone()));
        for cut in 0..encoded.len() {
            prop_assert!(IndexQuestion::decode(&encoded[..cut]).is_err());
        }
        let _ = IndexQuestion::decode(&bytes);
        let _ = IndexQuestion::decode(&[&[super::VERSION][..], &bytes].concat());
        if let Some(table) = tables.first() {
            prop_assert!(IndexAnswer::new(&question, table, bytes.into()).is_err());
        }
    }
}

fn limited(bytes: u64) -> Budget {
    let mut limits = BudgetLimits::default();
    limits.memory_bytes = Some(bytes);
    Budget::new(limits)
}

/// A store with two flushes of two tenants, and how it is asked.
fn small() -> (Arc<dyn Store>, IndexQuestion) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let db = writer(&store);
    for time in [1, 2] {
        let rows = (0..10u8).map(|n| (n % 2, n % 5, time, n % 4)).collect();
        run(&Step::Push(rows), &db);
        run(&Step::Flush, &db);
    }
    let matchers = vec![matcher("app", MatchOp::Equal, "x")];
    (store, IndexQuestion { tenant: tenant(0), wanted: IndexWanted::Blocks, matchers })
}

fn tables(reader: &Reader) -> Vec<IndexTable> {
    let table = |key: &String| IndexTable { key: key.clone(), range: TimeRange::ALL };
    reader.table_keys().iter().map(table).collect()
}

#[test]
fn what_was_changed_or_answers_something_else_is_refused() {
    let (store, question) = small();
    let reader = open(&store, 0, ReaderIndex::default());
    let tables = tables(&reader);
    let answer = reader.index_tables().answer(&question, &tables[0], &Budget::unlimited()).expect("an answer");
    let new = |question: &IndexQuestion, table: &IndexTable, bytes: &[u8]| {
        IndexAnswer::new(question, table, Bytes::copy_from_slice(bytes)).map_err(|error| error.kind())
    };
    let bytes = answer.bytes().to_vec();
    assert_eq!(new(&question, &tables[0], &bytes), Ok(answer));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        assert_eq!(new(&question, &tables[0], &changed), Err(ErrorKind::Corrupt), "byte {at}");
        assert_eq!(new(&question, &tables[0], &bytes[..at]), Err(ErrorKind::Corrupt), "cut at {at}");
    }
    assert_eq!(new(&question, &tables[1], &bytes), Err(ErrorKind::Corrupt));
    let narrower = IndexTable { range: TimeRange::new(0, 1), ..tables[0].clone() };
    assert_eq!(new(&question, &narrower, &bytes), Err(ErrorKind::Corrupt));
    let others = IndexQuestion { tenant: tenant(1), ..question.clone() };
    assert_eq!(new(&others, &tables[0], &bytes), Err(ErrorKind::Corrupt));
    let keys: BTreeSet<_> = [
        question.cache_key(&tables[0]),
        question.cache_key(&tables[1]),
        question.cache_key(&narrower),
        others.cache_key(&tables[0]),
    ]
    .into();
    assert_eq!(keys.len(), 4);
}

#[test]
fn bodies_of_anyone_never_panic_nor_take_more_than_the_budget() {
    let (_, question) = small();
    let table = IndexTable { key: "index/a".to_owned(), range: TimeRange::ALL };
    // One long word, named by each of many streams.
    let mut body = vec![0];
    let word = "w".repeat(2000);
    body.extend([2, 0xd0, 0x0f]);
    body.extend(word.bytes());
    body.extend([1, b'a', 0]);
    let streams = 200u32;
    body.extend([0xc8, 0x01]);
    (0..streams).for_each(|_| body.extend([1, 1, 0, 0]));
    let answer = IndexAnswer::of_body(&question, &table, &body);
    let read = |budget: &Budget| answer.blocks(&table, &mut Finder::new(2), budget);
    read(&Budget::unlimited()).expect("it is right");
    let error = read(&limited(100_000)).expect_err("400,000 bytes of labels");
    assert_eq!(error.kind(), ErrorKind::Query);
    // Any byte of the word is as good as another.
    for at in (0..20).chain(1990..body.len()) {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = body.clone();
            changed[at] = value;
            let answer = IndexAnswer::of_body(&question, &table, &changed[..]);
            let _ = answer.blocks(&table, &mut Finder::new(1), &limited(8 << 20));
            let _ = answer.texts(&table, &mut BTreeSet::new());
        }
    }
}

#[test]
fn others_that_fail_are_done_without_where_that_is_wanted() {
    let (store, _) = small();
    let own = open(&store, 0, ReaderIndex::default());
    let expected = says(&own.snapshot(&tenant(0)).expect("a view"), TimeRange::ALL);
    for (fails, fallback) in [
        (ErrorKind::Unavailable, true),
        (ErrorKind::Corrupt, true),
        (ErrorKind::Unavailable, false),
        (ErrorKind::Query, true),
    ] {
        let others = Sent::of(&own, Some(fails));
        let index = ReaderIndex { others: Some(others.clone()), fallback, ..ReaderIndex::default() };
        let snapshot = open(&store, 0, index).snapshot(&tenant(0)).expect("a view");
        if fallback && fails != ErrorKind::Query {
            assert_eq!(says(&snapshot, TimeRange::ALL), expected);
        } else {
            let error = snapshot.label_names(&[], TimeRange::ALL).expect_err("nobody answers");
            assert_eq!((error.kind(), error.message()), (fails, "no answer"));
        }
        assert!(others.calls.load(Ordering::Relaxed) > 0);
    }
}

#[test]
fn a_budget_that_is_used_up_ends_a_look_up() {
    let (store, question) = small();
    let reader = open(&store, 0, ReaderIndex::default());
    let budget = Budget::unlimited();
    budget.cancel();
    let error = reader.index_tables().look_up(&question, &tables(&reader), &budget).expect_err("it is cancelled");
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<BudgetError>());
    assert_eq!(source, Some(&BudgetError::Cancelled));
    let error = reader.index_tables().answer(
        &question,
        &IndexTable { key: "manifest/1".to_owned(), range: TimeRange::ALL },
        &Budget::unlimited(),
    );
    assert_eq!(error.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
    let empty = IndexAnswer::of_blocks(&question, &tables(&reader)[0], &FoundBlocks::default());
    let mut finder = Finder::new(1);
    empty.blocks(&tables(&reader)[0], &mut finder, &Budget::unlimited()).expect("it is right");
    assert!(finder.found.blocks.is_empty() && finder.found.packs.is_empty());
}

#[test]
fn tables_are_kept_in_a_folder_and_read_from_it_after_a_restart() {
    let (store, _) = small();
    let expected = says(&open(&store, 0, ReaderIndex::default()).snapshot(&tenant(0)).expect("a view"), TimeRange::ALL);
    let path = tempfile::tempdir().expect("a folder");
    let fetched = Arc::new(AtomicU32::new(0));
    let counting = {
        let (fetched, store) = (fetched.clone(), store.clone());
        move || -> Arc<dyn Store> {
            let fetched = fetched.clone();
            Arc::new(crate::FaultStore::new(store.clone(), move |_, name, key| {
                if name == "get" && key.starts_with("index/") {
                    fetched.fetch_add(1, Ordering::Relaxed);
                }
                None
            }))
        }
    };
    for (max_bytes, first, second) in [(1 << 20, 2, 0), (0, 2, 2)] {
        for gets in [first, second] {
            let folder = Some(TableCopies { path: path.path().join(max_bytes.to_string()), max_bytes });
            let reader = open(&counting(), 0, ReaderIndex { folder, ..ReaderIndex::default() });
            assert_eq!(says(&reader.snapshot(&tenant(0)).expect("a view"), TimeRange::ALL), expected);
            assert_eq!(fetched.swap(0, Ordering::Relaxed), gets);
        }
    }
}
