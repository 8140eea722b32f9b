//! What a configuration makes of a server: limits of tenants, pages, TLS, paths, how it starts and stops.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::{
    failure, path,
    server::{JSON, PUSH, Server},
};

/// A server on a file of Loki with some more lines.
fn start(folder: &Path, more: &str, server: &str) -> Server {
    let file = path(folder, "loki.yaml");
    let text = format!(
        "auth_enabled: true\nserver: {{http_listen_address: 127.0.0.1, http_listen_port: 0{server}}}\ncommon: \
         {{path_prefix: '{}'}}\n{more}",
        path(folder, "data")
    );
    std::fs::write(&file, text).expect("it can be written");
    Server::start(&[&format!("-config.file={file}")])
}

fn push(server: &Server, tenant: &str) -> (String, String) {
    server.ask("POST", "/loki/api/v1/push", &format!("{JSON}X-Scope-OrgID: {tenant}\r\n"), PUSH)
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn limits_of_tenants_are_read_again_while_the_server_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let overrides = folder.path().join("overrides.yaml");
    let write = |text: &str| std::fs::write(&overrides, text).expect("it can be written");
    write(
        "overrides:\n  old: {reject_old_samples: false}\n  shut: {block_ingestion_until: '2100-01-01T00:00:00Z'}\n  slow: \
         {reject_old_samples: false, ingestion_rate_mb: 0.000001, ingestion_burst_size_mb: 0.000001}\n",
    );
    let more = format!("runtime_config: {{file: '{}', period: 100ms}}\n", overrides.display());
    let server = start(folder.path(), &more, "");
    for (tenant, status, text) in [
        ("old", " 204 ", ""),
        ("new", " 400 ", "has timestamp too old: 2020-09-13T12:26:40.000000001Z"),
        ("shut", " 260 ", "ingestion blocked for user 'shut' until '2100-01-01T00:00:00Z' with status code '260'"),
        (
            "slow",
            " 429 ",
            "ingestion rate limit exceeded for user slow (limit: 1 bytes/sec) while attempting to ingest '2'",
        ),
    ] {
        let (line, rest) = push(&server, tenant);
        assert!(line.contains(status) && rest.contains(text), "{tenant}: {line} {rest}");
    }
    let (_, page) = server.ask("GET", "/runtime_config?mode=diff", "", "");
    assert!(page.contains("overrides:\n  old:\n    reject_old_samples: false\n"), "{page}");
    // A wrong file changes nothing but the figure.
    write("overrides: {old: {reject_old: 1}}\n");
    let gauge = |value: u8| {
        let (_, metrics) = server.ask("GET", "/metrics", "", "");
        metrics.contains(&format!("loki_runtime_config_last_reload_successful {value}\n"))
    };
    wait("a wrong file is noticed", || gauge(0));
    assert!(push(&server, "old").0.contains(" 204 "));
    write("overrides: {new: {reject_old_samples: false}}\n");
    wait("the new file is read", || push(&server, "new").0.contains(" 204 "));
    assert!(gauge(1) && push(&server, "old").0.contains(" 400 "));
    let (_, metrics) = server.ask("GET", "/metrics", "", "");
    for line in [
        "loki_discarded_samples_total{reason=\"rate_limited\",tenant=\"slow\",retention_hours=\"\",policy=\"\",format=\"json\"} 2",
        "loki_discarded_bytes_total{reason=\"greater_than_max_sample_age\",tenant=\"new\"",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    server.stop();
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = "storage_config: {aws: {bucketnames: b, access_key_id: me, secret_access_key: hush}}\nlimits_config: \
                {max_query_lookback: 1h, max_query_bytes_read: 1B}\n";
    let server = start(folder.path(), more, ", http_path_prefix: /logs, log_format: json");
    let get = |path: &str| server.ask("GET", path, "X-Scope-OrgID: t\r\n", "");
    let (_, whole) = get("/logs/config");
    assert!(whole.contains("    secret_access_key: \"********\"\n") && !whole.contains("hush"), "{whole}");
    assert!(whole.contains("  max_query_lookback: 1h\n") && whole.contains("  grpc_listen_port: 9095\n"), "{whole}");
    let (_, changed) = get("/logs/config?mode=diff");
    assert!(changed.contains("  max_query_lookback: 1h\n") && !changed.contains("grpc_listen_port"), "{changed}");
    let (_, defaults) = get("/logs/config?mode=defaults");
    assert!(defaults.contains("  max_query_lookback: 0s\n"), "{defaults}");
    assert!(get("/logs/config?mode=all").0.contains(" 400 "));
    assert!(get("/config").0.contains(" 404 ") && get("/logs/ready").0.contains(" 200 "));
    // Too old to be asked for: nothing, and no error.
    let old = "/logs/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D&start=1600000000&end=1600000100";
    let (status, answer) = get(old);
    assert!(status.contains(" 200 ") && answer.contains("\"result\":[]"), "{status} {answer}");
    server.stop();
}

#[test]
fn requests_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let (cert, key) = (data.join("tls.crt"), data.join("tls.key"));
    let tls = format!(", http_tls_config: {{cert_file: '{}', key_file: '{}'}}", cert.display(), key.display());
    let server = start(folder.path(), "", &tls);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&cert).expect("a certificate")).expect("it can be trusted");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut stream = StreamOwned::new(connection, TcpStream::connect(server.address()).expect("it listens"));
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ready\n"), "{answer}");
    // Who speaks no TLS gets nothing.
    let mut plain = TcpStream::connect(server.address()).expect("it listens");
    plain.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    server.stop();
    let missing = path(folder.path(), "missing.yaml");
    let text = format!("server: {{http_tls_config: {{cert_file: /none.crt, key_file: '{}'}}}}\n", key.display());
    std::fs::write(&missing, text).expect("it can be written");
    let said = failure_of(&missing);
    assert!(said.contains("cannot read certificates from /none.crt"), "{said}");
}

