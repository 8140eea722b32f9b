//! Live tails over WebSockets.

use std::{net::TcpStream, time::Duration};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{
    Error, HandshakeError, Message, WebSocket,
    client::{IntoClientRequest, client},
};

use crate::{Server, encoded};

const SECOND: i64 = 1_000_000_000;

pub(crate) fn open(
    server: &Server,
    tenant: &str,
    path: &str,
    query: &str,
    more: &str,
) -> Result<WebSocket<TcpStream>, (u16, String)> {
    let url = format!("ws://{}{path}?query={}&start=0&{more}", server.address, encoded(query));
    let mut request = url.into_client_request().expect("a URL");
    request.headers_mut().insert("X-Scope-OrgID", tenant.parse().expect("valid"));
    if more.contains("categorize") {
        request.headers_mut().insert("X-Loki-Response-Encoding-Flags", "categorize-labels".parse().expect("valid"));
    }
    let stream = TcpStream::connect(server.address).expect("listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("can be set");
    match client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(answer))) => {
            let text = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            Err((answer.status().as_u16(), text.trim_end().to_owned()))
        }
        Err(error) => panic!("{error}"),
    }
}

fn tail(server: &Server, query: &str, more: &str) -> WebSocket<TcpStream> {
    open(server, "t", "/loki/api/v1/tail", query, more).expect("a tail")
}

/// The next frame, or the close frame's code and reason.
pub(crate) fn next(socket: &mut WebSocket<TcpStream>) -> Result<Value, (u16, String)> {
    loop {
        match socket.read().expect("the server goes on") {
            Message::Text(text) => return Ok(serde_json::from_str(&text).expect("JSON")),
            Message::Close(close) => {
                let close = close.expect("a reason");
                return Err((close.code.into(), close.reason.to_string()));
            }
            _ => {}
        }
    }
}

/// Reads until there are so many lines; gives their texts, and all frames.
pub(crate) fn lines(socket: &mut WebSocket<TcpStream>, count: usize) -> (Vec<String>, Vec<Value>) {
    let (mut found, mut frames) = (Vec::new(), Vec::new());
    while found.len() < count {
        let frame = next(socket).expect("a frame");
        found.extend(texts(&frame));
        frames.push(frame);
    }
    (found, frames)
}

fn texts(frame: &Value) -> Vec<String> {
    let streams = frame["streams"].as_array().expect("a list");
    let values = streams.iter().flat_map(|stream| stream["values"].as_array().expect("a list"));
    values.map(|value| value[1].as_str().expect("text").to_owned()).collect()
}

