//! Rows: each acknowledged one is answered once.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use narvi::logql::{Data, Params};
use narvi_querier::QuerierSettings;
use proptest::prelude::*;

use crate::cluster::{Cluster, DOWN, INGESTERS, NOW_MS, model, streams};

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<(u8, i64, u8)>),
    Flush(usize),
    /// One ingester can be reached by nobody, or all can again.
    Fail(Option<usize>),
    /// Whether an ingester flushes between its answer and the look at the store.
    FlushAfter(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = prop::collection::vec((0u8..4, 0i64..12, 0u8..4), 1..8);
    let step = prop_oneof![
        5 => rows.prop_map(Step::Push),
        2 => (0..INGESTERS).prop_map(Step::Flush),
        2 => prop::option::of(0..INGESTERS).prop_map(Step::Fail),
        1 => (0..INGESTERS, any::<bool>()).prop_map(|(at, flushes)| Step::FlushAfter(at, flushes)),
    ];
    prop::collection::vec(step, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn each_acknowledged_row_is_answered_once(steps in steps()) {
        let cluster = Cluster::new(QuerierSettings { query_ingesters_within: Duration::ZERO, ..Default::default() });
        let mut expected = BTreeSet::new();
        for step in &steps {
            match step {
                Step::Push(rows) => {
                    prop_assert!(cluster.push(streams(rows)).is_ok(), "two of three are there");
                    expected.extend(model(rows));
                }
                Step::Flush(at) => cluster.fakes.0[*at].db.flush().expect("flushes"),
                Step::Fail(which) => cluster.fail(&which.iter().copied().collect::<Vec<_>>()),
                Step::FlushAfter(at, flushes) => cluster.fakes.0[*at].flushes.store(*flushes, Ordering::SeqCst),
            }
            let rows = cluster.rows().expect("two of three answer");
            prop_assert_eq!(&rows, &expected.iter().cloned().collect::<Vec<_>>());
            let count = cluster.evaluate(r#"sum(count_over_time({app="x"}[1h]))"#, Params::instant(1_000_000_000));
            let Data::Vector(samples) = count.expect("answers").data else { panic!("a vector") };
            prop_assert_eq!(samples.first().map_or(0.0, |sample| sample.value), expected.len() as f64);
        }
    }
}

#[test]
fn too_few_ingesters_are_told_as_loki_does() {
    let cluster = Cluster::new(QuerierSettings { query_ingesters_within: Duration::ZERO, ..Default::default() });
    cluster.push(streams(&[(0, 1, 1)])).expect("all are there");
    cluster.fail(&[2]);
    assert_eq!(cluster.rows().expect("two answer").len(), 1);
    cluster.fail(&[1, 2]);
    assert_eq!(cluster.rows().expect_err("too few").to_string(), DOWN);
    assert_eq!(cluster.push(streams(&[(0, 2, 1)])).expect_err("too few").to_string(), DOWN);
    // Those that were not heard of for long are not even asked.
    let silent = Cluster::with_heartbeats([NOW_MS, 1, 1], QuerierSettings::default());
    let params = Params::range(0, i64::MAX, 0);
    let error = silent.evaluate(r#"{app="x"}"#, params).expect_err("too few");
    assert_eq!(error.to_string(), "too many unhealthy instances in the ring");
}

#[test]
fn settings_say_who_is_asked() {
    let now = i64::try_from(NOW_MS).expect("fits") * 1_000_000;
    let hour = 3_600_000_000_000;
    let ask = |settings: QuerierSettings, start: i64, end: i64| {
        let cluster = Cluster::new(settings);
        // One row in files, one in memory.
        cluster.push(streams(&[(0, now - 5 * hour, 1)])).expect("all are there");
        cluster.settle(1);
        cluster.fakes.0.iter().for_each(|one| one.db.flush().expect("flushes"));
        cluster.push(streams(&[(0, now - 4 * hour, 2)])).expect("all are there");
        cluster.settle(1);
        cluster.reader.refresh().expect("readable");
        let Data::Streams(found) =
            cluster.evaluate(r#"{app="x"}"#, Params::range(start, end, 0)).expect("answers").data
        else {
            panic!("lines")
        };
        found.iter().flat_map(|stream| &stream.entries).map(|e| e.line.to_vec()).collect::<BTreeSet<_>>()
    };
    let lines = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<BTreeSet<_>>();
    let recent = QuerierSettings::default;
    assert_eq!(ask(recent(), now - 6 * hour, now), lines(&["line 1", "line 2"]));
    // Old times are read from the store alone.
    assert_eq!(ask(recent(), now - 6 * hour, now - 3 * hour - 1), lines(&["line 1"]));
    let ingester_only = QuerierSettings { query_ingester_only: true, ..recent() };
    assert_eq!(ask(ingester_only, now - 6 * hour, now), lines(&["line 2"]));
    let store_only = QuerierSettings { query_store_only: true, ..recent() };
    assert_eq!(ask(store_only, now - 6 * hour, now), lines(&["line 1"]));
}
