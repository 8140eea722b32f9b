//! Loading files and asking a data directory.

use std::{fs, io::Write};

use flate2::{Compression, write::GzEncoder};

use crate::{failure, narvi, path, stdout, text};

/// CRLF, empty lines, equal lines, times that are equal, missing or go backwards, bytes that are not UTF-8, no final
/// newline.
const ODD: &[u8] = b"before any time\r\n\
2020-01-01 00:00:01 one\r\n\
2020-01-01 00:00:01 one\r\n\
2020-01-01 00:00:01 one\r\n\
\n\
\n\
\tat a.b.C(D.java:1)\n\
2020-01-01 00:00:02 \xff\xfe\x00 bytes\n\
\r\n\
2020-01-01 00:00:02,000 \"quoted\" {json=\"no\"}\n\
2020-01-01 00:00:03 end";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

#[test]
fn files_come_back_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = path(folder.path(), "data");
    let plain = path(folder.path(), "odd.log");
    let packed = path(folder.path(), "odd.log.gz");
    fs::write(&plain, ODD).expect("the file can be written");
    fs::write(&packed, gzip(ODD)).expect("the file can be written");
    let summary = text(&["ingest", "--data-dir", &data, "--label", "app=odd", &plain, &packed]);
    assert!(summary.starts_with("2 files, 22 lines, "), "{summary}");
    assert!(summary.contains("times from 2020-01-01T00:00:01Z to 2020-01-01T00:00:03Z"), "{summary}");
    for file in [&plain, &packed] {
        let query = format!("{{filename={file:?}}}");
        let back = stdout(&["query", &query, "--data-dir", &data, "--forward", "-o", "raw"]);
        assert_eq!(String::from_utf8_lossy(&back), String::from_utf8_lossy(ODD));
        assert_eq!(back, ODD);
    }
    // Loading the same file again adds nothing.
    text(&["ingest", "--data-dir", &data, "--label", "app=odd", &plain]);
    let counted =
        text(&["query", "sum(count_over_time({app=\"odd\"}[1m]))", "--data-dir", &data, "--to", "1577836805"]);
    assert_eq!(counted.trim_end(), "{} 22");
}

#[test]
fn lines_that_are_out_of_order_are_all_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(folder.path(), "mixed.log");
    let lines: String = (0..500).map(|n| format!("2020-01-01 00:00:{:02} same\n", n * 7 % 5)).collect();
    fs::write(&file, &lines).expect("the file can be written");
    let query = ["query", "{filename=~\".+\"}", "--forward", "-o", "raw", "--data-dir"];
    let by_time = path(folder.path(), "by-time");
    let summary = text(&["ingest", "--data-dir", &by_time, "--true-times", &file]);
    assert!(summary.contains("older than the line before them"), "{summary}");
    let mut sorted: Vec<&str> = lines.lines().collect();
    sorted.sort_unstable();
    let back = text(&[&query[..], &[&by_time]].concat());
    assert_eq!(back.lines().collect::<Vec<_>>(), sorted);
    let in_order = path(folder.path(), "in-order");
    text(&["ingest", "--data-dir", &in_order, &file]);
    assert_eq!(text(&[&query[..], &[&in_order]].concat()), lines);
}

#[test]
fn questions_about_a_data_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = path(folder.path(), "data");
    let mut load = narvi(&["ingest", "--data-dir", &data, "--label", "filename=x", "--label", "app=a", "-"]);
    let mut load =
        load.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().expect("it runs");
    let input = "2020-01-01T00:00:00Z first\n2020-01-01T00:01:00Z second \"q\"\n";
    load.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    assert!(load.wait().expect("it ends").success());
    let ask = |args: &[&str]| text(&[args, &["--data-dir", &data]].concat());
    assert_eq!(ask(&["labels"]), "app\nfilename\n");
    assert_eq!(ask(&["labels", "app"]), "a\n");
    assert_eq!(ask(&["series", "{app=\"a\"}"]), "{app=\"a\", filename=\"x\"}\n");
    assert!(ask(&["stats", "{app=\"a\"}"]).contains("lines   2\n"));
    let lines = ask(&["query", "{app=\"a\"}"]);
    let expected = "2020-01-01T00:01:00Z {app=\"a\", filename=\"x\"} 2020-01-01T00:01:00Z second \"q\"\n";
    assert!(lines.starts_with(expected), "{lines}");
    assert_eq!(ask(&["query", "{app=\"a\"}", "--limit", "1", "-o", "raw"]), "2020-01-01T00:01:00Z second \"q\"\n");
    let first = concat!(
        r#"{"labels":{"app":"a","filename":"x"},"line":"2020-01-01T00:00:00Z first","#,
        r#""timestamp":"2020-01-01T00:00:00Z"}"#
    );
    let range = ["--to", "2020-01-01T00:01:00Z"];
    assert_eq!(ask(&[&["query", "{app=\"a\"}", "-o", "jsonl"][..], &range].concat()), format!("{first}\n"));
    assert_eq!(ask(&[&["query", "{app=\"a\"}", "-o", "json"][..], &range].concat()), format!("[{first}]\n"));
    let series = ask(&[
        "query",
        "count_over_time({app=\"a\"}[1m])",
        "--from",
        "2020-01-01T00:00:00Z",
        "--to",
        "2020-01-01T00:02:00Z",
        "--step",
        "1m",
    ]);
    assert!(series.lines().count() >= 2 && series.contains("2020-01-01T00:01:00Z"), "{series}");
    let error = failure(&["query", "{app=\"a\"} |= oops", "--data-dir", &data]);
    assert!(error.contains("parse error"), "{error}");
}

#[test]
fn a_store_is_checked_and_its_files_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = path(folder.path(), "data");
    let file = path(folder.path(), "odd.log");
    fs::write(&file, ODD).expect("the file can be written");
    text(&["ingest", "--data-dir", &data, &file]);
    assert!(text(&["check", &data]).contains("no damage found"));
    let first = |name: &str| {
        let mut files = fs::read_dir(folder.path().join("data").join(name)).expect("the folder is there");
        files.next().expect("a file").expect("a file").path()
    };
    let pack = first("packs");
    let pack_name = pack.to_str().expect("a path");
    assert!(text(&["inspect", pack_name]).contains("pack"));
    assert!(text(&["inspect", first("index").to_str().expect("a path")]).contains("index table"));
    let mut bytes = fs::read(&pack).expect("the file is there");
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).expect("the file can be written");
    assert!(failure(&["check", &data]).contains("problems found"));
}
