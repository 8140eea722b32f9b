//! Kills a process between any two steps of a request to delete, of its processing and of retention, lets each fail, and
//! looks for what should be there.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use narvi_types::{Entry, Labels, Tenant, TimeRange, Timestamp};

use super::tests::{Row, rows, settle};
use crate::{
    CompactionSettings, Db, FlushSettings, PushStream, RetentionPolicy, RetentionSettings, Settings, WalSettings,
    WalSync, failpoint::Action,
};

const FOLDER: &str = "NARVI_SWEEP_FOLDER";
const DAY: i64 = 86_400_000_000_000;

const POINTS: [&str; 16] = [
    "delete.commit",
    "delete.committed",
    "mark.put",
    "mark.commit",
    "mark.committed",
    "compact.begin",
    "compact.read",
    "compact.pack",
    "compact.table_put",
    "compact.commit",
    "compact.committed",
    "compact.swapped",
    "retention.commit",
    "retention.committed",
    "delete.process",
    "delete.processed",
];

fn open(folder: &Path) -> Db {
    let settings = Settings {
        wal: WalSettings { sync: WalSync::Never, ..WalSettings::default() },
        flush: FlushSettings { max_age_secs: u64::MAX, idle_secs: u64::MAX, ..FlushSettings::default() },
        compaction: CompactionSettings { enabled: false, tables_per_level: 100, ..CompactionSettings::default() },
        retention: RetentionSettings { cancel_period_secs: 0, ..RetentionSettings::default() },
        garbage_grace_secs: 0,
        ..Settings::default()
    };
    let days = Duration::from_secs(30 * 86_400);
    let policy = Arc::new(RetentionPolicy { period: days, ..RetentionPolicy::default() });
    let retention = move |_: &Tenant| policy.clone();
    Db::builder(folder).settings(settings).retention(Arc::new(retention)).open().expect("opened")
}

fn today() -> i64 {
    Timestamp::from_system(SystemTime::now()).as_ns() / DAY * DAY
}

fn is_old(row: &Row) -> bool {
    row.1 < today() - 30 * DAY
}

fn is_hit(row: &Row) -> bool {
    row.0 == "a" && row.2.contains("secret")
}

/// A table of old rows, one with lines that will be deleted, and such lines in memory.
fn fill(db: &Db) -> BTreeSet<Row> {
    let mut model = BTreeSet::new();
    for (at, (tenant, days)) in [("a", 100), ("a", 2), ("b", 2), ("a", 3)].into_iter().enumerate() {
        for i in 0..20 {
            let line = format!("{} {i}", if i % 7 == 0 { "secret" } else { "plain" });
            let time = today() - days * DAY + i;
            model.insert((tenant.to_owned(), time, line.clone()));
            let stream = PushStream::new(
                Labels::from_pairs([("app", "x")]).expect("valid"),
                vec![Entry::new(Timestamp::from_ns(time), line)],
            );
            db.push(&Tenant::new(tenant).expect("valid"), vec![stream]).expect("pushed");
        }
        if at != 1 && at != 3 {
            db.flush().expect("flushed");
        }
    }
    model
}

fn delete(db: &Db) -> crate::Result<()> {
    let tenant = Tenant::new("a").expect("valid");
    if db.delete_requests(&tenant).is_empty() {
        db.create_delete(&tenant, r#"{app="x"} |= "secret""#, TimeRange::ALL)?;
    }
    Ok(())
}

/// Looks for rows that must be there and for rows that must not. Rows that are too old may be either.
fn check(db: &Db, model: &BTreeSet<Row>, what: &str) {
    let seen = rows(db);
    let asked = !db.all_delete_requests().is_empty();
    assert!(seen.is_subset(model), "{what}");
    for row in model.iter().filter(|row| !is_old(row)) {
        assert_eq!(seen.contains(row), !(asked && is_hit(row)), "{what}: {row:?}");
    }
}

/// Does again what was broken off; then no row is left that should not be, in no file.
fn finish(db: &Db, model: &BTreeSet<Row>, what: &str) {
    delete(db).expect("made");
    while db.apply_retention().expect("applied").rewritten.conflicts > 0 {}
    let left: BTreeSet<Row> = model.iter().filter(|row| !is_old(row) && !is_hit(row)).cloned().collect();
    assert_eq!(rows(db), left, "{what}");
    assert!(db.state().manifest.pending_deletes().next().is_none(), "{what}");
    assert_eq!(db.state().manifest.packs.iter().map(|pack| pack.rows).sum::<u64>(), left.len() as u64, "{what}");
    settle(db);
    assert_eq!(rows(db), left, "{what}, settled");
}

/// The child: asks for lines to be deleted and applies retention.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let db = open(Path::new(&folder));
    delete(&db).expect("made");
    db.apply_retention().expect("applied");
}

#[test]
fn death_between_any_two_steps_brings_nothing_back() {
    for point in POINTS {
        let folder = tempfile::tempdir().expect("folder");
        let db = open(folder.path());
        let model = fill(&db);
        drop(db);
        let status = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "maintain::sweep_tests::child", "--nocapture"])
            .env(FOLDER, folder.path())
            .env("NARVI_FAILPOINT", format!("{point}=abort@0"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("run");
        assert!(!status.success(), "{point} was not reached");
        let db = open(folder.path());
        check(&db, &model, point);
        finish(&db, &model, point);
    }
}

#[test]
fn failure_at_any_step_brings_nothing_back() {
    for point in POINTS {
        let folder = tempfile::tempdir().expect("folder");
        let db = open(folder.path());
        let model = fill(&db);
        db.inner.writer.failpoints.arm(point, Action::Fail, 0, 1);
        let failed = delete(&db).and_then(|()| db.apply_retention());
        assert!(failed.is_err(), "{point} was not reached");
        check(&db, &model, point);
        db.flush().expect("flushed");
        check(&db, &model, point);
        finish(&db, &model, point);
        drop(db);
        let db = open(folder.path());
        finish(&db, &model, point);
    }
}
