//! Requests to delete over HTTP: lines vanish from every kind of answer at once, and come back when a request is cancelled.

use narvi_config::DeletionMode;
use serde_json::Value;

use crate::{Answer, Server, encoded};

const PATH: &str = "/loki/api/v1/delete";

fn delete(server: &Server, method: &str, tenant: &str, query: &str) -> Answer {
    server.ask(method, &format!("{PATH}?{query}"), &format!("X-Scope-OrgID: {tenant}\r\n"), b"")
}

fn create(server: &Server, tenant: &str, query: &str) -> String {
    let answer = delete(server, "POST", tenant, &format!("query={}&start=1&end=1000", encoded(query)));
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.text());
    let header = answer
        .head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("x-delete-request-id: ").map(str::to_owned));
    header.expect("the number of the request")
}

fn list(server: &Server, tenant: &str) -> Value {
    let answer = delete(server, "GET", tenant, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Pushes lines at 10, 20, ... seconds.
fn fill(server: &Server, tenant: &str) {
    let values: Vec<String> = (1..=9).map(|i| format!("[\"{i}0000000000\",\"n={i} kind={}\"]", i % 3)).collect();
    server.push(tenant, &format!(r#"{{"streams":[{{"stream":{{"app":"x"}},"values":[{}]}}]}}"#, values.join(",")));
}

/// The lines that a log query gives, oldest first, and how many a metric query counts.
fn lines(server: &Server, tenant: &str) -> (Vec<String>, u64) {
    let range = "start=1&end=100000000000&direction=forward";
    let answer = server.get(tenant, &format!("/loki/api/v1/query_range?{range}&query={}", encoded(r#"{app="x"}"#)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let streams = answer.json()["data"]["result"].as_array().expect("streams").clone();
    let values = streams.iter().flat_map(|stream| stream["values"].as_array().expect("values").clone());
    let lines = values.map(|value| value[1].as_str().expect("a line").to_owned()).collect();
    let count = encoded(r#"sum(count_over_time({app="x"}[5m]))"#);
    let answer = server.get(tenant, &format!("/loki/api/v1/query?time=100&query={count}")).json();
    let value = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0");
    (lines, value.parse().expect("a number"))
}

#[test]
fn lines_vanish_at_once_and_come_back_when_the_request_is_cancelled() {
    let server = Server::start(|_| {});
    for tenant in ["one", "two"] {
        fill(&server, tenant);
    }
    assert_eq!(server.ask("POST", "/flush", "", b"").status, 204);
    // Half in files, half in memory, some in both.
    fill(&server, "one");
    let (all, count) = lines(&server, "one");
    assert_eq!((all.len(), count), (9, 9));
    let id = create(&server, "one", r#"{app="x"} | logfmt | kind="0" or n > 7"#);
    let (left, count) = lines(&server, "one");
    let kept = ["n=1 kind=1", "n=2 kind=2", "n=4 kind=1", "n=5 kind=2", "n=7 kind=1"];
    assert_eq!((left, count), (kept.map(str::to_owned).to_vec(), 5));
    assert_eq!(lines(&server, "two").1, 9, "another tenant's lines stay");
    assert_eq!(list(&server, "two"), Value::Array(Vec::new()));
    let listed = &list(&server, "one")[0];
    assert_eq!((&listed["request_id"], &listed["status"]), (&id.clone().into(), &"received".into()));
    assert_eq!((&listed["start_time"], &listed["end_time"]), (&1.into(), &1000.into()));
    assert_eq!(delete(&server, "DELETE", "two", &format!("request_id={id}")).status, 404);
    assert_eq!(delete(&server, "DELETE", "one", &format!("request_id={id}")).status, 204);
    assert_eq!(lines(&server, "one"), (all, 9));
    assert_eq!(delete(&server, "DELETE", "one", &format!("request_id={id}")).status, 404);
}

#[test]
fn series_and_generation_numbers_follow_requests() {
    let server = Server::start(|_| {});
    fill(&server, "one");
    let generation = || server.get("one", "/loki/api/v1/cache/generation_numbers").text();
    let series = || server.get("one", "/loki/api/v1/series?start=1&end=100000000000").json()["data"].clone();
    let before = generation();
    assert_eq!(series().as_array().map(Vec::len), Some(1));
    let id = create(&server, "one", r#"{app="x"}"#);
    assert_ne!(generation(), before);
    assert_eq!(series(), Value::Array(Vec::new()));
    assert_eq!(delete(&server, "DELETE", "one", &format!("request_id={id}")).status, 204);
    assert_eq!(generation(), before);
    assert_eq!(series().as_array().map(Vec::len), Some(1));
    let metrics = server.get("one", "/metrics").text();
    assert!(metrics.contains("loki_compactor_delete_requests_received_total{user=\"one\"} 1\n"), "{metrics}");
}

#[test]
fn deletes_that_are_not_allowed_are_refused() {
    let off = Server::start(|settings| settings.deletes_enabled = false);
    let disabled = Server::start(|settings| settings.limits.retention.deletion_mode = DeletionMode::Disabled);
    for method in ["POST", "PUT", "GET", "DELETE"] {
        let answer = delete(&off, method, "one", "");
        assert_eq!((answer.status, answer.text().trim()), (400, "Retention is not enabled"));
        let answer = delete(&disabled, method, "one", "");
        assert_eq!((answer.status, answer.text().trim()), (403, "deletion is not available for this tenant"));
    }
    assert_eq!(off.ask("GET", PATH, "", b"").status, 401);
}
