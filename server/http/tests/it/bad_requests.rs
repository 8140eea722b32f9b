//! Requests that are wrong, and the whole answer to each.

use crate::{Server, encoded};

const GET: &str = "GET";
const POST: &str = "POST";
const RANGE: &str = "/loki/api/v1/query_range";
const INSTANT: &str = "/loki/api/v1/query";
const NO_TENANT: &str = "-";

/// Method, path, parameters, tenant, status, text.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str, u16, &'static str);

const TIMES: [(&str, &str); 2] = [("start", "1"), ("end", "100")];

const NO_PROFILES: &str =
    "this server makes no profiles: look at its process with a profiler of the operating system, such as perf";

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Tenants.
    (GET, RANGE, &[("query", "{a=\"b\"}")], NO_TENANT, 401, "no org id"),
    (GET, "/loki/api/v1/labels", &[], NO_TENANT, 401, "no org id"),
    (GET, "/loki/api/v1/tail", &[("query", "{a=\"b\"}")], NO_TENANT, 401, "no org id"),
    (GET, RANGE, &[("query", "{a=\"b\"}")], "a|b", 400, "multiple org IDs present"),
    (GET, RANGE, &[("query", "{a=\"b\"}")], "a/b", 400, "tenant ID 'a/b' contains unsupported character '/'"),
    (GET, RANGE, &[("query", "{a=\"b\"}")], "..", 400, "tenant ID is '.' or '..'"),
    (GET, "/loki/api/v1/tail", &[("query", "{a=\"b\"}")], "a|b", 400, "multiple org IDs present"),
    // Texts of queries.
    (GET, RANGE, &[], "t", 400, "parse error : syntax error: unexpected $end"),
    (GET, RANGE, &[("query", "{a=")], "t", 400, "parse error at line 1, col 4: syntax error: unexpected $end, expecting STRING"),
    (GET, RANGE, &[("query", "{}")], "t", 400, "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will"),
    (GET, RANGE, &[("query", "{a=\"b\"} | foo")], "t", 400, "parse error at line 1, col 14: syntax error: unexpected $end"),
    (GET, INSTANT, &[("query", "{a=\"b\"}")], "t", 400, "log queries are not supported as an instant query type, please change your query to a range query type"),
    (GET, INSTANT, &[("query", "rate({a=\"b\"}[5])")], "t", 400, "parse error at line 1, col 13: not a valid duration string: \"5\""),
    (GET, INSTANT, &[("query", "sum({a=\"b\"})")], "t", 400, "parse error at line 1, col 12: syntax error: unexpected )"),
    (GET, INSTANT, &[("query", "topk(0, rate({a=\"b\"}[1m]))")], "t", 400, "parse error : invalid parameter (must be greater than 0) topk(0"),
    (GET, INSTANT, &[("query", "rate({a=\"b\"} | unwrap [1m])")], "t", 400, "parse error at line 1, col 23: syntax error: unexpected RANGE"),
    // Times, steps, limits.
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("start", "x")], "t", 400, "could not parse 'start' parameter: strconv.ParseInt: parsing \"x\": invalid syntax"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("end", "2026-13-01T00:00:00Z")], "t", 400, "could not parse 'end' parameter: strconv.ParseInt: parsing \"2026-13-01T00:00:00Z\": invalid syntax"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("since", "-5m")], "t", 400, "could not parse 'since' parameter: not a valid duration string: \"-5m\""),
    (GET, INSTANT, &[("query", "vector(1)"), ("time", "noon")], "t", 400, "could not parse 'time' parameter: strconv.ParseInt: parsing \"noon\": invalid syntax"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("start", "5"), ("end", "4")], "t", 400, "end timestamp must not be before or equal to start time"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("limit", "0")], "t", 400, "limit must be a positive value"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("limit", "-3")], "t", 400, "limit must be a positive value"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("limit", "many")], "t", 400, "strconv.Atoi: parsing \"many\": invalid syntax"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("limit", "5001")], "t", 400, "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("direction", "up")], "t", 400, "invalid direction 'up'"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("step", "x")], "t", 400, "cannot parse \"x\" to a valid duration"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("step", "0")], "t", 400, "zero or negative query resolution step widths are not accepted. Try a positive integer"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("interval", "-1s")], "t", 400, "cannot parse \"-1s\" to a valid duration"),
    (GET, RANGE, &[("query", "rate({a=\"b\"}[1m])"), ("start", "1"), ("end", "100000"), ("step", "1")], "t", 400, "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter"),
    (GET, RANGE, &[("query", "{a=\"b\"}"), ("start", "0"), ("end", "9000000000000000000")], "t", 400, "the query time range exceeds the limit (query length: 2500000h0m0s, limit: 30d1h)"),
    // Labels and series.
    (GET, "/loki/api/v1/labels", &[("query", "{}")], "t", 400, "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will"),
    (GET, "/loki/api/v1/label/a/values", &[("query", "{a=\"b\"} |= \"x\"")], "t", 400, "only label matchers are supported"),
    (GET, "/loki/api/v1/series", &[("match[]", "{}"), ("match[]", "{a=\"b\"}")], "t", 400, "0 matchers in group: {}"),
    (GET, "/loki/api/v1/series", &[("match[]", "{a=")], "t", 400, "parse error at line 1, col 4: syntax error: unexpected $end, expecting STRING"),
    (GET, "/loki/api/v1/labels", &[("start", "9"), ("end", "1")], "t", 400, "end timestamp must not be before or equal to start time"),
    // Index, volume, fields, patterns.
    (GET, "/loki/api/v1/index/stats", &[], "t", 400, "parse error : syntax error: unexpected $end"),
    (GET, "/loki/api/v1/index/stats", &[("query", "rate({a=\"b\"}[1m])")], "t", 400, "only label matchers are supported"),
    (GET, "/loki/api/v1/index/shards", &[("query", "{a=\"b\"}")], "t", 400, "targetBytesPerShard must be a positive value"),
    (GET, "/loki/api/v1/index/shards", &[("query", "{a=\"b\"}"), ("targetBytesPerShard", "x")], "t", 400, "cannot parse \"x\" to a valid number of bytes"),
    (GET, "/loki/api/v1/index/volume", &[("query", "{a=\"b\"}"), ("aggregateBy", "lines")], "t", 400, "invalid aggregation option"),
    (GET, "/loki/api/v1/index/volume", &[("query", "{a=\"b\"}"), ("limit", "-1")], "t", 400, "limit must be a positive value"),
    (GET, "/loki/api/v1/index/volume_range", &[("query", "{a=\"b\"}"), ("step", "-5")], "t", 400, "zero or negative query resolution step widths are not accepted. Try a positive integer"),
    (GET, "/loki/api/v1/detected_fields", &[("query", "rate({a=\"b\"}[1m])")], "t", 400, "only log selector is supported"),
    (GET, "/loki/api/v1/detected_field/x/values", &[("query", "{a=")], "t", 400, "parse error at line 1, col 4: syntax error: unexpected $end, expecting STRING"),
    (GET, "/loki/api/v1/detected_fields", &[("query", "{a=\"b\"}"), ("line_limit", "9999")], "t", 400, "max entries limit per query exceeded, limit > max_entries_limit_per_query (9999 > 5000)"),
    (GET, "/loki/api/v1/detected_labels", &[("query", "{a=\"b\"} | json")], "t", 400, "only label matchers are supported"),
    (GET, "/loki/api/v1/patterns", &[("query", "{a=\"b\"}")], "t", 404, ""),
    // The old API.
    (GET, "/api/prom/query", &[("query", "rate({a=\"b\"}[1m])")], "t", 400, "legacy endpoints only support streams result type"),
    (GET, "/api/prom/query", &[("query", "{a=\"b\"}"), ("regexp", "(")], "t", 400, "parse error : stage '|~ \"(\"' : error parsing regexp: missing closing ): `(`"),
    (GET, "/api/prom/labels", &[], "t", 404, "404 page not found"),
    (GET, "/api/prom/query_range", &[], "t", 404, "404 page not found"),
    // Tails.
    (GET, "/loki/api/v1/tail", &[("query", "{a=\"b\"}")], "t", 400, "Bad Request"),
    (GET, "/loki/api/v1/tail", &[("query", "{a=\"b\"}"), ("delay_for", "6")], "t", 400, "delay_for can't be greater than 5"),
    (GET, "/loki/api/v1/tail", &[("query", "{a=")], "t", 400, "parse error at line 1, col 4: syntax error: unexpected $end, expecting STRING"),
    (GET, "/loki/api/v1/tail", &[("query", "{a=\"b\"}"), ("limit", "0")], "t", 400, "limit must be a positive value"),
    // Pages.
    (GET, "/loki/api/v1/format_query", &[("query", "{a=")], "t", 400, "{\"status\":\"invalid-query\",\"error\":\"parse error at line 1, col 4: syntax error: unexpected $end, expecting STRING\"}"),
    (POST, "/log_level", &[("log_level", "loud")], "t", 400, "{\"message\":\"unrecognized log level \\\"loud\\\"\",\"status\":\"failed\"}"),
    (POST, "/ingester/shutdown", &[("flush", "maybe")], "t", 400, "invalid value of flush: \"maybe\" is neither true nor false"),
    (GET, "/ingester/prepare_shutdown", &[], "t", 500, "no path of a shutdown marker is configured; set ingester.shutdown_marker_path"),
    (GET, "/nothing", &[], "t", 404, "404 page not found"),
    // Forms that cannot be read.
    (GET, "/loki/api/v1/labels?start=%zz", &[], "t", 400, "invalid URL escape \"%zz\""),
    (GET, "/loki/api/v1/labels?start=1;end=2", &[], "t", 400, "invalid semicolon separator in query"),
    // Methods.
    ("DELETE", RANGE, &[], "t", 405, ""),
    (GET, "/loki/api/v1/push", &[], "t", 405, ""),
    ("PUT", "/ready", &[], "t", 405, ""),
    (POST, "/loki/api/v1/tail", &[], "t", 405, ""),
    ("HEAD", "/ready", &[], "t", 405, ""),
    ("HEAD", "/loki/api/v1/labels", &[], "t", 405, ""),
    ("HEAD", "/loki/api/v1/push", &[], "t", 405, ""),
    ("HEAD", "/metrics", &[], "t", 200, ""),
    ("HEAD", "/nothing", &[], "t", 404, ""),
    // Profiles.
    (GET, "/debug/pprof/", &[], "t", 404, NO_PROFILES),
    (GET, "/debug/pprof/heap", &[], "t", 404, NO_PROFILES),
    (POST, "/debug/fgprof", &[], "t", 404, NO_PROFILES),
];

