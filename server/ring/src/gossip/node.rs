//! Carries records between the registry and the gossip library: own ones out, those of others in, those of the dead on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chitchat::{Chitchat, ChitchatHandle, ChitchatId, NodeState};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    GossipSettings,
    keys::{Key, Place, read_forgotten, read_record, write_forgotten, write_record},
};
use crate::{
    clock::Clock,
    instance::Instance,
    membership::{ClusterNode, MembershipError, RingName},
    registry::{Forgotten, Registry},
};

/// Peers that are told at once that this process leaves; the others hear it from them.
const MOST_TOLD: usize = 32;

/// What the tasks of a process share. Locks are taken one at a time, or `seen`, `registry`, the others.
pub(super) struct Shared {
    pub(super) registry: Mutex<Registry>,
    /// Records of this process.
    own: Mutex<BTreeMap<Place, Instance>>,
    /// What this process forgot.
    forgotten: Mutex<BTreeMap<Place, Forgotten>>,
    /// What the library holds, as last seen.
    seen: Mutex<Seen>,
    pub(super) nodes: Mutex<Vec<ClusterNode>>,
    changed: Notify,
    pub(super) healthy: AtomicBool,
    pub(super) leaving: AtomicBool,
    left_ms: u64,
}

/// What was read of the library's state, so that only what changed is read again.
#[derive(Default)]
struct Seen {
    nodes: BTreeMap<ChitchatId, SeenNode>,
    /// What this process keeps of the dead.
    adopted: BTreeSet<Place>,
}

struct SeenNode {
    version: u64,
    alive: bool,
    owns: BTreeSet<Place>,
}

impl Shared {
    pub(super) fn new(settings: &GossipSettings) -> Self {
        let (left_ms, reclaim_ms) = super::memory(settings);
        Self {
            registry: Mutex::new(Registry::new(left_ms, reclaim_ms)),
            own: Mutex::default(),
            forgotten: Mutex::default(),
            seen: Mutex::default(),
            nodes: Mutex::default(),
            changed: Notify::new(),
            healthy: AtomicBool::new(true),
            leaving: AtomicBool::new(false),
            left_ms,
        }
    }

    pub(super) fn publish(&self, ring: RingName, instance: Instance, now_ms: u64) -> Result<(), MembershipError> {
        {
            let mut registry = self.registry.lock();
            registry.offer(ring, instance.clone(), now_ms)?;
            registry.tell();
        }
        // Sent also if another holds the id here: there it may be silent already.
        let mut own = self.own.lock();
        let held = own.entry((ring, instance.id.clone())).or_insert_with(|| instance.clone());
        if held.heartbeat_ms <= instance.heartbeat_ms {
            *held = instance;
        }
        self.changed.notify_one();
        Ok(())
    }

    pub(super) fn forget(&self, ring: RingName, id: &str, now_ms: u64) -> bool {
        let gone = {
            let mut registry = self.registry.lock();
            let gone = registry.forget(ring, id, now_ms);
            registry.tell();
            gone
        };
        if let Some(gone) = gone {
            self.forgotten.lock().insert((ring, id.to_owned()), gone);
            self.changed.notify_one();
        }
        gone.is_some()
    }
}

/// Syncs at every interval and after every change, until it is aborted.
pub(super) async fn drive(
    shared: Arc<Shared>,
    handle: Arc<ChitchatHandle>,
    clock: Arc<dyn Clock>,
    gossip_interval: Duration,
) {
    let mut ticks = interval(gossip_interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.changed.notified() => {}
        }
        sync(&shared, &handle, &*clock).await;
    }
}

/// Exchanges with the library once.
pub(super) async fn sync(shared: &Shared, handle: &ChitchatHandle, clock: &dyn Clock) {
    let chitchat = handle.chitchat();
    let mut chitchat = chitchat.lock().await;
    let now_ms = clock.now_ms();
    read_all(shared, &chitchat, now_ms);
    write_own(shared, chitchat.self_node_state(), now_ms);
    adopt(shared, &mut chitchat);
}

/// Tells what was published last to those that are alive, a few times: a datagram can be lost.
pub(super) async fn tell_all(shared: &Shared, handle: &ChitchatHandle, clock: &dyn Clock, gossip_interval: Duration) {
    for _ in 0..3 {
        sync(shared, handle, clock).await;
        let addresses: Vec<_> = {
            let chitchat = handle.chitchat();
            let chitchat = chitchat.lock().await;
            let others = chitchat.live_nodes().filter(|id| *id != chitchat.self_chitchat_id());
            others.map(|id| id.gossip_advertise_addr).take(MOST_TOLD).collect()
        };
        if addresses.is_empty() {
            return;
        }
        for address in addresses {
            if handle.gossip(address).is_err() {
                return;
            }
        }
        sleep(gossip_interval).await;
    }
}

