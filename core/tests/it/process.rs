//! A data directory among processes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
};

use narvi::{Db, Entry, ErrorKind, Labels, PushStream, Tenant, Timestamp};

const FOLDER: &str = "NARVI_TEST_FOLDER";

fn push(db: &Db, line: &str) {
    let labels = Labels::from_pairs([("app", "x")]).expect("valid");
    let entry = Entry::new(Timestamp::from_secs(1), line.to_owned());
    db.push(&Tenant::default(), vec![PushStream::new(labels, vec![entry])]).expect("pushed").wait().expect("synced");
}

/// The other process: opens the directory, pushes, tells, and waits for its end.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let db = Db::open(folder).expect("opened");
    push(&db, "from the child");
    std::io::stdout().write_all(b"\nopen\n").expect("told");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_second_process_is_told_and_the_lock_dies_with_its_owner() {
    let folder = tempfile::tempdir().expect("folder");
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "process::child", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    assert!(output.lines().map_while(Result::ok).any(|line| line == "open"), "the child opened it");
    let error = Db::open(folder.path()).expect_err("locked");
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("another process"), "{error}");
    child.kill().expect("killed");
    child.wait().expect("dead");
    let db = Db::open(folder.path()).expect("opened");
    assert_eq!(db.open_report().replayed_rows, 1);
}
