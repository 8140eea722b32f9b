//! A server over HTTP that answers in place of queriers: `frontend.downstream_url`.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use narvi::Tenant;
use narvi_logs::{Forward, Forwarded, Forwarding, LogsError, Request, with_causes};
use reqwest::{Client, Method, Url, redirect};

/// Larger answers are refused.
const MOST_BYTES: usize = 256 << 20;
/// The header that names tenants.
const TENANT: &str = "X-Scope-OrgID";

/// Why requests cannot be passed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownstreamError {
    /// The address is none.
    #[error("frontend.downstream_url: {0:?} is not a URL of a server; write for example http://querier:3100")]
    Url(String),
    /// The client cannot be made.
    #[error("cannot make an HTTP client for frontend.downstream_url: {0}")]
    Client(#[from] reqwest::Error),
}

/// Passes requests on to a server.
#[derive(Clone, Debug)]
pub struct Downstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    /// Without a slash at its end.
    base: String,
}

impl Downstream {
    /// Passes on to the server at a URL, which may have a path before those of the API.
    ///
    /// # Errors
    /// It is no URL of HTTP.
    pub fn new(url: &str) -> Result<Self, DownstreamError> {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let parsed = parsed.ok_or_else(|| DownstreamError::Url(url.to_owned()))?;
        let base = parsed.as_str().trim_end_matches('/').to_owned();
        let client = Client::builder()
            .user_agent(concat!("narvi/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self(Arc::new(Inner { client, base })))
    }
}

impl Forward for Downstream {
    fn forward(&self, tenants: &[Tenant], timeout: Option<Duration>, request: Request) -> Forwarding {
        let inner = self.0.clone();
        let names = tenants.iter().map(Tenant::as_str).collect::<Vec<_>>().join("|");
        Box::pin(async move {
            let bad = |what: &str| LogsError::answer(400, format!("cannot pass the request on: {what}"));
            let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| bad("its method"))?;
            let url = Url::parse(&format!("{}{}", inner.base, request.uri)).map_err(|_| bad("its path"))?;
            let mut sent = inner.client.request(method, url).header(TENANT, names).body(request.body);
            for (name, value) in &request.headers {
                sent = sent.header(name, value.as_ref());
            }
            if let Some(timeout) = timeout {
                sent = sent.timeout(timeout);
            }
            let lost = |error: reqwest::Error| {
                let status = if error.is_timeout() { 504 } else { 502 };
                let text = with_causes(&error.without_url());
                LogsError::answer(status, format!("the server of frontend.downstream_url does not answer: {text}"))
            };
            let mut answer = sent.send().await.map_err(lost)?;
            let status = answer.status().as_u16();
            let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
                (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes()))
            };
            let headers = answer.headers().iter().map(header).collect();
            let mut body = BytesMut::new();
            while let Some(piece) = answer.chunk().await.map_err(lost)? {
                if body.len() + piece.len() > MOST_BYTES {
                    let text = format!("the answer is larger than {MOST_BYTES} bytes; narrow the query");
                    return Err(LogsError::answer(400, text));
                }
                body.extend_from_slice(&piece);
            }
            Ok(Forwarded { status, headers, body: body.freeze() })
        })
    }
}
