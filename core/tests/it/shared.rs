//! Several databases over one store: writers with logs of their own, and some that tend the store.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use narvi::{
    Builder, CompactionSettings, Db, DeleteStatus, Entry, ErrorKind, FaultStore, FlushSettings, Labels, MemoryStore,
    Metadata, Retention, RetentionPolicy, RetentionSettings, Selector, Settings, Store, Tenant, TimeRange, Timestamp,
    inspect_manifest,
};

use crate::contents::{Row, Rows, push, rows};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).expect("valid")
}

fn labels(app: &str) -> Labels {
    Labels::from_pairs([("app", app)]).expect("valid")
}

fn entry(ns: i64, line: String) -> Entry {
    Entry::new(Timestamp::from_ns(ns), line)
}

/// Nothing happens by itself; two tables are enough to be merged, and nothing is garbage for an hour.
fn settings() -> Settings {
    Settings {
        flush: FlushSettings { max_age_secs: u64::MAX, idle_secs: u64::MAX, ..FlushSettings::default() },
        compaction: CompactionSettings {
            enabled: false,
            tables_per_level: 2,
            min_split_bytes: 2000,
            ..CompactionSettings::default()
        },
        retention: RetentionSettings { cancel_period_secs: 0, rewrite_percent: 0, ..RetentionSettings::default() },
        garbage_grace_secs: 3600,
        ..Settings::default()
    }
}

fn writer(store: &Arc<MemoryStore>, folder: &Path) -> Db {
    Db::builder(folder).store(store.clone()).settings(settings()).upkeep(false).open().expect("opened")
}

/// One that keeps lines for ten days.
fn tender(store: Arc<dyn Store>, settings: Settings) -> Db {
    let policy = Arc::new(RetentionPolicy { period: Duration::from_secs(10 * 86_400), ..RetentionPolicy::default() });
    let retention: Arc<dyn Retention> = Arc::new(move |_: &Tenant| policy.clone());
    Builder::in_memory().store(store).settings(settings).retention(retention).open().expect("opened")
}

fn keys(store: &dyn Store) -> BTreeSet<String> {
    let keys = store.list("").expect("listed").into_iter().map(|object| object.key);
    keys.filter(|key| !key.starts_with("manifest/")).collect()
}

/// Keys that the newest manifest names as part of the store.
fn named(store: &dyn Store) -> BTreeSet<String> {
    let newest = store.list("manifest").expect("listed").into_iter().map(|object| object.key).max().expect("one");
    let manifest = inspect_manifest(&store.get(&newest).expect("there")).expect("readable");
    manifest.packs.into_iter().chain(manifest.tables).chain(manifest.marks).collect()
}

/// The rows of one round of a writer: fresh ones, some that are too old, some that are to be deleted.
fn fill(db: &Db, name: &str, round: i64, now: i64, model: &mut Rows) {
    let mut gone = Rows::new();
    let a = tenant("a");
    for i in 0..20 {
        let at = now - (i % 3) * DAY - round * SECOND - i;
        push(db, &a, &labels(name), vec![entry(at, format!("{name} {round} {i} {}", "x".repeat(50)))], model);
        push(db, &a, &labels(name), vec![entry(now - 30 * DAY - i, format!("{name} {round} old"))], &mut gone);
        push(db, &a, &labels(name), vec![entry(at, format!("{name} {round} {i} secret"))], &mut gone);
        // Replicated: every writer has it.
        push(db, &tenant("b"), &labels("x"), vec![entry(at, format!("both {round} {i}"))], model);
    }
}