/// Content type, encoding, body, status, text.
#[rustfmt::skip]
const PUSHES: &[(&str, &str, &[u8], u16, &str)] = &[
    ("", "", b"{}", 400, "mime: no media type"),
    ("application/json", "br", b"{}", 400, "Content-Encoding \"br\" not supported"),
    ("application/json", "", b"", 400, "EOF"),
    ("application/json", "", b"{", 400, "EOF while parsing an object at line 1 column 1"),
    ("application/json", "", b"{\"streams\":[]}", 422, "error at least one valid stream is required for ingestion"),
    ("application/json", "", b"{\"streams\":[{\"stream\":{\"a-b\":\"c\"},\"values\":[[\"1\",\"x\"]]}]}", 400, "couldn't parse labels: 1:3: parse error: unexpected character inside braces: '-' at line 1 column 55"),
    ("application/json", "", b"{\"streams\":[{\"stream\":{\"a\":\"c\"},\"values\":[[1,\"x\"]]}]}", 400, "invalid type: integer `1`, expected a string at line 1 column 44"),
    ("application/json", "", b"{\"streams\":[{\"stream\":{\"a\":\"c\"},\"values\":[[\"yesterday\",\"x\"]]}]}", 400, "\"yesterday\" is not a timestamp: a string of nanoseconds since 1970 is expected at line 1 column 55"),
    ("application/json", "gzip", b"no gzip", 400, "gzip: invalid header"),
    ("application/x-protobuf", "", b"no snappy", 400, "snappy: corrupt input"),
];

