//! Nothing of one tenant shows to another, whatever is asked.

use crate::{Server, encoded};

/// What the names and texts of the tenant `a` hold; nobody else has them.
const SECRET: &str = "sekret";

/// Every route with a request that shows data of its own tenant, or `false` where there is none to show.
fn requests() -> Vec<(&'static str, &'static str, bool)> {
    vec![
        ("/loki/api/v1/query_range", "?query={q}&start=1&end=100&limit=50", true),
        ("/loki/api/v1/query", "?query=sum%20by%20(sekret_label)(count_over_time({q}%5B100s%5D))&time=100", true),
        ("/loki/api/v1/labels", "?start=1&end=100", true),
        ("/loki/api/v1/label", "?start=1&end=100", true),
        ("/loki/api/v1/label/{name}/values", "?start=1&end=100", true),
        ("/loki/api/v1/series", "?start=1&end=100", true),
        ("/api/prom/series", "?match={q}&start=1&end=100", true),
        ("/loki/api/v1/index/volume", "?query=%7B%7D&start=1&end=100", true),
        ("/loki/api/v1/index/volume_range", "?query={q}&aggregateBy=labels&start=1&end=100&step=10", true),
        ("/loki/api/v1/patterns", "?query={q}&start=1&end=100", true),
        ("/loki/api/v1/detected_labels", "?start=1&end=100", true),
        ("/loki/api/v1/detected_fields", "?query={q}&start=1&end=100", true),
        ("/loki/api/v1/detected_field/{name}/values", "?query={q}&start=1&end=100", true),
        ("/api/prom/query", "?query={q}&start=1&end=100", true),
        ("/api/prom/label", "?start=1&end=100", true),
        ("/api/prom/label/{name}/values", "?start=1&end=100", true),
        ("/loki/api/v1/index/stats", "?query={q}&start=1&end=100", false),
        ("/loki/api/v1/index/shards", "?query={q}&start=1&end=100&targetBytesPerShard=1", false),
        ("/config/tenant/v1/limits", "", false),
        ("/loki/api/v1/drilldown-limits", "", false),
        ("/loki/api/v1/status/buildinfo", "", false),
        ("/ready", "", false),
        ("/metrics", "", false),
        ("/services", "", false),
        ("/memberlist", "", false),
        ("/analytics", "", false),
        ("/log_level", "", false),
        ("/flush", "", false),
        ("/ring", "", false),
        ("/ui/ring", "", false),
    ]
}

/// Routes that are tested elsewhere: pushes and tails, and what has no tenant, is the operator's, or would end the server. Deletes and rules
/// have tests of their own.
const ELSEWHERE: [&str; 9] = [
    "/loki/api/v1/push",
    "/api/prom/push",
    "/otlp/v1/logs",
    "/loki/api/v1/tail",
    "/api/prom/tail",
    "/loki/api/v1/format_query",
    "/ingester/shutdown",
    "/ingester/prepare_shutdown",
    "/runtime_config",
];

