//! Compaction: what queries see stays the same, what is stored gets less.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use narvi::{
    Builder, CompactionSettings, Db, Entry, FaultStore, FlushSettings, Labels, LocalStore, MemoryStore, Metadata,
    PackOptions, PushStream, Selector, Settings, Snapshot, Store, Tenant, TimeRange, Timestamp,
};
use proptest::prelude::*;

use crate::contents::{Rows, push, read, rows};

const DAY: i64 = 86_400_000_000_000;

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).expect("valid")
}

fn labels(app: &str) -> Labels {
    Labels::from_pairs([("app", app)]).expect("valid")
}

fn entry(ns: i64, line: &str) -> Entry {
    Entry::new(Timestamp::from_ns(ns), line.to_owned())
}

/// Nothing happens unless a test wants it; two tables are enough to be merged.
fn quiet() -> Settings {
    Settings {
        flush: FlushSettings { max_age_secs: u64::MAX, idle_secs: u64::MAX, ..FlushSettings::default() },
        compaction: CompactionSettings { enabled: false, tables_per_level: 2, ..CompactionSettings::default() },
        garbage_grace_secs: 0,
        ..Settings::default()
    }
}

fn open(settings: Settings) -> (Db, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    let db = Builder::in_memory().store(store.clone()).settings(settings).open().expect("opened");
    (db, store)
}

fn stored_rows(db: &Db, tenant: &Tenant) -> u64 {
    db.stream_stats(tenant, &Selector::default(), TimeRange::ALL).expect("counted").entries
}

/// Keys of packs and tables.
fn files(store: &dyn Store) -> Vec<String> {
    let keys = store.list("").expect("listed").into_iter().map(|object| object.key);
    keys.filter(|key| !key.starts_with("manifest/")).collect()
}

#[test]
fn duplicates_are_gone_for_good() {
    let (db, store) = open(quiet());
    let a = tenant("a");
    let mut model = Rows::new();
    for round in 0..2 {
        // Every row of the second round is there already, but for one; a hundred share one time.
        let lines = (0..100).map(|i| entry(DAY, &format!("same time {i}")));
        let rows = (0..500).map(|i| entry(i * 1000, &format!("line {}", i % 7))).chain(lines);
        push(&db, &a, &labels("x"), rows.collect(), &mut model);
        let metadata = Metadata::from_pairs([("trace", "1")]).expect("valid");
        push(&db, &a, &labels("x"), vec![Entry { metadata, ..entry(0, "line 0") }], &mut model);
        push(&db, &a, &labels("y"), vec![entry(5, &format!("round {round}"))], &mut model);
        db.flush().expect("flushed");
    }
    assert_eq!(stored_rows(&db, &a), 2 * 602);
    assert_eq!(rows(&db, &a), model);
    let summary = db.compact().expect("compacted");
    assert_eq!((summary.tables_in, summary.tables_out, summary.packs_in), (2, 1, 2));
    assert_eq!((summary.rows_in, summary.rows_out), (2 * 602, 603));
    assert_eq!(stored_rows(&db, &a), 603);
    assert_eq!(rows(&db, &a), model);
    assert_eq!(db.compact().expect("nothing to do").tables_in, 0);
    let stats = db.maintenance_stats();
    assert_eq!((stats.compactions, stats.merged.rows_in - stats.merged.rows_out), (1, 601));
    assert_eq!(files(&*store).len(), 6);
    assert_eq!(db.collect_garbage().expect("collected"), 4);
    assert_eq!(files(&*store).len(), 2);
    assert_eq!(rows(&db, &a), model);
}

/// Of three replicas the third is flushed when the others have been merged and split off, with few of their rows.
#[test]
fn a_replica_that_comes_late_is_merged_with_the_others() {
    let mut settings = quiet();
    settings.compaction = CompactionSettings { min_split_bytes: 1000, quiet_secs: 0, ..settings.compaction };
    // Little memory: nothing is read ahead.
    settings.compaction.memory_bytes = 1 << 20;
    settings.flush.pack = PackOptions { frame_bytes: 300, ..PackOptions::default() };
    let (db, _) = open(settings);
    let (a, b, mut model, mut other) = (tenant("a"), tenant("b"), Rows::new(), Rows::new());
    let row = |at: i64| entry(at, &format!("line {at} {}", "-".repeat(30)));
    let mut flush = |rows: std::ops::Range<i64>, model: &mut Rows| {
        push(&db, &b, &labels("x"), vec![row(rows.start)], &mut other);
        push(&db, &a, &labels("x"), rows.map(row).collect(), model);
        db.flush().expect("flushed");
    };
    flush(0..100, &mut model);
    flush(0..100, &mut model);
    while db.compact().expect("compacted").tables_in > 0 {}
    assert_eq!(stored_rows(&db, &a), 100);
    flush(40..45, &mut model);
    flush(45..50, &mut model);
    assert_eq!(stored_rows(&db, &a), 110);
    while db.compact().expect("compacted").tables_in > 0 {}
    assert_eq!(stored_rows(&db, &a), 100);
    assert_eq!(rows(&db, &a), model);
    assert_eq!(rows(&db, &b), other);
}

