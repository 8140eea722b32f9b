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
