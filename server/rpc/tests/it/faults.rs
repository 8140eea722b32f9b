//! Calls that end before they are over: given up, late, too many, cut off.

use std::{
    cell::Cell,
    ops::ControlFlow,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use narvi::{
    Builder, Db, Entry, HeadsDetail, HeadsRequest, Labels, PushStream, Selector, Tenant, TimeRange, Timestamp,
    logql::{Budget, BudgetLimits},
};
use narvi_rpc::{CallOptions, LabelTexts, RpcErrorKind, ServerLimits};

use crate::server::{Fake, Running, pool};

/// A database with some megabytes in memory.
fn filled() -> Db {
    let db = Builder::in_memory().open().expect("opens");
    let labels = Labels::from_pairs([("app", "x")]).expect("valid");
    let entry = |at: i64| Entry::new(Timestamp::from_ns(at), vec![b'x'; 64 << 10]);
    let stream = PushStream::new(labels, (0..160).map(entry).collect());
    db.push(&Tenant::default(), vec![stream]).expect("pushed").wait().expect("kept");
    db
}

fn request() -> HeadsRequest {
    HeadsRequest::new(&Tenant::default(), Selector::new(Vec::new()), TimeRange::ALL)
}

fn options() -> CallOptions {
    CallOptions::of(&Tenant::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_stops_the_work_for_it() {
    let (began, begun) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    let channels = Mutex::new((began, ended));
    let fake = Fake {
        heads: Box::new(move |call, request, give| {
            let (began, ended) = channels.lock().expect("no panic").clone();
            let mut frames = Vec::new();
            let mut keep = |frame| {
                frames.push(frame);
                ControlFlow::Continue(())
            };
            filled().heads().export(request, HeadsDetail::Rows, call.budget(), &mut keep)?;
            // Endless: only the caller ends it.
            let mut flow = give(frames[0].clone());
            while flow.is_continue() {
                flow = give(frames[1].clone());
                let _ = began.send(());
            }
            let _ = ended.send(call.budget().check().is_err());
            Ok(())
        }),
        ..Fake::default()
    };
    let server = Running::start(fake, ServerLimits::default()).await;
    let client = pool().ingester(&server.address).expect("an address");
    let fetch = tokio::spawn(async move {
        let budget = Budget::unlimited();
        let _ = client.heads(&options(), &request(), HeadsDetail::Rows, &budget).await;
    });
    tokio::task::spawn_blocking(move || begun.recv().expect("begins")).await.expect("no panic");
    fetch.abort();
    let cancelled = tokio::task::spawn_blocking(move || end.recv().expect("ends")).await.expect("no panic");
    assert!(cancelled, "the budget of the call must be cancelled");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_used_up_ends_the_fetch_and_the_work() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let fake = Fake {
        heads: Box::new(move |call, request, give| {
            let db = filled();
            let broke = Cell::new(false);
            let mut give = |frame: Bytes| {
                let flow = give(frame);
                broke.set(broke.get() || flow.is_break());
                flow
            };
            while !broke.get() && call.budget().check().is_ok() {
                db.heads().export(request, HeadsDetail::Rows, call.budget(), &mut give)?;
            }
            let _ = ended.lock().expect("no panic").send(());
            Ok(())
        }),
        ..Fake::default()
    };
    let server = Running::start(fake, ServerLimits::default()).await;
    let client = pool().ingester(&server.address).expect("an address");
    let mut limits = BudgetLimits::default();
    limits.memory_bytes = Some(2 << 20);
    let error = client.heads(&options(), &request(), HeadsDetail::Rows, &Budget::new(limits)).await.expect_err("much");
    assert!(error.kind() == RpcErrorKind::Query && error.message().contains("memory limit"), "{error}");
    tokio::task::spawn_blocking(move || end.recv().expect("ends")).await.expect("no panic");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_the_caller_ends_the_work_too() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let fake = Fake {
        texts: Box::new(move |call, _| {
            assert_eq!(call.budget().limits().time, Some(Duration::from_millis(50)));
            while call.budget().check().is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let _ = ended.lock().expect("no panic").send(());
            Ok(LabelTexts::default())
        }),
        ..Fake::default()
    };
    let server = Running::start(fake, ServerLimits::default()).await;
    let client = pool().ingester(&server.address).expect("an address");
    let options = options().within(Duration::from_millis(50));
    let error = client.label_names(&options, &[], TimeRange::ALL).await.expect_err("late");
    assert!(error.kind() == RpcErrorKind::Deadline && error.is_retryable(), "{error}");
    tokio::task::spawn_blocking(move || end.recv().expect("ends")).await.expect("no panic");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_do_not_take_the_place_of_pushes() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let fake = Fake {
        texts: Box::new(move |_, _| {
            let _ = began.send(());
            let _ = wait.lock().expect("no panic").recv();
            Ok(LabelTexts::default())
        }),
        ..Fake::default()
    };
    let server = Running::start(fake, ServerLimits { reads: 1, ..ServerLimits::default() }).await;
    let client = pool().ingester(&server.address).expect("an address");
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.label_names(&options(), &[], TimeRange::ALL).await }
    });
    begun.recv().await.expect("begins");
    let error = client.label_names(&options(), &[], TimeRange::ALL).await.expect_err("one at once");
    assert!(error.kind() == RpcErrorKind::Busy && error.is_retryable(), "{error}");
    let entry = Entry::new(Timestamp::from_ns(1), "x");
    let stream = PushStream::new(Labels::from_pairs([("a", "b")]).expect("valid"), vec![entry]);
    client.push(&Tenant::default(), &options(), &[stream]).await.expect("taken");
    client.flush(&options()).await.expect("taken");
    go.send(()).expect("waits");
    first.await.expect("no panic").expect("answered");
    server.stop().await;
}