#[test]
fn those_who_tend_one_store_at_once_lose_and_double_nothing() {
    let now = Timestamp::from_system(SystemTime::now()).as_ns();
    let store = Arc::new(MemoryStore::new());
    let folders = [tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder")];
    let tenders = [tender(store.clone(), settings()), tender(store.clone(), settings())];
    let (done, conflicts, merges) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut models = [Rows::new(), Rows::new()];
    thread::scope(|scope| {
        for db in &tenders {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let merged = db.compact().expect("merged or given up");
                    let swept = db.apply_retention().expect("swept").rewritten;
                    db.collect_garbage().expect("nothing is old enough");
                    conflicts.fetch_add(merged.conflicts + swept.conflicts, Ordering::SeqCst);
                    merges.fetch_add(merged.tables_out, Ordering::SeqCst);
                }
            });
        }
        let writers: Vec<_> = folders
            .iter()
            .zip(&mut models)
            .zip(["w0", "w1"])
            .map(|((folder, model), name)| {
                let (store, tenders) = (&store, &tenders);
                scope.spawn(move || {
                    for round in 0..12 {
                        // Anew each time: the log, and what it says of whose it is, outlive the process.
                        let db = writer(store, folder.path());
                        fill(&db, name, round, now, model);
                        if round % 3 == 0 {
                            continue;
                        }
                        db.flush().expect("flushed");
                        let query = format!("{{app=\"{name}\"}} |= `secret`");
                        let by = &tenders[round as usize % 2];
                        by.create_delete(&tenant("a"), &query, TimeRange::ALL).expect("made");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("it wrote");
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(merges.load(Ordering::SeqCst) > 0, "there was something to merge");
    let [a, b] = &tenders;
    while a.compact().expect("merged").tables_in + b.compact().expect("merged").tables_in > 0 {}
    for db in &tenders {
        db.apply_retention().expect("swept");
        assert!(db.delete_requests(&tenant("a")).iter().all(|request| !request.is_pending()));
    }
    let [mut model, other] = models;
    model.extend(other);
    let of =
        |name: &'static str| model.iter().filter(move |((labels, ..), _)| labels.contains("\"x\"") == (name == "b"));
    for db in tenders.iter().chain([&tender(store.clone(), settings())]) {
        for name in ["a", "b"] {
            let expected: Rows = of(name).map(|(row, count)| (row.clone(), *count)).collect();
            let found = rows(db, &tenant(name));
            let differ = |a: &Rows, b: &Rows| -> Vec<Row> {
                a.iter().filter(|(row, count)| b.get(*row) != Some(*count)).map(|(row, _)| row.clone()).collect()
            };
            assert!(found == expected, "{:?} {:?}", differ(&found, &expected), differ(&expected, &found));
        }
        let stored = db.stream_stats(&tenant("a"), &Selector::default(), TimeRange::ALL).expect("counted").entries;
        assert_eq!(stored, of("a").count() as u64, "what is dead is gone from the files, what lives is there once");
    }
    // What losers wrote, and what commits took out, goes when its time of grace is over.
    let before = keys(&*store).len();
    let last = tender(store.clone(), Settings { garbage_grace_secs: 0, ..settings() });
    last.collect_garbage().expect("collected");
    assert_eq!(keys(&*store), named(&*store), "of {before}");
    assert_eq!(rows(&last, &tenant("b")).len(), of("b").count());
    println!("{} merges, {} given up", merges.load(Ordering::SeqCst), conflicts.load(Ordering::SeqCst));
}

#[test]
fn writers_keep_apart_and_stay_who_they_are() {
    let store = Arc::new(MemoryStore::new());
    let folders = [tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder")];
    let ids = || folders.each_ref().map(|folder| std::fs::read_to_string(folder.path().join("WRITER")).ok());
    let (a, mut model) = (tenant("a"), Rows::new());
    let mut known = None;
    for round in 0..6 {
        let writers = folders.each_ref().map(|folder| writer(&store, folder.path()));
        for (n, db) in writers.iter().enumerate() {
            push(db, &a, &labels(&format!("w{n}")), vec![entry(round, format!("line {round}"))], &mut model);
        }
        // One flushes more often than the other, so that their generations have the same numbers at different times.
        writers[0].flush().expect("flushed");
        if round % 2 == 1 {
            writers[1].flush().expect("flushed");
        }
        assert_eq!(known.get_or_insert_with(ids), &ids());
    }
    assert_ne!(ids()[0], ids()[1]);
    let writers = folders.each_ref().map(|folder| writer(&store, folder.path()));
    assert_eq!(writers.each_ref().map(|db| db.open_report().replayed_rows), [0, 0]);
    assert_eq!(rows(&tender(store, settings()), &a), model);
}

#[test]
fn without_upkeep_the_store_is_left_alone() {
    let store = Arc::new(MemoryStore::new());
    let folder = tempfile::tempdir().expect("folder");
    store.put("packs/stray", &[b"left by someone"[..].into()]).expect("put");
    let eager = Settings { garbage_grace_secs: 0, ..settings() };
    let db = Db::builder(folder.path()).store(store.clone()).settings(eager.clone()).upkeep(false);
    let db = db.open().expect("opened");
    let mut model = Rows::new();
    for round in 0..2 {
        push(&db, &tenant("a"), &labels("x"), vec![entry(round, "line".to_owned())], &mut model);
        db.flush().expect("flushed");
    }
    assert!(!db.upkeep());
    for kind in [
        db.compact().map(drop).expect_err("off").kind(),
        db.apply_retention().map(drop).expect_err("off").kind(),
        db.collect_garbage().map(drop).expect_err("off").kind(),
    ] {
        assert_eq!(kind, ErrorKind::Closed);
    }
    assert!(keys(&*store).contains("packs/stray"));
    assert_eq!(db.maintenance_stats().failures, 0, "being off is no failure");
    db.set_upkeep(true);
    assert_eq!(db.compact().expect("merged").tables_in, 2);
    db.collect_garbage().expect("collected");
    assert_eq!(keys(&*store), named(&*store));
    assert_eq!(rows(&db, &tenant("a")), model);
}

#[test]
fn a_merge_under_way_ends_when_it_is_switched_off() {
    let inner = Arc::new(MemoryStore::new());
    let db: Arc<OnceLock<Db>> = Arc::default();
    let cue = db.clone();
    // While its first pack is written.
    let store = FaultStore::new(inner.clone(), move |_, name, key| {
        if let ("put", true, Some(db)) = (name, key.contains("-c1-"), cue.get()) {
            db.set_upkeep(false);
        }
        None
    });
    let one = tender(Arc::new(store), settings());
    db.set(one.clone()).expect("once");
    let (a, mut model) = (tenant("a"), Rows::new());
    let now = Timestamp::from_system(SystemTime::now()).as_ns();
    for round in 0..2 {
        push(&one, &a, &labels("x"), vec![entry(now - round, "line".to_owned())], &mut model);
        one.flush().expect("flushed");
    }
    let before = keys(&*inner);
    assert_eq!(one.compact().expect_err("switched off").kind(), ErrorKind::Closed);
    assert_eq!(keys(&*inner), before, "what it wrote is taken away");
    assert_eq!(tender(inner, settings()).compact().expect("by another").tables_in, 2);
    assert_eq!(rows(&one, &a), model);
}

#[test]
fn requests_wait_for_rows_in_the_memory_of_others() {
    let store = Arc::new(MemoryStore::new());
    let folder = tempfile::tempdir().expect("folder");
    let mut patient = settings();
    patient.retention.settle_secs = 3600;
    let (patient, hasty) = (tender(store.clone(), patient), tender(store.clone(), settings()));
    let db = writer(&store, folder.path());
    let now = Timestamp::from_system(SystemTime::now()).as_ns();
    let metadata = Metadata::from_pairs([("trace", "1")]).expect("valid");
    let rest = Entry { metadata, ..entry(now, "kept".to_owned()) };
    let mut model = Rows::new();
    push(&db, &tenant("a"), &labels("x"), vec![rest], &mut model);
    push(&db, &tenant("a"), &labels("x"), vec![entry(now, "secret".to_owned())], &mut Rows::new());
    let request = hasty.create_delete(&tenant("a"), "{app=\"x\"} |= `secret`", TimeRange::ALL).expect("made");
    let status = || patient.delete_requests(&tenant("a")).iter().map(|one| (one.id, one.status)).collect::<Vec<_>>();
    assert_eq!(status(), [(request.id, DeleteStatus::Received)], "known to others at once");
    assert_eq!(patient.apply_retention().expect("swept").requests_processed, 0);
    assert_eq!(status(), [(request.id, DeleteStatus::Received)]);
    db.flush().expect("flushed");
    assert_eq!(hasty.apply_retention().expect("swept").requests_processed, 1);
    patient.apply_retention().expect("swept");
    assert_eq!(rows(&patient, &tenant("a")), model);
}

#[test]
fn its_thread_sees_what_others_flush_and_keeps_still_while_it_may_not_run() {
    let store = Arc::new(MemoryStore::new());
    let folder = tempfile::tempdir().expect("folder");
    let mut busy = settings();
    (busy.compaction.enabled, busy.compaction.interval_ms) = (true, 1);
    let builder = Builder::in_memory().store(store.clone()).settings(busy).upkeep(false);
    let compactor = builder.open().expect("opened");
    let db = writer(&store, folder.path());
    let mut model = Rows::new();
    for round in 0..2 {
        push(&db, &tenant("a"), &labels("x"), vec![entry(round, "line".to_owned())], &mut model);
        db.flush().expect("flushed");
    }
    let before = keys(&*store);
    compactor.set_upkeep(true);
    let started = Instant::now();
    while compactor.maintenance_stats().compactions == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "it sees nothing");
        thread::sleep(Duration::from_millis(1));
    }
    compactor.set_upkeep(false);
    assert!(keys(&*store).is_superset(&before), "taken out and not yet deleted");
    assert_eq!(rows(&compactor, &tenant("a")), model);
}
