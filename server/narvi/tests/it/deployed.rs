//! Files of the kinds that people run Loki with: all are accepted, and those of one process start a server that serves.

use std::path::{Path, PathBuf};

use crate::{
    path, run,
    server::{JSON, PUSH, Server},
};

/// Whether a file is a configuration of Loki, and not a manifest, a compose file or a chart's values.
fn is_configuration(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let text = std::fs::read_to_string(file).expect("text");
    let other = text.contains("apiVersion:") || text.contains("\nservices:") || name.contains("values");
    name.ends_with(".yaml") && !other
}

/// Verifies all configurations of a folder; gives them.
fn verified(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files: Vec<PathBuf> = files.filter(|file| is_configuration(file)).collect();
    for file in &files {
        let output = run(&[&format!("-config.file={}", file.display()), "-verify-config"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", file.display());
        assert_eq!(output.stdout, b"config is valid\n");
        assert!(said.lines().all(|line| line.starts_with("warning: ")), "{said}");
    }
    files
}

#[test]
fn files_of_all_kinds_are_verified() {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/tests/data");
    assert_eq!(verified(&ours).len(), 3);
    if let Some(theirs) = std::env::var_os("NARVI_DEPLOYMENTS") {
        assert!(!verified(Path::new(&theirs)).is_empty(), "no configuration is there");
    }
}

#[test]
fn a_file_of_one_process_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let theirs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/tests/data/single.yaml");
    // As it is, but for the port, the place of all data, and the level of the log, which has to tell where the server listens.
    let text = std::fs::read_to_string(theirs).expect("text").replace("/var/lib/loki", &path(folder.path(), "data"));
    let file = path(folder.path(), "loki.yaml");
    std::fs::write(&file, text).expect("it can be written");
    let server = Server::start(&[
        &format!("-config.file={file}"),
        "-server.http-listen-port=0",
        "-log.level=info",
        "-target=all",
    ]);
    let tenant = format!("{JSON}X-Scope-OrgID: t\r\n");
    let (status, rest) = server.ask("POST", "/loki/api/v1/push", &tenant, PUSH);
    assert!(status.contains(" 204 "), "{status} {rest}");
    let query = "/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D&start=1599999000&end=1600001000";
    let (status, rest) = server.ask("GET", query, "X-Scope-OrgID: t\r\n", "");
    assert!(status.contains(" 200 ") && rest.contains("\"two\""), "{status} {rest}");
    server.stop();
}

/// Buckets that the files name.
const BUCKETS: [&str; 4] = ["chunks", "ruler", "loki-data", "rules"];

/// A configuration as one machine has it: host names, places of data and placeholders are its own, all else is as it was.
fn at_home(text: &str, folder: &Path, port: u16) -> String {
    let s3 = format!("127.0.0.1:{port}");
    let mut text = text
        .replace("<S3_ACCESS_KEY>", "key")
        .replace("<S3_SECRET_KEY>", "secret")
        .replace("<S3_URL>", &s3)
        .replace("<S3_BUCKET>", "chunks")
        .replace("<S3_RULES_BUCKET>", "rules")
        .replace("<alertmanager>", "127.0.0.1:1");
    for place in ["/var/loki-distributed-runtime", "/var/loki", "/tmp/loki", "/etc/loki"] {
        text = text.replace(&format!(" {place}"), &format!(" {}{place}", folder.display()));
    }
    let host = |line: &str| match line.split_once("endpoint: ") {
        Some((key, host)) if host.ends_with(":9000") => format!("{key}endpoint: {s3}\n"),
        _ => format!("{}\n", line.replace(" /loki/", &format!(" {}/loki/", folder.display()))),
    };
    text.lines().map(host).collect()
}

#[test]
fn files_of_many_processes_serve_as_one() {
    let Some(theirs) = std::env::var_os("NARVI_DEPLOYMENTS") else { return };
    let Some(s3) = crate::s3::moto(&BUCKETS) else { return };
    for file in verified(Path::new(&theirs)) {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = folder.path().join("var/loki-distributed-runtime");
        std::fs::create_dir_all(&runtime).expect("it can be made");
        std::fs::write(runtime.join("runtime.yaml"), "{}\n").expect("it can be written");
        std::fs::create_dir_all(folder.path().join("etc/loki/rules")).expect("it can be made");
        let text = std::fs::read_to_string(&file).expect("text");
        let config = path(folder.path(), "loki.yaml");
        std::fs::write(&config, at_home(&text, folder.path(), s3.port)).expect("it can be written");
        let data = format!("-common.path-prefix={}", path(folder.path(), "data"));
        // One process of a cluster whose others are not there: it holds each stream alone.
        let flags = [
            "-server.http-listen-port=0",
            "-server.http-listen-address=127.0.0.1",
            "-server.grpc-listen-port=0",
            "-memberlist.bind-port=0",
            "-distributor.replication-factor=1",
            "-ingester.join-after=0s",
            "-ingester.observe-period=0s",
            "-ingester.min-ready-duration=0s",
            "-target=all",
            &data,
        ];
        let mut args = vec![format!("-config.file={config}")];
        args.extend(flags.map(str::to_owned));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let server = Server::start(&args);
        let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_nanos();
        let push = format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":[["{now}","one"]]}}]}}"#);
        let headers = format!("{JSON}X-Scope-OrgID: t\r\n");
        let (status, rest) = server.ask("POST", "/loki/api/v1/push", &headers, &push);
        assert!(status.contains(" 204 "), "{}: {status} {rest}", file.display());
        let (status, rest) = server.ask("POST", "/flush", "", "");
        assert!(status.contains(" 204 "), "{}: {status} {rest}", file.display());
        let query = "/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D";
        let (status, rest) = server.ask("GET", query, "X-Scope-OrgID: t\r\n", "");
        assert!(status.contains(" 200 ") && rest.contains("\"one\""), "{}: {status} {rest}", file.display());
        server.stop();
    }
}