fn push(server: &Server, tenant: &str, lines: impl IntoIterator<Item = String>) {
    let values: Vec<String> =
        lines.into_iter().enumerate().map(|(at, l)| format!(r#"["{}","{l}"]"#, at as i64 + SECOND)).collect();
    server.push(tenant, &format!(r#"{{"streams":[{{"stream":{{"app":"x"}},"values":[{}]}}]}}"#, values.join(",")));
}

fn named(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix} n={n}")).collect()
}

#[test]
fn history_comes_first_then_what_is_pushed_each_line_once() {
    let server = Server::start(|_| {});
    push(&server, "t", named("old", 5));
    let mut socket = tail(&server, r#"{app="x"}"#, "limit=3");
    let (history, _) = lines(&mut socket, 3);
    assert_eq!(history, ["old n=2", "old n=3", "old n=4"]);
    push(&server, "other", named("not mine", 3));
    push(&server, "t", named("new", 250));
    let (live, frames) = lines(&mut socket, 250);
    assert_eq!(live, named("new", 250));
    assert!(frames.iter().all(|frame| texts(frame).len() <= 100), "a frame has at most 100 lines");
    let metrics = server.get("", "/metrics").text();
    assert!(metrics.contains("loki_querier_tail_active 1\n"), "{metrics}");
    assert!(metrics.contains("loki_querier_tail_active_streams "));
    socket.close(None).expect("closes");
}

#[test]
fn stages_and_categories_are_as_asked() {
    let server = Server::start(|_| {});
    let mut plain = tail(&server, r#"{app="x"} |= "keep" | logfmt"#, "");
    let mut apart = tail(&server, r#"{app="x"} | logfmt"#, "categorize=1");
    let mut old = open(&server, "t", "/api/prom/tail", r#"{app="x"}"#, "regexp=keep").expect("a tail");
    // The history is empty, so that the first frames are live ones. Tails subscribe before they read the history.
    std::thread::sleep(Duration::from_millis(300));
    push(&server, "t", ["drop n=0".to_owned(), "keep n=1".to_owned()]);
    let frame = next(&mut plain).expect("a frame");
    assert_eq!(frame["streams"][0]["stream"]["n"], "1");
    assert_eq!(texts(&frame), ["keep n=1"]);
    let frame = next(&mut apart).expect("a frame");
    assert_eq!(frame["encodingFlags"][0], "categorize-labels");
    assert_eq!(frame["streams"][0]["values"][0][2]["parsed"]["n"], "0");
    assert!(frame["streams"][0]["stream"]["n"].is_null());
    let frame = next(&mut old).expect("a frame");
    assert_eq!(frame["streams"][0]["entries"][0]["line"], "keep n=1");
    assert_eq!(frame["streams"][0]["entries"][0]["ts"], "1970-01-01T00:00:01.000000001Z");
}

#[test]
fn a_slow_reader_is_told_of_every_line_that_it_missed() {
    const PUSHES: usize = 400;
    const LINES: usize = 100;
    let server = Server::with_queue(500, |_| {});
    push(&server, "t", named("first", 1));
    let mut socket = tail(&server, r#"{app="x"}"#, "");
    assert_eq!(lines(&mut socket, 1).0.len(), 1);
    // Lines of 2 KiB: far more than sockets, frames under way and the queue hold.
    let long = "y".repeat(2048);
    for at in 0..PUSHES {
        push(&server, "t", (0..LINES).map(|n| format!("{at}-{n} {long}")));
    }
    push(&server, "t", ["the end".to_owned()]);
    let (mut got, mut listed, mut counted) = (0u64, 0u64, 0u64);
    let total = (PUSHES * LINES) as u64;
    loop {
        let frame = next(&mut socket).expect("a frame");
        let found = texts(&frame);
        got += found.iter().filter(|line| *line != "the end").count() as u64;
        let dropped = frame["dropped_entries"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(dropped.len() <= 1000);
        assert!(dropped.iter().all(|entry| entry["labels"]["app"] == "x" && entry["timestamp"].is_string()));
        listed += dropped.len() as u64;
        counted += frame["dropped_total"].as_u64().unwrap_or(0);
        // The last line may be dropped too.
        if got + counted >= total && listed >= counted {
            break;
        }
    }
    assert!(counted > 1000, "the reader was not slow enough: {counted} dropped");
    assert_eq!(listed, counted, "all dropped lines are listed");
    assert!((total..=total + 1).contains(&(got + counted)), "{got} read, {counted} dropped of {total}");
    // Reading on, it gets what is pushed now.
    push(&server, "t", ["after".to_owned()]);
    while !texts(&next(&mut socket).expect("a frame")).contains(&"after".to_owned()) {}
}

#[test]
fn there_are_only_so_many_per_tenant() {
    let server = Server::start(|settings| settings.limits.max_concurrent_tail_requests = 1);
    let mut first = tail(&server, r#"{app="x"}"#, "");
    let refused = open(&server, "t", "/loki/api/v1/tail", r#"{app="x"}"#, "").expect_err("one too many");
    assert_eq!(refused, (400, "max concurrent tail requests limit exceeded, count > limit (2 > 1)".to_owned()));
    assert!(open(&server, "other", "/loki/api/v1/tail", r#"{app="x"}"#, "").is_ok());
    first.close(None).expect("closes");
    while first.read().is_ok() {}
    // The place is free once the server has seen the end.
    while open(&server, "t", "/loki/api/v1/tail", r#"{app="x"}"#, "").is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn tails_end_with_a_reason() {
    let server = Server::start(|settings| settings.tail_max_duration = Duration::from_millis(200));
    let mut short = tail(&server, r#"{app="x"}"#, "");
    assert_eq!(next(&mut short), Err((1000, "reached tail max duration limit".to_owned())));
    let mut metric = tail(&server, r#"rate({app="x"}[1m])"#, "");
    assert_eq!(next(&mut metric), Err((1011, "a metric query cannot be tailed; only lines can".to_owned())));
    let server = Server::start(|_| {});
    let mut socket = tail(&server, r#"{app="x"}"#, "");
    server.app.stop();
    assert_eq!(next(&mut socket), Err((1001, "the server is shutting down".to_owned())));
}

#[test]
fn what_is_no_tail_is_refused_before_the_upgrade() {
    let server = Server::start(|_| {});
    let ask = |tenant: &str, query: &str, more: &str| {
        open(&server, tenant, "/loki/api/v1/tail", query, more).expect_err("refused")
    };
    assert_eq!(ask("a|b", r#"{app="x"}"#, ""), (400, "multiple org IDs present".to_owned()));
    assert_eq!(ask("t", r#"{app="x"}"#, "delay_for=6"), (400, "delay_for can't be greater than 5".to_owned()));
    assert!(ask("t", "{app=", "").1.starts_with("parse error at line 1, col 6"));
}
