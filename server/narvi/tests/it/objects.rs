//! A server whose objects lie in S3: what it keeps without its disk, and what it does when the store fails.

use std::{path::Path, sync::Arc};

use narvi::{
    Db, Entry, Labels, ObjectStoreAdapter, PushStream, Settings, Store, Tenant, TimeRange, Timestamp,
    object_store::aws::AmazonS3Builder,
};

use crate::{
    path,
    s3::{Mode, Proxy, moto, weed},
    server::{JSON, PUSH, Server},
    stdout,
};

/// A server on a Loki file whose objects lie in S3.
fn start(folder: &Path, port: u16, buckets: &str, credentials: &str) -> Server {
    let file = path(folder, "loki.yaml");
    let text = format!(
        "auth_enabled: false\nserver: {{http_listen_address: 127.0.0.1, http_listen_port: 0}}\ncommon:\n  path_prefix: \
         '{}'\n  storage:\n    s3: {{endpoint: '127.0.0.1:{port}', insecure: true, bucketnames: '{buckets}', \
         {credentials}, s3forcepathstyle: true, region: us-east-1, backoff_config: {{min_period: 10ms, max_period: 20ms, \
         max_retries: 2}}}}\nschema_config: {{configs: [{{from: 2020-01-01, store: tsdb, object_store: s3, schema: v13, \
         index: {{prefix: index_, period: 24h}}}}]}}\nlimits_config: {{reject_old_samples: false}}\n",
        path(folder, "disk")
    );
    std::fs::write(&file, text).expect("it can be written");
    Server::start(&[&format!("-config.file={file}")])
}

const KEYS: &str = "access_key_id: key, secret_access_key: secret";

fn lines(server: &Server) -> Vec<u8> {
    stdout(&[
        "query",
        "{app=\"a\"}",
        "--addr",
        &server.url(),
        "--from",
        "1599999000",
        "--to",
        "1600001000",
        "-o",
        "raw",
    ])
}

/// All lines of the tests.
const RANGE: &str = "/loki/api/v1/query_range?query=%7Bapp%3D%22a%22%7D&start=1599999000&end=1600001000";

fn push(server: &Server, body: &str) {
    let (status, rest) = server.ask("POST", "/loki/api/v1/push", JSON, body);
    assert!(status.contains(" 204 "), "{status} {rest}");
}

fn flush(server: &Server) -> (String, String) {
    server.ask("POST", "/flush", "", "")
}

/// A group of rules as the API lists it.
const RULES: &str = "name: g\nrules:\n    - alert: A\n      expr: sum(rate({app=\"a\"}[5m])) > 10\n";

/// What the API says of the group, and of all.
fn rules(server: &Server) -> [(String, String); 2] {
    ["/loki/api/v1/rules/team%20a/g", "/loki/api/v1/rules"].map(|path| server.ask("GET", path, "", ""))
}

/// Pushed and flushed, the disk lost, started again: all is there, rules too.
fn survives_the_loss_of_the_disk(port: u16, buckets: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), port, buckets, KEYS);
    push(&server, PUSH);
    let (status, rest) = flush(&server);
    assert!(status.contains(" 204 "), "{status} {rest}");
    assert_eq!(lines(&server), b"two\none\n");
    let (_, metrics) = server.ask("GET", "/metrics", "", "");
    assert!(
        metrics.contains("loki_s3_request_duration_seconds_count{operation=\"put\",status_code=\"200\"}"),
        "{metrics}"
    );
    let (status, rest) = server.ask("POST", "/loki/api/v1/rules/team%20a", "", RULES);
    assert!(status.contains(" 202 "), "{status} {rest}");
    let [one, _] = rules(&server);
    assert!(one.1.ends_with(RULES), "{one:?}");
    server.stop();
    std::fs::remove_dir_all(folder.path().join("disk")).expect("it exists");
    let server = start(folder.path(), port, buckets, KEYS);
    assert_eq!(lines(&server), b"two\none\n");
    let [one, all] = rules(&server);
    assert!(one.1.ends_with(RULES) && all.1.contains("team a:\n    - name: g\n"), "{one:?} {all:?}");
    let (status, rest) = server.ask("DELETE", "/loki/api/v1/rules/team%20a", "", "");
    assert!(status.contains(" 202 "), "{status} {rest}");
    assert!(rules(&server).iter().all(|(status, _)| status.contains(" 404 ")));
    push(&server, &PUSH.replace("\"two\"", "\"three\""));
    assert!(flush(&server).0.contains(" 204 "));
    assert_eq!(lines(&server).split(|b| *b == b'\n').count(), 4);
    server.stop();
}

#[test]
fn seaweedfs_keeps_what_the_disk_loses() {
    let Some(weed) = weed("logs", "key", "secret") else { return };
    survives_the_loss_of_the_disk(weed.port, "logs");
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(folder.path(), "loki.yaml");
    start_fails(folder.path(), &file, weed.port);
}

/// Starts with wrong keys; nothing is served, and what is said names the reason but no key.
fn start_fails(folder: &Path, file: &str, port: u16) {
    let text = format!(
        "auth_enabled: false\nserver: {{http_listen_address: 127.0.0.1, http_listen_port: 0}}\ncommon: {{path_prefix: \
         '{}', storage: {{s3: {{endpoint: '127.0.0.1:{port}', insecure: true, bucketnames: logs, access_key_id: key, \
         secret_access_key: wrong-secret, s3forcepathstyle: true, backoff_config: {{max_retries: 1}}}}}}}}\n",
        path(folder, "disk")
    );
    std::fs::write(file, text).expect("it can be written");
    let output = crate::narvi(&[&format!("-config.file={file}")]).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("\nnarvi: cannot ") && said.contains("SignatureDoesNotMatch"), "{said}");
    assert!(!said.contains("has no effect") && !said.contains("wrong-secret"), "{said}");
}

