//! Membership by gossip: processes that tell each other what they know, over UDP.
//!
//! The gossip library replicates the keys of each live process. What it does not do is done here: records of dead
//! instances stay known until someone forgets them, one of the living keeps them for those that come later, and
//! hosts to join are resolved again as long as the process runs.

mod keys;
mod node;
mod seeds;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chitchat::{ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion, spawn_chitchat};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};

use self::node::Shared;
use crate::{
    clock::{Clock, draw_u64, millis},
    instance::Instance,
    membership::{ClusterPage, Leaving, Members, Membership, MembershipError, RingName},
};

/// The port that Loki gossips on.
const DEFAULT_PORT: u16 = 7946;

/// A message lists all processes, dead ones too, and must fit one datagram: they are not kept longer than this.
const MOST_DEAD_TIME: Duration = Duration::from_secs(15 * 60);

/// Settings of gossip: plain data, filled from Loki's memberlist section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipSettings {
    /// The name of this process; empty: drawn.
    pub node_name: String,
    /// Whether something drawn is added to the name, so that two of the same name do not meet.
    pub randomize_node_name: bool,
    /// The cluster: processes of another one are not heard.
    pub cluster_label: String,
    /// Addresses to listen on; the first one is used, none means all.
    pub bind_addr: Vec<String>,
    /// Port to listen on; zero: any.
    pub bind_port: u16,
    /// Address that others reach this process at; empty: the one it listens on, or the one it sends from.
    pub advertise_addr: String,
    /// Port that others reach it at; zero: the one it listens on.
    pub advertise_port: u16,
    /// Whom to join: `host`, `host:port`, `dns+host:port`, `dnssrv+name`. Resolved again while running.
    pub join_members: Vec<String>,
    /// How often it gossips.
    pub gossip_interval: Duration,
    /// How often it contacts those to join, so that a cluster that fell apart comes together.
    pub pull_push_interval: Duration,
    /// How long the holder of an id must be silent before the id is taken from another address; zero: at once.
    pub dead_node_reclaim_time: Duration,
    /// How long a dead process is still contacted.
    pub gossip_to_dead_nodes_time: Duration,
    /// How long instances that left or were forgotten are remembered, so that no old record brings them back.
    pub left_ingesters_timeout: Duration,
    /// How long leaving may take.
    pub leave_timeout: Duration,
    /// How long to wait at start for one of those to join.
    pub join_timeout: Duration,
    /// About how long a process is silent before it counts as dead.
    pub suspect_after: Duration,
}

impl Default for GossipSettings {
    fn default() -> Self {
        Self {
            node_name: String::new(),
            randomize_node_name: true,
            cluster_label: String::new(),
            bind_addr: Vec::new(),
            bind_port: DEFAULT_PORT,
            advertise_addr: String::new(),
            advertise_port: 0,
            join_members: Vec::new(),
            gossip_interval: Duration::from_millis(200),
            pull_push_interval: Duration::from_secs(30),
            dead_node_reclaim_time: Duration::ZERO,
            gossip_to_dead_nodes_time: Duration::from_secs(30),
            left_ingesters_timeout: Duration::from_secs(5 * 60),
            leave_timeout: Duration::from_secs(20),
            join_timeout: Duration::from_secs(5),
            suspect_after: Duration::from_secs(5),
        }
    }
}

