//! A server on a port of its own, asked as clients do.

mod bad_requests;
mod cluster;
mod deletes;
mod elsewhere;
mod endpoints;
mod isolation;
mod metrics;
mod parts;
mod respond;
mod tail;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use narvi::Builder;
use narvi_http::{App, HttpSettings};
use narvi_logs::Logs;
use tokio::runtime::Runtime;

/// A server over a database in memory.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: Arc<App>,
    _runtime: Runtime,
}

/// What a server answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

impl Server {
    pub(crate) fn start(change: impl FnOnce(&mut HttpSettings)) -> Self {
        Self::with_queue(10_000, change)
    }

    /// A server whose tails may be so many entries behind.
    pub(crate) fn with_queue(entries: usize, change: impl FnOnce(&mut HttpSettings)) -> Self {
        let store = narvi::Settings { tail_queue_entries: entries, ..narvi::Settings::default() };
        Self::over(Builder::in_memory().settings(store).open().expect("opens"), change)
    }

    /// A server of what a process can do.
    pub(crate) fn over(logs: impl Into<Logs>, change: impl FnOnce(&mut HttpSettings)) -> Self {
        let mut settings = HttpSettings { auth_enabled: true, ..HttpSettings::default() };
        change(&mut settings);
        let app = App::new(logs, settings);
        app.set_ready(true);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("binds");
        let address = listener.local_addr().expect("has an address");
        let router = app.router();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, app, _runtime: runtime }
    }

    /// Sends a request; `head` holds further header lines, each with its line end.
    pub(crate) fn ask(&self, method: &str, path: &str, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{head}\r\n",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("reads");
        // A server that refuses a body may close before it has read it.
        let _ = stream.write_all(body);
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(all[..end].to_vec()).expect("text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut body = all.split_off(end + 4);
        if head.to_lowercase().contains("transfer-encoding: chunked") {
            body = unchunk(&body);
        }
        Answer { status, head, body }
    }

    pub(crate) fn get(&self, tenant: &str, path: &str) -> Answer {
        self.ask("GET", path, &format!("X-Scope-OrgID: {tenant}\r\n"), b"")
    }

    pub(crate) fn push(&self, tenant: &str, body: &str) {
        let head = format!("X-Scope-OrgID: {tenant}\r\nContent-Type: application/json\r\n");
        let answer = self.ask("POST", "/loki/api/v1/push", &head, body.as_bytes());
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&body[..end]).expect("text");
        let length = usize::from_str_radix(length.trim(), 16).expect("a length");
        out.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[(end + 4 + length).min(body.len())..];
    }
    out
}

/// A text in a URL.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
