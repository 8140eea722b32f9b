//! Requests that are passed on are answered as those over a connection.

use std::time::Duration;

use narvi::Tenant;
use narvi_logs::{Forward as _, Forwarded, LogsError, Request};

use crate::Server;

fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_string().into())).collect();
    Request { method: method.to_owned(), uri: uri.to_owned(), headers, body: body.to_owned().into() }
}

/// Passes a request on as one of these tenants.
fn forward(server: &Server, most: usize, names: &[&str], request: Request) -> Result<Forwarded, LogsError> {
    let tenants: Vec<_> = names.iter().map(|name| Tenant::new(name).expect("valid")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let responder = server.app.responder(most);
    runtime.block_on(async { responder.forward(&tenants, Some(Duration::from_secs(600)), request).await })
}

fn filled() -> Server {
    let server = Server::start(|settings| settings.multi_tenant_queries = true);
    for tenant in ["a", "b"] {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later").as_nanos();
        let body = format!(r#"{{"streams":[{{"stream":{{"app":"of-{tenant}"}},"values":[["{now}","x"]]}}]}}"#);
        let head = format!("X-Scope-OrgID: {tenant}\r\nContent-Type: application/json\r\n");
        assert_eq!(server.ask("POST", "/loki/api/v1/push", &head, body.as_bytes()).status, 204);
    }
    server
}

#[test]
fn the_answer_is_that_of_the_routes() {
    let server = filled();
    let uri = "/loki/api/v1/label/app/values";
    for (names, header) in [(&["a"][..], "a"), (&["b"], "b"), (&["a", "b"], "a|b")] {
        let over = server.ask("GET", uri, &format!("X-Scope-OrgID: {header}\r\n"), b"");
        // A header that names others does not count.
        let passed = request("GET", uri, &[("x-scope-orgid", "nobody"), ("transfer-encoding", "chunked")], "");
        let passed = forward(&server, 1 << 20, names, passed).expect("answered");
        assert_eq!((passed.status, &passed.body[..]), (200, &over.body[..]));
        let kind = passed.headers.iter().find(|(name, _)| name == "content-type").expect("has a type");
        assert_eq!(kind.1, "application/json; charset=UTF-8");
        assert!(passed.body.windows(4).any(|part| part == b"of-a") == header.contains('a'));
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let passed = request("POST", "/loki/api/v1/series", &form, "match[]={app=~%22.%2B%22}");
    let series = forward(&server, 1 << 20, &["b"], passed).expect("answered");
    assert_eq!(
        String::from_utf8_lossy(&series.body),
        r#"{"status":"success","data":[{"app":"of-b","service_name":"of-b"}]}"#
    );
    // Errors are answers too.
    let wrong = forward(&server, 1 << 20, &["a"], request("GET", "/loki/api/v1/query_range?query=%7B", &[], ""));
    let wrong = wrong.expect("answered");
    assert!(wrong.status == 400 && wrong.body.starts_with(b"parse error"), "{wrong:?}");
    assert_eq!(forward(&server, 1 << 20, &["a"], request("GET", "/nothing", &[], "")).expect("answered").status, 404);
}

#[test]
fn what_cannot_be_passed_on_is_refused_by_name() {
    let server = filled();
    let told = |most, request| match forward(&server, most, &["a"], request).expect_err("refused") {
        LogsError::Answer { status, message } => (status, message),
        other => panic!("{other}"),
    };
    let (status, text) = told(5, request("GET", "/loki/api/v1/labels", &[], ""));
    assert_eq!((status, text.as_str()), (400, "the answer is larger than 5 bytes; narrow the query"));
    for (bad, what) in [
        (request("G T", "/", &[], ""), "method"),
        (request("GET", "no path", &[], ""), "path"),
        (request("GET", "/", &[("a b", "")], ""), "name of a header"),
        (request("GET", "/", &[("a", "b\nc")], ""), "header"),
    ] {
        assert_eq!(told(1 << 20, bad), (400, format!("a request that was passed on has no valid {what}")));
    }
}
