//! Pushed lines are read once each, before they are in files, after, and while it happens.

use narvi::{
    HeadsDetail, HeadsRequest, Reader, ReaderSettings, Snapshot, Tenant, TimeRange,
    logql::{Budget, Data, Inline, Params, Query, evaluate, parse},
};
use narvi_ingester::IngesterSettings;

use crate::{Running, lines, options, selector};

/// Numbers at the beginning of all lines of a snapshot, in the order of times.
fn numbers(snapshot: &Snapshot) -> Vec<i64> {
    let mut params = Params::range(i64::MIN, i64::MAX, 0);
    params.limit = None;
    let query = Query::new(parse(r#"{app="x"}"#).expect("valid"), params);
    let answer = evaluate(&query, snapshot, &Inline, &Budget::unlimited()).expect("readable");
    let Data::Streams(streams) = answer.data else { panic!("a log query") };
    let entries = streams.iter().flat_map(|stream| &stream.entries);
    let mut out: Vec<i64> =
        entries.map(|entry| String::from_utf8_lossy(&entry.line[..10]).parse().expect("a number")).collect();
    out.sort_unstable();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_read_once_before_and_after_a_flush() {
    let running = Running::start(IngesterSettings::default()).await;
    let tenant = Tenant::default();
    let reader = Reader::open(running.store.clone(), ReaderSettings { max_age_ms: 3_600_000, query_threads: 1 });
    let reader = reader.expect("opens");
    let (client, options, budget) = (running.client.clone(), options(&tenant), Budget::unlimited());
    let request = HeadsRequest::new(&tenant, selector(), TimeRange::ALL);
    let fetch = || client.heads(&options, &request, HeadsDetail::Rows, &budget);
    let read = |heads| {
        let (reader, tenant) = (reader.clone(), tenant.clone());
        async move {
            let read = move || numbers(&reader.snapshot_with(&tenant, vec![heads]).expect("complete"));
            tokio::task::spawn_blocking(read).await.expect("no panic")
        }
    };
    // Some twelve megabytes, which is more than a message may have.
    let some = [lines("a", 0, 100, 60_000), lines("b", 100, 100, 60_000)];
    client.push(&tenant, &options, &some).await.expect("taken");
    let expected: Vec<i64> = (0..200).collect();
    assert!(read(fetch().await.expect("answered")).await == expected, "in memory");
    // Asked before they are in files, used after.
    let asked_before = fetch().await.expect("answered");
    assert!(client.flush(&options).await.expect("flushed") > 0);
    assert!(read(asked_before).await == expected, "flushed in between");
    assert!(read(fetch().await.expect("answered")).await == expected, "in files");
    // What failed in part is pushed again as a whole.
    client.push(&tenant, &options, &[lines("a", 50, 100, 60_000), lines("c", 200, 5, 10)]).await.expect("taken");
    let heads = fetch().await.expect("answered");
    // Fifty lines of stream a stand beside those of stream b with the same numbers.
    let expected: Vec<i64> =
        (0..205).flat_map(|n| std::iter::repeat_n(n, if (100..150).contains(&n) { 2 } else { 1 })).collect();
    assert!(read(heads).await == expected, "some in files, some in memory, some in both");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_summaries_of_memory_are_told() {
    let running = Running::start(IngesterSettings::default()).await;
    let tenant = Tenant::new("acme").expect("valid");
    let (client, options) = (&running.client, options(&tenant));
    client.push(&tenant, &options, &[lines("a", 0, 3, 1), lines("b", 10, 1, 1)]).await.expect("taken");
    let names = client.label_names(&options, &[], TimeRange::ALL).await.expect("answered");
    assert_eq!(names.texts, ["app", "stream"]);
    let selector = selector();
    let matchers = selector.matchers();
    let values = client.label_values(&options, "stream", matchers, TimeRange::new(5, 20)).await.expect("answered");
    assert_eq!(values.texts, ["b"]);
    let others = client.label_values(&crate::options(&Tenant::default()), "stream", &[], TimeRange::ALL).await;
    assert!(others.expect("answered").texts.is_empty(), "another tenant's");
    let request = HeadsRequest::new(&tenant, selector.clone(), TimeRange::ALL);
    let budget = Budget::unlimited();
    let heads = client.heads(&options, &request, HeadsDetail::Summaries, &budget).await.expect("answered");
    let reader = Reader::open(running.store.clone(), ReaderSettings::default()).expect("opens");
    let snapshot = reader.snapshot_with(&tenant, vec![heads]).expect("complete");
    let series = snapshot.series(&[selector], TimeRange::ALL).expect("readable");
    assert_eq!(series.len(), 2);
    drop(snapshot);
    running.stop().await;
}