/// A process in a gossiping cluster. Dropped without [`Membership::leave`], it falls silent, as in a crash.
pub struct Gossip {
    shared: Arc<Shared>,
    handle: Arc<ChitchatHandle>,
    clock: Arc<dyn Clock>,
    settings: GossipSettings,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Gossip {
    /// Starts to gossip on the runtime of the caller. Returns when one of those to join has answered, or after the
    /// time to wait for that.
    ///
    /// # Errors
    /// A setting cannot be used, or the port cannot be listened on.
    pub async fn start(settings: GossipSettings, clock: Arc<dyn Clock>) -> Result<Self, MembershipError> {
        let seeds = settings.join_members.iter().map(|text| seeds::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let (handle, address) = listen(&settings, clock.now_ms()).await?;
        let handle = Arc::new(handle);
        let shared = Arc::new(Shared::new(&settings));
        let watcher = {
            let (ended, shared) = (handle.termination_watcher(), Arc::clone(&shared));
            tokio::spawn(async move {
                let result = ended.await;
                shared.healthy.store(false, Ordering::SeqCst);
                if !shared.leaving.load(Ordering::SeqCst) {
                    let error = result.err().map_or_else(|| "it was stopped".to_owned(), |error| error.to_string());
                    tracing::error!(error, "gossip ended: this process hears of no other, restart it");
                }
            })
        };
        let driver = tokio::spawn(node::drive(
            Arc::clone(&shared),
            Arc::clone(&handle),
            Arc::clone(&clock),
            settings.gossip_interval,
        ));
        let met = Arc::new(Notify::new());
        let contacts = tokio::spawn(seeds::contact(
            seeds,
            Arc::clone(&handle),
            address,
            settings.pull_push_interval,
            Arc::clone(&met),
        ));
        let tasks = vec![watcher, driver, contacts];
        let gossip = Self { shared, handle, clock, settings, address, tasks };
        if timeout(gossip.settings.join_timeout, met.notified()).await.is_err() {
            tracing::warn!("none of the processes to join has answered yet: this one goes on and keeps trying");
        }
        gossip.sync().await;
        Ok(gossip)
    }

    /// The address that others reach this process at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Exchanges with the gossip library now, not only at the next interval.
    async fn sync(&self) {
        node::sync(&self.shared, &self.handle, &*self.clock).await;
    }
}

impl Drop for Gossip {
    fn drop(&mut self) {
        self.shared.leaving.store(true, Ordering::SeqCst);
        for task in &self.tasks {
            task.abort();
        }
        self.handle.abort();
    }
}

impl Membership for Gossip {
    fn publish(&self, ring: RingName, instance: Instance) -> Result<(), MembershipError> {
        instance.validate()?;
        self.shared.publish(ring, instance, self.clock.now_ms())
    }

    fn watch(&self, ring: RingName) -> watch::Receiver<Arc<Members>> {
        self.shared.registry.lock().watch(ring)
    }

    fn forget(&self, ring: RingName, id: &str) -> Result<bool, MembershipError> {
        Ok(self.shared.forget(ring, id, self.clock.now_ms()))
    }

    fn leave(&self) -> Leaving<'_> {
        Box::pin(async move {
            self.shared.leaving.store(true, Ordering::SeqCst);
            let farewell = node::tell_all(&self.shared, &self.handle, &*self.clock, self.settings.gossip_interval);
            if timeout(self.settings.leave_timeout, farewell).await.is_err() {
                tracing::warn!("could not tell all others in time that this process leaves");
            }
            for task in self.tasks.iter().skip(1) {
                task.abort();
            }
            if self.handle.initiate_shutdown().is_ok() {
                let _ = timeout(self.settings.leave_timeout, self.handle.termination_watcher()).await;
            }
            self.shared.healthy.store(false, Ordering::SeqCst);
        })
    }

    fn healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::SeqCst) && self.tasks.get(1).is_some_and(|driver| !driver.is_finished())
    }

    fn cluster(&self) -> ClusterPage {
        let records = self.shared.registry.lock().members().map(|(ring, members)| (ring, members.len())).collect();
        ClusterPage {
            enabled: true,
            healthy: self.healthy(),
            node: self.handle.chitchat_id().node_id.to_string(),
            label: self.settings.cluster_label.clone(),
            nodes: self.shared.nodes.lock().clone(),
            records,
        }
    }
}

/// Opens the port and starts the library's loop.
async fn listen(settings: &GossipSettings, now_ms: u64) -> Result<(ChitchatHandle, SocketAddr), MembershipError> {
    let bind = bind_address(settings)?;
    let mut tries = if settings.bind_port == 0 { 10 } else { 1 };
    loop {
        tries -= 1;
        // The library wants to know its port before it opens it. Any port is found by opening one, which another
        // may take before the library does.
        let port = if settings.bind_port == 0 { free_port(bind)? } else { settings.bind_port };
        let listen = SocketAddr::new(bind, port);
        let advertised = SocketAddr::new(
            advertised_address(settings, bind)?,
            if settings.advertise_port == 0 { port } else { settings.advertise_port },
        );
        let config = config(settings, listen, advertised, now_ms);
        match spawn_chitchat(config, Vec::new(), &chitchat::transport::UdpTransport).await {
            Ok(handle) => return Ok((handle, advertised)),
            Err(_) if tries > 0 => {}
            Err(error) => {
                return Err(MembershipError::Gossip { address: listen.to_string(), reason: format!("{error:#}") });
            }
        }
    }
}