#[test]
fn moto_keeps_what_the_disk_loses_in_one_bucket_or_three() {
    let Some(moto) = moto(&["logs", "first", "second", "third"]) else { return };
    survives_the_loss_of_the_disk(moto.port, "logs");
    survives_the_loss_of_the_disk(moto.port, "first,second,third");
}

#[test]
fn pushes_go_on_while_the_store_fails() {
    let Some(moto) = moto(&["logs"]) else { return };
    let proxy = Proxy::new(moto.port);
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), proxy.port, "logs", KEYS);
    let mut expected = 0;
    for mode in [Mode::Refuse, Mode::Unavailable] {
        proxy.set(mode);
        if expected > 0 {
            // What lies in the store cannot be read, and the reason is told.
            let (status, rest) = server.ask("GET", RANGE, "", "");
            assert!(status.contains(" 500 ") && rest.contains("cannot read ") && rest.contains("503"), "{rest}");
        }
        push(&server, &PUSH.replace("1600000000", &format!("16000000{expected:02}")));
        expected += 2;
        let (status, rest) = flush(&server);
        assert!(status.contains(" 503 ") && rest.contains("cannot write object"), "{status} {rest}");
        proxy.set(Mode::Pass);
        // The background may be at it; asked again, it is done.
        assert!((0..50).any(|_| flush(&server).0.contains(" 204 ")), "the store is there again");
        assert_eq!(lines(&server).split(|b| *b == b'\n').count(), expected + 1);
    }
    proxy.set(Mode::Slow);
    push(&server, &PUSH.replace("1600000000", "1600000050"));
    assert!(flush(&server).0.contains(" 204 "));
    assert_eq!(lines(&server).split(|b| *b == b'\n').count(), expected + 3);
    // Killed while the store is away: what was acknowledged is in the local log.
    proxy.set(Mode::Refuse);
    push(&server, &PUSH.replace("1600000000", "1600000070"));
    let mut server = server;
    server.kill();
    proxy.set(Mode::Pass);
    let server = start(folder.path(), proxy.port, "logs", KEYS);
    assert_eq!(lines(&server).split(|b| *b == b'\n').count(), expected + 5);
    server.stop();
}

fn store(port: u16, prefix: &str) -> Arc<dyn Store> {
    let s3 = AmazonS3Builder::new()
        .with_bucket_name("logs")
        .with_region("us-east-1")
        .with_endpoint(format!("http://127.0.0.1:{port}"))
        .with_allow_http(true)
        .with_access_key_id("key")
        .with_secret_access_key("secret")
        .build()
        .expect("it is right");
    Arc::new(ObjectStoreAdapter::new(Arc::new(s3), prefix).expect("it starts"))
}

fn open(folder: &Path, store: Arc<dyn Store>) -> Db {
    let mut settings = Settings { garbage_grace_secs: 0, ..Settings::default() };
    settings.compaction.enabled = false;
    settings.compaction.tables_per_level = 2;
    Db::builder(folder).store(store).settings(settings).open().expect("it opens")
}

fn put(db: &Db, secs: i64, line: &'static str) {
    let labels = Labels::from_pairs([("app", "a")]).expect("valid");
    let stream = PushStream::new(labels, vec![Entry::new(Timestamp::from_secs(secs), line)]);
    db.push(&Tenant::default(), vec![stream]).expect("pushed").wait().expect("kept");
    db.flush().expect("flushed");
}

fn count(db: &Db) -> u64 {
    let selector = narvi::logql::parse_selector("{app=\"a\"}").expect("valid");
    db.stream_stats(&Tenant::default(), &selector, TimeRange::new(0, i64::MAX)).expect("counted").entries
}

#[test]
fn writers_share_a_bucket_and_merge_their_files_beside_those_of_loki() {
    let Some(moto) = moto(&["logs"]) else { return };
    let of_loki = store(moto.port, "");
    let foreign = ["fake/1a2b/18f:18f:c0ffee", "index/index_19700/compactor.tsdb.gz"].map(|key| key.replace(':', "-"));
    for key in &foreign {
        of_loki.put(key, &["loki's".into()]).expect("it can be written");
    }
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let (first, second) =
        (open(folders[0].path(), store(moto.port, "narvi")), open(folders[1].path(), store(moto.port, "narvi")));
    for n in 0..3 {
        put(&first, 1_600_000_000 + n, "first");
        put(&second, 1_600_000_100 + n, "second");
    }
    assert_eq!(count(&second), 6);
    while first.compact().expect("compacted").tables_in > 0 {}
    assert_eq!(count(&first), 6);
    first.close().expect("closed");
    second.close().expect("closed");
    drop((first, second));
    // A new disk sees what both wrote; nothing of Loki's was touched.
    let third = open(folders[2].path(), store(moto.port, "narvi"));
    assert_eq!(count(&third), 6);
    third.collect_garbage().expect("collected");
    assert_eq!(count(&third), 6);
    let all = of_loki.list("").expect("listed");
    let (own, others): (Vec<_>, Vec<_>) =
        all.iter().map(|object| object.key.clone()).partition(|key| key.starts_with("narvi/"));
    assert!(!own.is_empty());
    assert_eq!(others, foreign);
}
