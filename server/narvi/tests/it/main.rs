//! Runs the binary as an operator does.

mod cluster;
mod crash;
mod deletes;
mod deployed;
mod files;
mod life;
mod objects;
mod ruler;
mod s3;
mod server;
mod tail;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// The binary with arguments.
fn narvi(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_narvi"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    narvi(args).output().expect("the binary runs")
}

/// What a command prints that must succeed.
fn stdout(args: &[&str]) -> Vec<u8> {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(args: &[&str]) -> String {
    String::from_utf8(stdout(args)).expect("text")
}

/// The error of a command that must fail: one message, exit code 1.
fn failure(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(text.starts_with("narvi: ") && !text.contains("panicked"), "{text}");
    text
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn versions_targets_and_help() {
    for args in [&["--version"][..], &["-version"], &["--help"], &["-help"]] {
        assert!(text(args).to_lowercase().contains("narvi") || text(args).contains("-config.file"), "{args:?}");
    }
    assert!(text(&["-list-targets"]).lines().any(|line| line == "all"));
}

#[test]
fn wrong_flags_and_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = path(folder.path(), "loki.yaml");
    let flag = format!("-config.file={config}");
    assert!(failure(&["-config.file=/none/loki.yaml"]).contains("cannot read /none/loki.yaml"));
    for (file, expected) in [
        ("server:\n  http_port: 1\n", "failed parsing config: line 2: field http_port not found in type server.Config"),
        ("target: nothing\n", "unrecognised target \"nothing\""),
        ("target: querier\n", "querier has no ingester in this process"),
        ("a: [", "failed parsing config"),
    ] {
        std::fs::write(&config, file).expect("the file can be written");
        assert!(failure(&[&flag, "-verify-config"]).contains(expected), "{file}");
    }
    assert!(failure(&[&flag, "-no.such.flag=1"]).contains("flag provided but not defined: -no.such.flag"));
    std::fs::write(&config, "common: {path_prefix: /x}\nmemberlist: {bind_port: 1}\n")
        .expect("the file can be written");
    let output = run(&[&flag, "-verify-config"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("memberlist.bind_port has no effect"));
    // Mistakes in our own options are clap's: exit code 2.
    assert_eq!(run(&["query"]).status.code(), Some(2));
    assert_eq!(run(&["nothing"]).status.code(), Some(2));
}

#[test]
fn reading_needs_a_data_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = path(folder.path(), "none");
    assert!(failure(&["labels", "--data-dir", &data]).contains("is no data directory of Narvi"));
    assert!(!folder.path().join("none").exists());
    assert!(failure(&["check", &data]).contains("is no data directory of Narvi"));
    assert!(failure(&["labels", "--addr", "http://127.0.0.1:1"]).contains("cannot ask http://127.0.0.1:1"));
}
