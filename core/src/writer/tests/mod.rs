//! Tests of the writer: pushes, flushes, replay, pressure, faults.

mod crash;
mod dump;
mod model;
mod stats;

use std::{path::Path, sync::Arc, time::Duration};

use narvi_types::{Entry, Labels, MatchOp, Matcher, Metadata, Selector, Tenant, Timestamp};

use self::dump::{Rows, distinct, dump, expect_push};
use crate::{
    Builder, CompactionSettings, Db, ErrorKind, Fault, FaultStore, FlushReason, FlushSettings, MemoryStore, PushStream,
    Settings, Store, StoreErrorKind, WalSettings, WalSync,
    failpoint::Action,
    wal::{Poison, RecordBuilder, Segment},
};

const DAY: i64 = 86_400_000_000_000;

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).expect("valid")
}

fn labels(app: &str) -> Labels {
    Labels::from_pairs([("app", app), ("env", "test")]).expect("valid")
}

fn stream(app: &str, rows: &[(i64, &str)]) -> PushStream {
    PushStream::new(
        labels(app),
        rows.iter().map(|(ts, line)| Entry::new(Timestamp::from_ns(*ts), line.to_string())).collect(),
    )
}

fn push(db: &Db, name: &str, streams: Vec<PushStream>, model: &mut Rows) {
    expect_push(model, &tenant(name), &streams);
    db.push(&tenant(name), streams).expect("pushed").wait().expect("synced");
}

/// Settings under which nothing happens unless a test wants it.
fn quiet() -> Settings {
    Settings {
        wal: WalSettings { sync: WalSync::Never, ..WalSettings::default() },
        flush: FlushSettings { max_age_secs: u64::MAX, idle_secs: u64::MAX, ..FlushSettings::default() },
        compaction: CompactionSettings { enabled: false, ..CompactionSettings::default() },
        ..Settings::default()
    }
}

fn open(folder: &Path) -> Db {
    Db::builder(folder).settings(quiet()).open().expect("opened")
}

#[test]
fn pushed_rows_are_in_heads_then_in_files_and_always_once() {
    let folder = tempfile::tempdir().expect("folder");
    let db = open(folder.path());
    let mut model = Rows::new();
    push(&db, "a", vec![stream("x", &[(1, "one"), (3, "three"), (2, "two")]), stream("y", &[(1, "one")])], &mut model);
    push(&db, "b", vec![stream("x", &[(-5, "before 1970"), (i64::MAX, "far"), (i64::MIN, "past")])], &mut model);
    assert_eq!(dump(&db), model);
    let before = db.state();
    db.flush().expect("flushed");
    assert_eq!(dump(&db), model);
    assert_eq!(dump::dump_state(db.store(), &before), model, "a query that began before still sees all");
    assert_eq!(db.state().generations.len(), 1);
    push(&db, "a", vec![stream("x", &[(4, "four")])], &mut model);
    assert_eq!(dump(&db), model);
    db.close().expect("closed");
    drop(db);
    let db = open(folder.path());
    assert_eq!(dump(&db), model, "after replay");
    assert_eq!(db.open_report().replayed_rows, 1);
    db.flush().expect("flushed");
    drop(db);
    assert_eq!(dump(&open(folder.path())), model, "all from files");
    assert_eq!(std::fs::read_dir(folder.path().join("wal")).expect("listed").count(), 0, "no segment is left behind");
}

#[test]
fn a_flush_sorts_and_drops_what_is_there_twice() {
    let db = Builder::in_memory().settings(quiet()).open().expect("opened");
    let with = |value: &str| {
        let metadata = Metadata::from_pairs([("trace", value)]).expect("valid");
        PushStream::new(labels("x"), vec![Entry { metadata, ..Entry::new(Timestamp::from_ns(7), "same") }])
    };
    let mut model = Rows::new();
    for _ in 0..3 {
        model.clear();
        push(&db, "a", vec![stream("x", &[(9, "late"), (7, "same"), (1, "early")]), with("1"), with("2")], &mut model);
        // Many rows of one time take another way.
        let many: Vec<_> = (0..100).map(|i| (50, format!("line {}", i % 40))).collect();
        let many: Vec<_> = many.iter().map(|(ts, line)| (*ts, line.as_str())).collect();
        push(&db, "a", vec![stream("y", &many)], &mut model);
    }
    db.flush().expect("flushed");
    let dumped = dump(&db);
    assert_eq!(distinct(&dumped), distinct(&model));
    assert!(dumped.values().all(|count| *count == 1), "{dumped:?}");
}

