//! A server: started, pushed to, asked, stopped, started again.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
};

use crate::{failure, narvi, path, stdout, text};

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts one and waits until it says where it listens.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = narvi(args).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = loop {
            let line = log.next().expect("the server listens before it ends").expect("text");
            assert!(line.starts_with("ts=") || line.starts_with("{\"ts\":\""), "{line}");
            if let Some((_, after)) = line.split_once(" http=").or_else(|| line.split_once("\"http\":\"")) {
                break after.split([' ', '"']).next().expect("an address").to_owned();
            }
        };
        // The log is read on, so that the server never waits for us.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address }
    }

    pub(crate) fn on(folder: &Path) -> Self {
        Self::start(&["serve", "--data-dir", &path(folder, "data"), "--http-listen", "127.0.0.1:0"])
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Kills it as a machine does that loses its power.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a request; gives the status line and all that follows.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server answers");
        let (status, rest) = answer.split_once("\r\n").expect("a status line");
        (status.to_owned(), rest.to_owned())
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) {
        assert!(self.child.wait().expect("it ends").success());
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(mut self) {
        self.terminate();
        assert!(self.child.wait().expect("it ends").success());
    }
}

pub(crate) const PUSH: &str =
    r#"{"streams":[{"stream":{"app":"a"},"values":[["1600000000000000001","one"],["1600000000000000002","two"]]}]}"#;
pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn lines_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::on(folder.path());
    let (status, _) = server.ask("POST", "/loki/api/v1/push", JSON, PUSH);
    assert!(status.contains(" 204 "), "{status}");
    let (status, rest) = server.ask("GET", "/ready", "", "");
    assert!(status.contains(" 200 ") && rest.ends_with("ready\n"), "{status} {rest}");
    let lines = |server: &Server| stdout(&["query", "{app=\"a\"}", "--addr", &server.url(), "--forward", "-o", "raw"]);
    assert_eq!(lines(&server), b"one\ntwo\n");
    let data = path(folder.path(), "data");
    let locked = failure(&["labels", "--data-dir", &data]);
    assert!(locked.contains("is open in another process") && locked.contains("--addr"), "{locked}");
    assert!(failure(&["serve", "--data-dir", &data, "--http-listen", &server.address]).contains("cannot listen on"));
    let second = failure_of_serve(&data);
    assert!(second.contains("in use by another process"), "{second}");
    server.stop();
    let server = Server::on(folder.path());
    assert_eq!(lines(&server), b"one\ntwo\n");
    server.stop();
    assert_eq!(stdout(&["query", "{app=\"a\"}", "--data-dir", &data, "-o", "raw"]), b"two\none\n");
}

/// A server that fails after it has begun to log: the last line is the error.
fn failure_of_serve(data: &str) -> String {
    let output = narvi(&["serve", "--data-dir", data, "--http-listen", "127.0.0.1:0"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_file_of_loki_starts_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = path(folder.path(), "loki.yaml");
    let text_of_file = "auth_enabled: true\nserver: {http_listen_address: 127.0.0.1, http_listen_port: 0}\n\
                        common: {path_prefix: '${DATA}'}\nlimits_config: {reject_old_samples: false}\n";
    std::fs::write(&config, text_of_file.replace("${DATA}", &path(folder.path(), "loki"))).expect("it can be written");
    let server = Server::start(&[&format!("-config.file={config}"), "-target=all"]);
    let (status, _) = server.ask("POST", "/loki/api/v1/push", JSON, PUSH);
    assert!(status.contains(" 401 "), "{status}");
    let headers = format!("{JSON}X-Scope-OrgID: t\r\n");
    let (status, rest) = server.ask("POST", "/loki/api/v1/push", &headers, PUSH);
    assert!(status.contains(" 204 "), "{status} {rest}");
    assert!(
        text(&["labels", "--addr", &server.url(), "--tenant", "t", "--from", "1599990000", "--to", "1600010000"])
            .contains("app")
    );
    server.stop();
    assert!(folder.path().join("loki/narvi/WRITER").is_file());
}

#[test]
fn files_are_loaded_into_a_server_and_read_in_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&["serve", "--in-memory", "--http-listen", "127.0.0.1:0", "--log-level", "debug"]);
    let file = path(folder.path(), "many.log");
    let lines: String = (0..2500).map(|n| format!("2020-01-01 00:{:02}:00 line {n}\n", n / 600)).collect();
    std::fs::write(&file, &lines).expect("the file can be written");
    text(&["ingest", "--addr", &server.url(), "--label", "app=many", &file]);
    let query = ["query", "{app=\"many\"}", "--addr", &server.url(), "-o", "raw"].map(str::to_owned);
    let query: Vec<&str> = query.iter().map(String::as_str).collect();
    assert_eq!(text(&[&query[..], &["--forward"]].concat()), lines);
    let last: Vec<&str> = lines.lines().rev().take(1500).collect();
    assert_eq!(text(&[&query[..], &["--limit", "1500"]].concat()).lines().collect::<Vec<_>>(), last);
    server.stop();
}
