//! Pages that tell of a cluster: rings, gossip, services. A process alone is all of it: every ring has this one member.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use narvi_ring::{ClusterNode, ClusterPage, Instance, RingName, RingPage, RingPageRow, State as InstanceState};
use serde_json::json;

use super::read_body;
use crate::{App, Cluster, encode::rfc3339, error::ApiError, params::Form};

/// Nanoseconds.
const MS: i64 = 1_000_000;

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
    let names = app.settings.cluster.as_ref().map_or_else(|| SERVICES.to_vec(), |cluster| cluster.services());
    let text: String = names.into_iter().chain(patterns).map(|name| format!("{name} => {state}\n")).collect();
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    accepted.split([',', ';']).any(|kind| kind.trim() == "application/json")
}

/// The ring of a page's path.
fn ring_of(path: &str) -> Option<RingName> {
    match path {
        "/ring" => Some(RingName::Ingester),
        "/distributor/ring" => Some(RingName::Distributor),
        "/ruler/ring" => Some(RingName::Ruler),
        "/compactor/ring" => Some(RingName::Compactor),
        "/scheduler/ring" => Some(RingName::Scheduler),
        "/indexgateway/ring" => Some(RingName::IndexGateway),
        _ => None,
    }
}

/// The page of a ring. Of one process alone all rings look the same: to forget a member is accepted and changes nothing, since
/// this process cannot be forgotten.
pub(crate) async fn ring(State(app): State<Arc<App>>, path: MatchedPath, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let show_tokens = parts.uri.query().is_some_and(|query| query.contains("tokens=true"));
    let (page, is_alone) = match &app.settings.cluster {
        None => (own_ring(&app), true),
        Some(cluster) => {
            let Some(name) = ring_of(path.as_str()) else { return not_shown() };
            let Some(page) = cluster.ring(name) else { return not_shown() };
            if parts.method == Method::POST
                && let Err(response) = forget(&app, &**cluster, name, body).await
            {
                return response;
            }
            (page, false)
        }
    };
    if parts.method == Method::POST {
        return (StatusCode::FOUND, [(header::LOCATION, parts.uri.path().to_owned())]).into_response();
    }
    match wants_json(&parts.headers) {
        true => {
            let body = ring_json(&page, show_tokens);
            ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        false => ring_html(&page, show_tokens, is_alone),
    }
}

/// Takes the instance out that a form names.
async fn forget(app: &App, cluster: &dyn Cluster, name: RingName, body: Body) -> Result<(), Response> {
    let body = read_body(app, body, app.settings.max_form_bytes).await.map_err(IntoResponse::into_response)?;
    let form = Form::read("", &body).map_err(IntoResponse::into_response)?;
    let id = form.get("forget");
    if id.is_empty() {
        return Ok(());
    }
    match cluster.forget(name, id) {
        Ok(was_there) => tracing::warn!(ring = %name, id, was_there, "an instance is forgotten as a client asked"),
        Err(error) => return Err(ApiError::internal(format!("cannot forget {id}: {error}")).into_response()),
    }
    Ok(())
}

fn not_shown() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

/// The ring of a process that is alone.
fn own_ring(app: &App) -> RingPage {
    let now_ms = u64::try_from(app.now().as_ns() / MS).unwrap_or(0);
    let up_ms = u64::try_from(app.uptime().as_millis()).unwrap_or(0);
    let state = if *app.stopping().borrow() { InstanceState::Leaving } else { InstanceState::Active };
    let instance = Instance {
        id: app.settings.instance_id.clone(),
        address: app.settings.instance_address.clone(),
        zone: String::new(),
        state,
        tokens: vec![0],
        registered_ms: now_ms.saturating_sub(up_ms),
        heartbeat_ms: now_ms,
    };
    let row = RingPageRow { instance: Arc::new(instance), healthy: true, ownership_percent: 100.0 };
    RingPage { now_ms, instances: vec![row] }
}

fn time(ms: u64) -> String {
    rfc3339(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(MS))
}

fn ring_json(page: &RingPage, show_tokens: bool) -> serde_json::Value {
    let shard = |row: &RingPageRow| {
        let one = &*row.instance;
        json!({
            "id": one.id, "state": row.state(), "address": one.address, "timestamp": time(one.heartbeat_ms),
            "registered_timestamp": time(one.registered_ms), "read_only": false, "read_only_updated_timestamp": "",
            "zone": one.zone, "tokens": one.tokens, "versions": {},
        })
    };
    let shards: Vec<_> = page.instances.iter().map(shard).collect();
    json!({"shards": shards, "now": time(page.now_ms), "show_tokens": show_tokens})
}

fn ring_html(page: &RingPage, show_tokens: bool, is_alone: bool) -> Response {
    let mut body = format!("<h1>Ring Status</h1>\n<p>Current time: {}</p>\n", time(page.now_ms));
    if is_alone {
        body.push_str("<p>The ring is kept in memory: this process is its only member.</p>\n");
    }
    body.push_str(
        "<form action=\"\" method=\"POST\">\n<table border=\"1\"><thead><tr><th>Instance ID</th>\
         <th>Availability Zone</th><th>State</th><th>Address</th><th>Registered At</th><th>Last Heartbeat</th>\
         <th>Tokens</th><th>Ownership</th><th>Actions</th></tr></thead>\n<tbody>",
    );
    for row in &page.instances {
        let (one, id) = (&*row.instance, escaped(&row.instance.id));
        body.push_str(&format!(
            "<tr><td>{id}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}%</td>\
             <td><button name=\"forget\" value=\"{id}\" type=\"submit\">Forget</button></td></tr>\n",
            escaped(&one.zone),
            row.state(),
            escaped(&one.address),
            time(one.registered_ms),
            time(one.heartbeat_ms),
            one.tokens.len(),
            row.ownership_percent,
        ));
    }
    body.push_str("</tbody></table>\n</form>\n");
    if show_tokens {
        for row in &page.instances {
            let tokens: Vec<_> = row.instance.tokens.iter().map(u32::to_string).collect();
            body.push_str(&format!("<h2>{}</h2>\n<p>{}</p>\n", escaped(&row.instance.id), tokens.join(" ")));
        }
    } else {
        body.push_str("<p><a href=\"?tokens=true\">Show tokens</a></p>\n");
    }
    html("Ring Status", &body)
}

/// The page of gossip.
pub(crate) async fn memberlist(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let alone = || {
        let (name, address) = (app.settings.instance_id.clone(), app.settings.instance_address.clone());
        ClusterPage {
            healthy: true,
            node: name.clone(),
            nodes: vec![ClusterNode { name, address, alive: true }],
            ..ClusterPage::default()
        }
    };
    let page = app.settings.cluster.as_ref().map_or_else(alone, |cluster| cluster.members());
    if wants_json(&headers) {
        let member = |node: &ClusterNode| {
            // As the library of Loki counts states: alive, suspect, dead.
            json!({"name": node.name, "address": node.address, "state": if node.alive { 0 } else { 2 }})
        };
        let members: Vec<_> = page.nodes.iter().map(member).collect();
        let key = |(ring, records): &(RingName, usize)| json!({"key": ring.as_str(), "records": records});
        let keys: Vec<_> = page.records.iter().filter(|_| page.enabled).map(key).collect();
        let body = json!({"enabled": page.enabled, "members": members, "keys": keys});
        return ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    }
    let mut body = "<h1>Memberlist Status</h1>\n".to_owned();
    body.push_str(match (page.enabled, page.healthy) {
        (false, _) => "<p>Gossip is off: this process is alone.</p>\n",
        (true, true) => "<p>Gossip works.</p>\n",
        (true, false) => "<p>Gossip has ended: this process hears of no other, restart it.</p>\n",
    });
    body.push_str("<table border=\"1\"><thead><tr><th>Name</th><th>Address</th><th>State</th></tr></thead>\n<tbody>");
    for node in &page.nodes {
        let state = if node.alive { "alive" } else { "dead" };
        let (name, address) = (escaped(&node.name), escaped(&node.address));
        body.push_str(&format!("<tr><td>{name}</td><td>{address}</td><td>{state}</td></tr>\n"));
    }
    body.push_str("</tbody></table>\n");
    for (ring, records) in page.records.iter().filter(|_| page.enabled) {
        body.push_str(&format!("<p>{ring}: {records} records</p>\n"));
    }
    html("Memberlist Status", &body)
}

/// What is reported of the use of this server to anyone: nothing.
pub(crate) async fn analytics() -> Response {
    let body = json!({"reporting_enabled": false, "version": {"version": env!("CARGO_PKG_VERSION")}});
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn html(title: &str, body: &str) -> Response {
    let html = format!(
        "<!DOCTYPE html>\n<html>\n<head><meta charset=\"UTF-8\"><title>{title}</title></head>\n<body>\n{body}</body>\n\
         </html>\n"
    );
    ([(header::CONTENT_TYPE, "text/html")], html).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