#[test]
fn ten_thousand_tenants_and_ten_years_are_a_handful_of_objects() {
    let db = Builder::in_memory().settings(quiet()).open().expect("opened");
    let mut model = Rows::new();
    for i in 0..10_000 {
        let streams = vec![stream("x", &[(i, "line")])];
        expect_push(&mut model, &tenant(&format!("t{i}")), &streams);
        db.push(&tenant(&format!("t{i}")), streams).expect("pushed");
    }
    for day in 0..3650 {
        push(&db, "old", vec![stream("y", &[(day * DAY, "first"), (day * DAY + 1, "second")])], &mut model);
    }
    db.flush().expect("flushed");
    let objects = db.store().list("").expect("listed");
    assert!(objects.len() <= 5, "{objects:?}");
    assert_eq!(dump(&db), model);
    // Blocks are cut at the ends of days.
    let state = db.state();
    let table =
        narvi_index::Table::open(db.store().get(&state.manifest.tables[0].key).expect("there")).expect("a table");
    let part = table.part("old").expect("readable").expect("there");
    assert_eq!(part.blocks(0).expect("readable").count(), 3650);
}

#[test]
fn a_full_generation_is_flushed_by_itself_and_memory_stays_bounded() {
    let folder = tempfile::tempdir().expect("folder");
    let mut settings = quiet();
    settings.flush.generation_bytes = 100_000;
    settings.flush.max_waiting_bytes = 100_000;
    let db = Db::builder(folder.path()).settings(settings).open().expect("opened");
    let mut model = Rows::new();
    for i in 0..300 {
        let line = format!("{i:05}{}", "x".repeat(5000));
        push(&db, "a", vec![stream("x", &[(i, &line)])], &mut model);
        assert!(db.inner.writer.load().memory_bytes < 220_000);
    }
    assert!(db.state().manifest.sequence >= 5);
    assert_eq!(dump(&db), model);
}

