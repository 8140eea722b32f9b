//! A process that reads no logs: its queries are evaluated, its requests answered and its tails told by others.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use narvi::{
    Builder, Db, Tenant, TimeRange,
    logql::{self, Answer, Budget, LeafScope, Params, Partial, Query},
};
use narvi_config::ClientTls;
use narvi_http::{HttpSettings, TailProxy};
use narvi_logs::{Asking, Evaluate, Logs, LogsError, Read};

use crate::{
    Server, encoded,
    tail::{lines, next, open},
};

/// Evaluates on a database, and counts.
struct There {
    db: Db,
    evaluated: AtomicUsize,
    uncached: AtomicUsize,
}

impl Evaluate for There {
    fn evaluate(
        &self,
        tenants: &[Tenant],
        query: &Query,
        budget: &Budget,
        asking: &Asking,
    ) -> Result<Answer, LogsError> {
        self.evaluated.fetch_add(1, Ordering::SeqCst);
        self.uncached.fetch_add(usize::from(asking.no_cache), Ordering::SeqCst);
        let source = self.db.snapshot(&tenants[0]);
        Ok(logql::evaluate(query, &source, &*Read::executor(&self.db), budget)?)
    }
}

struct Both {
    querier: Server,
    frontend: Server,
    there: Arc<There>,
}

