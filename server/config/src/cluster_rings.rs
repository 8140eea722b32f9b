//! The rings of a cluster, and the gossip that carries them: `memberlist`, and the section of each ring.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf, time::Duration};

use narvi_dns::Place;
use narvi_ring::{GossipSettings, LifecycleSettings, RingName, RingSettings, interface_address};

use crate::{
    ConfigError, Roles,
    apply::{Reader, wrong},
    schema::place,
    tree::{Node, Value},
};

/// Members of rings that the ring does without are forgotten after so many times the heartbeat's timeout.
const FORGET_AFTER_TIMEOUTS: u32 = 10;
/// How many heartbeats of one that lives are at least on their way within the heartbeat's timeout.
const BEATS_PER_TIMEOUT: u32 = 3;

/// Where the records of a ring are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum KvStore {
    /// In this process, which is alone in the ring.
    #[default]
    InMemory,
    /// By gossip.
    Memberlist,
}

/// A ring, and how this process is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingConfig {
    /// Which one.
    pub name: RingName,
    /// Where its records are kept.
    pub store: KvStore,
    /// How it is read.
    pub settings: RingSettings,
    /// The name of this instance; empty: that of the host.
    pub id: String,
    /// The host or address that others reach it at; empty: found by `interface_names`.
    pub address: String,
    /// The port that others reach it at; 0: the one of gRPC.
    pub port: u16,
    /// Network interfaces to take the address of, the first that has one; none named: the one that is used to go out.
    pub interface_names: Vec<String>,
    /// Its zone, or nothing. This and what follows is as in [`LifecycleSettings`].
    pub zone: String,
    /// How many tokens it takes.
    pub num_tokens: usize,
    /// How often it tells that it lives.
    pub heartbeat_period: Duration,
    /// How long it waits before it takes tokens.
    pub join_after: Duration,
    /// How long it watches new tokens for others that claim them.
    pub observe_period: Duration,
    /// How long it must be ACTIVE before it is ready.
    pub min_ready_duration: Duration,
    /// How long it stays, LEAVING, after all is done.
    pub final_sleep: Duration,
    /// Whether it becomes LEFT at the end.
    pub unregister_on_shutdown: bool,
    /// The file that keeps its tokens.
    pub tokens_file_path: Option<PathBuf>,
    /// Others that were not heard of for so long are forgotten.
    pub forget_after: Option<Duration>,
}

impl RingConfig {
    /// Loki's defaults, with a ring in memory.
    pub fn new(name: RingName) -> Self {
        let LifecycleSettings { num_tokens, join_after, observe_period, final_sleep, .. } =
            LifecycleSettings::new(name, "", "");
        let holds_data = name == RingName::Ingester;
        // Only keys of ingesters are held by several; the index gateway's ring has a factor of its own.
        let replication_factor = if matches!(name, RingName::Ingester | RingName::IndexGateway) { 3 } else { 1 };
        let settings = RingSettings { replication_factor, ..RingSettings::default() };
        let forget_after = (!holds_data).then(|| settings.heartbeat_timeout * FORGET_AFTER_TIMEOUTS);
        Self {
            name,
            store: KvStore::InMemory,
            settings,
            id: String::new(),
            address: String::new(),
            port: 0,
            interface_names: Vec::new(),
            zone: String::new(),
            num_tokens,
            heartbeat_period: Duration::from_secs(if holds_data { 5 } else { 15 }),
            join_after,
            observe_period,
            min_ready_duration: Duration::from_secs(if holds_data { 15 } else { 0 }),
            final_sleep,
            unregister_on_shutdown: true,
            tokens_file_path: None,
            forget_after,
        }
    }

    /// The host or address that others reach this instance at, if the file says: by itself, or by interfaces of this machine.
    pub fn advertised_host(&self) -> Option<String> {
        let named = Some(self.address.clone()).filter(|address| !address.is_empty());
        named.or_else(|| interface_address(&self.interface_names).map(|ip| ip.to_string()))
    }

    /// The life of this instance in the ring. `id` is taken where the file names none; `address` is host and port.
    pub fn lifecycle(&self, id: &str, address: &str) -> LifecycleSettings {
        // Else one that lives would be dead for the others from time to time.
        let timeout = self.settings.heartbeat_timeout;
        let longest = if timeout.is_zero() { Duration::MAX } else { timeout / BEATS_PER_TIMEOUT };
        LifecycleSettings {
            zone: self.zone.clone(),
            num_tokens: self.num_tokens,
            heartbeat_period: self.heartbeat_period.min(longest),
            join_after: self.join_after,
            observe_period: self.observe_period,
            min_ready_duration: self.min_ready_duration,
            final_sleep: self.final_sleep,
            unregister_on_shutdown: self.unregister_on_shutdown,
            tokens_file_path: self.tokens_file_path.clone(),
            forget_after: self.forget_after,
            ..LifecycleSettings::new(self.name, if self.id.is_empty() { id } else { &self.id }, address)
        }
    }
}

