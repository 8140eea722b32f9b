//! Processes with some of the roles: what they lack is an unknown path, what others refuse is answered in their words.

use std::sync::Arc;

use narvi::{Builder, Db, PushStream, Tenant};
use narvi_logs::{Logs, LogsError, Push, Pushing};

use crate::Server;

const LINE: &str = r#"{"streams": [{"stream": {"app": "a"}, "values": [["1000", "line"]]}]}"#;
const PUSH: &str = "/loki/api/v1/push";
const QUERY: &str = "/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D&start=0&end=2000";
const LABELS: &str = "/loki/api/v1/labels?start=0&end=2000";
const FLUSH: &str = "/flush";
const DELETES: &str = "/loki/api/v1/delete";

fn db() -> Db {
    Builder::in_memory().open().expect("opens")
}

fn statuses(logs: Logs) -> Vec<u16> {
    let server = Server::over(logs, |settings| settings.auth_enabled = false);
    let json = "Content-Type: application/json\r\n";
    let mut all = vec![server.ask("POST", PUSH, json, LINE.as_bytes()).status];
    for path in [QUERY, LABELS, FLUSH, DELETES, "/ready", "/metrics"] {
        let answer = server.ask("GET", path, "", b"");
        if answer.status == 404 {
            assert_eq!(answer.text(), "404 page not found\n", "{path}");
        }
        all.push(answer.status);
    }
    all
}

#[test]
fn a_process_serves_what_it_can_do() {
    let push = || Some(Arc::new(db()) as Arc<dyn Push>);
    assert_eq!(statuses(Logs::default()), [404, 404, 404, 404, 404, 200, 200]);
    assert_eq!(statuses(Logs { push: push(), ..Logs::default() }), [204, 404, 404, 404, 404, 200, 200]);
    let read = Logs { read: Some(Arc::new(db())), ..Logs::default() };
    assert_eq!(statuses(read), [404, 200, 200, 404, 404, 200, 200]);
    let ingester = Logs { ingester: Some(db()), ..Logs::default() };
    assert_eq!(statuses(ingester), [404, 404, 404, 204, 404, 200, 200]);
    let compactor = Logs { compactor: Some(db()), ..Logs::default() };
    assert_eq!(statuses(compactor), [404, 404, 404, 404, 200, 200, 200]);
    assert_eq!(statuses(db().into()), [204, 200, 200, 204, 200, 200, 200]);
}

/// Stores nothing.
struct Unreachable;

impl Push for Unreachable {
    fn push(&self, _: &Tenant, _: Vec<PushStream>) -> Pushing {
        let text = "at least 2 live replicas required, could only find 1";
        Box::pin(async move { Err(LogsError::answer(500, text)) })
    }
}

#[test]
fn what_cannot_be_stored_is_said_in_the_words_of_the_store() {
    let logs = Logs { push: Some(Arc::new(Unreachable)), ..Logs::default() };
    let server = Server::over(logs, |settings| settings.auth_enabled = false);
    let answer = server.ask("POST", PUSH, "Content-Type: application/json\r\n", LINE.as_bytes());
    assert_eq!(answer.status, 500);
    assert_eq!(answer.text(), "at least 2 live replicas required, could only find 1\n");
}
