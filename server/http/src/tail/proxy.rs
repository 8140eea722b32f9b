//! Tails that another process answers: a WebSocket to the client and one to a querier, and what comes from either goes to the
//! other. Nothing is kept in between, so that a slow client is slow for the querier too, which drops and tells it.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{
        FromRequestParts, Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use futures_util::{SinkExt as _, StreamExt as _};
use narvi_config::ClientTls;
use narvi_logs::with_causes;
use reqwest::{Certificate, Client, Identity, Upgraded, Url, redirect};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{CloseFrame as TheirClose, Role, WebSocketConfig},
    },
};

use super::Place;
use crate::{
    App,
    error::ApiError,
    handlers::{Asked, ENCODING_FLAGS, QUERY_TAGS},
    tenant,
};

/// How long the querier may take to answer the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long either side may take to hear that a tail is over.
const FAREWELL: Duration = Duration::from_secs(1);
/// A longer reason of the querier for not taking a tail is cut.
const MOST_TEXT: usize = 8 << 10;
/// A frame of the querier holds at most 100 lines.
const MOST_FRAME: usize = 256 << 20;

/// Where tails are passed on to.
#[derive(Clone, Debug)]
pub struct TailProxy {
    client: Client,
    /// Without a slash at its end.
    base: String,
}

/// Why tails cannot be passed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailProxyError {
    /// The address is none.
    #[error("frontend.tail_proxy_url: {0:?} is not a URL of a querier; write for example http://querier:3100")]
    Url(String),
    /// A file of the TLS settings cannot be read.
    #[error("frontend.tail_tls_config: cannot read {}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The TLS settings cannot be used.
    #[error("frontend.tail_tls_config cannot be used: {0}")]
    Tls(#[from] reqwest::Error),
}

impl TailProxy {
    /// Passes tails on to the querier at a URL: `http`, `https`, `ws` or `wss`.
    ///
    /// # Errors
    /// It is no such URL, or the TLS settings cannot be used.
    pub fn new(url: &str, tls: &ClientTls) -> Result<Self, TailProxyError> {
        let http = match url.split_once("://") {
            Some(("ws", rest)) => format!("http://{rest}"),
            Some(("wss", rest)) => format!("https://{rest}"),
            _ => url.to_owned(),
        };
        let parsed = Url::parse(&http).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let parsed = parsed.ok_or_else(|| TailProxyError::Url(url.to_owned()))?;
        let mut client = Client::builder()
            .user_agent(concat!("narvi/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(redirect::Policy::none())
            .tls_danger_accept_invalid_certs(tls.insecure_skip_verify);
        if !tls.ca_path.is_empty() {
            client = client.tls_certs_merge(Certificate::from_pem_bundle(&read(&tls.ca_path)?)?);
        }
        if !tls.cert_path.is_empty() {
            let pem = [read(&tls.cert_path)?, b"\n".to_vec(), read(&tls.key_path)?].concat();
            client = client.identity(Identity::from_pem(&pem)?);
        }
        Ok(Self { client: client.build()?, base: parsed.as_str().trim_end_matches('/').to_owned() })
    }

    /// Opens a tail at the querier, which may refuse it.
    async fn open(&self, uri: &str, tenant: &str, headers: &HeaderMap) -> Result<Theirs, Refused> {
        let lost = |what: String| Refused::Lost(format!("the querier of frontend.tail_proxy_url {what}"));
        let key = generate_key();
        let mut request = self
            .client
            .get(format!("{}{uri}", self.base))
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .header(tenant::HEADER, tenant);
        for name in [ENCODING_FLAGS, QUERY_TAGS] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value.clone());
            }
        }
        let answer = timeout(HANDSHAKE, request.send()).await;
        let answer = answer.map_err(|_| lost("does not answer in time".to_owned()))?;
        let mut answer =
            answer.map_err(|error| lost(format!("cannot be reached: {}", with_causes(&error.without_url()))))?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (status, mut text) = (answer.status(), Vec::new());
            while text.len() < MOST_TEXT
                && let Ok(Ok(Some(piece))) = timeout(HANDSHAKE, answer.chunk()).await
            {
                text.extend_from_slice(&piece);
            }
            text.truncate(MOST_TEXT);
            return Err(Refused::Answered(status, String::from_utf8_lossy(&text).trim_end().to_owned()));
        }
        let accepted = answer.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(|value| value.as_bytes().to_vec());
        if accepted.as_deref() != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(lost("answers a handshake that was not made".to_owned()));
        }
        let stream = answer.upgrade().await.map_err(|error| lost(format!("broke off: {}", with_causes(&error))))?;
        let config = WebSocketConfig::default().max_message_size(Some(MOST_FRAME)).max_frame_size(Some(MOST_FRAME));
        Ok(WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await)
    }
}

