//! Which handler serves which path.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use crate::{App, handlers};

impl App {
    /// All routes of a single process.
    pub fn router(self: &Arc<Self>) -> Router {
        let query = || get(handlers::query_range).post(handlers::query_range);
        let labels = || get(handlers::labels).post(handlers::labels);
        let values = || get(handlers::label_values).post(handlers::label_values);
        let series = || get(handlers::series).post(handlers::series);
        Router::new()
            .route("/loki/api/v1/push", post(handlers::push))
            .route("/api/prom/push", post(handlers::push_legacy))
            .route("/otlp/v1/logs", post(handlers::push_otlp))
            .route("/loki/api/v1/query_range", query())
            .route("/loki/api/v1/query", get(handlers::query).post(handlers::query))
            .route("/loki/api/v1/labels", labels())
            .route("/loki/api/v1/label", labels())
            .route("/loki/api/v1/label/{name}/values", values())
            .route("/loki/api/v1/series", series())
            .route("/api/prom/series", series())
            .route("/loki/api/v1/index/stats", get(handlers::stats).post(handlers::stats))
            .route("/loki/api/v1/format_query", get(handlers::format_query).post(handlers::format_query))
            .route("/loki/api/v1/status/buildinfo", get(handlers::build_info))
            .route("/flush", get(handlers::flush).post(handlers::flush))
            .route("/ready", get(handlers::ready))
            .route("/metrics", get(handlers::metrics))
            .fallback(not_found)
            .layer(DefaultBodyLimit::disable())
            .layer(middleware::from_fn_with_state(self.clone(), observe))
            .with_state(self.clone())
    }
}

/// Go's answer to an unknown path.
async fn not_found() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

/// Counts every request.
async fn observe(State(app): State<Arc<App>>, path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().to_string();
    let route = path.map_or_else(|| "other".to_owned(), |path| route_label(path.as_str()));
    let response = next.run(request).await;
    let seconds = started.elapsed().as_secs_f64();
    app.metrics.request(&method, &route, response.status().as_u16(), seconds);
    tracing::debug!(method, route, status = response.status().as_u16(), seconds, "request");
    response
}

/// The path as Loki labels it: `loki_api_v1_label_name_values`.
fn route_label(path: &str) -> String {
    path.trim_matches('/').replace('/', "_").replace(['{', '}'], "")
}

#[cfg(test)]
mod tests {
    #[test]
    fn routes_are_labelled_as_in_loki() {
        assert_eq!(super::route_label("/loki/api/v1/label/{name}/values"), "loki_api_v1_label_name_values");
        assert_eq!(super::route_label("/ready"), "ready");
    }
}
