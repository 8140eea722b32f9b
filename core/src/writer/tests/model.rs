//! Random operations with faults at every step, against a naive model: a map of rows.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proptest::prelude::*;

use super::{
    PushStream,
    dump::{Rows, distinct, dump, expect_push},
    quiet, stream, tenant,
};
use crate::{Db, Fault, FaultStore, MemoryStore, Settings, Store, StoreErrorKind, failpoint::Action};

#[derive(Clone, Debug)]
enum Step {
    Push {
        tenant: u8,
        rows: Vec<(u8, i64, u8)>,
    },
    Flush,
    Reopen,
    Garbage,
    /// The next steps of the store fail: how many pass before, how many fail, before or after the deed.
    StoreFault {
        pass: u8,
        fail: u8,
        after: bool,
    },
    /// A fail point acts once.
    Failpoint {
        name: usize,
        skip: u8,
    },
}

const FAILPOINTS: [&str; 11] = [
    "push.append",
    "push.appended",
    "rotate.begin",
    "rotate.created",
    "flush.begin",
    "flush.pack",
    "flush.table",
    "flush.commit",
    "flush.committed",
    "flush.swapped",
    "flush.wal_removed",
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = proptest::collection::vec((0u8..3, -3i64..40, 0u8..4), 1..6);
    let step = prop_oneof![
        6 => (0u8..2, rows).prop_map(|(tenant, rows)| Step::Push { tenant, rows }),
        3 => Just(Step::Flush),
        2 => Just(Step::Reopen),
        1 => Just(Step::Garbage),
        2 => (0u8..8, 1u8..4, any::<bool>()).prop_map(|(pass, fail, after)| Step::StoreFault { pass, fail, after }),
        2 => (0..FAILPOINTS.len(), 0u8..2).prop_map(|(name, skip)| Step::Failpoint { name, skip }),
    ];
    proptest::collection::vec(step, 1..30)
}

/// A store whose next steps can be made to fail.
fn faulty() -> (Arc<dyn Store>, Arc<[AtomicU64; 3]>) {
    let plan: Arc<[AtomicU64; 3]> = Arc::default();
    let [pass, fail, after] = [0, 1, 2];
    let asked = plan.clone();
    let store = FaultStore::new(Arc::new(MemoryStore::new()), move |_, _, _| {
        let take = |at: usize| asked[at].fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if take(pass) || !take(fail) {
            return None;
        }
        let kind = StoreErrorKind::Unavailable;
        Some(if asked[after].load(Ordering::SeqCst) == 1 { Fault::After(kind) } else { Fault::Before(kind) })
    });
    (Arc::new(store), plan)
}

/// Ends all faults of the store.
fn heal(plan: &[AtomicU64; 3]) {
    plan.iter().for_each(|n| n.store(0, Ordering::SeqCst));
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().expect("folder");
    let (store, plan) = faulty();
    let settings = Settings { garbage_grace_secs: 0, ..quiet() };
    let open = || Db::builder(folder.path()).store(store.clone()).settings(settings.clone()).open();
    let mut db = Some(open().expect("opened"));
    // What must be there, and what may be: pushes that were refused half-way.
    let (mut sure, mut maybe) = (Rows::new(), Rows::new());
    for step in steps {
        match step {
            Step::Push { tenant: name, rows } => {
                let tenant = tenant(&format!("t{name}"));
                let rows = rows.iter().map(|(app, ts, line)| {
                    stream(&format!("a{app}"), &[(ts * 3_600_000_000_000, &format!("line {line}"))])
                });
                let streams: Vec<PushStream> = rows.collect();
                let pushed = db.as_ref().expect("open").push(&tenant, streams.clone());
                expect_push(if pushed.is_ok() { &mut sure } else { &mut maybe }, &tenant, &streams);
            }
            Step::Flush => drop(db.as_ref().expect("open").flush()),
            Step::Garbage => drop(db.as_ref().expect("open").collect_garbage()),
            Step::Reopen => {
                drop(db.take());
                // A store that fails may fail to open; then it heals.
                db = Some(
                    open()
                        .or_else(|_| {
                            heal(&plan);
                            open()
                        })
                        .expect("opened"),
                );
            }
            Step::StoreFault { pass, fail, after } => {
                for (n, value) in plan.iter().zip([pass, fail, u8::from(after)]) {
                    n.store(value.into(), Ordering::SeqCst);
                }
            }
            Step::Failpoint { name, skip } => {
                let points = &db.as_ref().expect("open").inner.writer.failpoints;
                points.arm(FAILPOINTS[name], Action::Fail, skip.into(), 1);
            }
        }
        heal_for_dump(&plan, db.as_ref().expect("open"), &sure, &maybe)?;
    }
    heal(&plan);
    drop(db);
    let db = open().expect("opened");
    check(&dump(&db), &sure, &maybe)?;
    db.flush().expect("flushed");
    check(&dump(&db), &sure, &maybe)?;
    db.collect_garbage().expect("collected");
    let objects = store.list("").expect("listed").into_iter().filter(|o| !o.key.starts_with("manifest")).count();
    prop_assert_eq!(objects, db.state().manifest.names().len(), "nothing but what the manifest names");
    check(&dump(&db), &sure, &maybe)
}

/// Looks at the rows with the faults put off.
fn heal_for_dump(plan: &[AtomicU64; 3], db: &Db, sure: &Rows, maybe: &Rows) -> Result<(), TestCaseError> {
    let before: Vec<u64> = plan.iter().map(|n| n.load(Ordering::SeqCst)).collect();
    heal(plan);
    let rows = dump(db);
    plan.iter().zip(before).for_each(|(n, value)| n.store(value, Ordering::SeqCst));
    check(&rows, sure, maybe)
}

/// Every acknowledged row is there, no row that was not pushed, and none more often than it was pushed.
fn check(rows: &Rows, sure: &Rows, maybe: &Rows) -> Result<(), TestCaseError> {
    for row in distinct(sure) {
        prop_assert!(rows.contains_key(row), "lost: {:?}", row);
    }
    for (row, count) in rows {
        let pushed = sure.get(row).unwrap_or(&0) + maybe.get(row).unwrap_or(&0);
        prop_assert!(*count <= pushed, "{:?} is there {} times, pushed {}", row, count, pushed);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn no_acknowledged_row_is_lost_or_doubled(steps in steps()) {
        run(steps)?;
    }
}