#[test]
fn large_parts_are_split_off_and_small_ones_stay_together() {
    let mut settings = quiet();
    settings.compaction.min_split_bytes = 2000;
    let (db, store) = open(settings);
    let (a, b) = (tenant("a"), tenant("b"));
    let (mut in_a, mut in_b) = (Rows::new(), Rows::new());
    let long = "x".repeat(100);
    for round in 0..4 {
        for i in 0..12 {
            // Large on day 3 and the day before 1970, small on day 0.
            push(&db, &a, &labels("x"), vec![entry(3 * DAY + round * 100 + i, &long)], &mut in_a);
            push(&db, &b, &labels("x"), vec![entry(-DAY + round * 100 + i, &long)], &mut in_b);
        }
        push(&db, &a, &labels("x"), vec![entry(round, "small")], &mut in_a);
        push(&db, &b, &labels("y"), vec![entry(round, "small")], &mut in_b);
        db.flush().expect("flushed");
        if round % 2 == 1 {
            assert_eq!(db.compact().expect("compacted").tables_out, 3);
        }
    }
    // Two tables of level 1 of each part: three more merges, one for each.
    let outs: Vec<_> = (0..4).map(|_| db.compact().expect("compacted").tables_out).collect();
    assert_eq!(outs, [1, 1, 1, 0]);
    db.collect_garbage().expect("collected");
    let files = files(&*store);
    let folders: BTreeSet<_> = files.iter().map(|key| key.rsplit_once('/').expect("a folder").0).collect();
    assert_eq!(folders, BTreeSet::from(["index", "index/-1", "index/3", "packs", "packs/-1", "packs/3"]));
    assert_eq!(files.len(), 6, "{files:?}");
    assert_eq!((rows(&db, &a), rows(&db, &b)), (in_a, in_b));
}

#[test]
fn ten_thousand_tenants_are_a_handful_of_objects() {
    let (db, store) = open(quiet());
    for round in 0..2 {
        for i in 0..10_000 {
            let rows = vec![entry(round, "line"), entry(7 * DAY, "the same in both rounds")];
            db.push(&tenant(&format!("t{i}")), vec![PushStream::new(labels("x"), rows)]).expect("pushed");
        }
        db.flush().expect("flushed");
    }
    let summary = db.compact().expect("compacted");
    assert_eq!((summary.tables_out, summary.packs_out, summary.rows_out), (1, 1, 30_000));
    db.collect_garbage().expect("collected");
    assert_eq!(files(&*store).len(), 2);
    assert_eq!(rows(&db, &tenant("t4711")).len(), 3);
}

/// Many frames of one stream from each of several flushes, interleaved in time.
#[test]
fn a_stream_of_many_frames_is_merged_row_by_row() {
    let mut settings = quiet();
    settings.flush.pack = PackOptions { frame_bytes: 4096, page_rows: 16, ..PackOptions::default() };
    settings.compaction.tables_per_level = 5;
    settings.compaction.max_pack_bytes = 8192;
    let (db, _) = open(settings);
    let a = tenant("a");
    let mut model = Rows::new();
    for round in 0..5 {
        // Runs of one flush, then rows of all flushes in turn.
        let run = (0..2000).map(|i| entry(round * 2000 + i, &format!("run {i} of {round} {}", i * 7919)));
        let turn = (0..2000).map(|i| entry(100_000 + i * 5 + round, &format!("turn {i} of {round}")));
        push(&db, &a, &labels("x"), run.chain(turn).collect(), &mut model);
        db.flush().expect("flushed");
    }
    let summary = db.compact().expect("compacted");
    assert_eq!((summary.rows_in, summary.rows_out, summary.tables_out), (20_000, 20_000, 1));
    assert!(summary.packs_out > 1);
    assert_eq!(rows(&db, &a), model);
}

