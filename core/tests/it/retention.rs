//! Retention and the removal of deleted lines: what is hidden goes away, and nothing else does.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use narvi::{
    Builder, CompactionSettings, Db, DeleteId, DeleteStatus, Entry, FaultStore, FlushSettings, Labels, MemoryStore,
    Metadata, PackOptions, Retention, RetentionPolicy, RetentionSettings, Selector, Settings, Store, StreamRetention,
    Tenant, TimeRange, Timestamp,
    logql::{Data, parse_selector},
};
use proptest::prelude::*;

use crate::contents::{Row, Rows, push, rows};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// About now, the same for a whole test; a whole day, so that periods of the index begin there.
fn now() -> i64 {
    static NOW: OnceLock<i64> = OnceLock::new();
    *NOW.get_or_init(|| Timestamp::from_system(SystemTime::now()).as_ns() / DAY * DAY)
}

fn days(count: i64) -> Duration {
    Duration::from_secs(count as u64 * 86_400)
}

fn labels(app: &str) -> Labels {
    Labels::from_pairs([("app", app)]).expect("valid")
}

fn entry(days_ago: i64, offset: i64, line: &str) -> Entry {
    Entry::new(Timestamp::from_ns(now() - days_ago * DAY + offset * SECOND), line.to_owned())
}

fn settings(cancel_period_secs: u64) -> Settings {
    Settings {
        flush: FlushSettings { max_age_secs: u64::MAX, idle_secs: u64::MAX, ..FlushSettings::default() },
        compaction: CompactionSettings { enabled: false, tables_per_level: 2, ..CompactionSettings::default() },
        retention: RetentionSettings { cancel_period_secs, ..RetentionSettings::default() },
        garbage_grace_secs: 0,
        ..Settings::default()
    }
}

fn open(store: &Arc<MemoryStore>, settings: Settings, retention: Arc<dyn Retention>) -> Db {
    Builder::in_memory().store(store.clone()).settings(settings).retention(retention).open().expect("opened")
}

fn keep(policy: RetentionPolicy) -> Arc<dyn Retention> {
    let policy = Arc::new(policy);
    Arc::new(move |_: &Tenant| policy.clone())
}

/// Keys of packs, tables and marks.
fn files(store: &dyn Store) -> Vec<String> {
    let keys = store.list("").expect("listed").into_iter().map(|object| object.key);
    keys.filter(|key| !key.starts_with("manifest/")).collect()
}

fn stored_rows(db: &Db, tenant: &Tenant) -> u64 {
    db.stream_stats(tenant, &Selector::default(), TimeRange::ALL).expect("counted").entries
}

