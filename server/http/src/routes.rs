//! Which handler serves which path.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};

use crate::{App, compress, error::ApiError, exposition, handlers, slow, tail};

impl App {
    /// The routes of what runs in this process; in a single one, all.
    pub fn router(self: &Arc<Self>) -> Router {
        let logs = self.logs();
        let mut router = Self::status_pages().merge(Self::rules());
        if logs.read.is_some() || logs.queries.is_some() || logs.forward.is_some() {
            let evaluates = logs.read.is_some() || logs.queries.is_some();
            let queries = if evaluates { Self::queries() } else { Self::forwarded(&QUERIES) };
            let look_ups = match (&logs.read, &logs.forward) {
                (None, Some(_)) => Self::forwarded(&LOOK_UPS),
                _ => Self::look_ups(),
            };
            let all = queries
                .merge(look_ups)
                .layer(middleware::from_fn_with_state(self.clone(), slow::log_slow))
                .layer(middleware::from_fn_with_state(self.clone(), compress::compress));
            router = router.merge(all);
            router = match logs.read.is_some() {
                true => router
                    .route("/loki/api/v1/tail", get(handlers::tail))
                    .route("/api/prom/tail", get(handlers::tail_legacy)),
                false => TAILS.iter().fold(router, |router, path| router.route(path, get(tail::proxied))),
            };
        }
        if logs.push.is_some() {
            router = router
                .route("/loki/api/v1/push", post(handlers::push))
                .route("/api/prom/push", post(handlers::push_legacy))
                .route("/otlp/v1/logs", post(handlers::push_otlp));
        }
        if logs.ingester.is_some() {
            router = router.merge(Self::ingester_pages());
        }
        if logs.compactor.is_some() {
            router = router.merge(Self::deletes());
        }
        router
            .fallback(not_found)
            .layer(DefaultBodyLimit::disable())
            .layer(middleware::from_fn(only_own_methods))
            .layer(middleware::from_fn_with_state(self.clone(), observe))
            .with_state(self.clone())
    }

    /// Paths that other processes answer.
    fn forwarded(paths: &[&str]) -> Router<Arc<Self>> {
        let forward = || get(handlers::forward).post(handlers::forward);
        paths.iter().fold(Router::new(), |router, path| router.route(path, forward()))
    }

    /// Queries.
    fn queries() -> Router<Arc<Self>> {
        Router::new()
            .route("/loki/api/v1/query_range", get(handlers::query_range).post(handlers::query_range))
            .route("/loki/api/v1/query", get(handlers::query).post(handlers::query))
            .route("/api/prom/query", get(handlers::query_legacy).post(handlers::query_legacy))
    }

    /// What else Loki's query-frontend answers.
    fn look_ups() -> Router<Arc<Self>> {
        let label_names = || get(handlers::labels).post(handlers::labels);
        let label_legacy = || get(handlers::label_legacy).post(handlers::label_legacy);
        let series = || get(handlers::series).post(handlers::series);
        let field_values = get(handlers::detected_field_values).post(handlers::detected_field_values);
        Router::new()
            .route("/loki/api/v1/labels", label_names())
            .route("/loki/api/v1/label", label_names())
            .route("/loki/api/v1/label/{name}/values", get(handlers::label_values).post(handlers::label_values))
            .route("/loki/api/v1/series", series())
            .route("/loki/api/v1/index/stats", get(handlers::stats).post(handlers::stats))
            .route("/loki/api/v1/index/shards", get(handlers::shards).post(handlers::shards))
            .route("/loki/api/v1/index/volume", get(handlers::volume).post(handlers::volume))
            .route("/loki/api/v1/index/volume_range", get(handlers::volume_range).post(handlers::volume_range))
            .route("/loki/api/v1/patterns", get(handlers::patterns).post(handlers::patterns))
            .route("/loki/api/v1/detected_labels", get(handlers::detected_labels).post(handlers::detected_labels))
            .route("/loki/api/v1/detected_fields", get(handlers::detected_fields).post(handlers::detected_fields))
            .route("/loki/api/v1/detected_field/{name}/values", field_values)
            .route("/api/prom/label", label_legacy())
            .route("/api/prom/label/{name}/values", label_legacy())
            .route("/api/prom/series", series())
    }

    /// Rules, and what they do at the moment.
    fn rules() -> Router<Arc<Self>> {
        let mut router = Router::new()
            .route("/prometheus/api/v1/rules", get(handlers::prometheus_rules))
            .route("/prometheus/api/v1/alerts", get(handlers::prometheus_alerts));
        for base in ["/loki/api/v1/rules", "/api/prom/rules"] {
            let namespace = get(handlers::get_rules).post(handlers::set_rules).delete(handlers::delete_rules);
            let group = get(handlers::get_rules).delete(handlers::delete_rules);
            router = router
                .route(base, get(handlers::list_rules))
                .route(&format!("{base}/{{namespace}}"), namespace)
                .route(&format!("{base}/{{namespace}}/{{groupName}}"), group);
        }
        router
    }

    /// What one who holds recent lines can be told.
    fn ingester_pages() -> Router<Arc<Self>> {
        let prepare = get(handlers::prepare_shutdown).post(handlers::prepare_shutdown);
        Router::new()
            .route("/flush", get(handlers::flush).post(handlers::flush))
            .route("/ingester/shutdown", get(handlers::shutdown).post(handlers::shutdown))
            .route("/ingester/prepare_shutdown", prepare.delete(handlers::prepare_shutdown))
    }