/// All rings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rings {
    /// `ingester.lifecycler`.
    pub ingester: RingConfig,
    /// `distributor.ring`.
    pub distributor: RingConfig,
    /// `compactor.compactor_ring`.
    pub compactor: RingConfig,
    /// `ruler.ring`.
    pub ruler: RingConfig,
    /// `query_scheduler.scheduler_ring`.
    pub scheduler: RingConfig,
    /// `index_gateway.ring`.
    pub index_gateway: RingConfig,
}

impl Default for Rings {
    fn default() -> Self {
        Self {
            ingester: RingConfig::new(RingName::Ingester),
            distributor: RingConfig::new(RingName::Distributor),
            compactor: RingConfig::new(RingName::Compactor),
            ruler: RingConfig::new(RingName::Ruler),
            scheduler: RingConfig::new(RingName::Scheduler),
            index_gateway: RingConfig::new(RingName::IndexGateway),
        }
    }
}

impl Rings {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &RingConfig> {
        [&self.ingester, &self.distributor, &self.compactor, &self.ruler, &self.scheduler, &self.index_gateway]
            .into_iter()
    }

    /// The ring of a name; none of a name that no file knows.
    pub fn get(&self, name: RingName) -> Option<&RingConfig> {
        self.iter().find(|ring| ring.name == name)
    }

    /// Whether any is carried by gossip.
    pub fn use_gossip(&self) -> bool {
        self.iter().any(|ring| ring.store == KvStore::Memberlist)
    }
}

/// Reads all rings, and the gossip if it is used.
pub(crate) fn read(
    reader: &Reader<'_>,
    roles: Roles,
    rings: &mut Rings,
    warnings: &mut Vec<String>,
) -> Result<Option<GossipSettings>, ConfigError> {
    let mut foreign = BTreeSet::new();
    lifecycler(reader, &mut rings.ingester, &mut foreign)?;
    for (path, ring) in [
        ("distributor.ring", &mut rings.distributor),
        ("compactor.compactor_ring", &mut rings.compactor),
        ("ruler.ring", &mut rings.ruler),
        ("query_scheduler.scheduler_ring", &mut rings.scheduler),
        ("index_gateway.ring", &mut rings.index_gateway),
    ] {
        section(reader, path, ring, &mut foreign)?;
    }
    // What `common` says was copied to the rings before.
    for key in ["common.replication_factor", "common.persist_tokens", "common.instance_addr"] {
        reader.node(key);
    }
    reader.whole("common.instance_interface_names");
    let factor = rings.ingester.settings.replication_factor;
    if factor == 0 {
        let message = "must be 1 or more: it says how many ingesters hold each stream".to_owned();
        let path = given_at(reader, "ingester.lifecycler.ring.replication_factor", "common.replication_factor");
        return Err(wrong(&line_of(reader, path), path, message));
    }
    let joins = reader.at("memberlist.join_members").is_some_and(is_given);
    let gossips = joins || rings.use_gossip();
    for (path, store) in foreign {
        let node = line_of(reader, path);
        if gossips || !roles.is_whole() {
            let message = format!(
                "{store} is not supported: processes of Narvi find each other by gossip; set memberlist.join_members, and \
                 leave store out or write memberlist"
            );
            return Err(wrong(&node, path, message));
        }
        warnings
            .push(format!("{}{path}: {store} is not used: one process keeps its rings in memory", place(node.line)));
    }
    match gossips {
        true => Ok(Some(gossip(reader, warnings)?)),
        false => Ok(None),
    }
}

/// Whether a node is more than nothing: a word, or a list of some.
pub(crate) fn is_given(node: &Node) -> bool {
    match &node.value {
        Value::Null => false,
        Value::List(items) => !items.is_empty(),
        Value::Scalar(text) | Value::Plain(text) => !text.is_empty(),
        Value::Map(_) => true,
    }
}

/// An empty node at the line of what the file has there.
pub(crate) fn line_of(reader: &Reader<'_>, path: &str) -> Node {
    Node { line: reader.at(path).map_or(0, Node::line), ..Node::default() }
}

/// The key that a value was written at: `path`, unless it was copied there from `source`.
fn given_at<'p>(reader: &Reader<'_>, path: &'p str, source: &'p str) -> &'p str {
    let (own, other) = (reader.at(path), reader.at(source));
    let copied = own.is_none_or(|node| node.line == 0) && own.and_then(Node::text) == other.and_then(Node::text);
    if copied { source } else { path }
}

