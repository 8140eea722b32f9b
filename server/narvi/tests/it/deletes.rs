//! Retention and deletes from Loki's file to the disk: what is too old or asked to go is gone, and nothing else.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{path, server::Server, stdout, text};

const FILE: &str = "\
auth_enabled: false
server: {http_listen_address: 127.0.0.1, http_listen_port: 0}
common: {path_prefix: '${DATA}'}
limits_config:
  reject_old_samples: false
  max_query_length: 0s
  retention_period: 30d
  retention_stream:
  - {selector: '{app=\"short\"}', priority: 1, period: 2d}
compactor:
  retention_enabled: true
  delete_request_store: filesystem
  apply_retention_interval: 1s
  delete_request_cancel_period: ${CANCEL}
";

/// Starts a server on the file.
fn start(folder: &Path, cancel: &str) -> Server {
    let config = path(folder, "loki.yaml");
    let file = FILE.replace("${DATA}", &path(folder, "loki")).replace("${CANCEL}", cancel);
    std::fs::write(&config, file).expect("the file can be written");
    Server::start(&[&format!("-config.file={config}")])
}

/// Pushes a line of a stream, so many days ago.
fn push(server: &Server, app: &str, days: u64, line: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let time = (now - Duration::from_secs(days * 86_400 + 3600)).as_nanos();
    let body = format!(r#"{{"streams":[{{"stream":{{"app":"{app}"}},"values":[["{time}","{line}"]]}}]}}"#);
    let (status, rest) = server.ask("POST", "/loki/api/v1/push", "Content-Type: application/json\r\n", &body);
    assert!(status.contains(" 204 "), "{status} {rest}");
}

/// All lines, sorted.
fn lines(from: &[&str]) -> Vec<String> {
    let all = [&["query", "{app=~\".+\"}", "-o", "raw", "--from", "1000000000", "--to", "4000000000"], from].concat();
    let text = String::from_utf8(stdout(&all)).expect("text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Asks until a counter is no longer zero.
fn wait_for(server: &Server, counter: &str) {
    loop {
        let (_, metrics) = server.ask("GET", "/metrics", "", "");
        if metrics.lines().any(|line| line.strip_prefix(counter).is_some_and(|value| value.trim() != "0")) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn lines_go_from_answers_at_once_and_from_the_disk_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = start(folder.path(), "24h");
    for (app, days, line) in [
        ("short", 3, "short old"),
        ("short", 1, "short new"),
        ("long", 50, "long old"),
        ("long", 3, "long new"),
        ("long", 3, "long secret"),
    ] {
        push(&server, app, days, line);
        server.ask("POST", "/flush", "", "");
    }
    push(&server, "long", 0, "another secret");
    wait_for(&server, "loki_compactor_apply_retention_operation_total{status=\"success\"} ");
    let query = "query=%7Bapp%3D%22long%22%7D%20%7C%3D%20%22secret%22&start=1000000000";
    let (status, rest) = server.ask("POST", &format!("/loki/api/v1/delete?{query}"), "", "");
    assert!(status.contains(" 204 "), "{status} {rest}");
    let url = server.url();
    assert_eq!(lines(&["--addr", &url]), ["long new", "short new"]);
    // The request outlives the process, and its lines go once it can no longer be cancelled.
    server.kill();
    let server = start(folder.path(), "0s");
    wait_for(&server, "loki_compactor_delete_requests_processed_total{user=\"fake\"} ");
    let url = server.url();
    assert_eq!(lines(&["--addr", &url]), ["long new", "short new"]);
    let (_, list) = server.ask("GET", "/loki/api/v1/delete", "", "");
    assert!(list.contains("\"status\":\"processed\""), "{list}");
    server.stop();
    // Nothing hides lines here: they are not there.
    let data = path(folder.path(), "loki/narvi");
    assert_eq!(lines(&["--data-dir", &data]), ["long new", "short new"]);
    let checked = text(&["check", &data]);
    assert!(!checked.contains("damaged"), "{checked}");
}
