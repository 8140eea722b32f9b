//! Jobs and their answers arrive as they are: large ones, errors, time, cancellation.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use narvi::logql::LeafScope;
use narvi_rpc::{HttpAnswer, HttpRequest, PartialAnswer, RpcError, RpcErrorKind};
use narvi_scheduler::{Addresses, Jobs, SchedulerSettings};

use crate::cluster::{
    Fake, Gate, Running, ask, evaluation, jobs, limits, pool, request, scheduler, scheduler_with, tenant, until, worker,
};

#[tokio::test(flavor = "multi_thread")]
async fn partial_results_arrive_whole_and_in_order() {
    let partial = |scope: &LeafScope| PartialAnswer {
        partial: Bytes::from(vec![scope.leaf as u8; 3_000_000 * scope.leaf as usize]),
        bytes_read: u64::from(scope.leaf),
        lines_read: 2,
        deletes: u64::MAX - u64::from(scope.leaf),
        warnings: vec!["careful".to_owned()],
    };
    let work = Fake {
        evaluate: Box::new(move |call, evaluation, give| {
            assert_eq!(call.tenants(), [tenant("a"), tenant("b")]);
            let mut expected = limits();
            expected.time = call.budget().limits().time;
            assert!(expected.time.is_some_and(|time| time <= Duration::from_secs(600)));
            assert_eq!(call.budget().limits(), &expected);
            let _ = evaluation.scopes.iter().try_for_each(|scope| give(partial(scope)));
            Ok(())
        }),
        ..Fake::named("")
    };
    let server = Running::start(scheduler()).await;
    let worker = worker("q", 2, work, &[&server.address]);
    let asked = evaluation(&[2, 0, 1]);
    let expected: Vec<_> = asked.scopes.iter().map(partial).collect();
    let (tenants, time) = ([tenant("a"), tenant("b")], Some(Duration::from_secs(600)));
    let there = jobs(&[&server.address]);
    let here = Jobs::here(server.scheduler.clone(), 100 << 20);
    for jobs in [there, here] {
        let got = jobs.evaluate(&tenants, time, asked.clone(), limits()).await.expect("answered");
        assert!(got == expected);
    }
    worker.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_over_http_arrive() {
    let body: Bytes = (0..40_000_000u32).map(|n| (n >> 8) as u8).collect::<Vec<_>>().into();
    let large = body.clone();
    let work = Fake::http(move |call, request: HttpRequest| {
        assert_eq!(call.tenant().expect("one").as_str(), "a");
        assert_eq!(
            (request.method.as_str(), request.uri.as_str(), &request.body[..]),
            ("POST", "/x?y=1", &b"form"[..])
        );
        assert_eq!(request.headers, [("accept".to_owned(), Bytes::from_static(b"x"))]);
        let headers = vec![("set-cookie".to_owned(), Bytes::from_static(b"1")); 2];
        let body = large.clone();
        Box::pin(async { Ok(HttpAnswer { status: 404, headers, body }) })
    });
    let server = Running::start(scheduler()).await;
    let worker = worker("q", 1, work, &[&server.address]);
    let headers = vec![("accept".to_owned(), Bytes::from_static(b"x"))];
    let (method, uri) = ("POST".to_owned(), "/x?y=1".to_owned());
    let request = HttpRequest { method, uri, headers, body: Bytes::from_static(b"form") };
    let answer = jobs(&[&server.address]).http(&[tenant("a")], None, request.clone()).await.expect("answered");
    assert_eq!((answer.status, answer.headers.len()), (404, 2));
    assert!(answer.body == body);
    let small = Jobs::there(pool(), Addresses::fixed(std::slice::from_ref(&server.address)), "f", 1 << 20);
    let error = small.http(&[tenant("a")], None, request).await.expect_err("more than allowed");
    assert_eq!(error.kind(), RpcErrorKind::TooLarge, "{error}");
    until(|| server.scheduler.running() == 0).await;
    worker.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_keep_kind_text_and_hope_and_defects_end_their_job_alone() {
    let error = RpcError::new(RpcErrorKind::Query, "parse error \u{2013}\nhere").with_retryable(true);
    let told = error.clone();
    let work = Fake {
        http: Box::new(move |_, request| {
            assert_ne!(request.uri, "/at-once", "a defect");
            let told = told.clone();
            Box::pin(async move {
                assert_ne!(request.uri, "/later", "a defect");
                Err(told)
            })
        }),
        evaluate: Box::new(|_, _, _| panic!("a defect")),
    };
    let server = Running::start(scheduler()).await;
    let worker = worker("q", 1, work, &[&server.address]);
    let jobs = jobs(&[&server.address]);
    for _ in 0..3 {
        for uri in ["/at-once", "/later"] {
            let defect = ask(&jobs, "a", uri).await.expect_err("a defect");
            assert_eq!((defect.kind(), defect.is_retryable()), (RpcErrorKind::Internal, false), "{defect}");
        }
        let defect = jobs.evaluate(&[tenant("a")], None, evaluation(&[1]), limits()).await.expect_err("a defect");
        assert_eq!(defect.kind(), RpcErrorKind::Internal);
        assert_eq!(ask(&jobs, "a", "/").await.expect_err("refused"), error);
    }
    assert_eq!(jobs.http(&[], None, request("/")).await.expect_err("nobody's").to_string(), "no org id");
    worker.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_lacks_partial_results_is_refused() {
    let server = Running::start(scheduler()).await;
    let worker = worker("q", 1, Fake::named("q"), &[&server.address]);
    let jobs = jobs(&[&server.address]);
    let error = jobs.evaluate(&[tenant("a")], None, evaluation(&[1]), limits()).await.expect_err("nothing came");
    assert!(error.kind() == RpcErrorKind::Unavailable && error.is_retryable(), "{error}");
    worker.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gives_up_leaves_the_queue_or_ends_the_work() {
    let (began, begun) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    let channels = Mutex::new((began, ended));
    let work = Fake {
        evaluate: Box::new(move |call, _, give| {
            let (began, ended) = channels.lock().expect("no panic").clone();
            let _ = began.send(());
            // Endless: only the caller ends it.
            while call.budget().check().is_ok() && give(PartialAnswer::default()).is_continue() {}
            let _ = ended.send(call.budget().check().is_err());
            Ok(())
        }),
        ..Fake::named("q")
    };
    let server = Running::start(scheduler()).await;
    let worker = worker("q", 1, work, &[&server.address]);
    let scheduler = server.scheduler.clone();
    for jobs in [jobs(&[&server.address]), Jobs::here(scheduler.clone(), usize::MAX)] {
        let evaluate = {
            let jobs = jobs.clone();
            async move { jobs.evaluate(&[tenant("a")], None, evaluation(&[1]), limits()).await }
        };
        let first = tokio::spawn(evaluate);
        tokio::task::block_in_place(|| begun.recv().expect("begins"));
        let second = tokio::spawn(async move { ask(&jobs, "a", "/").await });
        until(|| scheduler.waiting() == 1).await;
        second.abort();
        until(|| scheduler.waiting() == 0).await;
        assert_eq!(scheduler.running(), 1);
        first.abort();
        assert!(tokio::task::block_in_place(|| end.recv().expect("ends")), "its budget must be cancelled");
        until(|| scheduler.running() == 0).await;
    }
    // The place takes other jobs.
    assert_eq!(ask(&jobs(&[&server.address]), "a", "/").await.expect("answered"), "q a");
    worker.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_waits_is_dropped_with_its_job_and_at_its_time() {
    let gate = Gate::closed();
    let server = Running::start(scheduler()).await;
    let worker = worker("q", 1, gate.work(), &[&server.address]);
    let jobs = jobs(&[&server.address]);
    let given_up = {
        let jobs = jobs.clone();
        tokio::spawn(async move { ask(&jobs, "a", "/1").await })
    };
    until(|| gate.arrived() == 1).await;
    given_up.abort();
    until(|| server.scheduler.running() == 0).await;
    let late = jobs.http(&[tenant("a")], Some(Duration::from_millis(30)), request("/2")).await.expect_err("late");
    assert_eq!(late.kind(), RpcErrorKind::Deadline, "{late}");
    until(|| server.scheduler.running() == 0).await;
    gate.let_through(1);
    assert_eq!(ask(&jobs, "a", "/3").await.expect("answered"), "/3");
    worker.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_job_is_over_in_the_queue_too() {
    let server = Running::start(scheduler()).await;
    for jobs in [jobs(&[&server.address]), Jobs::here(server.scheduler.clone(), 1 << 20)] {
        let late = jobs.http(&[tenant("a")], Some(Duration::from_millis(20)), request("/")).await.expect_err("nobody");
        assert_eq!(late.kind(), RpcErrorKind::Deadline, "{late}");
        until(|| server.scheduler.waiting() == 0).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_that_wait_are_refused_in_lokis_words() {
    let settings = SchedulerSettings { max_outstanding_per_tenant: 2, ..SchedulerSettings::default() };
    let (scheduler, registry) = scheduler_with(settings, Arc::new(|_, _| 0));
    let server = Running::start(scheduler).await;
    let jobs = jobs(&[&server.address]);
    let wait = |name: &'static str| {
        let jobs = jobs.clone();
        tokio::spawn(async move { ask(&jobs, name, "/").await })
    };
    let waiting = [wait("a"), wait("a"), wait("b")];
    until(|| server.scheduler.waiting() == 3).await;
    let error = ask(&jobs, "a", "/").await.expect_err("too many");
    assert_eq!((error.kind(), error.message()), (RpcErrorKind::Busy, "too many outstanding requests"));
    assert!(!error.is_retryable());
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    for line in [
        "loki_query_scheduler_queue_length{user=\"a\"} 2",
        "loki_query_scheduler_queue_length{user=\"b\"} 1",
        "loki_query_scheduler_discarded_requests_total{user=\"a\"} 1",
        "loki_query_scheduler_inflight_requests 3",
        "loki_query_scheduler_connected_frontend_clients 1",
        "loki_query_scheduler_connected_querier_clients 0",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} in\n{text}");
    }
    let worker = worker("q", 1, Fake::named("q"), &[&server.address]);
    for job in waiting {
        job.await.expect("no panic").expect("answered");
    }
    text.clear();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    assert!(!text.contains("queue_length{"), "tenants that wait for nothing are not told:\n{text}");
    assert!(text.contains("loki_query_scheduler_queue_duration_seconds_count 3"), "{text}");
    worker.shutdown().await;
    server.stop().await;
}