#[test]
fn files_past_retention_are_dropped_unread_and_others_written_anew() {
    let store = Arc::new(MemoryStore::new());
    let a = Tenant::default();
    let mut all = Rows::new();
    {
        let mut settings = settings(0);
        settings.compaction.min_split_bytes = 0;
        let policy = RetentionPolicy {
            streams: vec![StreamRetention {
                selector: parse_selector(r#"{app="short"}"#).expect("valid"),
                priority: 1,
                period: days(3),
            }],
            period: days(30),
            ..RetentionPolicy::default()
        };
        // Written without a policy that anything is too old for.
        let db = open(&store, settings, keep(RetentionPolicy { period: days(9000), ..policy }));
        for round in 0..2 {
            for age in [1, 10, 50] {
                push(&db, &a, &labels("long"), vec![entry(age, round, "long")], &mut all);
                push(&db, &a, &labels("short"), vec![entry(age, round, "short")], &mut all);
            }
            db.flush().expect("flushed");
        }
        let summary = db.compact().expect("compacted");
        // Three days in two classes.
        assert_eq!((summary.tables_out, summary.rows_removed), (6 - 2, 4), "the old ones of app=short are left out");
        assert_eq!(rows(&db, &a).len(), 8);
    }
    all.retain(|row, _| row.0.contains("long") || row.1 > now() - 3 * DAY);
    let policy = RetentionPolicy { period: days(30), ..RetentionPolicy::default() };
    let db = open(&store, settings(0), keep(policy));
    assert_eq!(rows(&db, &a), all, "hidden only when retention has run");
    // The data of what is dropped is not looked at.
    for pack in store.list("packs").expect("listed") {
        if pack.key.contains(&format!("/{}/", now() / DAY - 50)) {
            store.put(&pack.key, &[vec![0; 10].into()]).expect("damaged");
        }
    }
    let summary = db.apply_retention().expect("applied");
    assert_eq!((summary.tables_dropped, summary.rows_dropped, summary.rewritten.tables_in), (1, 2, 0));
    all.retain(|row, _| row.1 > now() - 30 * DAY);
    assert_eq!(rows(&db, &a), all);
    assert_eq!(stored_rows(&db, &a), 6);
    db.collect_garbage().expect("collected");
    assert_eq!(files(&*store).len(), 6);
    let stats = db.maintenance_stats();
    assert_eq!((stats.retention_runs, stats.retention.tables_dropped), (1, 1));
}

#[test]
fn tables_are_written_anew_when_enough_is_too_old() {
    for (old, rewritten) in [(2, 0), (4, 1)] {
        let store = Arc::new(MemoryStore::new());
        let policy = RetentionPolicy { period: days(30), ..RetentionPolicy::default() };
        let db = open(&store, settings(0), keep(policy));
        let (a, mut model) = (Tenant::default(), Rows::new());
        for i in 0..10 {
            push(&db, &a, &labels("x"), vec![entry(if i < old { 40 } else { 2 }, i, "line")], &mut model);
        }
        // Heads are hidden too.
        assert_eq!(rows(&db, &a).len(), 10);
        db.apply_retention().expect("applied");
        model.retain(|row, _| row.1 > now() - 30 * DAY);
        assert_eq!(rows(&db, &a), model);
        db.flush().expect("flushed");
        assert_eq!(rows(&db, &a), model);
        let summary = db.apply_retention().expect("applied");
        assert_eq!(summary.rewritten.tables_in, rewritten, "{old} of 10");
        assert_eq!(stored_rows(&db, &a), 10 - rewritten * old as u64 - (1 - rewritten) * old as u64);
        assert_eq!(rows(&db, &a), model);
        assert_eq!(db.apply_retention().expect("applied").rewritten.tables_in, 0, "once is enough");
    }
}

#[test]
fn a_processed_request_has_no_line_left_and_hides_none() {
    let store = Arc::new(MemoryStore::new());
    let db = open(&store, settings(0), keep(RetentionPolicy::default()));
    let (a, b) = (Tenant::default(), Tenant::new("b").expect("valid"));
    let (mut in_a, mut in_b) = (Rows::new(), Rows::new());
    for i in 0..50 {
        let line = if i % 5 == 0 { "secret" } else { "plain" };
        push(&db, &a, &labels("x"), vec![entry(3, i, line)], &mut in_a);
        push(&db, &b, &labels("x"), vec![entry(3, i, line)], &mut in_b);
        if i == 25 {
            db.flush().expect("flushed");
        }
    }
    let hit = |row: &Row| row.2 == b"secret";
    let request = db.create_delete(&a, r#"{app="x"} |= "secret""#, TimeRange::ALL).expect("made");
    db.create_delete(&b, r#"{app="x"} |= "none""#, TimeRange::ALL).expect("made");
    in_a.retain(|row, _| !hit(row));
    assert_eq!(rows(&db, &a), in_a);
    let summary = db.apply_retention().expect("applied");
    assert_eq!((summary.requests_processed, summary.rewritten.rows_removed), (2, 10));
    assert!(matches!(db.delete_requests(&a)[0].status, DeleteStatus::Processed { .. }));
    assert_eq!((rows(&db, &a), rows(&db, &b)), (in_a.clone(), in_b));
    assert_eq!(stored_rows(&db, &a), 40);
    db.collect_garbage().expect("collected");
    assert!(files(&*store).iter().all(|key| !key.starts_with("marks/")), "{:?}", files(&*store));
    for object in store.list("packs").expect("listed") {
        let pack = store.get(&object.key).expect("read");
        let lines = pack.windows(6).filter(|window| window == b"secret").count();
        assert!(lines <= 1, "tenant b keeps its lines, at most as one dictionary entry");
    }
    assert!(db.cancel_delete(&a, request.id, true).is_err(), "too late");
    // What is pushed later is answered.
    push(&db, &a, &labels("x"), vec![entry(3, 0, "secret")], &mut in_a);
    assert_eq!(rows(&db, &a), in_a);
}

#[test]
fn requests_wait_for_their_cancel_period_and_for_files_that_are_damaged() {
    let store = Arc::new(MemoryStore::new());
    let (a, mut model) = (Tenant::default(), Rows::new());
    let db = open(&store, settings(3600), keep(RetentionPolicy::default()));
    push(&db, &a, &labels("x"), vec![entry(3, 0, "secret 1"), entry(3, 1, "plain")], &mut model);
    db.flush().expect("flushed");
    push(&db, &a, &labels("x"), vec![entry(2, 0, "secret 2")], &mut model);
    db.flush().expect("flushed");
    let whole = model.clone();
    let request = db.create_delete(&a, r#"{app="x"} |= "secret""#, TimeRange::ALL).expect("made");
    let summary = db.apply_retention().expect("applied");
    assert_eq!((summary.requests_processed, summary.rewritten.tables_in), (0, 0));
    assert_eq!(files(&*store).iter().filter(|key| key.starts_with("marks/")).count(), 1, "hits are looked up");
    model.retain(|row, _| row.2 == b"plain");
    assert_eq!(rows(&db, &a), model);
    // With marks that are lost, or wrong, filters are run again.
    let mark = files(&*store).into_iter().find(|key| key.starts_with("marks/")).expect("there is one");
    let bytes = store.get(&mark).expect("read");
    drop(db);
    store.put(&mark, &[bytes.slice(..bytes.len() - 1)]).expect("damaged");
    let db = open(&store, settings(3600), keep(RetentionPolicy::default()));
    assert_eq!(rows(&db, &a), model);
    assert!(db.cancel_delete(&a, request.id, false).expect("cancelled"));
    assert_eq!(rows(&db, &a), whole);
    db.create_delete(&a, r#"{app="x"} |= "secret""#, TimeRange::ALL).expect("made");
    drop(db);
    let packs = store.list("packs").expect("listed");
    let sound = store.get(&packs[0].key).expect("read");
    let mut bytes = sound.to_vec();
    let at = bytes.windows(6).position(|window| window == b"secret").expect("so short a line is stored as it is");
    bytes[at] ^= 0x55;
    store.put(&packs[0].key, &[bytes.into()]).expect("damaged");
    let db = open(&store, settings(0), keep(RetentionPolicy::default()));
    assert_eq!(db.apply_retention().expect("applied").requests_processed, 0);
    drop(db);
    // When the file is mended, its lines are not back.
    store.put(&packs[0].key, &[sound]).expect("mended");
    let db = open(&store, settings(0), keep(RetentionPolicy::default()));
    assert_eq!(rows(&db, &a), model);
    assert_eq!(db.apply_retention().expect("applied").requests_processed, 1);
    assert_eq!(rows(&db, &a), model);
}

#[test]
fn lines_stay_hidden_where_they_must_not_be_removed() {
    let store = Arc::new(MemoryStore::new());
    let policy = RetentionPolicy { process_deletes: false, ..RetentionPolicy::default() };
    let db = open(&store, settings(0), keep(policy));
    let (a, mut model) = (Tenant::default(), Rows::new());
    push(&db, &a, &labels("x"), vec![entry(3, 0, "line")], &mut model);
    db.flush().expect("flushed");
    let request = db.create_delete(&a, r#"{app="x"}"#, TimeRange::ALL).expect("made");
    assert_eq!(db.apply_retention().expect("applied"), narvi::RetentionSummary::default());
    assert!(rows(&db, &a).is_empty());
    assert!(db.cancel_delete(&a, request.id, true).expect("cancelled"));
    assert_eq!(rows(&db, &a), model);
}

#[test]
fn a_request_that_is_cancelled_while_its_lines_are_removed_gets_them_back() {
    let inner = Arc::new(MemoryStore::new());
    let fast: Arc<OnceLock<(Db, DeleteId)>> = Arc::default();
    let cue = fast.clone();
    let store = FaultStore::new(inner.clone(), move |_, name, key| {
        if let Some((fast, id)) = cue.get().filter(|_| name == "put" && key.ends_with(".index")) {
            assert!(fast.cancel_delete(&Tenant::default(), *id, true).expect("cancelled"));
        }
        None
    });
    let slow = Builder::in_memory().store(Arc::new(store)).settings(settings(0)).open().expect("opened");
    let (a, mut model) = (Tenant::default(), Rows::new());
    push(&slow, &a, &labels("x"), vec![entry(3, 0, "good"), entry(3, 1, "bad")], &mut model);
    slow.flush().expect("flushed");
    let id = slow.create_delete(&a, r#"{app="x"} |= "bad""#, TimeRange::ALL).expect("made").id;
    let other = Builder::in_memory().store(inner.clone()).settings(settings(0)).open().expect("opened");
    assert!(fast.set((other, id)).is_ok(), "once");
    let summary = slow.apply_retention().expect("given up");
    assert_eq!((summary.rewritten.conflicts, summary.rewritten.tables_in, summary.requests_processed), (1, 0, 0));
    assert_eq!(slow.apply_retention().expect("nothing left to do"), narvi::RetentionSummary::default());
    assert_eq!(rows(&slow, &a), model);
    assert!(slow.all_delete_requests().is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    /// Stream, days ago, seconds, number of the line, metadata.
    Push(Vec<(u8, usize, i64, u8, u8)>),
    Flush,
    Compact,
    /// Query and range.
    Delete(usize, usize),
    Cancel(usize),
    Sweep,
    /// Whether requests are due at once from now on, and whether retention is set.
    Reopen(bool, bool),
    Garbage,
}

const AGES: [i64; 4] = [1, 5, 15, 30];

type Hits = fn(&Row) -> bool;

fn queries() -> [(&'static str, Hits); 7] {
    [
        (r#"{app="a0"}"#, |row| row.0.contains("a0")),
        (r#"{app=~".+"} |= "1""#, |row| row.2.contains(&b'1')),
        (r#"{app="a1"} | n="2""#, |row| row.0.contains("a1") && row.3 == "n=2;"),
        (r#"{app!="a2"} | n=~".+" != "0""#, |row| !row.0.contains("a2") && !row.3.is_empty() && !row.2.contains(&b'0')),
        (r#"{app="a2"} | logfmt | v > 1"#, |row| {
            row.0.contains("a2") && row.2.last().is_some_and(|digit| *digit > b'1')
        }),
        (r#"{} | line_format "x""#, |_| true),
        (r#"{app="a1"} | app="a1" |= "v""#, |row| row.0.contains("a1")),
    ]
}

fn ranges() -> [TimeRange; 4] {
    let one = now() - AGES[1] * DAY;
    [
        TimeRange::ALL,
        TimeRange::new(now() - 10 * DAY, i64::MAX),
        TimeRange::new(one + 2 * SECOND, one + 3 * SECOND),
        TimeRange::new(i64::MIN, now() - 20 * DAY),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (0u8..3, 0usize..AGES.len(), 0i64..5, 0u8..4, 0u8..3);
    let step = prop_oneof![
        8 => proptest::collection::vec(row, 1..20).prop_map(Step::Push),
        4 => Just(Step::Flush),
        2 => Just(Step::Compact),
        4 => (0usize..7, 0usize..4).prop_map(|(query, range)| Step::Delete(query, range)),
        2 => (0usize..4).prop_map(Step::Cancel),
        3 => Just(Step::Sweep),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(due, retention)| Step::Reopen(due, retention)),
        1 => Just(Step::Garbage),
    ];
    proptest::collection::vec(step, 1..40)
}

/// When the rows of a stream are too old, in days.
fn period(row: &Row) -> i64 {
    match () {
        () if row.0.contains("a1") => 20,
        () if row.0.contains("a2") => 3,
        () => 10,
    }
}

fn policy(set: bool) -> RetentionPolicy {
    let rule = |app: &str, period| StreamRetention {
        selector: parse_selector(&format!("{{app=\"{app}\"}}")).expect("valid"),
        priority: 1,
        period: days(period),
    };
    match set {
        true => {
            RetentionPolicy { period: days(10), streams: vec![rule("a1", 20), rule("a2", 3)], ..Default::default() }
        }
        false => RetentionPolicy::default(),
    }
}

/// What should be there.
#[derive(Default)]
struct Model {
    /// Rows that no processed request has removed.
    stored: Rows,
    /// Rows that were too old when files were written: they are there or not.
    maybe: BTreeSet<Row>,
    pending: Vec<Pending>,
    /// Whether a sweep has run with retention since the database was opened.
    applied: bool,
    due: bool,
    retention: bool,
}

struct Pending {
    id: DeleteId,
    hits: Hits,
    range: TimeRange,
    /// A merge may have removed lines.
    was_due: bool,
}

impl Model {
    fn is_hit(&self, row: &Row) -> bool {
        self.pending.iter().any(|pending| pending.range.contains(row.1) && (pending.hits)(row))
    }

    fn is_old(row: &Row) -> bool {
        row.1 < now() - period(row) * DAY
    }

    /// Files were merged.
    fn merged(&mut self) {
        if self.retention {
            self.maybe.extend(self.stored.keys().filter(|row| Self::is_old(row)).cloned());
        }
        if self.due {
            self.pending.iter_mut().for_each(|pending| pending.was_due = true);
        }
    }

    fn swept(&mut self) {
        self.merged();
        self.applied = self.retention;
        if self.due {
            let gone: Vec<Row> = self.stored.keys().filter(|row| self.is_hit(row)).cloned().collect();
            for row in gone {
                self.stored.remove(&row);
                self.maybe.remove(&row);
            }
            self.pending.clear();
        }
    }

    fn check(&self, seen: &Rows) -> Result<(), TestCaseError> {
        for (row, count) in seen {
            prop_assert_eq!(*count, 1);
            prop_assert!(self.stored.contains_key(row), "{:?} should not be there", row);
            prop_assert!(!self.is_hit(row), "{:?} is deleted", row);
            prop_assert!(!self.applied || !Self::is_old(row), "{:?} is too old", row);
        }
        for row in self.stored.keys().filter(|row| !self.maybe.contains(*row) && !self.is_hit(row)) {
            prop_assert!(seen.contains_key(row) || self.applied && Self::is_old(row), "{:?} is missing", row);
        }
        Ok(())
    }
}

fn count(db: &Db) -> f64 {
    let text = r#"sum(count_over_time({app=~".+"}[1000d]))"#;
    let at = Timestamp::from_ns(now() + DAY);
    match db.query(text).at(at).run().expect("evaluated").data {
        Data::Vector(samples) => samples.iter().map(|sample| sample.value).sum(),
        other => panic!("no vector: {other:?}"),
    }
}

fn step(
    step: Step,
    db: &mut Option<Db>,
    model: &mut Model,
    reopen: &dyn Fn(bool, bool) -> Db,
) -> Result<(), TestCaseError> {
    let tenant = Tenant::default();
    let open = db.as_ref().expect("open");
    match step {
        Step::Push(pushed) => {
            for (app, age, offset, number, set) in pushed {
                let metadata = match set {
                    0 => Metadata::default(),
                    n => Metadata::from_pairs([("n", n.to_string().as_str())]).expect("valid"),
                };
                let entries = vec![Entry { metadata, ..entry(AGES[age], offset, &format!("m=x v={number}")) }];
                let mut pushed = Rows::new();
                push(open, &tenant, &labels(&format!("a{app}")), entries, &mut pushed);
                for (row, count) in pushed {
                    model.maybe.remove(&row);
                    model.stored.insert(row, count);
                }
            }
        }
        Step::Flush => open.flush().expect("flushed"),
        Step::Compact => {
            open.compact().expect("compacted");
            model.merged();
        }
        Step::Delete(query, range) => {
            let ((query, hits), range) = (queries()[query], ranges()[range]);
            let id = open.create_delete(&tenant, query, range).expect("made").id;
            model.pending.push(Pending { id, hits, range, was_due: false });
        }
        Step::Cancel(at) => {
            if model.pending.get(at).is_some_and(|pending| !model.due && !pending.was_due) {
                let cancelled = open.cancel_delete(&tenant, model.pending.remove(at).id, false);
                prop_assert!(cancelled.expect("cancelled"));
            }
        }
        Step::Sweep => {
            let pending = if model.due { model.pending.len() } else { 0 };
            let summary = open.apply_retention().expect("swept");
            prop_assert_eq!(summary.requests_processed, pending as u64);
            model.swept();
        }
        Step::Reopen(due, retention) => {
            db.take();
            *db = Some(reopen(due, retention));
            (model.due, model.retention, model.applied) = (due, retention, false);
        }
        Step::Garbage => {
            open.collect_garbage().expect("collected");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn random_deletes_and_retention_agree_with_a_naive_model(
        steps in steps(),
        min_split_bytes in prop_oneof![Just(0u64), 1u64..300, Just(u64::MAX)],
        frame_bytes in 1u32..200,
    ) {
        let store = Arc::new(MemoryStore::new());
        let reopen = |due: bool, retention: bool| {
            let mut settings = settings(if due { 0 } else { u64::MAX });
            settings.flush.pack = PackOptions { frame_bytes, frame_rows: 7, page_rows: 3, ..PackOptions::default() };
            settings.flush.pack_bytes = 700;
            settings.compaction.min_split_bytes = min_split_bytes;
            settings.compaction.max_pack_bytes = 500;
            open(&store, settings, keep(policy(retention)))
        };
        let (mut db, mut model) = (Some(reopen(false, false)), Model::default());
        for next in steps {
            step(next, &mut db, &mut model, &reopen)?;
            let open = db.as_ref().expect("open");
            let seen = rows(open, &Tenant::default());
            model.check(&seen)?;
            prop_assert_eq!(count(open), seen.len() as f64);
        }
        // In the end all is removed that can be.
        step(Step::Reopen(true, true), &mut db, &mut model, &reopen)?;
        step(Step::Sweep, &mut db, &mut model, &reopen)?;
        let open = db.as_ref().expect("open");
        model.check(&rows(open, &Tenant::default()))?;
        prop_assert!(open.maintenance_stats().merged.damaged.is_empty());
        prop_assert!(open.maintenance_stats().last_error.is_none());
    }
}
