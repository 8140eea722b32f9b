//! gzip of answers, for clients that accept it.

use std::{io::Write, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};

use crate::{App, error::ApiError};

/// Answers shorter than this are not worth the work.
const LEAST_BYTES: usize = 1400;

/// Compresses JSON and text if the settings say so.
pub(crate) async fn compress(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let wanted = app.settings.compress_responses && accepts_gzip(request.headers());
    let response = next.run(request).await;
    let plain = !response.headers().contains_key(header::CONTENT_ENCODING);
    let is_text = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json") || kind.as_bytes().starts_with(b"text/"));
    if !wanted || !plain || !is_text {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The handlers answer from memory, so that this copies nothing.
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return ApiError::internal("the answer could not be put together").into_response();
    };
    parts.headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if body.len() < LEAST_BYTES {
        return Response::from_parts(parts, Body::from(body));
    }
    let plain = body.clone();
    let packed = tokio::task::spawn_blocking(move || gzip(&plain)).await;
    let Ok(Ok(packed)) = packed else { return Response::from_parts(parts, Body::from(body)) };
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(packed))
}

fn gzip(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Whether `gzip` is named and not with a quality of 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = quality.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f64>().ok());
        matches!(name.trim(), "gzip" | "*") && quality.is_some_and(|q| q > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    #[test]
    fn gzip_is_accepted_where_it_is_named() {
        for (text, expected) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("deflate", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, text.parse().expect("valid"));
            assert_eq!(super::accepts_gzip(&headers), expected, "{text}");
        }
    }
}