#[test]
fn files_that_were_replaced_go_with_their_last_reader() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = quiet();
    settings.garbage_grace_secs = 3600;
    let db = Db::builder(folder.path()).settings(settings).open().expect("opened");
    let (a, mut model) = (tenant("a"), Rows::new());
    for round in 0..2 {
        push(&db, &a, &labels("x"), vec![entry(round, &format!("round {round}"))], &mut model);
        db.flush().expect("flushed");
    }
    let (early, late) = (db.snapshot(&a), db.snapshot(&a));
    db.compact().expect("compacted");
    assert_eq!(db.collect_garbage().expect("collected"), 0);
    assert_eq!(read(&early), model);
    drop(early);
    assert_eq!(db.collect_garbage().expect("collected"), 0, "there is another reader");
    assert_eq!(read(&late), model);
    drop(late);
    assert_eq!(db.collect_garbage().expect("collected"), 4);
    let store = LocalStore::open(folder.path()).expect("opened");
    assert_eq!(["packs", "index"].map(|folder| store.list(folder).expect("listed").len()), [1, 1]);
    assert_eq!(rows(&db, &a), model);
}

#[test]
fn what_is_damaged_stays_as_it_is() {
    let mut settings = quiet();
    settings.garbage_grace_secs = 3600;
    let (db, store) = open(settings);
    let (a, mut model) = (tenant("a"), Rows::new());
    for round in 0..4 {
        push(&db, &a, &labels("x"), vec![entry(round, &format!("round {round}"))], &mut model);
        db.flush().expect("flushed");
    }
    let packs = store.list("packs").expect("listed");
    let mut bytes = store.get(&packs[1].key).expect("read").to_vec();
    let at = bytes.windows(7).position(|text| text == b"round 1").expect("so short a line is stored as it is");
    bytes[at] ^= 0x55;
    store.put(&packs[1].key, &[bytes.into()]).expect("damaged");
    let tables = store.list("index").expect("listed");
    store.delete(&tables[2].key).expect("deleted");
    let summary = db.compact().expect("compacted");
    assert_eq!((summary.tables_in, summary.tables_out, summary.rows_out), (2, 1, 2));
    assert_eq!(summary.damaged.len(), 2, "{summary:?}");
    assert!(summary.damaged.iter().any(|text| text.contains(&packs[1].key)), "{summary:?}");
    assert!(summary.damaged.iter().any(|text| text.contains(&tables[2].key)), "{summary:?}");
    // Told once, and never deleted.
    assert!(db.compact().expect("nothing to do").damaged.is_empty());
    assert_eq!(db.maintenance_stats().merged.damaged.len(), 2);
    db.collect_garbage().expect("collected");
    assert!(store.get(&packs[1].key).is_ok() && store.get(&packs[2].key).is_ok());
}

#[test]
fn whoever_is_slower_gives_up() {
    let inner = Arc::new(MemoryStore::new());
    // When the slow one has written its table, the fast one commits.
    let fast: Arc<OnceLock<Db>> = Arc::default();
    let cue = fast.clone();
    let store = FaultStore::new(inner.clone(), move |_, name, key| {
        if name == "put"
            && key.ends_with(".index")
            && let Some(fast) = cue.get()
        {
            assert_eq!(fast.compact().expect("compacted").tables_in, 2);
        }
        None
    });
    let slow = Builder::in_memory().store(Arc::new(store)).settings(quiet()).open().expect("opened");
    let (a, mut model) = (tenant("a"), Rows::new());
    for round in 0..2 {
        push(&slow, &a, &labels("x"), vec![entry(round, "line")], &mut model);
        slow.flush().expect("flushed");
    }
    let other = Builder::in_memory().store(inner.clone()).settings(quiet()).open().expect("opened");
    fast.set(other).expect("once");
    let summary = slow.compact().expect("given up");
    assert_eq!((summary.conflicts, summary.tables_in), (1, 0));
    assert_eq!(slow.compact().expect("nothing left to do").tables_in, 0);
    assert_eq!(rows(&slow, &a), model);
    assert_eq!(stored_rows(&slow, &a), 2);
}

