//! Queriers that fail, hang or are busy; limits, retries and cancellation.

use std::{sync::atomic::Ordering, time::Duration};

use narvi::{
    Tenant,
    logql::{Budget, BudgetLimits, Data, Params},
};
use narvi_logs::{Asking, Evaluate, Forward, LogsError, Request};
use narvi_rpc::RpcErrorKind;

use crate::queriers::{Fakes, error, limits, made, query, seconds};

const S: i64 = 1_000_000_000;
const COUNT: &str = "sum(count_over_time({app=\"a\"}[10s]))";

fn status(error: &LogsError) -> u16 {
    match error {
        LogsError::Answer { status, .. } => *status,
        other => panic!("{other}"),
    }
}

#[test]
fn what_may_succeed_is_tried_again_on_another_querier() {
    let made = made(Fakes::of(&seconds(100), &[7, 9]), limits(20 * S as u64), false);
    let query = query(COUNT, Params::range(0, 90 * S, 10 * S));
    let direct = made.ask(&query).expect("answers");
    let jobs = made.fakes.jobs();
    *made.fakes.fail.lock() = vec![error(RpcErrorKind::Unavailable), error(RpcErrorKind::Corrupt).with_retryable(true)];
    assert_eq!(made.ask(&query).expect("answers").data, direct.data);
    assert_eq!(made.fakes.jobs(), 2 * jobs + 2);
}

#[test]
fn errors_of_queries_are_told_at_once() {
    let made = made(Fakes::of(&seconds(100), &[7]), limits(0), false);
    let query = query(COUNT, Params::range(0, 90 * S, 10 * S));
    for (kind, expected) in [(RpcErrorKind::Query, 400), (RpcErrorKind::Busy, 429), (RpcErrorKind::Internal, 500)] {
        let before = made.fakes.jobs();
        *made.fakes.fail.lock() = vec![error(kind)];
        let told = made.ask(&query).expect_err("fails");
        assert_eq!((status(&told), told.to_string().as_str()), (expected, "why"));
        assert_eq!(made.fakes.jobs(), before + 1, "{kind:?}");
    }
}

#[test]
fn tries_are_limited() {
    let made = made(Fakes::of(&seconds(100), &[7]), limits(0), false);
    *made.fakes.fail.lock() = vec![error(RpcErrorKind::Unavailable); 20];
    let told = made.ask(&query(COUNT, Params::range(0, 90 * S, 10 * S))).expect_err("fails");
    assert_eq!((status(&told), made.fakes.jobs()), (500, 6));
}

#[test]
fn who_cancels_or_waits_too_long_leaves_no_job_behind() {
    let made = made(Fakes::of(&seconds(100), &[7]), limits(10 * S as u64), false);
    made.fakes.hang.store(1, Ordering::SeqCst);
    let query = query(COUNT, Params::range(0, 90 * S, 10 * S));
    let mut late = BudgetLimits::default();
    late.time = Some(Duration::from_millis(50));
    let ask = |budget: &Budget| made.frontend.evaluate(&[Tenant::default()], &query, budget, &Asking::default());
    let told = ask(&Budget::new(late)).expect_err("is late");
    assert_eq!(status(&told), 504);
    assert!(told.to_string().contains("no querier has answered in time"), "{told}");
    let budget = Budget::unlimited();
    let (cancel, dropped, running) = (budget.clone(), made.fakes.dropped.clone(), made.fakes.running.clone());
    let canceller = std::thread::spawn(move || {
        while running.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        cancel.cancel();
    });
    assert!(matches!(ask(&budget), Err(LogsError::Query(_))));
    canceller.join().expect("ends");
    assert_eq!(made.fakes.running.load(Ordering::SeqCst), 0);
    assert_eq!(dropped.load(Ordering::SeqCst), made.fakes.jobs());
}

#[test]
fn jobs_at_once_and_memory_are_limited() {
    let made = made(Fakes::of(&seconds(1000), &[70]), limits(10 * S as u64), false);
    let query = query(r#"{app="a"}"#, {
        let mut params = Params::range(0, 1000 * S, 0);
        params.limit = None;
        params
    });
    made.ask(&query).expect("answers");
    assert_eq!((made.fakes.jobs(), made.fakes.most.load(Ordering::SeqCst)), (100, 3));
    let mut small = BudgetLimits::default();
    small.memory_bytes = Some(4000);
    let told = made.frontend.evaluate(&[Tenant::default()], &query, &Budget::new(small), &Asking::default());
    let told = told.expect_err("is too large").to_string();
    assert!(told.contains("more than its memory limit of 4000 bytes"), "{told}");
}

#[test]
fn bytes_that_are_read_are_limited_over_all_jobs() {
    let made = made(Fakes::of(&seconds(1000), &[10]), limits(10 * S as u64), false);
    let query = query(r#"{app="a"} |= "none""#, Params::range(0, 1000 * S, 0));
    let mut small = BudgetLimits::default();
    small.read_bytes = Some(1000);
    let told = made.frontend.evaluate(&[Tenant::default()], &query, &Budget::new(small), &Asking::default());
    let told = told.expect_err("is too much").to_string();
    assert!(told.contains("would read too many bytes"), "{told}");
}

#[test]
fn a_limit_asks_for_one_piece_at_first() {
    for (forward, first) in [(false, 980), (true, 0)] {
        let made = made(Fakes::of(&seconds(1000), &[70]), limits(20 * S as u64), false);
        let mut params = Params::range(0, 1000 * S, 0);
        params.direction = if forward { narvi::Direction::Forward } else { narvi::Direction::Backward };
        params.limit = Some(15);
        let answer = made.ask(&query(r#"{app="a"}"#, params.clone())).expect("answers");
        let Data::Streams(streams) = answer.data else { panic!("not lines") };
        assert_eq!(streams[0].entries.len(), 15);
        let read = made.fakes.read.lock().clone();
        assert_eq!(read.iter().map(|rows| rows.min / S).collect::<Vec<_>>(), [first]);
        params.limit = Some(50);
        made.ask(&query(r#"{app="a"}"#, params)).expect("answers");
        assert_eq!(made.fakes.jobs(), 1 + 3);
    }
}

#[test]
fn requests_are_handed_on_and_tried_again() {
    let made = made(Fakes::of(&seconds(1), &[7]), limits(0), false);
    *made.fakes.fail.lock() = vec![error(RpcErrorKind::Unavailable)];
    let request = Request { method: "GET".into(), uri: "/loki/api/v1/labels?x=1".into(), ..Request::default() };
    let answer = made.runtime.block_on(made.frontend.forward(&[Tenant::default()], None, request.clone()));
    assert_eq!(answer.expect("answers").body, "fake GET /loki/api/v1/labels?x=1".as_bytes());
    assert_eq!(made.fakes.jobs(), 2);
    *made.fakes.fail.lock() = vec![error(RpcErrorKind::Busy)];
    let told = made.runtime.block_on(made.frontend.forward(&[Tenant::default()], None, request));
    assert_eq!(status(&told.expect_err("is busy")), 429);
}
