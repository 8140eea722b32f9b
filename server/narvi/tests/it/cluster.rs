//! Processes of single roles over one folder: what one takes, another answers.

use std::{
    net::{TcpListener, UdpSocket},
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    failure, path,
    server::{JSON, PUSH, Server},
    stdout,
};

/// A port that is free for gossip and for connections.
fn port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// One file for all processes, in which the first port is where to meet.
fn file(folder: &Path, meet: u16) -> String {
    let place = path(folder, "loki.yaml");
    let text = format!(
        "auth_enabled: false\nserver: {{http_listen_address: 127.0.0.1, grpc_listen_address: 127.0.0.1}}\n\
         common: {{path_prefix: {}, replication_factor: 1, storage: {{filesystem: {{chunks_directory: {}}}}}}}\n\
         memberlist: {{join_members: ['127.0.0.1:{meet}'], bind_addr: [127.0.0.1]}}\n\
         ingester: {{lifecycler: {{min_ready_duration: 0s}}}}\n\
         limits_config: {{reject_old_samples: false}}\nquerier: {{query_ingesters_within: 0s}}\n",
        path(folder, "data"),
        path(folder, "data/chunks"),
    );
    std::fs::write(&place, text).expect("written");
    place
}

fn start(file: &str, id: &str, target: &str, gossip: u16) -> Server {
    let args = [
        format!("-config.file={file}"),
        format!("-target={target}"),
        format!("-ingester.lifecycler.ID={id}"),
        format!("-memberlist.bind-port={gossip}"),
        "-server.http-listen-port=0".to_owned(),
        "-server.grpc-listen-port=0".to_owned(),
    ];
    Server::start(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The lines of the stream that tests push, oldest first; asked again until they are as wanted, since processes hear of
/// each other in time.
fn lines(of: &Server, wanted: &str) {
    let begun = Instant::now();
    loop {
        let (status, answer) = of.ask(
            "GET",
            "/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D&start=1600000000&end=1600000001&direction=forward",
            "",
            "",
        );
        let found: Vec<_> = answer.match_indices("\"1600000000").map(|(at, _)| &answer[at + 1..at + 20]).collect();
        if status.contains(" 200 ") && found.join(" ") == wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{status} {answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

const BOTH: &str = "1600000000000000001 1600000000000000002";

#[test]
fn what_one_process_takes_another_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let (meet, other) = (port(), port());
    let file = file(folder.path(), meet);
    let write = start(&file, "write-0", "write", meet);
    let (status, _) = write.ask("GET", "/loki/api/v1/labels", "", "");
    assert!(status.contains(" 404 "), "who writes answers no queries: {status}");
    let (status, answer) = write.ask("POST", "/loki/api/v1/push", JSON, PUSH);
    assert!(status.contains(" 204 "), "{status} {answer}");
    let read = start(&file, "read-0", "querier,compactor", other);
    let (status, _) = read.ask("POST", "/loki/api/v1/push", JSON, PUSH);
    assert!(status.contains(" 404 "), "who reads takes no pushes: {status}");
    lines(&read, BOTH);
    let range = ["--from", "1600000000", "--to", "1600000001"];
    let labels = stdout(&[&["labels", "app", "--addr", &read.url()], &range[..]].concat());
    assert_eq!(labels, b"a\n");
    // Who leaves writes everything into files.
    write.stop();
    let write = start(&file, "write-0", "write", meet);
    let (status, answer) = write.ask("POST", "/loki/api/v1/push", JSON, PUSH);
    assert!(status.contains(" 204 "), "{status} {answer}");
    // What is sent twice is answered once, from memory and from files.
    lines(&read, BOTH);
    // Figures of rings are taken every now and then.
    let begun = Instant::now();
    while !read.ask("GET", "/metrics", "", "").1.contains("loki_ring_members{name=\"ingester\",state=\"ACTIVE\"} 1") {
        assert!(begun.elapsed() < Duration::from_secs(60), "the ring has no ingester in the metrics");
        std::thread::sleep(Duration::from_millis(100));
    }
    write.stop();
    read.stop();
}

#[test]
fn roles_that_find_nobody_are_refused() {
    let told = failure(&["-target=distributor", "-config.file=/dev/null"]);
    assert!(told.contains("memberlist.join_members"), "{told}");
    let told = failure(&["-target=bakery", "-config.file=/dev/null"]);
    assert!(told.contains("bakery") && told.contains("query-frontend"), "{told}");
}