#[test]
fn a_thread_does_it_by_itself_and_stops_with_the_database() {
    let mut settings = quiet();
    settings.compaction.enabled = true;
    settings.compaction.interval_ms = 1;
    let (db, _) = open(settings);
    let (a, mut model) = (tenant("a"), Rows::new());
    let mut round = 0;
    while db.maintenance_stats().compactions < 3 {
        push(&db, &a, &labels("x"), vec![entry(round, "line")], &mut model);
        db.flush().expect("flushed");
        assert_eq!(rows(&db, &a), model);
        round += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    db.close().expect("closed");
    assert!(db.compact().is_err());
    assert_eq!(rows(&db, &a), model);
    assert!(db.maintenance_stats().last_error.is_none());
}

#[derive(Clone, Debug)]
enum Step {
    /// To a tenant: stream, day, time, line, metadata.
    Push(u8, Vec<(u8, i64, i64, u8, u8)>),
    Flush,
    Compact,
    /// Keeps a snapshot to be looked at until the end.
    Keep(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (0u8..3, -1i64..3, 0i64..6, 0u8..4, 0u8..3);
    let step = prop_oneof![
        6 => (0u8..3, proptest::collection::vec(row, 1..30)).prop_map(|(tenant, rows)| Step::Push(tenant, rows)),
        4 => Just(Step::Flush),
        3 => Just(Step::Compact),
        1 => (0u8..3).prop_map(Step::Keep),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_queries_see_stays_the_same(
        steps in steps(),
        tables_per_level in 2usize..4,
        min_split_bytes in prop_oneof![Just(0u64), 1u64..300, Just(u64::MAX)],
        frame_bytes in 1u32..200,
    ) {
        let mut settings = quiet();
        // Snapshots that are kept still need files that were replaced.
        settings.garbage_grace_secs = 3600;
        settings.flush.pack = PackOptions { frame_bytes, frame_rows: 7, page_rows: 3, ..PackOptions::default() };
        settings.flush.pack_bytes = 700;
        settings.compaction = CompactionSettings {
            tables_per_level, min_split_bytes, max_pack_bytes: 500, ..settings.compaction
        };
        let (db, _) = open(settings);
        let tenants = ["a", "b", "c"].map(tenant);
        let mut models = [Rows::new(), Rows::new(), Rows::new()];
        let mut kept: Vec<(Snapshot, Rows)> = Vec::new();
        for step in steps {
            match step {
                Step::Push(to, pushed) => {
                    for (app, day, time, line, set) in pushed {
                        let metadata = match set {
                            0 => Metadata::default(),
                            n => Metadata::from_pairs([("n", n.to_string().as_str())]).expect("valid"),
                        };
                        let line = format!("line {line} {}", "-".repeat(usize::from(line) * 5));
                        let entries = vec![Entry { metadata, ..entry(day * DAY + time, &line) }];
                        push(&db, &tenants[usize::from(to)], &labels(&format!("a{app}")), entries, &mut models[usize::from(to)]);
                    }
                }
                Step::Flush => db.flush().expect("flushed"),
                Step::Compact => {
                    db.compact().expect("compacted");
                }
                Step::Keep(of) => {
                    let of = usize::from(of);
                    kept.push((db.snapshot(&tenants[of]), models[of].clone()));
                }
            }
            for (tenant, model) in tenants.iter().zip(&models) {
                prop_assert_eq!(&rows(&db, tenant), model);
            }
        }
        db.flush().expect("flushed");
        while db.compact().expect("compacted").tables_in > 0 {}
        for (tenant, model) in tenants.iter().zip(&models) {
            prop_assert_eq!(&rows(&db, tenant), model);
        }
        for (snapshot, model) in &kept {
            // A head may have taken rows since; what it had is there once.
            let seen = read(snapshot);
            for (row, count) in model {
                prop_assert_eq!(seen.get(row), Some(count));
            }
        }
        prop_assert!(db.maintenance_stats().merged.damaged.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Replicas have long runs of the same rows, and here and there one is missing or differs.
    #[test]
    fn replicas_are_stored_once(
        lines in proptest::collection::vec((0i64..3, 0u8..3, 0u8..3), 1..80),
        flaws in proptest::collection::vec(proptest::collection::vec((0usize..80, any::<bool>()), 0..4), 1..4),
        frame_bytes in prop_oneof![Just(40u32), Just(1 << 20)],
    ) {
        let mut settings = quiet();
        settings.flush.pack = PackOptions { frame_bytes, page_rows: 3, ..PackOptions::default() };
        let (db, _) = open(settings);
        let (a, mut model) = (tenant("a"), Rows::new());
        for flaws in &flaws {
            let mut time = 0;
            let rows = lines.iter().enumerate().filter_map(|(at, (later, line, set))| {
                time += later;
                let flaw = flaws.iter().find(|(flawed, _)| *flawed == at);
                let line = match flaw {
                    Some((_, true)) => return None,
                    Some(_) => format!("line {line}!"),
                    None => format!("line {line}"),
                };
                let metadata = match set {
                    0 => Metadata::from_pairs([("n", "0")]).expect("valid"),
                    _ => Metadata::default(),
                };
                Some(Entry { metadata, ..entry(time, &line) })
            });
            push(&db, &a, &labels("x"), rows.collect(), &mut model);
            db.flush().expect("flushed");
        }
        prop_assert_eq!(&rows(&db, &a), &model);
        while db.compact().expect("compacted").tables_in > 0 {}
        prop_assert_eq!(&rows(&db, &a), &model);
        prop_assert_eq!(stored_rows(&db, &a), model.len() as u64);
    }
}