fn server(several: bool) -> Server {
    let server = Server::start(|settings| {
        settings.patterns = true;
        settings.multi_tenant_queries = several;
    });
    let stream = r#"{"stream":{"app":"x","sekret_label":"sekret-value"},"values":[["5000000000","sekret line field=sekret-1",{"sekret_meta":"sekret-2"}],["6000000000","{\"field\":\"sekret-3\"}"]]}"#;
    server.push("a", &format!("{{\"streams\":[{stream}]}}"));
    server.push("b", r#"{"streams":[{"stream":{"app":"x"},"values":[["5000000000","mine field=own"]]}]}"#);
    server
}

fn target(path: &str, query: &str) -> String {
    let name = if path.contains("detected_field/") { "field" } else { "sekret_label" };
    path.replace("{name}", name) + &query.replace("{q}", &encoded(r#"{app="x"}"#))
}

#[test]
fn the_table_has_every_route() {
    let routes = include_str!("../../src/routes.rs");
    let paths: Vec<&str> = routes.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(paths.len() > 30, "{paths:?}");
    let known: Vec<&str> = requests().iter().map(|(path, ..)| *path).chain(ELSEWHERE).collect();
    let others = |path: &&str| !path.contains("delete") && !path.contains("rules") && !path.contains("alerts");
    for path in paths.iter().filter(|path| others(path) && !path.contains("cache/generation") && **path != "/config") {
        assert!(known.contains(path), "{path} is in no table of this test");
    }
}

#[test]
fn nothing_of_one_tenant_shows_to_another() {
    let server = server(false);
    for flushed in [false, true] {
        if flushed {
            assert_eq!(server.get("a", "/flush").status, 204);
        }
        for (path, query, shows) in requests() {
            let target = target(path, query);
            let own = server.get("a", &target);
            assert!(own.status < 300, "{target}: {} {}", own.status, own.text());
            assert_eq!(own.text().contains(SECRET), shows, "{target} as its own tenant: {}", own.text());
            for other in ["b", "c", "A", "a.", "fake"] {
                let answer = server.get(other, &target);
                assert!(!answer.text().contains(SECRET), "{target} as {other}: {}", answer.text());
            }
        }
    }
}

#[test]
fn counts_are_of_one_tenant() {
    let server = server(false);
    let query = encoded(r#"{app="x"}"#);
    let stats =
        |tenant: &str| server.get(tenant, &format!("/loki/api/v1/index/stats?query={query}&start=1&end=100")).json();
    assert_eq!((stats("a")["entries"].as_u64(), stats("b")["entries"].as_u64()), (Some(2), Some(1)));
    assert_eq!(stats("c")["entries"].as_u64(), Some(0));
}

#[test]
fn without_a_tenant_nothing_is_told() {
    let server = server(false);
    for (path, query, shows) in requests() {
        let target = target(path, query);
        let answer = server.ask("GET", &target, "", b"");
        assert!(!answer.text().contains(SECRET), "{target}");
        if shows {
            assert_eq!((answer.status, answer.text().as_str()), (401, "no org id\n"), "{target}");
            let several = server.get("b|a", &target);
            assert_eq!((several.status, several.text().as_str()), (400, "multiple org IDs present\n"), "{target}");
        }
    }
}

#[test]
fn several_tenants_are_those_that_are_named() {
    let server = server(true);
    for (path, query, shows) in requests() {
        let target = target(path, query);
        let answer = server.get("b|c", &target);
        assert!(!answer.text().contains(SECRET), "{target}: {}", answer.text());
        let both = server.get("b|a", &target);
        assert_eq!(both.text().contains(SECRET), shows, "{target}: {}", both.text());
    }
    let query = encoded(r#"{app="x", __tenant_id__="b"}"#);
    let only = server.get("b|a", &format!("/loki/api/v1/query_range?query={query}&start=1&end=100"));
    assert!(only.text().contains(r#""__tenant_id__":"b""#) && !only.text().contains(SECRET), "{}", only.text());
    let push = r#"{"streams":[{"stream":{"app":"x"},"values":[["5000000000","x"]]}]}"#;
    let head = "X-Scope-OrgID: a|b\r\nContent-Type: application/json\r\n";
    let refused = server.ask("POST", "/loki/api/v1/push", head, push.as_bytes());
    assert_eq!((refused.status, refused.text().as_str()), (400, "multiple org IDs present\n"));
}

#[test]
fn stages_do_not_see_whose_a_row_is() {
    let server = Server::start(|settings| {
        settings.multi_tenant_queries = true;
        settings.limits.discover_log_levels = false;
    });
    for (tenant, lines) in
        [("a", r#"["1000000000","x n=1"],["2000000000","x n=2"]"#), ("b", r#"["3000000000","x n=1"]"#)]
    {
        server.push(tenant, &format!(r#"{{"streams":[{{"stream":{{"app":"x","pod":"p"}},"values":[{lines}]}}]}}"#));
    }
    let ask = |query: &str, more: &str| {
        let path = format!("/loki/api/v1/query{more}query={}", encoded(query));
        server.get("a|b", &path).json()["data"]["result"].to_string()
    };
    for flushed in [false, true] {
        if flushed {
            server.get("a", "/flush");
        }
        let logs = |query: &str| ask(query, "_range?start=0&end=10&");
        assert_eq!(logs(r#"{app="x"} | __tenant_id__="a""#), "[]");
        let row = |tenant: &str, values: &str| {
            format!(r#"{{"stream":{{"__tenant_id__":"{tenant}","app":"x"}},"values":[{values}]}}"#)
        };
        let both =
            [row("a", r#"["2000000000","x n=2"],["1000000000","x n=1"]"#), row("b", r#"["3000000000","x n=1"]"#)];
        assert_eq!(logs(r#"{app="x"} | keep app"#), format!("[{}]", both.join(",")));
        let counts = |query: &str| ask(query, "?time=10&");
        let one = |metric: &str, value: u32| format!(r#"{{"metric":{metric},"value":[10,"{value}"]}}"#);
        for stage in ["", " | logfmt", " | __tenant_id__=\"\""] {
            let count = |by: &str| counts(&format!(r#"sum by ({by}) (count_over_time({{app="x"}}{stage} [10s]))"#));
            assert_eq!(count("app"), format!("[{}]", one(r#"{"app":"x"}"#, 3)), "{stage}");
            let (a, b) = (one(r#"{"__tenant_id__":"a"}"#, 2), one(r#"{"__tenant_id__":"b"}"#, 1));
            assert_eq!(count("__tenant_id__"), format!("[{a},{b}]"), "{stage}");
        }
        let (a, b) = (one(r#"{"__tenant_id__":"a","app":"x"}"#, 2), one(r#"{"__tenant_id__":"b","app":"x"}"#, 1));
        assert_eq!(counts(r#"count_over_time({app="x"} | keep app [10s])"#), format!("[{a},{b}]"));
    }
}
