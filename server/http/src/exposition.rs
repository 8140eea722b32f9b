//! The text of metrics in the older of Prometheus' two formats, which is what a client gets that asks for no other.

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::error::ApiError;

/// The media type of the older format.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Metrics are not longer than this.
const MOST_BYTES: usize = 256 << 20;

/// Answers in the newer format, in which the registry writes, only those who ask for it.
pub(crate) async fn negotiate(request: Request, next: Next) -> Response {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let as_written = wants_open_metrics(accept);
    let response = next.run(request).await;
    if as_written || !response.status().is_success() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let body = match to_bytes(body, MOST_BYTES).await {
        Ok(body) => body,
        Err(_) => return ApiError::internal("the metrics cannot be told in the older format").into_response(),
    };
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CLASSIC));
    (head, classic(&String::from_utf8_lossy(&body))).into_response()
}

/// Whether a header `Accept` asks for the newer format.
fn wants_open_metrics(accept: &str) -> bool {
    accept.split(',').any(|kind| kind.split(';').next().unwrap_or("").trim() == "application/openmetrics-text")
}

/// Turns the newer format into the older one: a family of counters bears the name of its samples, information is a gauge,
/// bounds of buckets are written without an empty fraction, and nothing marks the end.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // What the name of the family ends with, which its type says; the help comes before it.
    let mut help = None;
    for line in text.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
            continue;
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (end, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                out.push_str(&format!("# HELP {name}{end} {help}\n"));
            }
            out.push_str(&format!("# TYPE {name}{end} {kind}\n"));
            continue;
        }
        match line.split_once("le=\"").and_then(|(before, rest)| Some((before, rest.split_once('"')?))) {
            Some((before, (bound, after))) => {
                let bound = bound.strip_suffix(".0").unwrap_or(bound);
                out.push_str(&format!("{before}le=\"{bound}\"{after}\n"));
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{classic, wants_open_metrics};

    #[test]
    fn the_older_format_names_families_after_samples() {
        let newer = "# HELP a_seconds Seconds.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
                     a_seconds_bucket{le=\"1.0\",role=\"x\"} 2\na_seconds_bucket{le=\"2.5\"} 2\n\
                     a_seconds_bucket{le=\"+Inf\"} 2\n# HELP b Things.\n# TYPE b counter\nb_total{c=\"d\"} 1\n\
                     # HELP e Build.\n# TYPE e info\ne_info{version=\"1.0\"} 1\n# HELP g Some.\n# TYPE g gauge\ng 5\n# EOF\n";
        let older = "# HELP a_seconds Seconds.\n# TYPE a_seconds histogram\n\
                     a_seconds_bucket{le=\"1\",role=\"x\"} 2\na_seconds_bucket{le=\"2.5\"} 2\n\
                     a_seconds_bucket{le=\"+Inf\"} 2\n# HELP b_total Things.\n# TYPE b_total counter\nb_total{c=\"d\"} 1\n\
                     # HELP e_info Build.\n# TYPE e_info gauge\ne_info{version=\"1.0\"} 1\n# HELP g Some.\n# TYPE g gauge\ng 5\n";
        assert_eq!(classic(newer), older);
    }

    #[test]
    fn a_client_gets_the_format_that_it_accepts() {
        assert!(wants_open_metrics("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4"));
        assert!(!wants_open_metrics("text/plain") && !wants_open_metrics("*/*") && !wants_open_metrics(""));
    }
}