#[test]
fn every_mistake_has_its_answer() {
    let server = Server::start(|settings| settings.limits = narvi_config::Limits::loki());
    let mut wrong = Vec::new();
    for (method, path, params, tenant, status, text) in CASES {
        let pairs = params.iter().chain(
            TIMES
                .iter()
                .filter(|time| !params.iter().any(|p| ["start", "end", "since"].contains(&p.0) || p.0 == time.0)),
        );
        let query: Vec<String> = pairs.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let head = if *tenant == NO_TENANT { String::new() } else { format!("X-Scope-OrgID: {tenant}\r\n") };
        let answer = server.ask(
            method,
            &format!("{path}{}{}", if path.contains('?') { "&" } else { "?" }, query.join("&")),
            &head,
            b"",
        );
        compare(&mut wrong, &format!("{method} {path} {params:?}"), &answer, *status, text);
    }
    for (kind, encoding, body, status, text) in PUSHES {
        let mut head = "X-Scope-OrgID: t\r\n".to_owned();
        if !kind.is_empty() {
            head += &format!("Content-Type: {kind}\r\n");
        }
        if !encoding.is_empty() {
            head += &format!("Content-Encoding: {encoding}\r\n");
        }
        let answer = server.ask(POST, "/loki/api/v1/push", &head, body);
        compare(
            &mut wrong,
            &format!("push {kind} {encoding} {:?}", String::from_utf8_lossy(body)),
            &answer,
            *status,
            text,
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(CASES.len() + PUSHES.len() >= 45);
    // None of it was stored, and the server goes on.
    assert_eq!(server.get("t", "/loki/api/v1/labels").text(), r#"{"status":"success"}"#);
}

fn compare(wrong: &mut Vec<String>, request: &str, answer: &crate::Answer, status: u16, text: &str) {
    let found = answer.text();
    let found = found.strip_suffix('\n').unwrap_or(&found);
    if answer.status != status || found != text {
        wrong.push(format!("{request}\n    expected {status} {text:?}\n    found    {} {found:?}", answer.status));
    }
}
