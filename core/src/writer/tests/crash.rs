//! Kills a process at work, at any moment and between any two steps, and looks for what it had acknowledged.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{dump::dump, open, quiet, stream, tenant};
use crate::Db;

const FOLDER: &str = "NARVI_CRASH_FOLDER";
const ROUND: &str = "NARVI_CRASH_ROUND";
const THREADS: i64 = 3;

/// The child: pushes from several threads and tells of every acknowledged line, for ever.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let round: i64 = std::env::var(ROUND).expect("set").parse().expect("a number");
    let mut settings = quiet();
    settings.flush.generation_bytes = 30_000;
    settings.flush.max_waiting_bytes = 30_000;
    settings.flush.retry_min_ms = 1;
    let db = Db::builder(folder).settings(settings).open().expect("opened");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let db = &db;
            scope.spawn(move || {
                for i in 0.. {
                    let line = format!("{round}-{thread}-{i}");
                    let padded = format!("{line} {}", "x".repeat(200));
                    let streams = vec![stream(&format!("a{}", i % 5), &[(i, padded.as_str())])];
                    db.push(&tenant("a"), streams).expect("pushed").wait().expect("synced");
                    std::io::stdout().lock().write_all(format!("ack {line}\n").as_bytes()).expect("told");
                }
            });
        }
    });
}

fn spawn(folder: &Path, round: usize, failpoint: &str) -> Child {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "writer::tests::crash::child", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .env("NARVI_FAILPOINT", failpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

/// Reads what the child tells until it dies; kills it after so many lines.
fn watch(mut child: Child, kill_after: usize, acked: &mut BTreeSet<String>) {
    let mut input = BufReader::new(child.stdout.take().expect("piped"));
    let (mut text, mut lines) = (String::new(), 0);
    while input.read_line(&mut text).expect("readable") > 0 {
        if let Some(line) = text.strip_prefix("ack ").and_then(|t| t.strip_suffix('\n')) {
            acked.insert(line.to_owned());
            lines += 1;
            if lines == kill_after {
                child.kill().expect("killed");
            }
        }
        text.clear();
    }
    child.wait().expect("dead");
}

/// Every acknowledged line once, and no line twice.
fn check(folder: &Path, acked: &BTreeSet<String>, what: &str) {
    let db = open(folder);
    let rows = dump(&db);
    let report = db.open_report();
    assert!(report.damage.is_empty(), "{what}: {report:?}");
    let found: BTreeSet<String> =
        rows.keys().map(|row| row.3.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(found.len(), rows.len(), "{what}: every line is another one");
    let lost: Vec<_> = acked.difference(&found).collect();
    assert!(lost.is_empty(), "{what}: lost {lost:?}");
    assert!(rows.values().all(|count| *count == 1), "{what}: a line is there twice");
}

#[test]
fn every_acknowledged_line_survives_a_kill_once() {
    let folder = tempfile::tempdir().expect("folder");
    let mut acked = BTreeSet::new();
    for (round, kill_after) in [1, 50, 333, 1000, 2500].into_iter().enumerate() {
        watch(spawn(folder.path(), round, ""), kill_after, &mut acked);
        check(folder.path(), &acked, &format!("round {round}"));
    }
    assert!(acked.len() > 3800);
}

#[test]
fn death_between_any_two_steps_loses_nothing() {
    let points = [
        "push.append@700",
        "push.appended@700",
        "rotate.begin@1",
        "rotate.created@2",
        "flush.begin",
        "flush.pack@1",
        "flush.table@1",
        "flush.commit@1",
        "flush.committed@1",
        "flush.swapped@1",
        "flush.wal_removed@1",
        "open.replayed",
    ];
    let folder = tempfile::tempdir().expect("folder");
    let mut acked = BTreeSet::new();
    for (round, point) in points.into_iter().enumerate() {
        let (name, skip) = point.split_once('@').unwrap_or((point, "0"));
        let failpoint = format!("{name}=abort@{skip}");
        watch(spawn(folder.path(), round, &failpoint), 20_000, &mut acked);
        check(folder.path(), &acked, point);
    }
}
