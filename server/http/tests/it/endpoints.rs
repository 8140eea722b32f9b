//! Endpoints of a process: what they change, and the forms in which they answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use narvi_http::Host;
use parking_lot::Mutex;

use crate::{Server, encoded};

/// A process that remembers what it was told.
#[derive(Debug)]
struct Process {
    level: Mutex<String>,
    ended: AtomicBool,
}

impl Host for Process {
    fn log_level(&self) -> String {
        self.level.lock().clone()
    }

    fn set_log_level(&self, level: &str) -> bool {
        level.clone_into(&mut self.level.lock());
        true
    }

    fn shut_down(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

fn with_process(change: impl FnOnce(&mut narvi_http::HttpSettings)) -> (Server, Arc<Process>) {
    let process = Arc::new(Process { level: Mutex::new("info".into()), ended: AtomicBool::new(false) });
    let host = process.clone();
    let server = Server::start(|settings| {
        settings.host = host;
        change(settings);
    });
    (server, process)
}

#[test]
fn the_log_level_is_told_and_changed() {
    let (server, process) = with_process(|_| {});
    assert_eq!(server.get("", "/log_level").json()["message"], "Current log level is info");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let set = server.ask("POST", "/log_level", form, b"log_level=debug");
    assert_eq!((set.status, &set.json()["message"]), (200, &"Log level set to debug".into()));
    assert_eq!(*process.level.lock(), "debug");
    assert_eq!(server.get("", "/log_level").json()["message"], "Current log level is debug");
}

#[test]
fn a_shutdown_refuses_pushes_and_ends_the_process_once() {
    let (server, process) = with_process(|_| {});
    let stop = |query: &str| server.ask("POST", &format!("/ingester/shutdown{query}"), "", b"").status;
    assert_eq!(stop("?terminate=x"), 400);
    assert_eq!(server.get("", "/ready").status, 200);
    assert_eq!(stop("?flush=false&terminate=true"), 204);
    assert!(process.ended.load(Ordering::SeqCst));
    assert_eq!(server.get("", "/ready").status, 503);
    assert!(server.get("", "/services").text().contains("ingester => Stopping\n"));
    assert_eq!(stop(""), 503);
    let head = "X-Scope-OrgID: t\r\nContent-Type: application/json\r\n";
    let push = br#"{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}]}"#;
    assert_eq!(server.ask("POST", "/loki/api/v1/push", head, push).status, 503);
}

#[test]
fn the_shutdown_marker_is_set_and_taken_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let marker = folder.path().join("below/marker");
    let (server, _) = with_process(|settings| settings.shutdown_marker = Some(marker.clone()));
    let ask = |method: &str| server.ask(method, "/ingester/prepare_shutdown", "", b"");
    assert_eq!(ask("GET").text(), "unset");
    assert_eq!(ask("DELETE").status, 204);
    assert_eq!(ask("POST").status, 204);
    assert!(marker.is_file());
    assert_eq!(ask("GET").text(), "set");
    assert_eq!(ask("DELETE").status, 204);
    assert_eq!(ask("GET").text(), "unset");
}

#[test]
fn rings_are_pages_and_json() {
    let (server, _) = with_process(|settings| settings.instance_id = "<one>".into());
    for path in ["/ring", "/distributor/ring", "/compactor/ring", "/ruler/ring", "/scheduler/ring", "/ui/ring"] {
        let page = server.get("", path);
        assert!(page.head.contains("text/html") && page.text().contains("&lt;one&gt;"), "{path}: {}", page.text());
        let json = server.ask("GET", path, "Accept: application/json\r\n", b"").json();
        assert_eq!((&json["shards"][0]["id"], &json["shards"][0]["state"]), (&"<one>".into(), &"ACTIVE".into()));
    }
    assert_eq!(server.ask("POST", "/ring", "", b"forget=x").status, 302);
}

#[test]
fn long_answers_are_compressed_for_those_who_accept_it() {
    use std::io::Read;
    let (server, _) = with_process(|settings| settings.compress_responses = true);
    let line = "x".repeat(5000);
    server.push("t", &format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[["5000000000","{line}"]]}}]}}"#));
    let path = format!("/loki/api/v1/query_range?query={}&start=1&end=100", encoded(r#"{a="b"}"#));
    let plain = server.get("t", &path);
    assert!(!plain.head.to_lowercase().contains("content-encoding"));
    let packed = server.ask("GET", &path, "X-Scope-OrgID: t\r\nAccept-Encoding: gzip\r\n", b"");
    assert!(packed.head.to_lowercase().contains("content-encoding: gzip"), "{}", packed.head);
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).expect("gzip");
    assert!(unpacked.contains(&line) && packed.body.len() < 2000);
    let short = server.ask("GET", "/loki/api/v1/labels", "X-Scope-OrgID: t\r\nAccept-Encoding: gzip\r\n", b"");
    assert!(!short.head.to_lowercase().contains("content-encoding"));
}

