//! Sizes, tails with slow readers, and leaving.

use narvi::{Reader, ReaderSettings, Tenant, TimeRange};
use narvi_ingester::IngesterSettings;
use narvi_rpc::{IngesterService as _, RpcErrorKind};

use crate::{Running, lines, options, selector};

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_told_what_it_missed() {
    const PUSHES: i64 = 64;
    const LINES: i64 = 16;
    let running = Running::start(IngesterSettings::default()).await;
    let tenant = Tenant::default();
    let client = &running.client;
    let mut tail = client.tail(&tenant, &selector()).await.expect("followed");
    // More than all buffers on the way hold.
    for push in 0..PUSHES {
        let some = lines("a", push * LINES, LINES, 64 << 10);
        client.push(&tenant, &options(&tenant), &[some]).await.expect("taken");
    }
    let (mut got, mut listed, mut dropped) = (Vec::new(), Vec::new(), 0);
    while got.len() as u64 + dropped < (PUSHES * LINES) as u64 {
        let part = tail.next().await.expect("goes on").expect("goes on");
        got.extend(part.batches.iter().flat_map(|batch| batch.entries.iter().map(|entry| entry.timestamp.as_ns())));
        listed.extend(part.dropped.iter().map(|line| line.timestamp.as_ns()));
        dropped += part.dropped_count;
    }
    assert!(dropped > 0, "nothing was dropped");
    assert!(got.is_sorted(), "the order of pushes");
    got.extend(listed);
    got.sort_unstable();
    assert!(got == (0..PUSHES * LINES).collect::<Vec<_>>(), "each line comes or is told to be missing, once");
    drop(tail);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_too_large_is_refused() {
    let settings = IngesterSettings { max_push_bytes: 1000, max_push_lines: 10 };
    let running = Running::start(settings).await;
    let tenant = Tenant::default();
    for bad in [lines("a", 0, 11, 1), lines("a", 0, 2, 1000)] {
        let error = running.client.push(&tenant, &options(&tenant), &[bad]).await.expect_err("too large");
        assert!(error.kind() == RpcErrorKind::TooLarge && !error.is_retryable(), "{error}");
    }
    running.client.push(&tenant, &options(&tenant), &[lines("a", 0, 10, 10)]).await.expect("taken");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_keeps_what_was_pushed_and_takes_no_more() {
    let running = Running::start(IngesterSettings::default()).await;
    let tenant = Tenant::default();
    let (client, options) = (&running.client, options(&tenant));
    client.push(&tenant, &options, &[lines("a", 0, 10, 1)]).await.expect("taken");
    assert_eq!(running.ingester.ready(), Ok(()));
    let ingester = running.ingester.clone();
    tokio::task::spawn_blocking(move || ingester.leave()).await.expect("no panic").expect("flushed");
    assert!(running.ingester.ready().is_err());
    running.ingester.set_ready();
    assert!(running.ingester.ready().is_err(), "who leaves does not come back");
    let error = client.push(&tenant, &options, &[lines("a", 10, 1, 1)]).await.expect_err("leaving");
    assert!(error.kind() == RpcErrorKind::Unavailable && error.is_retryable(), "{error}");
    let reader = Reader::open(running.store.clone(), ReaderSettings::default()).expect("opens");
    let snapshot = reader.snapshot(&tenant).expect("readable");
    assert_eq!(snapshot.stream_stats(&selector(), TimeRange::ALL).expect("readable").entries, 10);
    running.stop().await;
}