    /// Requests to delete lines.
    fn deletes() -> Router<Arc<Self>> {
        let delete = get(handlers::list_deletes)
            .put(handlers::create_delete)
            .post(handlers::create_delete)
            .delete(handlers::cancel_delete);
        Router::new()
            .route("/loki/api/v1/delete", delete)
            .route("/loki/api/v1/cache/generation_numbers", get(handlers::generation_numbers))
    }

    /// What a process says of itself, and what it can be told.
    fn status_pages() -> Router<Arc<Self>> {
        let mut pages = Router::new()
            .route("/loki/api/v1/format_query", get(handlers::format_query).post(handlers::format_query))
            .route("/loki/api/v1/status/buildinfo", get(handlers::build_info))
            .route("/loki/api/v1/drilldown-limits", get(handlers::drilldown_limits))
            .route("/config", get(handlers::config))
            .route("/runtime_config", get(handlers::runtime_config))
            .route("/config/tenant/v1/limits", get(handlers::tenant_limits))
            .route("/log_level", get(handlers::log_level).post(handlers::set_log_level))
            .route("/services", get(handlers::services))
            .route("/memberlist", any(handlers::memberlist))
            .route("/analytics", get(handlers::analytics).post(handlers::analytics))
            .route("/ready", get(handlers::ready))
            .route("/metrics", get(handlers::metrics).layer(middleware::from_fn(exposition::negotiate)));
        for path in ["/debug/pprof", "/debug/pprof/", "/debug/pprof/{*profile}", "/debug/fgprof"] {
            pages = pages.route(path, any(no_profiles));
        }
        for path in RINGS {
            pages = pages.route(path, get(handlers::ring).post(handlers::ring));
        }
        pages
    }
}

/// The pages of rings; all show the same one.
const RINGS: [&str; 8] = [
    "/ring",
    "/distributor/ring",
    "/ruler/ring",
    "/compactor/ring",
    "/indexgateway/ring",
    "/scheduler/ring",
    "/pattern/ring",
    "/ui/ring",
];

/// The paths of queries.
const QUERIES: [&str; 3] = ["/loki/api/v1/query_range", "/loki/api/v1/query", "/api/prom/query"];

/// The paths of what else is asked of logs.
const LOOK_UPS: [&str; 15] = [
    "/loki/api/v1/labels",
    "/loki/api/v1/label",
    "/loki/api/v1/label/{name}/values",
    "/loki/api/v1/series",
    "/loki/api/v1/index/stats",
    "/loki/api/v1/index/shards",
    "/loki/api/v1/index/volume",
    "/loki/api/v1/index/volume_range",
    "/loki/api/v1/patterns",
    "/loki/api/v1/detected_labels",
    "/loki/api/v1/detected_fields",
    "/loki/api/v1/detected_field/{name}/values",
    "/api/prom/label",
    "/api/prom/label/{name}/values",
    "/api/prom/series",
];

/// The paths of tails.
const TAILS: [&str; 2] = ["/loki/api/v1/tail", "/api/prom/tail"];

/// Paths that Loki serves whatever the method is.
const ANY_METHOD: [&str; 2] = ["/metrics", "/memberlist"];

/// Go's routers, unlike ours, do not serve HEAD where they serve GET.
async fn only_own_methods(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let is_told = |path: MatchedPath| !ANY_METHOD.contains(&path.as_str()) && !path.as_str().starts_with("/debug/");
    if request.method() == Method::HEAD && path.is_some_and(is_told) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    next.run(request).await
}

async fn no_profiles() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "this server makes no profiles: look at its process with a profiler of the operating system, such as perf",
    )
}

/// Go's answer to an unknown path: first the way to the path that it may mean.
async fn not_found(uri: Uri) -> Response {
    if let Some(mut clean) = cleaned(uri.path()) {
        if let Some(query) = uri.query() {
            clean = clean + "?" + query;
        }
        return (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, clean)]).into_response();
    }
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

/// The path without empty and dotted segments, if it has some: clients whose address ends in a slash send such.
fn cleaned(path: &str) -> Option<String> {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut clean = String::from("/") + &kept.join("/");
    if path.ends_with('/') && clean.len() > 1 {
        clean.push('/');
    }
    (clean != path).then_some(clean)
}

/// Counts every request.
async fn observe(State(app): State<Arc<App>>, path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().to_string();
    let route = path.map_or_else(|| "other".to_owned(), |path| route_label(path.as_str()));
    let response = next.run(request).await;
    let seconds = started.elapsed().as_secs_f64();
    let status = response.status();
    app.metrics.request(&method, &route, status.as_u16(), status == StatusCode::SWITCHING_PROTOCOLS, seconds);
    tracing::debug!(method, route, status = status.as_u16(), seconds, "request");
    response
}

/// The path as Loki labels it: `loki_api_v1_label_name_values`.
fn route_label(path: &str) -> String {
    path.trim_matches('/').replace('/', "_").replace(['{', '}', '*'], "")
}

#[cfg(test)]
mod tests {
    #[test]
    fn paths_are_cleaned() {
        for (path, clean) in [
            ("/nothing", None),
            ("/nothing/", None),
            ("/", None),
            ("//ready", Some("/ready")),
            ("/loki//api/./v1/../v1/labels/", Some("/loki/api/v1/labels/")),
            ("/../..", Some("/")),
        ] {
            assert_eq!(super::cleaned(path).as_deref(), clean, "{path}");
        }
    }

    #[test]
    fn routes_are_labelled_as_in_loki() {
        assert_eq!(super::route_label("/loki/api/v1/label/{name}/values"), "loki_api_v1_label_name_values");
        assert_eq!(super::route_label("/ready"), "ready");
    }
}
