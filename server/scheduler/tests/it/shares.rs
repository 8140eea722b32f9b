//! Who is served when, and by whom.

use std::{collections::BTreeSet, sync::Arc};

use narvi_scheduler::{Jobs, SchedulerSettings};

use crate::cluster::{Fake, Gate, Running, ask, jobs, scheduler, scheduler_with, tenant, until, worker};

#[tokio::test(flavor = "multi_thread")]
async fn tenants_take_turns_however_much_one_asks() {
    let gate = Gate::closed();
    let server = Running::start(scheduler()).await;
    let jobs = jobs(&[&server.address]);
    let mut asked = Vec::new();
    // One after the other, so that their order is known.
    for (count, (name, uri)) in
        [("a", "/a1"), ("a", "/a2"), ("a", "/a3"), ("b", "/b1"), ("c", "/c1"), ("b", "/b2")].into_iter().enumerate()
    {
        let jobs = jobs.clone();
        asked.push(tokio::spawn(async move { ask(&jobs, name, uri).await }));
        until(|| server.scheduler.waiting() == count + 1).await;
    }
    let worker = worker("q", 1, gate.work(), &[&server.address]);
    gate.let_through(6);
    for job in asked {
        job.await.expect("no panic").expect("answered");
    }
    let order = gate.arrived.lock().expect("no panic").clone();
    assert_eq!(order, ["/a1", "/b1", "/c1", "/a2", "/b2", "/a3"]);
    worker.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_of_many_tenants_are_answered_once_each() {
    let servers = [Running::start(scheduler()).await, Running::start(scheduler()).await];
    let addresses: Vec<&str> = servers.iter().map(|server| server.address.as_str()).collect();
    let gate = Gate::closed();
    let workers: Vec<_> = (0..4).map(|at| worker(&format!("q{at}"), 3, gate.work(), &addresses)).collect();
    gate.let_through(600);
    let jobs = jobs(&addresses);
    let asked: Vec<_> = (0..600)
        .map(|at| {
            let jobs = jobs.clone();
            let uri = format!("/{at}");
            tokio::spawn(async move { (ask(&jobs, &format!("t{}", at % 7), &uri).await, uri) })
        })
        .collect();
    for job in asked {
        let (got, uri) = job.await.expect("no panic");
        assert_eq!(got.expect("answered"), uri);
    }
    let ran = gate.arrived.lock().expect("no panic").clone();
    assert_eq!((ran.len(), ran.iter().collect::<BTreeSet<_>>().len()), (600, 600), "each once");
    for worker in workers {
        worker.shutdown().await;
    }
    for server in servers {
        assert_eq!((server.scheduler.waiting(), server.scheduler.running()), (0, 0));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_its_share_of_queriers_and_others_when_those_stop() {
    let most = Arc::new(|tenant: &narvi::Tenant, connected: usize| {
        assert!(connected <= 3);
        usize::from(tenant.as_str() == "few")
    });
    let (scheduler, _) = scheduler_with(SchedulerSettings::default(), most);
    let server = Running::start(scheduler).await;
    let mut workers: Vec<_> = ["q0", "q1", "q2"]
        .into_iter()
        .map(|name| Some((name, worker(name, 2, Fake::named(name), &[&server.address]))))
        .collect();
    until(|| server.scheduler.queriers() == 3).await;
    let here = Jobs::here(server.scheduler.clone(), 1 << 20);
    let first = ask(&here, "few", "/").await.expect("answered");
    for _ in 0..20 {
        assert_eq!(ask(&here, "few", "/").await.expect("answered"), first);
    }
    // Of several tenants, the one with the fewest decides: a share of its own, but one querier.
    let both = [tenant("few"), tenant("many")];
    let ask_both = || async {
        let answer = here.http(&both, None, crate::cluster::request("/")).await.expect("answered");
        String::from_utf8(answer.body.to_vec()).expect("text")
    };
    let one = ask_both().await;
    assert!(one.ends_with("few|many"));
    assert_eq!(ask_both().await, one);
    let served = workers.iter_mut().find_map(|worker| worker.take_if(|(name, _)| first.starts_with(name.as_bytes())));
    served.expect("one of them").1.shutdown().await;
    let second = ask(&here, "few", "/").await.expect("answered");
    assert_ne!(second, first);
    for (_, worker) in workers.into_iter().flatten() {
        worker.shutdown().await;
    }
    server.stop().await;
}
