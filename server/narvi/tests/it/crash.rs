//! Rounds of pushing over four connections, flushing, and killing the server with -9 at any moment: after each, every
//! acknowledged line is there exactly once. `NARVI_CRASH_ROUNDS` sets how many rounds there are.

use std::{
    collections::{HashMap, HashSet},
    io::{self, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{server::Server, stdout};

const ROUNDS: u64 = 3;
const CONNECTIONS: u64 = 4;
const LINES_PER_PUSH: u64 = 5;

/// One request; errors are what a killed server leaves behind.
fn post(address: &str, path: &str, body: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         \r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 204 "))
}

/// Pushes until the server is gone; gives the lines that were acknowledged.
fn push(address: &str, round: u64, connection: u64, gone: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let lines: Vec<String> =
            (0..LINES_PER_PUSH).map(|n| format!("round-{round}-{connection}-{number}-{n}.")).collect();
        let time = 1_600_000_000_000_000_000 + round * 1_000_000_000 + number * 1_000 + connection * 10;
        let values: Vec<String> = (time..).zip(&lines).map(|(time, line)| format!("[\"{time}\",\"{line}\"]")).collect();
        let body = format!(
            "{{\"streams\":[{{\"stream\":{{\"app\":\"crash\",\"n\":\"{connection}\"}},\"values\":[{}]}}]}}",
            values.join(",")
        );
        match post(address, "/loki/api/v1/push", &body) {
            Ok(true) => acknowledged.extend(lines),
            _ if gone.load(Ordering::Relaxed) => break,
            other => panic!("a push failed before the server was killed: {other:?}"),
        }
    }
    acknowledged
}

#[test]
fn acknowledged_lines_survive_kill_9() {
    let rounds = std::env::var("NARVI_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let folder = tempfile::tempdir().expect("a folder");
    let mut all: HashSet<String> = HashSet::new();
    let mut moment = 0x9e37_79b9_u64;
    for round in 0..rounds {
        let mut server = Server::on(folder.path());
        let address = server.address().to_owned();
        let gone = AtomicBool::new(false);
        let acknowledged = std::thread::scope(|scope| {
            let (address, gone) = (&address, &gone);
            let pushes: Vec<_> = (0..CONNECTIONS).map(|n| scope.spawn(move || push(address, round, n, gone))).collect();
            scope.spawn(move || while post(address, "/flush", "").is_ok() {});
            moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            std::thread::sleep(Duration::from_millis(50 + (moment >> 33) % 450));
            gone.store(true, Ordering::Relaxed);
            server.kill();
            pushes.into_iter().flat_map(|thread| thread.join().expect("pushes")).collect::<Vec<_>>()
        });
        let server = Server::on(folder.path());
        let query = format!("{{app=\"crash\"}} |= \"round-{round}-\"");
        let counts = lines(&server, &query);
        for line in &acknowledged {
            assert_eq!(counts.get(line), Some(&1), "round {round}: {line}");
        }
        assert!(counts.values().all(|count| *count == 1), "round {round}: a line is there twice");
        eprintln!("round {round}: {} lines acknowledged, {} there", acknowledged.len(), counts.len());
        all.extend(acknowledged);
    }
    let server = Server::on(folder.path());
    let counts = lines(&server, "{app=\"crash\"}");
    assert!(all.iter().all(|line| counts.get(line) == Some(&1)) && counts.values().all(|count| *count == 1));
    eprintln!("{rounds} rounds: {} lines acknowledged, {} there, each once", all.len(), counts.len());
    server.stop();
}

fn lines(server: &Server, query: &str) -> HashMap<String, usize> {
    let text = stdout(&["query", query, "--addr", &server.url(), "--forward", "-o", "raw"]);
    let mut counts = HashMap::new();
    for line in String::from_utf8(text).expect("text").lines() {
        *counts.entry(line.to_owned()).or_insert(0) += 1;
    }
    counts
}
