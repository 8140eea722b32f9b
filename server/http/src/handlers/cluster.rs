//! Pages that tell of a cluster. One process is all of it: every ring has this one member.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{App, encode::rfc3339};

/// The parts that run in a process that is everything.
const SERVICES: [&str; 14] = [
    "analytics",
    "compactor",
    "distributor",
    "ingester",
    "ingester-querier",
    "memberlist-kv",
    "querier",
    "query-frontend",
    "query-frontend-tripperware",
    "query-scheduler",
    "ring",
    "ruler",
    "server",
    "store",
];

fn state(app: &App) -> &'static str {
    match (app.is_ready(), *app.stopping().borrow()) {
        (_, true) => "Stopping",
        (true, false) => "Running",
        (false, false) => "Starting",
    }
}

pub(crate) async fn services(State(app): State<Arc<App>>) -> Response {
    let state = state(&app);
    let patterns = app.patterns.is_some().then_some("pattern-ingester");
    let names = SERVICES.iter().copied().chain(patterns);
    let text: String = names.map(|name| format!("{name} => {state}\n")).collect();
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    accepted.split([',', ';']).any(|kind| kind.trim() == "application/json")
}

/// The page of any ring. To forget a member is accepted and changes nothing: this process cannot be forgotten.
pub(crate) async fn ring(State(app): State<Arc<App>>, uri: Uri, method: Method, headers: HeaderMap) -> Response {
    if method == Method::POST {
        return (StatusCode::FOUND, [(header::LOCATION, uri.path().to_owned())]).into_response();
    }
    let now = app.now().as_ns();
    let since = now.saturating_sub(i64::try_from(app.uptime().as_nanos()).unwrap_or(i64::MAX));
    let (id, address) = (&app.settings.instance_id, &app.settings.instance_address);
    let state = if *app.stopping().borrow() { "LEAVING" } else { "ACTIVE" };
    let (now, since) = (rfc3339(now), rfc3339(since));
    if wants_json(&headers) {
        let body = json!({
            "shards": [{
                "id": id, "state": state, "address": address, "timestamp": now, "registered_timestamp": since,
                "read_only": false, "read_only_updated_timestamp": "", "zone": "", "tokens": [0], "versions": {},
            }],
            "now": now,
            "show_tokens": uri.query().is_some_and(|query| query.contains("tokens=true")),
        });
        return ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    }
    let body = format!(
        "<h1>Ring Status</h1>\n<p>Current time: {now}</p>\n<p>The ring is kept in memory: this process is its only \
         member.</p>\n<table border=\"1\"><thead><tr><th>Instance ID</th><th>State</th><th>Address</th>\
         <th>Registered At</th><th>Last Heartbeat</th><th>Tokens</th><th>Ownership</th></tr></thead>\n<tbody><tr>\
         <td>{}</td><td>{state}</td><td>{}</td><td>{since}</td><td>{now}</td><td>1</td><td>100%</td></tr></tbody>\
         </table>\n",
        escaped(id),
        escaped(address),
    );
    page("Ring Status", &body)
}

/// The page of gossip, of which there is none.
pub(crate) async fn memberlist(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let (id, address) = (&app.settings.instance_id, &app.settings.instance_address);
    if wants_json(&headers) {
        let body = json!({"enabled": false, "members": [{"name": id, "address": address, "state": 0}], "keys": []});
        return ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    }
    let body = format!(
        "<h1>Memberlist Status</h1>\n<p>Gossip is off: this process is alone.</p>\n<p>{} at {}</p>\n",
        escaped(id),
        escaped(address),
    );
    page("Memberlist Status", &body)
}

/// What is reported of the use of this server to anyone: nothing.
pub(crate) async fn analytics() -> Response {
    let body = json!({"reporting_enabled": false, "version": {"version": env!("CARGO_PKG_VERSION")}});
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!DOCTYPE html>\n<html>\n<head><meta charset=\"UTF-8\"><title>{title}</title></head>\n<body>\n{body}</body>\n\
         </html>\n"
    );
    ([(header::CONTENT_TYPE, "text/html")], html).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
