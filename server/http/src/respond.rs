//! Requests that a query-frontend passes on, answered by the routes of this process.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{self, HeaderName, HeaderValue, Method, Uri, header},
    response::Response,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use narvi::Tenant;
use narvi_logs::{Forward, Forwarded, Forwarding, LogsError, Request};
use tower_service::Service as _;

use crate::{App, tenant};

/// Answers requests as the routes of an [`App`] do, without a connection. It is of use in a process that reads logs itself:
/// one that passes requests on would pass on these too.
#[derive(Clone, Debug)]
pub struct Responder {
    router: Router,
    max_answer_bytes: usize,
}

impl App {
    /// Answers requests that others pass on; their answers have at most so many bytes.
    pub fn responder(self: &Arc<Self>, max_answer_bytes: usize) -> Responder {
        Responder { router: self.router(), max_answer_bytes }
    }
}

impl Forward for Responder {
    fn forward(&self, tenants: &[Tenant], timeout: Option<Duration>, request: Request) -> Forwarding {
        let request = read(tenants, request);
        let (mut router, most) = (self.router.clone(), self.max_answer_bytes);
        Box::pin(async move {
            let request = request?;
            let answer = async {
                let answer: Result<Response, Infallible> = router.call(request).await;
                let Ok(answer) = answer;
                collect(answer, most).await
            };
            match timeout {
                None => answer.await,
                Some(timeout) => tokio::time::timeout(timeout, answer).await.unwrap_or_else(|_| {
                    Err(LogsError::answer(504, "the request took longer than its time; allow more, or narrow it"))
                }),
            }
        })
    }
}

/// The request as if it had come over a connection, of these tenants.
fn read(tenants: &[Tenant], request: Request) -> Result<http::Request<Body>, LogsError> {
    let wrong = |what: &str| LogsError::answer(400, format!("a request that was passed on has no valid {what}"));
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| wrong("method"))?;
    let uri = Uri::try_from(request.uri).map_err(|_| wrong("path"))?;
    let mut read = http::Request::new(Body::from(request.body));
    (*read.method_mut(), *read.uri_mut()) = (method, uri);
    let headers = read.headers_mut();
    for (name, value) in request.headers {
        let name = HeaderName::try_from(name).map_err(|_| wrong("name of a header"))?;
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| wrong("header"))?);
    }
    // The body is here as a whole.
    headers.remove(header::TRANSFER_ENCODING);
    let names = tenants.iter().map(Tenant::as_str).collect::<Vec<_>>().join("|");
    headers.insert(tenant::HEADER, HeaderValue::try_from(names).map_err(|_| wrong("tenant"))?);
    Ok(read)
}

async fn collect(answer: Response, most: usize) -> Result<Forwarded, LogsError> {
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, most).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
        true => LogsError::answer(400, format!("the answer is larger than {most} bytes; narrow the query")),
        false => LogsError::answer(500, format!("the answer ended early: {error}")),
    })?;
    let mut headers = Vec::with_capacity(parts.headers.len());
    for (name, value) in &parts.headers {
        headers.push((name.as_str().to_owned(), bytes::Bytes::copy_from_slice(value.as_bytes())));
    }
    Ok(Forwarded { status: parts.status.as_u16(), headers, body: body.to_bytes() })
}
