//! Serves HTTP on a socket: plain or over TLS, with limits on connections and on how long clients may take.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use narvi_config::{HttpConfig, TlsConfig};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, watch},
    time::{Instant, Sleep},
};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use crate::{
    failure::{Failure, Outcome},
    upgrade::Upgradable,
};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be accepted, for want of file descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);

/// How connections are served.
#[derive(Clone)]
struct Serving {
    router: Router,
    http: http1::Builder,
    write_timeout: Duration,
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
}

/// Reads the certificate and key that a configuration names.
pub(crate) fn tls(config: &TlsConfig) -> Outcome<TlsAcceptor> {
    let certificates = |file: &str| -> Outcome<Vec<CertificateDer<'static>>> {
        let failed = |error| Failure::of(format_args!("cannot read certificates from {file}"), error);
        let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(failed)?.collect();
        match read.map_err(failed)? {
            none if none.is_empty() => Err(Failure(format!("there is no certificate in {file}"))),
            found => Ok(found),
        }
    };
    let chain = certificates(&config.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&config.key_file)
        .map_err(|error| Failure::of(format_args!("cannot read a key from {}", config.key_file), error))?;
    let builder = match config.verifies_client() {
        false => ServerConfig::builder().with_no_client_auth(),
        true => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&config.client_ca_file)? {
                let added = roots.add(certificate);
                added.map_err(|error| Failure::of(format_args!("cannot use {}", config.client_ca_file), error))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
            let verifier = if config.requires_client() { verifier } else { verifier.allow_unauthenticated() };
            let verifier = verifier.build();
            ServerConfig::builder().with_client_cert_verifier(
                verifier.map_err(|error| Failure::of(format_args!("cannot use {}", config.client_ca_file), error))?,
            )
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| {
        Failure::of(format_args!("cannot use {} with {}", config.cert_file, config.key_file), error)
    })?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// Serves until it is told to stop, then until the requests under way have ended.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    config: &HttpConfig,
    stop: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    let head = if config.read_header_timeout.is_zero() { config.idle_timeout } else { config.read_header_timeout };
    // hyper counts the time between requests as part of the next one's head.
    http.timer(TokioTimer::new()).header_read_timeout((!head.is_zero()).then_some(head));
    let serving = Serving { router, http, write_timeout: config.write_timeout, tls, stop: stop.clone() };
    let limit = if config.connection_limit == 0 { Semaphore::MAX_PERMITS } else { config.connection_limit };
    let connections = Arc::new(Semaphore::new(limit));
    let (alive, mut ended) = mpsc::channel::<()>(1);
    let mut stopped = stop;
    loop {
        let accepted = tokio::select! {
            () = told(&mut stopped) => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, address, permit)) => {
                let (serving, alive) = (serving.clone(), alive.clone());
                tokio::spawn(async move {
                    serving.connection(stream, address).await;
                    drop((alive, permit));
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop((listener, alive));
    // Every connection holds a sender: this ends when the last one has.
    let _ = ended.recv().await;
}

/// Waits until the server is told to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    let _ = stream.set_nodelay(true);
    Ok((stream, address, permit))
}

impl Serving {
    async fn connection(self, stream: TcpStream, address: SocketAddr) {
        let Some(tls) = self.tls.clone() else { return self.requests(stream, address).await };
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.requests(stream, address).await,
            Ok(Err(error)) => tracing::debug!(client = %address, error = %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(client = %address, "TLS handshake took too long"),
        }
    }

    async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut self, stream: S, address: SocketAddr) {
        let stream = Upgradable::new(stream);
        let stream = TokioIo::new(Stalling { stream, limit: self.write_timeout, since: None });
        let router = self.router;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(address));
            router.clone().call(request)
        });
        let connection = self.http.serve_connection(stream, service).with_upgrades();
        tokio::pin!(connection);
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = told(&mut self.stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = done {
            tracing::debug!(client = %address, error = %error, "a connection ended early");
        }
    }
}

/// A stream whose writes fail when the other side reads nothing for too long.
struct Stalling<S> {
    stream: S,
    /// Zero for no limit.
    limit: Duration,
    since: Option<Pin<Box<Sleep>>>,
}

impl<S> Stalling<S> {
    fn watch<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() || self.limit.is_zero() {
            self.since = None;
            return done;
        }
        let limit = self.limit;
        let since = self.since.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        match since.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
