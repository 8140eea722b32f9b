//! Tails: what several ingesters tell is given once, also when some fail.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use narvi::{Tenant, logql};
use narvi_logs::{Follow, Read};
use narvi_querier::QuerierSettings;

use crate::cluster::{Cluster, DOWN, streams};

/// Reads until so many lines came, and then what else there is.
fn read(tail: &mut dyn Follow, count: usize) -> Vec<i64> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut times = Vec::new();
    while times.len() < count && Instant::now() < deadline {
        let rows = tail.recv_timeout(Duration::from_millis(100)).expect("evaluates");
        times.extend(rows.unwrap_or_default().iter().map(|row| row.ts));
    }
    while let Some(rows) = tail.recv_timeout(Duration::from_millis(200)).expect("evaluates") {
        times.extend(rows.iter().map(|row| row.ts));
    }
    times
}

#[test]
fn pushes_are_told_once_by_any_ingester() {
    let cluster = Cluster::new(QuerierSettings::default());
    let query = logql::parse(r#"{app="x"} |= "line 1""#).expect("valid");
    // One that fails now is followed by the others; one that fails later too.
    cluster.fail(&[0]);
    let mut tail = cluster.querier.tail(&Tenant::default(), &query, false).expect("two of three");
    for time in 0..50 {
        cluster.fail(&[(time / 10) as usize % 3]);
        cluster.push(streams(&[(0, time, 1), (1, time, 2)])).expect("two of three");
    }
    let times = read(&mut *tail, 50);
    assert_eq!(times.len(), 50);
    assert_eq!(times.iter().collect::<BTreeSet<_>>().len(), 50);
    assert_eq!(tail.take_dropped().1, 0);
    assert!(!tail.is_closed());
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let cluster = Cluster::new(QuerierSettings::default());
    let metric = logql::parse(r#"rate({app="x"}[1m])"#).expect("valid");
    assert!(cluster.querier.tail(&Tenant::default(), &metric, false).is_err());
    cluster.fail(&[0, 1]);
    let query = logql::parse(r#"{app="x"}"#).expect("valid");
    let error = cluster.querier.tail(&Tenant::default(), &query, false).err().expect("too few");
    assert_eq!(error.to_string(), DOWN);
}