type Foreign<'p> = BTreeSet<(&'p str, String)>;

/// The keys of a ring that every section of rings has.
fn common_keys(
    reader: &Reader<'_>,
    path: &'static str,
    ring: &mut RingConfig,
    foreign: &mut Foreign<'static>,
) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{path}.{name}");
    let mut store = String::new();
    reader.read(&key("kvstore.store"), &mut store, |text| match text {
        "" | "memberlist" | "inmemory" | "consul" | "etcd" | "multi" => Ok(text.to_owned()),
        _ => Err(format!("unsupported store {text:?}; use memberlist, or inmemory in a single process")),
    })?;
    match store.as_str() {
        "memberlist" => ring.store = KvStore::Memberlist,
        "" | "inmemory" => ring.store = KvStore::InMemory,
        _ => {
            let written = STORES.iter().find(|(section, _)| *section == path).map_or("", |(_, store)| store);
            let mut at = written;
            for source in ["ingester.lifecycler.ring.kvstore.store", "common.ring.kvstore.store"] {
                at = given_at(reader, at, source);
            }
            foreign.insert((at, store));
        }
    }
    reader.duration(&key("heartbeat_timeout"), &mut ring.settings.heartbeat_timeout)?;
    reader.bool(&key("zone_awareness_enabled"), &mut ring.settings.zone_awareness)
}

/// Where each ring's store is named.
const STORES: [(&str, &str); 6] = [
    ("ingester.lifecycler.ring", "ingester.lifecycler.ring.kvstore.store"),
    ("distributor.ring", "distributor.ring.kvstore.store"),
    ("compactor.compactor_ring", "compactor.compactor_ring.kvstore.store"),
    ("ruler.ring", "ruler.ring.kvstore.store"),
    ("query_scheduler.scheduler_ring", "query_scheduler.scheduler_ring.kvstore.store"),
    ("index_gateway.ring", "index_gateway.ring.kvstore.store"),
];

/// The ingester's ring, whose section Loki calls otherwise.
fn lifecycler(reader: &Reader<'_>, ring: &mut RingConfig, foreign: &mut Foreign<'static>) -> Result<(), ConfigError> {
    let key = |name: &str| format!("ingester.lifecycler.{name}");
    reader.duration(&key("heartbeat_timeout"), &mut ring.settings.heartbeat_timeout)?;
    common_keys(reader, "ingester.lifecycler.ring", ring, foreign)?;
    reader.count(&key("ring.replication_factor"), &mut ring.settings.replication_factor)?;
    own_keys(reader, "ingester.lifecycler", ["id", "address", "port", "interface_names", "availability_zone"], ring)?;
    reader.duration(&key("join_after"), &mut ring.join_after)?;
    reader.duration(&key("observe_period"), &mut ring.observe_period)?;
    reader.duration(&key("min_ready_duration"), &mut ring.min_ready_duration)?;
    reader.duration(&key("final_sleep"), &mut ring.final_sleep)?;
    reader.bool(&key("unregister_on_shutdown"), &mut ring.unregister_on_shutdown)?;
    let mut forget = false;
    reader.bool("ingester.autoforget_unhealthy", &mut forget)?;
    ring.forget_after =
        (forget && !ring.settings.heartbeat_timeout.is_zero()).then_some(ring.settings.heartbeat_timeout);
    Ok(())
}

/// Any other ring.
fn section(
    reader: &Reader<'_>,
    path: &'static str,
    ring: &mut RingConfig,
    foreign: &mut Foreign<'static>,
) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{path}.{name}");
    common_keys(reader, path, ring, foreign)?;
    if ring.name == RingName::IndexGateway {
        reader.count(&key("replication_factor"), &mut ring.settings.replication_factor)?;
        ring.settings.replication_factor = ring.settings.replication_factor.max(1);
    }
    let names =
        ["instance_id", "instance_addr", "instance_port", "instance_interface_names", "instance_availability_zone"];
    own_keys(reader, path, names, ring)?;
    let timeout = ring.settings.heartbeat_timeout;
    ring.forget_after = (!timeout.is_zero()).then(|| timeout.saturating_mul(FORGET_AFTER_TIMEOUTS));
    Ok(())
}