#[test]
fn a_server_that_dies_gives_an_error_and_no_rows() {
    let client_runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server_runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (given, gave) = mpsc::channel();
    let given = Mutex::new(given);
    let (never, stuck) = mpsc::channel::<()>();
    let stuck = Arc::new(Mutex::new(stuck));
    let fake = Fake {
        heads: Box::new(move |call, request, give| {
            let mut left = 3;
            let mut some = |frame: Bytes| {
                left -= 1;
                let flow = give(frame);
                if left == 0 { ControlFlow::Break(()) } else { flow }
            };
            filled().heads().export(request, HeadsDetail::Rows, call.budget(), &mut some)?;
            let _ = given.lock().expect("no panic").send(());
            let _ = stuck.lock().expect("no panic").recv();
            Ok(())
        }),
        ..Fake::default()
    };
    let server = server_runtime.block_on(Running::start(fake, ServerLimits::default()));
    let address = server.address.clone();
    let fetch = client_runtime.spawn(async move {
        let client = pool().ingester(&address).expect("an address");
        client.heads(&options(), &request(), HeadsDetail::Rows, &Budget::unlimited()).await
    });
    gave.recv().expect("begins");
    server_runtime.shutdown_background();
    let error = client_runtime.block_on(fetch).expect("no panic").expect_err("rows are missing");
    assert!(error.kind() == RpcErrorKind::Unavailable && error.is_retryable(), "{:?} {error}", error.kind());
    drop((never, server));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ends_without_its_end_is_refused() {
    let fake = Fake {
        heads: Box::new(|call, request, give| {
            let mut left = 2;
            let mut some = |frame: Bytes| {
                left -= 1;
                let flow = give(frame);
                if left == 0 { ControlFlow::Break(()) } else { flow }
            };
            Ok(filled().heads().export(request, HeadsDetail::Rows, call.budget(), &mut some)?)
        }),
        ..Fake::default()
    };
    let server = Running::start(fake, ServerLimits::default()).await;
    let client = pool().ingester(&server.address).expect("an address");
    let error = client.heads(&options(), &request(), HeadsDetail::Rows, &Budget::unlimited()).await;
    let error = error.expect_err("no last frame");
    assert!(error.kind() == RpcErrorKind::Unavailable && error.is_retryable(), "{error}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_anyone_are_an_error() {
    for bad in [&b""[..], b"\x01", b"\x07\x00", b"\xff\xff\xff\xff"] {
        let fake = Fake {
            heads: Box::new(move |_, _, give| {
                let _ = give(Bytes::from_static(bad));
                Ok(())
            }),
            ..Fake::default()
        };
        let server = Running::start(fake, ServerLimits::default()).await;
        let client = pool().ingester(&server.address).expect("an address");
        let error = client.heads(&options(), &request(), HeadsDetail::Rows, &Budget::unlimited()).await;
        assert_eq!(error.expect_err("no frame").kind(), RpcErrorKind::Corrupt);
        server.stop().await;
    }
}
