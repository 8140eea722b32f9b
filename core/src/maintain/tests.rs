//! Kills a process between any two steps of a compaction, lets each fail, and looks for what was there.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use narvi_logql::{Budget, Columns, ScanRequest, Source};
use narvi_types::{Entry, Labels, Selector, Tenant, TimeRange, Timestamp};

use crate::{CompactionSettings, Db, FlushSettings, PushStream, Settings, WalSettings, WalSync, failpoint::Action};

const FOLDER: &str = "NARVI_COMPACTION_FOLDER";
const DAY: i64 = 86_400_000_000_000;

const POINTS: [&str; 15] = [
    "compact.begin",
    "compact.read",
    "compact.read@1",
    "compact.pack",
    "compact.pack@1",
    "compact.pack_put",
    "compact.pack_put@1",
    "compact.table",
    "compact.table_put",
    "compact.table_put@1",
    "compact.commit",
    "compact.committed",
    "compact.swapped",
    "garbage.delete@1",
    "garbage.deleted",
];

fn open(folder: &Path) -> Db {
    let settings = Settings {
        wal: WalSettings { sync: WalSync::Never, ..WalSettings::default() },
        flush: FlushSettings { max_age_secs: u64::MAX, idle_secs: u64::MAX, ..FlushSettings::default() },
        compaction: CompactionSettings {
            enabled: false,
            tables_per_level: 2,
            min_split_bytes: 500,
            ..CompactionSettings::default()
        },
        garbage_grace_secs: 0,
        ..Settings::default()
    };
    Db::builder(folder).settings(settings).open().expect("opened")
}

pub(super) type Row = (String, i64, String);

/// Pushes and flushes rows of two tenants, partly those of the round before; a period of the first is split off.
fn fill(db: &Db, model: &mut BTreeSet<Row>) {
    for round in 0..3 {
        for name in ["a", "b"] {
            let days = if name == "a" { 2 } else { 1 };
            let rows =
                (0..days * 20).map(|i| ((i / 20) * DAY + i + round * 10, format!("{name} {i} {}", "x".repeat(20))));
            let rows: Vec<_> = rows.collect();
            model.extend(rows.iter().map(|(time, line)| (name.to_owned(), *time, line.clone())));
            let entries = rows.into_iter().map(|(time, line)| Entry::new(Timestamp::from_ns(time), line));
            let labels = Labels::from_pairs([("app", "x")]).expect("valid");
            let stream = PushStream::new(labels, entries.collect());
            db.push(&Tenant::new(name).expect("valid"), vec![stream]).expect("pushed");
        }
        db.flush().expect("flushed");
    }
}

pub(super) fn rows(db: &Db) -> BTreeSet<Row> {
    let budget = Budget::unlimited();
    let mut request = ScanRequest::new(Selector::default(), TimeRange::ALL);
    request.columns = Columns { timestamps: true, lengths: true, lines: true, metadata: true };
    let mut rows = BTreeSet::new();
    for name in ["a", "b"] {
        let snapshot = db.snapshot(&Tenant::new(name).expect("valid"));
        for part in snapshot.parts(&request, &budget).expect("parts") {
            let batch = part.open(&budget).expect("opened");
            let (times, lines) = (batch.timestamps().expect("times"), batch.lines().expect("lines"));
            let dead = batch.dead_rows().expect("dead rows");
            let all = part.segments().iter().flat_map(|segment| segment.rows.clone());
            for row in all.filter(|row| dead.binary_search(row).is_err()) {
                let line = String::from_utf8_lossy(lines.get(row)).into_owned();
                assert!(rows.insert((name.to_owned(), times[row as usize], line)), "answered twice");
            }
        }
    }
    rows
}

/// Nothing is left to merge or to delete, and every file is named by the manifest.
pub(super) fn settle(db: &Db) {
    while db.compact().expect("compacted").tables_in > 0 {}
    db.collect_garbage().expect("collected");
    let files = db.store().list("").expect("listed").into_iter().filter(|object| !object.key.starts_with("manifest"));
    let files: BTreeSet<_> =
        files.map(|object| object.key).filter(|key| key.contains('/') && !key.starts_with("wal")).collect();
    let state = db.state();
    let named: BTreeSet<_> = state.manifest.names().into_iter().map(str::to_owned).collect();
    assert_eq!(files, named);
}

/// The child: compacts what it finds, then deletes what is of no use.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let db = open(Path::new(&folder));
    db.compact().expect("compacted");
    db.collect_garbage().expect("collected");
}

#[test]
fn death_between_any_two_steps_changes_nothing() {
    for point in POINTS {
        let folder = tempfile::tempdir().expect("folder");
        let mut model = BTreeSet::new();
        let db = open(folder.path());
        fill(&db, &mut model);
        drop(db);
        let (name, skip) = point.split_once('@').unwrap_or((point, "0"));
        let status = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "maintain::tests::child", "--nocapture"])
            .env(FOLDER, folder.path())
            .env("NARVI_FAILPOINT", format!("{name}=abort@{skip}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("run");
        assert!(!status.success(), "{point} was not reached");
        let db = open(folder.path());
        assert_eq!(rows(&db), model, "after death at {point}");
        settle(&db);
        assert_eq!(rows(&db), model, "after death at {point} and another compaction");
    }
}

#[test]
fn failure_at_any_step_changes_nothing() {
    for point in POINTS {
        let folder = tempfile::tempdir().expect("folder");
        let mut model = BTreeSet::new();
        let db = open(folder.path());
        fill(&db, &mut model);
        let (name, skip) = point.split_once('@').unwrap_or((point, "0"));
        db.inner.writer.failpoints.arm(name, Action::Fail, skip.parse().expect("a number"), 1);
        let failed = db.compact().and_then(|_| db.collect_garbage());
        assert!(failed.is_err(), "{point} was not reached");
        assert_eq!(rows(&db), model, "after failure at {point}");
        // Pushes and flushes go on.
        fill(&db, &mut model);
        assert_eq!(rows(&db), model, "after failure at {point} and flushes");
        settle(&db);
        assert_eq!(rows(&db), model, "after failure at {point} and another compaction");
        drop(db);
        assert_eq!(rows(&open(folder.path())), model, "after failure at {point}, opened again");
    }
}