fn write_own(shared: &Shared, state: &mut NodeState, now_ms: u64) {
    // Told on, a forgotten record would come back when no one remembers that it was forgotten.
    let gone: Vec<Place> = {
        let registry = shared.registry.lock();
        let mut own = shared.own.lock();
        let is_gone = |(ring, _): &Place, instance: &Instance| registry.is_gone(*ring, instance, now_ms);
        let gone = own.iter().filter(|(place, instance)| is_gone(place, instance)).map(|(place, _)| place.clone());
        let gone: Vec<Place> = gone.collect();
        for place in &gone {
            own.remove(place);
        }
        gone
    };
    for place in gone {
        for key in [Key::Record(place.clone()).text(), Key::Heartbeat(place.clone()).text()] {
            if state.contains_key(&key) {
                state.delete(&key);
            }
        }
    }
    for (place, instance) in shared.own.lock().iter() {
        let still = Instance { heartbeat_ms: 0, ..instance.clone() };
        if let Some(text) = write_record(&still) {
            state.set(Key::Record(place.clone()).text(), text);
            state.set(Key::Heartbeat(place.clone()).text(), instance.heartbeat_ms);
        }
    }
    shared.forgotten.lock().retain(|place, gone| {
        let key = Key::Forgotten(place.clone()).text();
        let keep = now_ms.saturating_sub(gone.at_ms) <= shared.left_ms;
        if keep {
            state.set(key, write_forgotten(*gone));
        } else if state.contains_key(&key) {
            state.delete(&key);
        }
        keep
    });
}

fn read_all(shared: &Shared, chitchat: &Chitchat, now_ms: u64) {
    let mut seen = shared.seen.lock();
    let mut registry = shared.registry.lock();
    let alive: BTreeSet<&ChitchatId> = chitchat.live_nodes().collect();
    let mut nodes_changed = false;
    for (id, state) in chitchat.node_states() {
        let (version, is_alive) = (state.max_version(), alive.contains(id));
        match seen.nodes.get_mut(id) {
            Some(node) if node.version == version && node.alive == is_alive => continue,
            // A version that went back was reset, and is read again too.
            Some(node) if node.version == version => node.alive = is_alive,
            _ => {
                let owns = read_node(&mut registry, state, now_ms);
                seen.nodes.insert(id.clone(), SeenNode { version, alive: is_alive, owns });
            }
        }
        nodes_changed = true;
    }
    let before = seen.nodes.len();
    seen.nodes.retain(|id, _| chitchat.node_state(id).is_some());
    registry.expire(now_ms);
    registry.tell();
    if nodes_changed || before != seen.nodes.len() {
        let nodes = seen.nodes.iter().map(|(id, node)| ClusterNode {
            name: id.node_id.to_string(),
            address: id.gossip_advertise_addr.to_string(),
            alive: node.alive,
        });
        *shared.nodes.lock() = nodes.collect();
    }
}

/// Takes in what a process tells; what of it is its own.
fn read_node(registry: &mut Registry, state: &NodeState, now_ms: u64) -> BTreeSet<Place> {
    let mut owns = BTreeSet::new();
    let mut unreadable = 0;
    for (text, value) in state.key_values() {
        let instance = match Key::read(text) {
            Some(Key::Record(place)) => {
                // The heartbeat may come in a later datagram.
                let beat = state.get(&Key::Heartbeat(place.clone()).text()).and_then(|beat| beat.parse().ok());
                let Some(heartbeat_ms) = beat else { continue };
                let record = read_record(&place.1, value).map(|record| Instance { heartbeat_ms, ..record });
                let ring = place.0;
                owns.insert(place);
                record.map(|record| (ring, record))
            }
            Some(Key::Adopted(place)) => read_record(&place.1, value).map(|record| (place.0, record)),
            Some(Key::Forgotten((ring, id))) => {
                if let Some(gone) = read_forgotten(value) {
                    registry.hear_forgotten(ring, &id, gone, now_ms);
                }
                continue;
            }
            Some(Key::Heartbeat(_)) | None => continue,
        };
        match instance.map(|(ring, record)| registry.offer(ring, record, now_ms)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => tracing::warn!(%error, "an instance is not taken into its ring"),
            None => unreadable += 1,
        }
    }
    if unreadable > 0 {
        let node = &*state.chitchat_id().node_id;
        tracing::warn!(node, unreadable, "records of a process cannot be read: it may run another version");
    }
    owns
}

/// The living process of the smallest name keeps the records that no living one owns, so that those who come later know
/// of them too. All others keep none.
fn adopt(shared: &Shared, chitchat: &mut Chitchat) {
    let mut seen = shared.seen.lock();
    let smallest = chitchat.live_nodes().min().is_some_and(|first| first == chitchat.self_chitchat_id());
    let mut wanted = BTreeMap::new();
    if smallest && !shared.leaving.load(Ordering::SeqCst) {
        let owned: BTreeSet<&Place> =
            seen.nodes.values().filter(|node| node.alive).flat_map(|node| &node.owns).collect();
        for (ring, members) in shared.registry.lock().members() {
            for instance in members.iter() {
                let place = (ring, instance.id.clone());
                if !owned.contains(&place) {
                    wanted.insert(place, Arc::clone(instance));
                }
            }
        }
    }
    let state = chitchat.self_node_state();
    for (place, instance) in &wanted {
        if let Some(text) = write_record(instance) {
            state.set(Key::Adopted(place.clone()).text(), text);
        }
    }
    for gone in seen.adopted.iter().filter(|place| !wanted.contains_key(*place)) {
        state.delete(&Key::Adopted(gone.clone()).text());
    }
    seen.adopted = wanted.into_keys().collect();
}