#[test]
fn metric_queries_are_aligned_with_their_step() {
    // Five seconds past a minute, until five seconds past another.
    let query = encoded(r#"count_over_time({app="a"}[5m])"#);
    let path = format!("/loki/api/v1/query_range?query={query}&start=65&end=245&step=60");
    for (is_aligned, split, times) in [
        (false, 3600, [60, 120, 180, 240, 300].as_slice()),
        (true, 3600, &[60, 120, 180, 240]),
        (true, 0, &[60, 120, 180, 240]),
        (false, 0, &[65, 125, 185, 245]),
    ] {
        let server = Server::start(|settings| {
            settings.align_queries_with_step = is_aligned;
            settings.limits.split_queries_by_interval = Duration::from_secs(split);
        });
        server.push("t", r#"{"streams":[{"stream":{"app":"a"},"values":[["1000000000","x"]]}]}"#);
        let answer = server.get("t", &path).json();
        let values = answer["data"]["result"][0]["values"].as_array().expect("values").clone();
        let found: Vec<i64> = values.iter().filter_map(|value| value[0].as_i64()).collect();
        assert_eq!(found, times, "{is_aligned} {split}");
    }
}

#[test]
fn a_request_may_tighten_its_limits() {
    let (server, _) = with_process(|settings| settings.per_request_limits = true);
    let path = format!("/loki/api/v1/query_range?query={}&start=1&end=7201", encoded(r#"{a="b"}"#));
    let ask = |limits: &str| {
        let head = format!("X-Scope-OrgID: t\r\nX-Loki-Query-Limits: {limits}\r\n");
        let answer = server.ask("GET", &path, &head, b"");
        (answer.status, answer.text())
    };
    assert_eq!(ask("{}").0, 200);
    assert_eq!(ask(r#"{"maxQueryLength":"3h","other":1}"#).0, 200);
    let long = "the query time range exceeds the limit (query length: 2h0m0s, limit: 1h)\n";
    assert_eq!(ask(r#"{"maxQueryLength":"1h"}"#), (400, long.to_owned()));
    assert_eq!(ask(r#"{"maxEntriesLimitPerQuery":50}"#).0, 400);
    let wrong = ask(r#"{"maxQueryLength":"soon"}"#);
    assert!(wrong.0 == 400 && wrong.1.starts_with("invalid header X-Loki-Query-Limits: "), "{wrong:?}");
    assert_eq!(ask("no json").0, 400);
}

#[test]
fn volume_counts_the_bytes_of_lines_and_metadata() {
    let (server, _) = with_process(|settings| settings.limits.discover_log_levels = false);
    let values = r#"["5000000000","12345"],["15000000000","123"],["25000000000","1"]"#;
    server.push("t", &format!(r#"{{"streams":[{{"stream":{{"app":"x","env":"e"}},"values":[{values}]}}]}}"#));
    server.push("t", r#"{"streams":[{"stream":{"app":"y"},"values":[["5000000000","1234567"]]}]}"#);
    let ask = |path: &str, more: &str| {
        let query = encoded(r#"{app=~".+"}"#);
        let answer = server.get("t", &format!("/loki/api/v1/index/{path}?query={query}&{more}")).json();
        (answer["data"]["resultType"].as_str().expect("a type").to_owned(), answer["data"]["result"].to_string())
    };
    for flushed in [false, true] {
        if flushed {
            server.get("t", "/flush");
        }
        let (kind, result) = ask("volume", "start=0&end=30");
        assert_eq!(kind, "vector");
        assert_eq!(result, r#"[{"metric":{"app":"x"},"value":[30,"9"]},{"metric":{"app":"y"},"value":[30,"7"]}]"#);
        // Both ends cut: the start is inside, the end is not.
        let (_, result) = ask("volume", "start=5&end=15&limit=1");
        assert_eq!(result, r#"[{"metric":{"app":"y"},"value":[15,"7"]}]"#);
        let (_, result) = ask("volume", "start=0&end=30&targetLabels=env");
        assert_eq!(result, r#"[{"metric":{"env":"e"},"value":[30,"9"]}]"#);
        let (_, result) = ask("volume", "start=0&end=30&aggregateBy=labels&targetLabels=app");
        assert_eq!(result, r#"[{"metric":{"app":""},"value":[30,"16"]}]"#);
        let (kind, result) = ask("volume_range", "start=0&end=30&step=10&targetLabels=env");
        assert_eq!(kind, "matrix");
        assert_eq!(result, r#"[{"metric":{"env":"e"},"values":[[10,"5"],[20,"3"],[30,"1"]]}]"#);
        let (kind, _) = ask("volume_range", "start=0&end=30&step=30");
        assert_eq!(kind, "vector");
    }
    let values = r#"["50000000000","123",{"key":"value"}],["51000000000","1",{"key":"value"}]"#;
    server.push("t", &format!(r#"{{"streams":[{{"stream":{{"app":"x"}},"values":[{values}]}}]}}"#));
    // As in Loki's chunks: eight bytes for each pair, and the name once.
    let (_, result) = ask("volume", "start=40&end=60");
    assert_eq!(result, r#"[{"metric":{"app":"x"},"value":[60,"23"]}]"#);
    let (_, result) = ask("volume", "start=40&end=51");
    assert_eq!(result, r#"[{"metric":{"app":"x"},"value":[51,"14"]}]"#);
}

#[test]
fn a_path_with_empty_segments_leads_to_the_clean_one() {
    let (server, _) = with_process(|_| {});
    let answer = server.get("t", "//loki/./api/v1/labels?start=1&end=2");
    assert_eq!(answer.status, 301);
    assert!(answer.head.contains("location: /loki/api/v1/labels?start=1&end=2"), "{}", answer.head);
    assert_eq!(server.get("t", "/loki/api/v1/labels/").status, 404);
}

#[test]
fn the_media_type_of_a_form_is_read_as_such() {
    let (server, _) = with_process(|_| {});
    let ask = |kind: &str| {
        let head = format!("X-Scope-OrgID: t\r\nContent-Type: {kind}\r\n");
        server.ask("POST", "/loki/api/v1/query", &head, b"query=vector(1)&time=5").status
    };
    assert_eq!(ask("Application/X-WWW-form-urlencoded; charset=utf-8"), 200);
    assert_eq!((ask("application/x-www-form-urlencodedx"), ask("text/plain")), (400, 400));
}

#[test]
fn metrics_come_in_the_format_that_a_client_accepts() {
    let (server, _) = with_process(|_| {});
    server.push("t", r#"{"streams":[{"stream":{"app":"x"},"values":[["50000000000","123"]]}]}"#);
    let classic = server.get("t", "/metrics");
    assert!(classic.head.contains("content-type: text/plain; version=0.0.4"), "{}", classic.head);
    let text = classic.text();
    let counted =
        "\n# TYPE loki_distributor_lines_received_total counter\nloki_distributor_lines_received_total{tenant=\"t\"";
    assert!(text.contains(counted) && text.contains("\n# TYPE loki_build_info gauge\n"), "{text}");
    assert!(text.contains("le=\"1\"") && !text.contains("le=\"1.0\"") && !text.contains("# EOF"), "{text}");
    let open =
        server.ask("GET", "/metrics", "Accept: application/openmetrics-text; version=1.0.0, text/plain\r\n", b"");
    assert!(open.head.contains("content-type: application/openmetrics-text"), "{}", open.head);
    assert!(open.text().ends_with("# EOF\n"));
}

#[test]
fn patterns_are_mined_where_it_is_asked_for() {
    let server = Server::start(|settings| settings.patterns = true);
    let lines: Vec<String> = (0..5).map(|n| format!(r#"["{n}000000000","took {n}ms"]"#)).collect();
    server.push("t", &format!(r#"{{"streams":[{{"stream":{{"app":"x"}},"values":[{}]}}]}}"#, lines.join(",")));
    let path = format!("/loki/api/v1/patterns?query={}&start=0&end=100&step=60", encoded(r#"{app="x"}"#));
    let answer = server.get("t", &path).text();
    let expected =
        r#"{"status":"success","data":[{"pattern":"took \u003c_\u003e","level":"unknown","samples":[[0,5]]}]}"#;
    assert_eq!(answer, expected);
}

#[test]
fn limits_are_told() {
    let (server, _) = with_process(|settings| settings.limits = narvi_config::Limits::loki());
    let text = server.get("t", "/config/tenant/v1/limits").text();
    for line in ["max_query_series: 500", "max_query_length: \"30d1h\"", "volume_enabled: true"] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    let drilldown = server.get("t", "/loki/api/v1/drilldown-limits").json();
    assert_eq!(drilldown["limits"]["max_query_series"], 500);
    assert_eq!(drilldown["pattern_ingester_enabled"], false);
    let built = server.get("t", "/loki/api/v1/status/buildinfo").json();
    // Grafana decides by it what it may ask for.
    assert_eq!((&drilldown["version"], &built["version"]), (&"3.7.6".into(), &"3.7.6".into()));
    assert!(built["revision"].as_str().is_some_and(|revision| revision.starts_with("narvi-")), "{built}");
}