fn both(change: impl FnOnce(&mut HttpSettings, &Server)) -> Both {
    let db = Builder::in_memory().open().expect("opens");
    let querier = Server::over(db.clone(), |_| {});
    let values: Vec<String> = (0..20).map(|n| format!(r#"["{}","line {n}"]"#, 1_000_000_000 + n)).collect();
    querier.push("t", &format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":[{}]}}]}}"#, values.join(",")));
    let there = Arc::new(There { db, evaluated: AtomicUsize::new(0), uncached: AtomicUsize::new(0) });
    let forward = Arc::new(querier.app.responder(1 << 20));
    let logs = Logs { queries: Some(there.clone()), forward: Some(forward), ..Logs::default() };
    let frontend = Server::over(logs, |settings| change(settings, &querier));
    Both { querier, frontend, there }
}

#[test]
fn queries_are_evaluated_and_requests_answered_elsewhere() {
    let Both { querier, frontend, there } = both(|_, _| {});
    let app = encoded(r#"{app="a"}"#);
    for (path, evaluated) in [
        (format!("/loki/api/v1/query_range?query={app}&start=0&end=2&limit=7"), 1),
        (format!("/loki/api/v1/query?query={}&time=2", encoded(r#"count_over_time({app="a"}[5s])"#)), 1),
        (format!("/api/prom/query?query={app}&start=0&end=2"), 1),
        ("/loki/api/v1/labels?start=0&end=2".to_owned(), 0),
        ("/loki/api/v1/label/app/values?start=0&end=2".to_owned(), 0),
        (format!("/loki/api/v1/series?match[]={app}&start=0&end=2"), 0),
        (format!("/loki/api/v1/index/stats?query={app}&start=0&end=2"), 0),
        (format!("/loki/api/v1/index/volume?query={app}&start=0&end=2"), 0),
        (format!("/loki/api/v1/detected_fields?query={app}&start=0&end=2"), 0),
        ("/api/prom/label?start=0&end=2".to_owned(), 0),
        ("/loki/api/v1/series?start=9&end=2".to_owned(), 0),
        ("/loki/api/v1/query_range?query=%7B&start=0&end=2".to_owned(), 0),
        (format!("/loki/api/v1/query_range?query={}&start=0&end=2", encoded(r#"{app="a"} | json | a > 5 |"#)), 0),
    ] {
        let before = there.evaluated.load(Ordering::SeqCst);
        let (here, told) = (querier.get("t", &path), frontend.get("t", &path));
        assert_eq!((told.status, here.status), (here.status, told.status), "{path}: {}", told.text());
        assert_eq!(there.evaluated.load(Ordering::SeqCst) - before, evaluated, "{path}");
        let kind = |head: &str| head.lines().find(|line| line.starts_with("content-type")).map(str::to_owned);
        assert_eq!(kind(&told.head), kind(&here.head), "{path}");
        if here.status != 200 {
            assert_eq!(told.text(), here.text(), "{path}");
            continue;
        }
        let without_times = |mut answer: serde_json::Value| {
            for at in ["/data/stats", "/stats"] {
                answer.pointer_mut(at).map(serde_json::Value::take);
            }
            answer
        };
        assert_eq!(without_times(told.json()), without_times(here.json()), "{path}");
    }
    assert_eq!(frontend.ask("GET", "/loki/api/v1/labels", "", b"").status, 401);
    assert_eq!(frontend.get("a|b", "/loki/api/v1/labels").status, 400);
    assert_eq!(frontend.get("t", "/loki/api/v1/push").status, 404);
    let form = "X-Scope-OrgID: t\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let answer = frontend.ask("POST", "/loki/api/v1/labels", form, b"start=0&end=2");
    assert!(answer.text().contains("app"), "{}", answer.text());
}

#[test]
fn who_wants_no_cache_says_so_and_bytes_are_counted_elsewhere() {
    let Both { frontend, there, .. } = both(|settings, _| settings.limits.max_query_bytes_read = 10);
    let path = format!("/loki/api/v1/query_range?query={}&start=0&end=2", encoded(r#"{app="a"}"#));
    let answer = frontend.get("t", &path);
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with("the query would read too many bytes (query: "), "{}", answer.text());
    let path = format!("/loki/api/v1/query_range?query={}&start=0&end=2", encoded(r#"{app="none"}"#));
    assert_eq!(frontend.ask("GET", &path, "X-Scope-OrgID: t\r\nCache-Control: no-cache\r\n", b"").status, 200);
    assert_eq!(frontend.get("t", &path).status, 200);
    assert_eq!(there.uncached.load(Ordering::SeqCst), 1);
}

#[test]
fn tails_are_passed_on() {
    let Both { querier, frontend, .. } = both(|settings, querier| {
        let url = format!("ws://{}/", querier.address);
        settings.tail_proxy = Some(TailProxy::new(&url, &ClientTls::default()).expect("a URL"));
        settings.limits.max_concurrent_tail_requests = 1;
    });
    let tail = |path: &str, query: &str| open(&frontend, "t", path, query, "");
    let mut socket = tail("/loki/api/v1/tail", r#"{app="a"} |= "line""#).expect("a tail");
    assert_eq!(lines(&mut socket, 20).0.len(), 20);
    querier.push("t", r#"{"streams":[{"stream":{"app":"a"},"values":[["5000000000","line new"]]}]}"#);
    assert_eq!(lines(&mut socket, 1).0, ["line new"]);
    let (status, text) = tail("/loki/api/v1/tail", r#"{app="a"}"#).expect_err("one is open");
    assert!(status == 400 && text.starts_with("max concurrent tail requests limit exceeded"), "{text}");
    querier.app.stop();
    let end = loop {
        if let Err(end) = next(&mut socket) {
            break end;
        }
    };
    assert_eq!(end, (1001, "the server is shutting down".to_owned()));
}

#[test]
fn a_tail_that_is_refused_or_goes_nowhere_says_why() {
    let Both { querier: _querier, frontend, .. } = both(|settings, querier| {
        let url = format!("http://{}", querier.address);
        settings.tail_proxy = Some(TailProxy::new(&url, &ClientTls::default()).expect("a URL"));
    });
    let refused = open(&frontend, "t", "/loki/api/v1/tail", r#"{app="a"} |"#, "").expect_err("is wrong");
    assert!(refused.0 == 400 && refused.1.starts_with("parse error"), "{refused:?}");
    let nowhere = both(|_, _| {});
    let refused = open(&nowhere.frontend, "t", "/api/prom/tail", r#"{app="a"}"#, "").expect_err("goes nowhere");
    assert!(refused.0 == 501 && refused.1.contains("set frontend.tail_proxy_url"), "{refused:?}");
    let lost = both(|settings, _| {
        settings.tail_proxy = Some(TailProxy::new("http://127.0.0.1:1", &ClientTls::default()).expect("a URL"));
    });
    let refused = open(&lost.frontend, "t", "/loki/api/v1/tail", r#"{app="a"}"#, "").expect_err("nobody is there");
    assert!(refused.0 == 502 && refused.1.contains("cannot be reached"), "{refused:?}");
    assert!(TailProxy::new("querier:3100", &ClientTls::default()).is_err());
}

#[test]
fn a_process_that_reads_evaluates_parts_of_queries() {
    let Both { querier, there, .. } = both(|_, _| {});
    let tenant = Tenant::new("t").expect("valid");
    let expr = logql::parse(r#"count_over_time({app="a"} |= "line 1" [5s])"#).expect("right");
    let query = Query::new(expr, Params::instant(2_000_000_000));
    let plan = query.plan().expect("plans");
    let ask = |leaf, rows| {
        let (mut answers, budget) = (Vec::new(), Budget::unlimited());
        let scope = LeafScope { leaf, shard: None, rows };
        let done = querier.app.evaluate_scopes(std::slice::from_ref(&tenant), &query, &[scope], &budget, &mut |one| {
            answers.push(one);
            std::ops::ControlFlow::Continue(())
        });
        done.map(|()| answers.remove(0))
    };
    let all = ask(0, TimeRange::ALL).expect("answers");
    assert!(all.deletes == 0 && all.lines_read == 20 && all.bytes_read > 0, "{all:?}");
    let partial = Partial::decode(&all.partial, &plan).expect("reads");
    let merged = plan.merge(vec![partial], &Budget::unlimited()).expect("merges");
    let direct = there.evaluate(std::slice::from_ref(&tenant), &query, &Budget::unlimited(), &Asking::default());
    assert_eq!(merged.data, direct.expect("answers").data);
    assert!(ask(1, TimeRange::ALL).is_err());
    there.db.create_delete(&tenant, r#"{app="a"}"#, TimeRange::ALL).expect("made");
    let nothing = ask(0, TimeRange::EMPTY).expect("answers");
    assert_eq!(nothing.deletes, there.db.deletes_version(&tenant), "of one tenant, its own number");
}