fn config(settings: &GossipSettings, listen: SocketAddr, advertised: SocketAddr, now_ms: u64) -> ChitchatConfig {
    let drawn = format!("{:08x}", draw_u64() as u32);
    let name = match (settings.node_name.as_str(), settings.randomize_node_name) {
        ("", _) => format!("narvi-{drawn}"),
        (name, true) => format!("{name}-{drawn}"),
        (name, false) => name.to_owned(),
    };
    let interval = settings.gossip_interval.max(Duration::from_millis(1));
    // Not longer than it is remembered that one left or was forgotten: what a dead process told would bring it back.
    let most_dead = settings.left_ingesters_timeout.clamp(Duration::from_secs(1), MOST_DEAD_TIME);
    ChitchatConfig {
        chitchat_id: ChitchatId::new(name, now_ms, advertised),
        cluster_id: format!("narvi/{}", settings.cluster_label),
        gossip_interval: interval,
        listen_addr: listen,
        // Those to join are contacted by a task of ours, which also knows SRV records.
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig {
            phi_threshold: (settings.suspect_after.as_secs_f64() / interval.as_secs_f64()).max(8.0),
            sampling_window_size: 1_000,
            max_interval: (interval * 10).max(Duration::from_secs(10)),
            initial_interval: interval,
            dead_node_grace_period: settings.gossip_to_dead_nodes_time.clamp(Duration::from_secs(1), most_dead),
        },
        marked_for_deletion_grace_period: MOST_DEAD_TIME,
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V0,
    }
}

fn bind_address(settings: &GossipSettings) -> Result<IpAddr, MembershipError> {
    let Some(first) = settings.bind_addr.iter().find(|text| !text.is_empty()) else {
        return Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    };
    parse_address("memberlist.bind_addr", first)
}

fn parse_address(what: &'static str, text: &str) -> Result<IpAddr, MembershipError> {
    text.parse().map_err(|_| MembershipError::Setting {
        what,
        value: text.to_owned(),
        reason: "it must be an IP address".to_owned(),
    })
}

fn advertised_address(settings: &GossipSettings, bind: IpAddr) -> Result<IpAddr, MembershipError> {
    if !settings.advertise_addr.is_empty() {
        return parse_address("memberlist.advertise_addr", &settings.advertise_addr);
    }
    Ok(if bind.is_unspecified() { outgoing_address() } else { bind })
}

fn free_port(bind: IpAddr) -> Result<u16, MembershipError> {
    let port = UdpSocket::bind((bind, 0)).and_then(|socket| socket.local_addr()).map(|address| address.port());
    port.map_err(|error| MembershipError::Gossip { address: bind.to_string(), reason: error.to_string() })
}

/// The address that this machine sends from by default; the loopback one if it has no way out. Sends nothing.
pub fn outgoing_address() -> IpAddr {
    // An address for documentation, that no one has.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let found = socket.and_then(|socket| socket.connect(("192.0.2.1", 9)).and_then(|()| socket.local_addr()));
    found.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

/// How long those that left are remembered, and how long an id is held, in milliseconds.
fn memory(settings: &GossipSettings) -> (u64, u64) {
    (millis(settings.left_ingesters_timeout), millis(settings.dead_node_reclaim_time))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{Gossip, GossipSettings};
    use crate::{clock::SystemClock, membership::Membership};

    #[tokio::test]
    async fn a_loop_that_ends_is_told() {
        let settings = GossipSettings { bind_addr: vec!["127.0.0.1".to_owned()], bind_port: 0, ..Default::default() };
        let gossip = Gossip::start(settings, Arc::new(SystemClock)).await.expect("it starts");
        assert!(gossip.healthy());
        gossip.handle.abort();
        let told = async {
            while gossip.healthy() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.expect("it is told");
        assert!(!gossip.cluster().healthy);
    }
}