#[test]
fn a_store_that_is_down_makes_pushes_wait_and_then_refuses_them() {
    let folder = tempfile::tempdir().expect("folder");
    let down = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_down = down.clone();
    let store = FaultStore::new(Arc::new(MemoryStore::new()), move |_, name, _| {
        (name.starts_with("put") && is_down.load(std::sync::atomic::Ordering::SeqCst))
            .then_some(Fault::Before(StoreErrorKind::Unavailable))
    });
    let mut settings = quiet();
    settings.flush.generation_bytes = 10_000;
    settings.flush.max_waiting_bytes = 10_000;
    settings.flush.push_timeout_ms = 50;
    settings.flush.retry_min_ms = 1;
    settings.flush.retry_max_ms = 5;
    let db = Db::builder(folder.path()).store(Arc::new(store)).settings(settings).open().expect("opened");
    let mut model = Rows::new();
    let mut refused = None;
    for i in 0..100 {
        let streams = vec![stream("x", &[(i, &"x".repeat(1000))])];
        match db.push(&tenant("a"), streams.clone()) {
            Ok(_) => expect_push(&mut model, &tenant("a"), &streams),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert_eq!(refused.map(|e| e.kind()), Some(ErrorKind::Busy));
    assert_eq!(dump(&db), model, "nothing is lost");
    assert_eq!(db.flush().map_err(|e| e.kind()), Err(ErrorKind::Unavailable));
    down.store(false, std::sync::atomic::Ordering::SeqCst);
    while db.state().generations.len() > 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
    push(&db, "a", vec![stream("x", &[(1000, "again")])], &mut model);
    assert_eq!(dump(&db), model);
}

#[test]
fn a_commit_with_a_lost_answer_is_not_made_twice() {
    let folder = tempfile::tempdir().expect("folder");
    let once = std::sync::atomic::AtomicBool::new(true);
    let store = FaultStore::new(Arc::new(MemoryStore::new()), move |_, name, _| {
        (name == "put_if_absent" && once.swap(false, std::sync::atomic::Ordering::SeqCst))
            .then_some(Fault::After(StoreErrorKind::Unavailable))
    });
    let db = Db::builder(folder.path()).store(Arc::new(store)).settings(quiet()).open().expect("opened");
    let mut model = Rows::new();
    push(&db, "a", vec![stream("x", &[(1, "one")])], &mut model);
    db.flush().expect_err("the answer is lost");
    assert_eq!(dump(&db), model);
    push(&db, "a", vec![stream("x", &[(2, "two")])], &mut model);
    db.flush().expect("flushed");
    assert_eq!(dump(&db), model);
    assert_eq!(db.state().manifest.packs.len(), 2);
}

#[test]
fn what_cannot_be_accepted_is_refused_whole() {
    let db = Builder::in_memory().settings(Settings { max_line_bytes: 10, ..quiet() }).open().expect("opened");
    let bad = [
        PushStream::new(Labels::default(), vec![Entry::new(Timestamp::from_ns(1), "x")]),
        stream("x", &[(1, "longer than ten bytes")]),
    ];
    for bad in bad {
        let error = db.push(&tenant("a"), vec![stream("ok", &[(1, "fine")]), bad]).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert!(dump(&db).is_empty());
    db.push(&tenant("a"), vec![]).expect("nothing is fine");
    db.push(&tenant("a"), vec![stream("x", &[])]).expect("no lines are fine");
    db.flush().expect("flushed");
    assert_eq!(db.state().manifest.sequence, 0, "nothing to commit");
}

#[test]
fn a_large_push_takes_several_records() {
    let folder = tempfile::tempdir().expect("folder");
    let db = open(folder.path());
    let mut model = Rows::new();
    let line = "y".repeat(1 << 20);
    let rows: Vec<_> = (0..30).map(|i| (i, line.as_str())).collect();
    push(&db, "a", vec![stream("x", &rows), stream("y", &[(1, "small")]), stream("x", &rows[..1])], &mut model);
    drop(db);
    assert_eq!(dump(&open(folder.path())), model);
}

#[test]
fn a_database_has_one_owner() {
    let folder = tempfile::tempdir().expect("folder");
    let db = open(folder.path());
    let error = Db::open(folder.path()).expect_err("locked");
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    let clone = db.clone();
    drop(db);
    clone.push(&tenant("a"), vec![stream("x", &[(1, "x")])]).expect("a clone keeps it open");
    clone.close().expect("closed");
    assert_eq!(clone.push(&tenant("a"), vec![]).map_err(|e| e.kind()).err(), Some(ErrorKind::Closed));
    drop(clone);
    assert_eq!(dump(&open(folder.path())).len(), 1);
}

#[test]
fn closing_flushes_where_there_is_no_log() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut model = Rows::new();
    let db = Builder::in_memory().store(store.clone()).settings(quiet()).open().expect("opened");
    push(&db, "a", vec![stream("x", &[(1, "x")])], &mut model);
    drop(db);
    let db = Builder::in_memory().store(store).settings(quiet()).open().expect("opened");
    assert_eq!(dump(&db), model);
    let folder = tempfile::tempdir().expect("folder");
    let mut settings = quiet();
    settings.wal.enabled = false;
    let db = Db::builder(folder.path()).settings(settings).open().expect("opened");
    push(&db, "a", vec![stream("x", &[(1, "x")])], &mut Rows::new());
    db.close().expect("closed");
    drop(db);
    assert!(!folder.path().join("wal").exists());
    assert_eq!(dump(&open(folder.path())), model);
}

#[test]
fn a_log_with_damage_is_read_as_far_as_it_can_be_and_kept() {
    let folder = tempfile::tempdir().expect("folder");
    let db = open(folder.path());
    for i in 0..10 {
        db.push(&tenant("a"), vec![stream(&format!("x{i}"), &[(i, "line")])]).expect("pushed");
    }
    drop(db);
    let segment = folder.path().join("wal/00000000000000000001.wal");
    let mut bytes = std::fs::read(&segment).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&segment, bytes).expect("written");
    let db = open(folder.path());
    assert_eq!(dump(&db).len(), 9);
    let report = db.open_report();
    assert_eq!(report.damage.len(), 1, "{report:?}");
    assert!(report.damage[0].contains("00000000000000000001.wal"), "{report:?}");
    db.flush().expect("flushed");
    drop(db);
    assert!(folder.path().join("wal/00000000000000000001.wal.damaged").exists());
    let db = open(folder.path());
    assert_eq!(dump(&db).len(), 9);
    assert!(db.open_report().damage.is_empty());
}

#[test]
fn replay_needs_no_more_memory_than_ingest() {
    let folder = tempfile::tempdir().expect("folder");
    let mut model = Rows::new();
    for round in 0..6 {
        let db = open(folder.path());
        let line = format!("{round}{}", "z".repeat(40_000));
        push(&db, "a", vec![stream("x", &[(round, &line)])], &mut model);
    }
    let mut settings = quiet();
    settings.flush.generation_bytes = 50_000;
    settings.flush.max_waiting_bytes = 50_000;
    let db = Db::builder(folder.path()).settings(settings).open().expect("opened");
    assert!(db.inner.writer.load().memory_bytes < 100_000);
    assert!(db.state().manifest.sequence >= 1);
    assert_eq!(dump(&db), model);
}

#[test]
fn acknowledgements_wait_for_the_disk_together() {
    let folder = tempfile::tempdir().expect("folder");
    let mut settings = quiet();
    settings.wal.sync = WalSync::Always;
    let db = Db::builder(folder.path()).settings(settings).open().expect("opened");
    std::thread::scope(|scope| {
        for t in 0..4 {
            let db = &db;
            scope.spawn(move || {
                for i in 0..20 {
                    let acks: Vec<_> = (0..3)
                        .map(|j| {
                            db.push(&tenant("a"), vec![stream("x", &[(t * 100 + i * 3 + j, "x")])]).expect("pushed")
                        })
                        .collect();
                    acks.into_iter().for_each(|ack| ack.wait().expect("synced"));
                }
            });
        }
    });
    assert_eq!(dump(&db).len(), 240);
}

#[test]
fn followers_get_what_they_selected_and_are_told_what_they_missed() {
    let db = Builder::in_memory().settings(Settings { tail_queue_entries: 3, ..quiet() }).open().expect("opened");
    let selector = Selector::new(vec![Matcher::new("app", MatchOp::Equal, "x").expect("valid")]);
    let tail = db.subscribe(&tenant("a"), selector.clone());
    let other = db.subscribe(&tenant("b"), selector);
    db.push(&tenant("a"), vec![stream("x", &[(1, "one"), (2, "two")]), stream("y", &[(1, "no")])]).expect("pushed");
    db.push(&tenant("a"), vec![stream("x", &[(3, "three"), (4, "four")])]).expect("pushed");
    let batch = tail.recv_timeout(Duration::from_secs(5)).expect("a batch");
    assert_eq!((batch.labels, batch.entries.len()), (labels("x"), 2));
    let batch = tail.try_recv().expect("a batch");
    assert_eq!(batch.entries, [Entry::new(Timestamp::from_ns(3), "three")]);
    let (dropped, count) = tail.take_dropped();
    assert_eq!((dropped.len(), count, dropped[0].timestamp), (1, 1, Timestamp::from_ns(4)));
    assert!(tail.try_recv().is_none() && other.try_recv().is_none());
    db.close().expect("closed");
    assert!(tail.is_closed() && tail.recv_timeout(Duration::from_secs(60)).is_none());
}

#[test]
fn files_that_nobody_names_go_after_the_time_of_grace() {
    let folder = tempfile::tempdir().expect("folder");
    let db = Db::builder(folder.path()).settings(Settings { garbage_grace_secs: 0, ..quiet() }).open().expect("opened");
    let mut model = Rows::new();
    push(&db, "a", vec![stream("x", &[(1, "x")])], &mut model);
    db.inner.writer.failpoints.arm("flush.table", Action::Fail, 0, 1);
    db.flush().expect_err("armed");
    db.flush().expect("flushed");
    assert_eq!(db.store().list("packs").expect("listed").len(), 2);
    assert_eq!(db.collect_garbage().expect("collected"), 1);
    assert_eq!(db.store().list("packs").expect("listed").len(), 1);
    assert_eq!(dump(&db), model);
    drop(db);
    let db = Db::builder(folder.path()).settings(quiet()).open().expect("opened");
    db.store().put("packs/stray.pack", &[]).expect("put");
    assert_eq!(db.collect_garbage().expect("collected"), 0, "it may be another writer's");
}

#[test]
fn a_database_may_be_used_and_dropped_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("built");
    runtime.block_on(async {
        let inner = Arc::new(object_store::memory::InMemory::new());
        let store = Arc::new(crate::ObjectStoreAdapter::new(inner, "narvi").expect("started"));
        let db = Builder::in_memory().store(store).settings(quiet()).open().expect("opened");
        let mut model = Rows::new();
        push(&db, "a", vec![stream("x", &[(1, "x")])], &mut model);
        db.flush().expect("flushed");
        assert_eq!(dump(&db), model);
        drop(db);
    });
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("file"), b"").expect("written");
    let error = Db::open(folder.path().join("file/db")).expect_err("a file is no folder");
    assert!(error.to_string().contains("file/db"), "{error}");
}

