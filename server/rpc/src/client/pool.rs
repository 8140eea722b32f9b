//! Clients by address.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tonic::transport::Endpoint;

use super::{IndexGatewayClient, IngesterClient, Peer, SchedulerClient, timed::Timed};
use crate::{
    call::CallOptions,
    error::{RpcError, RpcErrorKind},
    pb::health::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient},
    server::{CONNECTION_WINDOW, STREAM_WINDOW},
    settings::ClientSettings,
};

/// Clients of peers, by address. Cheap to clone; clones share connections.
///
/// A connection is made by the first call. A lost one is made anew by the next, which looks the name up again; while
/// it lasts, the name is not looked up. So that one of several addresses behind a name is not used for ever, and
/// one that is dead not at all, [`ClientPool::check`] drops those that give no sign of life.
#[derive(Clone, Debug)]
pub struct ClientPool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Arc<ClientSettings>,
    peers: Mutex<HashMap<String, Arc<Peer>>>,
}

impl ClientPool {
    /// A pool without clients.
    pub fn new(settings: ClientSettings) -> Self {
        Self(Arc::new(Inner { settings: Arc::new(settings), peers: Mutex::default() }))
    }

    /// A client of an ingester. Makes no connection yet, but must be called within the runtime.
    ///
    /// # Errors
    /// The address is none, or there is no runtime.
    pub fn ingester(&self, address: &str) -> Result<IngesterClient, RpcError> {
        Ok(IngesterClient::new(self.peer(address)?, self.0.settings.clone()))
    }

    /// A client of an index gateway. Makes no connection yet, but must be called within the runtime.
    ///
    /// # Errors
    /// The address is none, or there is no runtime.
    pub fn index_gateway(&self, address: &str) -> Result<IndexGatewayClient, RpcError> {
        Ok(IndexGatewayClient::new(self.peer(address)?, self.0.settings.clone()))
    }

    /// A client of a scheduler. Makes no connection yet, but must be called within the runtime.
    ///
    /// # Errors
    /// The address is none, or there is no runtime.
    pub fn scheduler(&self, address: &str) -> Result<SchedulerClient, RpcError> {
        Ok(SchedulerClient::new(self.peer(address)?, self.0.settings.clone()))
    }

    /// The addresses of all clients, sorted.
    pub fn addresses(&self) -> Vec<String> {
        let mut all: Vec<_> = self.0.peers.lock().keys().cloned().collect();
        all.sort();
        all
    }

    /// Drops the clients of all other addresses. Calls under way go on.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.0.peers.lock().retain(|address, _| keep(address));
    }

    /// Asks all peers for a sign of life at once, drops the clients of those that give none, and gives their addresses. Those
    /// that live but take no calls now are kept.
    pub async fn check(&self) -> Vec<String> {
        let peers: Vec<_> = self.0.peers.lock().values().cloned().collect();
        let checks =
            peers.into_iter().map(|peer| async move { self.lives(&peer).await.err().map(|error| (peer, error)) });
        let mut dropped = Vec::new();
        for (peer, error) in futures_util::future::join_all(checks).await.into_iter().flatten() {
            let mut peers = self.0.peers.lock();
            if peers.get(&peer.address).is_some_and(|there| Arc::ptr_eq(there, &peer)) {
                peers.remove(&peer.address);
                tracing::warn!(address = peer.address, %error, "dropped the connection to a peer that does not answer");
                dropped.push(peer.address.clone());
            }
        }
        dropped.sort();
        dropped
    }

    /// Checks again and again; ends when it is dropped. Loki's `pool_config.client_cleanup_period` is a good distance.
    pub async fn keep_checking(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.check().await;
        }
    }

    /// Whether a peer takes calls.
    ///
    /// # Errors
    /// It gives no sign of life, or the address is none.
    pub async fn is_ready(&self, address: &str) -> Result<bool, RpcError> {
        let peer = self.peer(address)?;
        self.lives(&peer).await
    }

    async fn lives(&self, peer: &Peer) -> Result<bool, RpcError> {
        let options = CallOptions::of_none().within(self.0.settings.check_timeout);
        let timed = Timed { address: peer.address.clone(), deadline: options.deadline() };
        let mut client = HealthClient::new(peer.channel.clone());
        let answer = timed.run(client.check(options.request(HealthCheckRequest::default())?)).await?;
        Ok(answer.into_inner().status == i32::from(ServingStatus::Serving))
    }

    fn peer(&self, address: &str) -> Result<Arc<Peer>, RpcError> {
        let mut peers = self.0.peers.lock();
        if let Some(peer) = peers.get(address) {
            return Ok(peer.clone());
        }
        let peer = Arc::new(self.connect(address)?);
        peers.insert(address.to_owned(), peer.clone());
        Ok(peer)
    }

    fn connect(&self, address: &str) -> Result<Peer, RpcError> {
        let invalid = |why: String| {
            let text = format!("cannot call {address:?}: {why}; an address is a host and a port");
            RpcError::new(RpcErrorKind::Invalid, text)
        };
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(RpcError::new(RpcErrorKind::Internal, "clients can be made within an async runtime only"));
        }
        // Loki's files may say how the name is to be looked up.
        let bare = address.strip_prefix("dns:///").or_else(|| address.strip_prefix("dns:")).unwrap_or(address);
        let port =
            bare.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() || bare.contains('/') {
            return Err(invalid("it is no host and port".to_owned()));
        }
        let endpoint = Endpoint::from_shared(format!("http://{bare}")).map_err(|error| invalid(error.to_string()))?;
        let settings = &self.0.settings;
        let channel = endpoint
            .connect_timeout(settings.connect_timeout)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(settings.keepalive_time)
            .keep_alive_timeout(settings.keepalive_timeout)
            .keep_alive_while_idle(true)
            .connect_lazy();
        Ok(Peer { address: address.to_owned(), channel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_need_a_runtime_and_an_address() {
        let pool = ClientPool::new(ClientSettings::default());
        assert_eq!(pool.ingester("a:1").expect_err("no runtime").kind(), RpcErrorKind::Internal);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _inside = runtime.enter();
        for bad in ["", "a b:1", "http://a:1", "a:1/x", "a:99999999"] {
            assert_eq!(pool.ingester(bad).expect_err(bad).kind(), RpcErrorKind::Invalid);
        }
        pool.ingester("dns:///a.example:9095").expect("as Loki writes it");
        pool.scheduler("[::1]:9095").expect("an address");
        pool.ingester("[::1]:9095").expect("the same");
        assert_eq!(pool.addresses(), ["[::1]:9095", "dns:///a.example:9095"]);
        pool.retain(|address| address.starts_with('['));
        assert_eq!(pool.addresses(), ["[::1]:9095"]);
    }
}
