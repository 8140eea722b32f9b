//! Whom to join: names as Loki's file has them, resolved anew each time they are contacted.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use chitchat::ChitchatHandle;
use narvi_dns::{Place, Resolver};
use tokio::{sync::Notify, time::sleep};

use super::DEFAULT_PORT;
use crate::membership::MembershipError;

/// Addresses that are contacted in one round, and hosts of one name.
const MOST_ADDRESSES: usize = 64;
/// How often those to join are contacted while none has answered.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Reads one of those to join: `host`, `host:port`, `dns+host:port`, `dnssrv+name`, `dnssrvnoa+name`.
///
/// # Errors
/// It is none of these.
pub(super) fn parse(text: &str) -> Result<Place, MembershipError> {
    Place::parse(text, Some(DEFAULT_PORT)).map_err(|error| MembershipError::Setting {
        what: "memberlist.join_members",
        value: text.to_owned(),
        reason: error.to_string(),
    })
}

/// The addresses that a place stands for now. What cannot be looked up is left out: others may answer.
async fn resolve(seed: &Place, resolver: &Resolver) -> Vec<SocketAddr> {
    let hosts = match seed.hosts(resolver).await {
        Ok(hosts) => hosts,
        Err(error) => {
            tracing::warn!(%error, "cannot look up the SRV records of those to join");
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (host, port) in hosts.into_iter().take(MOST_ADDRESSES) {
        match narvi_dns::addresses_of(&host, port).await {
            Ok(addresses) => found.extend(addresses.into_iter().take(MOST_ADDRESSES)),
            Err(error) => tracing::warn!(%error, "cannot look up a host to join"),
        }
    }
    found
}

/// Contacts those to join: often until one has answered, then now and again, so that a cluster that fell apart comes
/// together. Tells once when one has answered, or when there is no one else to join.
pub(super) async fn contact(
    seeds: Vec<Place>,
    handle: Arc<ChitchatHandle>,
    own: SocketAddr,
    every: Duration,
    met: Arc<Notify>,
) {
    let mut wait = FIRST_WAIT;
    let mut told = false;
    loop {
        let mut addresses = BTreeSet::new();
        // Read anew each time: the machine may have got other name servers.
        let resolver = Resolver::of_machine();
        for seed in &seeds {
            addresses.extend(resolve(seed, &resolver).await);
        }
        // If every name stands for this process, there is no one to wait for.
        let alone = seeds.is_empty() || (addresses.remove(&own) && addresses.is_empty());
        for address in addresses.iter().take(MOST_ADDRESSES) {
            if handle.gossip(*address).is_err() {
                return;
            }
        }
        let waited = wait_for_others(&handle, if alone { Duration::ZERO } else { wait }).await;
        if (alone || waited) && !told {
            told = true;
            met.notify_one();
        }
        if seeds.is_empty() {
            return;
        }
        if waited || alone {
            wait = FIRST_WAIT;
            sleep(every.max(FIRST_WAIT)).await;
        } else {
            wait = (wait * 2).min(LONGEST_WAIT).min(every.max(FIRST_WAIT));
        }
    }
}

/// Whether another process is known by then.
async fn wait_for_others(handle: &ChitchatHandle, most: Duration) -> bool {
    let step = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        if handle.with_chitchat(|chitchat| chitchat.node_states().len() > 1).await {
            // What it knows may come in the next datagram.
            sleep(step).await;
            return true;
        }
        if waited >= most {
            return false;
        }
        sleep(step).await;
        waited += step;
    }
}