/// Every device of this kind is full at once.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_refuses_a_record() {
    let full = std::fs::OpenOptions::new().append(true).open("/dev/full").expect("opened");
    let mut record = RecordBuilder::default();
    record.start(&tenant("a"));
    let error = Segment::on(full).append(&mut record).expect_err("full");
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.to_string().contains("no space left"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_failed_sync_is_never_forgotten() {
    let (_reader, writer) = std::io::pipe().expect("made");
    let segment = Segment::on(std::fs::File::from(std::os::fd::OwnedFd::from(writer)));
    let poison = Poison::default();
    let mut record = RecordBuilder::default();
    record.start(&tenant("a"));
    segment.append(&mut record).expect("appended");
    let error = segment.sync(&poison).expect_err("a pipe cannot be synced");
    assert_eq!(error.kind(), ErrorKind::Poisoned);
    assert_eq!(poison.check().map_err(|e| e.kind()), Err(ErrorKind::Poisoned));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_stays_open() {
    let count = || std::fs::read_dir("/proc/self/fd").expect("listed").count();
    let folder = tempfile::tempdir().expect("folder");
    let before = count();
    for i in 0..50 {
        let db = open(folder.path());
        push(&db, "a", vec![stream("x", &[(i, "x")])], &mut Rows::new());
        db.flush().expect("flushed");
        drop(db);
    }
    // Other tests of this process open files too.
    assert!(count() < before + 40, "{before} before, {} now", count());
}

#[test]
fn age_and_idleness_flush() {
    let db = Builder::in_memory().settings(quiet()).open().expect("opened");
    let writer = &db.inner.writer;
    assert_eq!(writer.flush_due(), None);
    db.push(&tenant("a"), vec![stream("x", &[(1, "x")])]).expect("pushed");
    assert_eq!(writer.flush_due(), None);
    for (age, idle, reason) in [(0, u64::MAX, FlushReason::MaxAge), (u64::MAX, 0, FlushReason::Idle)] {
        let mut settings = quiet();
        settings.flush.max_age_secs = age;
        settings.flush.idle_secs = idle;
        let db = Builder::in_memory().settings(settings).open().expect("opened");
        assert_eq!(db.inner.writer.flush_due(), None, "nothing to flush");
        db.push(&tenant("a"), vec![stream("x", &[(1, "x")])]).expect("pushed");
        assert!(db.inner.writer.flush_due() == Some(reason) || db.state().manifest.sequence > 0);
    }
}