/// How this process is in a ring. The section of the ingester's has other names for where it is.
fn own_keys(
    reader: &Reader<'_>,
    path: &str,
    [id, address, port_name, interfaces, zone]: [&str; 5],
    ring: &mut RingConfig,
) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{path}.{name}");
    reader.text(&key(id), &mut ring.id)?;
    reader.text(&key(address), &mut ring.address)?;
    port(reader, &key(port_name), &mut ring.port)?;
    reader.words(&key(interfaces), &mut ring.interface_names)?;
    reader.text(&key(zone), &mut ring.zone)?;
    tokens(reader, &key("num_tokens"), &mut ring.num_tokens)?;
    period(reader, &key("heartbeat_period"), &mut ring.heartbeat_period)?;
    ring.tokens_file_path = reader.optional_text(&key("tokens_file_path"))?.map(PathBuf::from);
    Ok(())
}

/// A port; 0 leaves it open.
pub(crate) fn port(reader: &Reader<'_>, path: &str, target: &mut u16) -> Result<(), ConfigError> {
    reader.read(path, target, |text| text.parse().map_err(|_| format!("{text:?} is not a port")))
}

fn tokens(reader: &Reader<'_>, path: &str, target: &mut usize) -> Result<(), ConfigError> {
    let most = narvi_ring::MAX_TOKENS;
    reader.read(path, target, |text| {
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| format!("{text:?} is not a number of tokens from 1 to {most}"))
    })
}

/// How often something is done, which cannot be all the time.
fn period(reader: &Reader<'_>, path: &str, target: &mut Duration) -> Result<(), ConfigError> {
    reader.read(path, target, |text| match crate::parse_duration(text)? {
        Duration::ZERO => Err("must be longer than 0s".to_owned()),
        period => Ok(period),
    })
}

fn gossip(reader: &Reader<'_>, warnings: &mut Vec<String>) -> Result<GossipSettings, ConfigError> {
    let key = |name: &str| format!("memberlist.{name}");
    let mut gossip = GossipSettings::default();
    reader.text(&key("node_name"), &mut gossip.node_name)?;
    reader.bool(&key("randomize_node_name"), &mut gossip.randomize_node_name)?;
    reader.text(&key("cluster_label"), &mut gossip.cluster_label)?;
    reader.words(&key("bind_addr"), &mut gossip.bind_addr)?;
    let address = |text: &str| match text.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{text:?} is not an IP address")),
    };
    if let Some(message) = gossip.bind_addr.iter().find_map(|text| address(text).err()) {
        return Err(wrong(&line_of(reader, "memberlist.bind_addr"), "memberlist.bind_addr", message));
    }
    port(reader, &key("bind_port"), &mut gossip.bind_port)?;
    reader.read(&key("advertise_addr"), &mut gossip.advertise_addr, |text| {
        if text.is_empty() { Ok(()) } else { address(text) }.map(|()| text.to_owned())
    })?;
    port(reader, &key("advertise_port"), &mut gossip.advertise_port)?;
    if gossip.advertise_addr.is_empty()
        && let Some(common) =
            reader.optional_text("common.instance_addr")?.filter(|text| text.parse::<IpAddr>().is_ok())
    {
        gossip.advertise_addr = common;
    }
    reader.words(&key("join_members"), &mut gossip.join_members)?;
    if let Some(error) = gossip.join_members.iter().find_map(|name| Place::parse(name, Some(gossip.bind_port)).err()) {
        return Err(wrong(&line_of(reader, "memberlist.join_members"), "memberlist.join_members", error.to_string()));
    }
    period(reader, &key("gossip_interval"), &mut gossip.gossip_interval)?;
    period(reader, &key("pull_push_interval"), &mut gossip.pull_push_interval)?;
    reader.duration(&key("dead_node_reclaim_time"), &mut gossip.dead_node_reclaim_time)?;
    reader.duration(&key("gossip_to_dead_nodes_time"), &mut gossip.gossip_to_dead_nodes_time)?;
    reader.duration(&key("left_ingesters_timeout"), &mut gossip.left_ingesters_timeout)?;
    reader.duration(&key("leave_timeout"), &mut gossip.leave_timeout)?;
    // Those to join are contacted again by `pull_push_interval`, whether they answered before or not.
    reader.node("memberlist.rejoin_interval");
    let mut tls = false;
    reader.bool(&key("tls_enabled"), &mut tls)?;
    if tls {
        let message =
            "gossip is not encrypted; leave tls_enabled out, and keep the port inside a network that you trust";
        return Err(wrong(&line_of(reader, "memberlist.tls_enabled"), "memberlist.tls_enabled", message.to_owned()));
    }
    if gossip.bind_addr.len() > 1 {
        let line = line_of(reader, "memberlist.bind_addr").line;
        warnings.push(format!("{}memberlist.bind_addr: only the first address is listened on", place(line)));
    }
    Ok(gossip)
}

#[cfg(test)]
#[path = "cluster_rings_tests.rs"]
mod tests;