type Theirs = WebSocketStream<Upgraded>;

/// Why there is no tail.
enum Refused {
    Lost(String),
    Answered(StatusCode, String),
}

fn read(path: &str) -> Result<Vec<u8>, TailProxyError> {
    fs::read(path).map_err(|source| TailProxyError::File { path: path.into(), source })
}

/// Passes a tail on, on the path that it was asked for on.
pub(crate) async fn proxied(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let asked = Asked::of_parts(&app, &parts)?;
    let tenant = tenant::one(&asked.tenants)?;
    let Some(proxy) = app.settings.tail_proxy.clone() else {
        let text = "this process does not read logs, and knows no querier that it could pass tails on to: set \
                    frontend.tail_proxy_url to the URL of one";
        return Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, text));
    };
    let uri = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let upgrade =
        WebSocketUpgrade::from_request_parts(&mut parts, &app).await.map_err(|_| ApiError::bad("Bad Request"))?;
    let place = Place::take(&app, &tenant, asked.limits.max_concurrent_tail_requests)?;
    let theirs = match proxy.open(&uri, tenant.as_str(), &parts.headers).await {
        Ok(theirs) => theirs,
        Err(Refused::Answered(status, text)) => return Err(ApiError::new(status, text)),
        Err(Refused::Lost(text)) => {
            tracing::warn!(detail = text.as_str(), "a tail cannot be passed on");
            return Err(ApiError::new(StatusCode::BAD_GATEWAY, text));
        }
    };
    let response: Response<Body> = upgrade.max_message_size(64 << 10).on_upgrade(move |socket| async move {
        pass(socket, theirs, &app).await;
        drop(place);
    });
    Ok(response)
}

/// Passes messages on until either side, or the server, ends it.
async fn pass(mut ours: WebSocket, mut theirs: Theirs, app: &Arc<App>) {
    let mut stopping = app.stopping();
    let (to_client, to_querier) = loop {
        let message = tokio::select! {
            message = theirs.next() => match message {
                Some(Ok(tungstenite::Message::Close(frame))) => break (frame.map(to_ours), None),
                Some(Ok(message)) => outwards(message),
                Some(Err(_)) | None => break (close(1011, "the querier of this tail broke off"), None),
            },
            message = ours.recv() => match message {
                Some(Ok(Message::Close(frame))) => break (None, frame),
                Some(Err(_)) | None => break (None, close(1001, "the client is gone")),
                // Clients have nothing to say but that they live, which is known below us.
                Some(Ok(_)) => None,
            },
            _ = stopping.wait_for(|stop| *stop) => {
                let text = "the server is shutting down";
                break (close(1001, text), close(1001, text));
            }
        };
        let Some(message) = message else { continue };
        if let Message::Text(text) = &message {
            app.metrics.tails.bytes.inc_by(text.len() as u64);
        }
        if ours.send(message).await.is_err() {
            break (None, close(1001, "the client is gone"));
        }
    };
    // Either may be gone.
    let _ = timeout(FAREWELL, ours.send(Message::Close(to_client))).await;
    let close = tungstenite::Message::Close(to_querier.map(to_theirs));
    let _ = timeout(FAREWELL, theirs.send(close)).await;
}

#[expect(clippy::unnecessary_wraps, reason = "what a message to close takes")]
fn close(code: u16, reason: &'static str) -> Option<CloseFrame> {
    Some(CloseFrame { code, reason: reason.into() })
}

fn to_ours(frame: TheirClose) -> CloseFrame {
    CloseFrame { code: frame.code.into(), reason: frame.reason.as_str().into() }
}

fn to_theirs(frame: CloseFrame) -> TheirClose {
    TheirClose { code: frame.code.into(), reason: frame.reason.as_str().into() }
}

/// What the client is sent of what the querier says. A ping goes through, so that a client that is gone is noticed.
fn outwards(message: tungstenite::Message) -> Option<Message> {
    match message {
        tungstenite::Message::Text(text) => Some(Message::Text(text.as_str().into())),
        tungstenite::Message::Binary(bytes) => Some(Message::Binary(bytes)),
        tungstenite::Message::Ping(bytes) => Some(Message::Ping(bytes)),
        _ => None,
    }
}
