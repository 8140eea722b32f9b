//! The members of rings that this process is.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use narvi_ring::{
    Clock, ClusterPage, Farewell, Gossip, InMemory, LifecycleSettings, Lifecycler, Membership, RingMetrics, RingName,
    RingView, State, outgoing_address,
};

use crate::failure::{Failure, Outcome};

/// How often the figures of rings are taken.
const FIGURES: Duration = Duration::from_secs(2);
/// How long one who begins to leave goes on as if nothing was: until then others may not have heard of it.
const HEARD: Duration = Duration::from_millis(1000);

/// Starts to gossip, or keeps rings in memory where nothing says whom to meet.
pub(super) async fn start(
    gossip: Option<&narvi_ring::GossipSettings>,
    clock: &Arc<dyn Clock>,
) -> Outcome<Arc<dyn Membership>> {
    let Some(settings) = gossip else {
        let left = narvi_ring::GossipSettings::default().left_ingesters_timeout;
        return Ok(Arc::new(InMemory::new(clock.clone(), left)));
    };
    let started = Gossip::start(settings.clone(), clock.clone()).await;
    let gossip = started.map_err(|error| Failure::of("cannot take part in the cluster", error))?;
    tracing::info!(address = %gossip.address(), join = settings.join_members.join(","), "gossiping with the cluster");
    Ok(Arc::new(gossip))
}

/// Where others reach a listener: what the file says, or the address that it listens on, or that this machine sends from.
pub(super) fn advertised(host: &str, port: u16, listener: SocketAddr) -> String {
    let port = if port == 0 { listener.port() } else { port };
    if !host.is_empty() {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        return match bare.parse() {
            Ok(ip) => SocketAddr::new(ip, port).to_string(),
            Err(_) => format!("{host}:{port}"),
        };
    }
    let ip = if listener.ip().is_unspecified() { outgoing_address() } else { listener.ip() };
    SocketAddr::new(ip, port).to_string()
}

/// This process in all the rings that its roles belong to.
#[derive(Default)]
pub(super) struct Selves(Vec<Lifecycler>);

impl Selves {
    /// Joins a ring.
    pub(super) async fn join(
        &mut self,
        settings: LifecycleSettings,
        membership: &Arc<dyn Membership>,
        clock: &Arc<dyn Clock>,
    ) -> Outcome {
        let ring = settings.ring;
        let started = Lifecycler::start(settings, membership.clone(), clock.clone()).await;
        self.0.push(started.map_err(|error| Failure::of(format_args!("cannot join the ring {ring}"), error))?);
        Ok(())
    }

    /// Waits until it is ACTIVE in a ring.
    pub(super) async fn active(&self, ring: RingName) {
        for one in self.0.iter().filter(|one| one.ring() == ring) {
            // It ends with the process alone.
            let _ = one.state().wait_for(|state| *state == State::Active).await;
        }
    }

    /// Waits until all are ready.
    pub(super) async fn ready(&self) {
        while !self.0.iter().all(Lifecycler::is_ready) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Tells the others that this process leaves, and waits until they have heard.
    pub(super) async fn start_leaving(&self) {
        for one in &self.0 {
            one.start_leaving().await;
        }
        if !self.0.is_empty() {
            tokio::time::sleep(HEARD).await;
        }
    }

    /// Is gone from all rings.
    pub(super) async fn leave(&self) {
        for one in &self.0 {
            one.shutdown(Farewell::default()).await;
        }
    }
}

/// Keeps the figures of rings up to date, as long as the process runs.
pub(super) async fn watch(
    metrics: RingMetrics,
    membership: Arc<dyn Membership>,
    clock: Arc<dyn Clock>,
    views: Vec<Arc<RingView>>,
) {
    loop {
        for view in &views {
            metrics.set_ring(view.name(), &view.current(), clock.now_ms());
        }
        let page: ClusterPage = membership.cluster();
        metrics.set_cluster(&page);
        tokio::time::sleep(FIGURES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::advertised;

    #[test]
    fn addresses_are_what_others_reach() {
        let of = |host: &str, port, listener: &str| advertised(host, port, listener.parse().expect("an address"));
        assert_eq!(of("", 0, "127.0.0.7:9095"), "127.0.0.7:9095");
        assert_eq!(of("ingester-0", 0, "0.0.0.0:9095"), "ingester-0:9095");
        assert_eq!(of("10.1.2.3", 1234, "0.0.0.0:9095"), "10.1.2.3:1234");
        assert_eq!(of("fd00::1", 0, "[::]:9095"), "[fd00::1]:9095");
        assert!(!of("", 0, "0.0.0.0:9095").starts_with("0.0.0.0"));
    }
}
