//! Queriers and schedulers that are lost, stop or come back.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::StreamExt as _;
use narvi_rpc::{AnswerReader, Job, RpcErrorKind, SchedulerService as _, Task};
use narvi_scheduler::{Addresses, Jobs};

use crate::cluster::{Fake, Gate, Running, ask, jobs, pool, request, scheduler, tenant, until, worker};

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_querier_that_is_lost_are_handed_to_another() {
    let (lost, kept) = (Gate::closed(), Gate::closed());
    let server = Running::start(scheduler()).await;
    let dying = worker("q1", 3, lost.work(), &[&server.address]);
    until(|| server.scheduler.queriers() == 1).await;
    let jobs = jobs(&[&server.address]);
    let asked: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let jobs = jobs.clone();
            tokio::spawn(async move { ask(&jobs, name, &format!("/{name}")).await })
        })
        .collect();
    until(|| lost.arrived() == 3).await;
    drop(dying);
    let other = worker("q2", 2, kept.work(), &[&server.address]);
    kept.let_through(3);
    for (job, name) in asked.into_iter().zip(["/a", "/b", "/c"]) {
        assert_eq!(job.await.expect("no panic").expect("answered"), name);
    }
    assert_eq!(kept.arrived(), 3, "each once");
    until(|| server.scheduler.queriers() == 1).await;
    other.shutdown().await;
    until(|| server.scheduler.queriers() == 0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_queriers_die_of_does_not_take_them_all() {
    let server = Running::start(scheduler()).await;
    let jobs = jobs(&[&server.address]);
    let asked = tokio::spawn(async move { ask(&jobs, "a", "/").await });
    let died = AtomicUsize::new(0);
    while !asked.is_finished() {
        let gate = Gate::closed();
        let dying = worker("q", 1, gate.work(), &[&server.address]);
        until(|| gate.arrived() == 1 || asked.is_finished()).await;
        died.fetch_add(gate.arrived(), Ordering::Relaxed);
        drop(dying);
        until(|| server.scheduler.queriers() == 0).await;
        // Told, or waiting for the next.
        until(|| asked.is_finished() || server.scheduler.waiting() == 1).await;
    }
    let error = asked.await.expect("no panic").expect_err("all were lost");
    assert_eq!(error.to_string(), "3 queriers in a row were lost while they had the query");
    assert!(error.kind() == RpcErrorKind::Unavailable && !error.is_retryable());
    assert_eq!(died.load(Ordering::Relaxed), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_querier_that_stops_finishes_its_jobs_and_takes_no_more() {
    let gate = Gate::closed();
    let server = Running::start(scheduler()).await;
    let stopping = worker("q1", 2, gate.work(), &[&server.address]);
    until(|| server.scheduler.queriers() == 1).await;
    let jobs = jobs(&[&server.address]);
    let running = {
        let jobs = jobs.clone();
        tokio::spawn(async move { ask(&jobs, "a", "/1").await })
    };
    until(|| gate.arrived() == 1).await;
    let stopped = tokio::spawn(stopping.shutdown());
    let waiting = tokio::spawn(async move { ask(&jobs, "a", "/2").await });
    // Its other place may have been offered the job before it left; if so, it runs it too.
    until(|| server.scheduler.waiting() == 1 || gate.arrived() == 2).await;
    gate.let_through(2);
    assert_eq!(running.await.expect("no panic").expect("finished"), "/1");
    stopped.await.expect("no panic");
    until(|| server.scheduler.queriers() == 0).await;
    let other = worker("q2", 1, gate.work(), &[&server.address]);
    assert_eq!(waiting.await.expect("no panic").expect("answered"), "/2");
    assert_eq!(gate.arrived(), 2, "each once");
    other.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_restarts_gets_its_queriers_back() {
    let first = Running::start(scheduler()).await;
    let address = first.address.clone();
    let worker = worker("q", 2, Fake::named("q"), &[&address]);
    let jobs = jobs(&[&address]);
    assert_eq!(ask(&jobs, "a", "/").await.expect("answered"), "q a");
    first.stop().await;
    let error = ask(&jobs, "a", "/").await.expect_err("nobody there");
    assert!(error.kind() == RpcErrorKind::Unavailable && error.is_retryable(), "{error}");
    let again = Running::start_at(address.parse().expect("an address"), scheduler()).await;
    assert_eq!(ask(&jobs, "a", "/").await.expect("answered"), "q a");
    until(|| again.scheduler.queriers() == 1).await;
    again.kill().await;
    let last = Running::start_at(address.parse().expect("an address"), scheduler()).await;
    assert_eq!(ask(&jobs, "a", "/").await.expect("answered"), "q a");
    worker.shutdown().await;
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_stops_refuses_what_waits_and_finishes_what_runs() {
    let gate = Gate::closed();
    let server = Running::start(scheduler()).await;
    let worker = worker("q", 1, gate.work(), &[&server.address]);
    let scheduler = server.scheduler.clone();
    let jobs = jobs(&[&server.address]);
    let ask = |uri: &'static str| {
        let jobs = jobs.clone();
        tokio::spawn(async move { ask(&jobs, "a", uri).await })
    };
    let running = ask("/1");
    until(|| gate.arrived() == 1).await;
    let waiting = ask("/2");
    until(|| scheduler.waiting() == 1).await;
    let stopped = tokio::spawn(server.stop());
    let refused = waiting.await.expect("no panic").expect_err("refused");
    assert!(refused.kind() == RpcErrorKind::Unavailable && refused.is_retryable(), "{refused}");
    assert!(scheduler.ready().is_err());
    gate.let_through(1);
    assert_eq!(running.await.expect("no panic").expect("finished"), "/1");
    stopped.await.expect("no panic");
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schedulers_that_are_down_are_skipped() {
    let (down, up) = (Running::start(scheduler()).await, Running::start(scheduler()).await);
    let addresses = [down.address.clone(), up.address.clone()];
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let worker = worker("q", 4, Fake::named("q"), &addresses);
    until(|| down.scheduler.queriers() == 1 && up.scheduler.queriers() == 1).await;
    let jobs = jobs(&addresses);
    for _ in 0..4 {
        ask(&jobs, "a", "/").await.expect("answered");
    }
    down.kill().await;
    for _ in 0..10 {
        assert_eq!(ask(&jobs, "a", "/").await.expect("answered"), "q a");
    }
    worker.shutdown().await;
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_give_up_at_once_harm_nobody() {
    let server = Running::start(scheduler()).await;
    let pool = pool();
    // Without the retries of a frontend.
    let client = pool.scheduler(&server.address).expect("an address");
    let job = Job::new(&[tenant("b")], Task::Http(request("/")));
    let mut answer = client.submit("f", &job).await.expect("taken");
    let jobs = Jobs::there(pool, Addresses::fixed(std::slice::from_ref(&server.address)), "f", 1 << 20);
    for round in 0..8 {
        let ask = |_| {
            let jobs = jobs.clone();
            tokio::spawn(async move { ask(&jobs, "a", "/").await })
        };
        let asked: Vec<_> = (0..1000).map(ask).collect();
        // Some before they are sent, some in the queue.
        until(|| server.scheduler.waiting() > round * 50).await;
        asked.iter().for_each(tokio::task::JoinHandle::abort);
    }
    until(|| server.scheduler.waiting() == 1).await;
    let worker = worker("q", 1, Fake::named("q"), &[&server.address]);
    let mut reader = AnswerReader::new(1 << 20);
    while let Some(piece) = answer.next().await {
        reader.add(piece.expect("its connection is the same")).expect("small");
    }
    assert_eq!(reader.http().expect("answered").body, "q b");
    worker.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frontends_without_queriers_say_so() {
    let server = Running::start(scheduler()).await;
    let here = Jobs::here(server.scheduler.clone(), 1 << 20);
    assert_eq!(here.ready(), Err("no querier is connected".to_owned()));
    assert_eq!(jobs(&[]).ready(), Err("no scheduler is known".to_owned()));
    let nobody = jobs(&[]).http(&[tenant("a")], None, request("/")).await.expect_err("nobody there");
    assert_eq!(nobody.kind(), RpcErrorKind::Unavailable);
    let worker = worker("q", 1, Fake::named("q"), &[&server.address]);
    until(|| here.ready().is_ok()).await;
    let seen = Arc::new(here);
    assert_eq!(ask(&seen, "a", "/").await.expect("answered"), "q a");
    worker.shutdown().await;
    server.stop().await;
}
