//! `narvi tail`: against a server, and on a data directory.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use crate::{failure, narvi, path, run, server::Server};

const JSON: &str = "Content-Type: application/json\r\n";

/// A command that runs until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn push(server: &Server, at: u64, line: &str) {
    let body = format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":[["{at}","{line}"]]}}]}}"#);
    let (status, rest) = server.ask("POST", "/loki/api/v1/push", JSON, &body);
    assert!(status.contains(" 204 "), "{status} {rest}");
}

#[test]
fn lines_are_printed_as_they_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::on(folder.path());
    push(&server, 1_600_000_000_000_000_001, "before");
    let url = server.url();
    let args = ["tail", "{app=\"a\"}", "--addr", &url, "--from", "2020-01-01T00:00:00Z", "-o", "raw"];
    let mut tail = Running(narvi(&args).stdout(Stdio::piped()).spawn().expect("it runs"));
    let mut lines = BufReader::new(tail.0.stdout.take().expect("piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "before");
    push(&server, 1_600_000_000_000_000_002, "after");
    assert_eq!(lines.next().expect("a line").expect("text"), "after");
    // A server ends although a tail is open.
    server.stop();
    drop(tail);
    let data = path(folder.path(), "data");
    let args =
        ["tail", "{app=\"a\"}", "--data-dir", &data, "--from", "2020-01-01T00:00:00Z", "--limit", "1", "-o", "raw"];
    let output = run(&args);
    assert!(output.status.success());
    assert_eq!(output.stdout, b"after\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing more can arrive"));
}

#[test]
fn what_cannot_be_followed_is_said() {
    assert!(failure(&["tail", "rate({app=\"a\"}[1m])"]).contains("a metric query cannot be followed"));
    assert!(failure(&["tail", "{app="]).contains("parse error at line 1, col 6"));
    let server = Server::start(&["serve", "--in-memory", "--auth", "--http-listen", "127.0.0.1:0"]);
    let refused = failure(&["tail", "{app=\"a\"}", "--addr", &server.url(), "--tenant", "a|b"]);
    assert!(refused.contains("--tenant") || refused.contains("multiple org IDs present"), "{refused}");
    let late = failure(&["tail", "{app=\"a\"}", "--addr", &server.url(), "--delay-for", "6"]);
    assert!(late.contains("answered 400") && late.contains("delay_for can't be greater than 5"), "{late}");
}

#[test]
fn the_log_level_changes_while_the_server_runs() {
    let server = Server::start(&["serve", "--in-memory", "--http-listen", "127.0.0.1:0"]);
    let level = |server: &Server| server.ask("GET", "/log_level", "", "").1;
    assert!(level(&server).contains("Current log level is info"));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert!(server.ask("POST", "/log_level", form, "log_level=error").0.contains(" 200 "));
    assert!(level(&server).contains("Current log level is error"));
    // Ended by a client rather than by a signal.
    assert!(server.ask("POST", "/ingester/shutdown", "", "").0.contains(" 204 "));
    server.wait();
}