fn failure_of(file: &str) -> String {
    let output = crate::narvi(&[&format!("-config.file={file}")]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn slow_bodies_are_refused_and_the_delay_keeps_answering() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = "shutdown_delay: 60s\ndistributor: {max_recv_msg_size: 1000, max_decompressed_size: 2000}\n";
    let server = start(folder.path(), more, ", http_server_read_timeout: 200ms");
    let mut slow = TcpStream::connect(server.address()).expect("it listens");
    let head = "POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: t\r\nContent-Length: 10\r\n\r\n{";
    slow.write_all(head.as_bytes()).expect("it reads");
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"HTTP/1.1 408");
    let long = format!("{{\"streams\":[]}}{}", " ".repeat(1000));
    let (status, text) = server.ask("POST", "/loki/api/v1/push", &format!("{JSON}X-Scope-OrgID: t\r\n"), &long);
    assert!(status.contains(" 413 ") && text.contains("request body too large"), "{status} {text}");
    // Told to stop, it says so on /ready and answers on; told again, it ends at once.
    server.terminate();
    wait("it is not ready any more", || server.ask("GET", "/ready", "", "").0.contains(" 503 "));
    assert!(server.ask("GET", "/loki/api/v1/labels", "X-Scope-OrgID: t\r\n", "").0.contains(" 200 "));
    server.stop();
}

#[test]
fn the_first_file_of_a_list_is_read_with_the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let second = path(folder.path(), "second.yaml");
    std::fs::write(&second, "server: {http_listen_port: '${PORT:8123}'}\nfoo: 1\n").expect("it can be written");
    let flag = format!("-config.file={},{second}", path(folder.path(), "first.yaml"));
    let said = failure(&[&flag, "-config.expand-env=true", "-verify-config"]);
    assert_eq!(
        said.trim_end(),
        format!("narvi: {second}: failed parsing config: line 2: field foo not found in type loki.ConfigWrapper")
    );
    std::fs::write(&second, "server: {http_listen_port: '${PORT:8123}'}\n").expect("it can be written");
    let shown = crate::run(&[&flag, "-config.expand-env", "-verify-config", "-print-config-stderr"]);
    let shown = String::from_utf8(shown.stderr).expect("text");
    assert!(shown.contains("\n  http_listen_port: 8123\n"), "{shown}");
}
