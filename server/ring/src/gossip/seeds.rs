//! Whom to join: names as Loki's file has them, resolved anew each time they are contacted.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use chitchat::ChitchatHandle;
use tokio::{
    net::lookup_host,
    sync::Notify,
    time::{sleep, timeout},
};

use super::DEFAULT_PORT;
use crate::membership::MembershipError;

/// Addresses that are contacted in one round.
const MOST_ADDRESSES: usize = 64;
/// How long a name may take to resolve.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often those to join are contacted while none has answered.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// One of those to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seed {
    /// A host and its port.
    Host { host: String, port: u16 },
    /// The name of SRV records, which tell hosts and ports.
    Service(String),
}

impl Seed {
    /// Reads `host`, `host:port`, `dns+host:port`, `dnssrv+name`, `dnssrvnoa+name`.
    ///
    /// # Errors
    /// It is none of these.
    pub(super) fn parse(text: &str) -> Result<Self, MembershipError> {
        let bad = |reason: &str| MembershipError::Setting {
            what: "memberlist.join_members",
            value: text.to_owned(),
            reason: format!("{reason}: write host, host:port, dns+host:port or dnssrv+name"),
        };
        let trimmed = text.trim();
        for prefix in ["dnssrv+", "dnssrvnoa+"] {
            if let Some(name) = trimmed.strip_prefix(prefix) {
                // A port means nothing for SRV records, which have their own.
                let name = name.split(':').next().unwrap_or(name);
                return if narvi_dns::is_name(name) {
                    Ok(Self::Service(name.to_owned()))
                } else {
                    Err(bad("not a name"))
                };
            }
        }
        let host = trimmed.strip_prefix("dns+").unwrap_or(trimmed);
        if let Ok(address) = host.parse::<SocketAddr>() {
            return Ok(Self::Host { host: address.ip().to_string(), port: address.port() });
        }
        if let Ok(ip) = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
            return Ok(Self::Host { host: ip.to_string(), port: DEFAULT_PORT });
        }
        let (host, port) = match host.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(|| bad("not a port"))?),
            None => (host, DEFAULT_PORT),
        };
        if narvi_dns::is_name(host) { Ok(Self::Host { host: host.to_owned(), port }) } else { Err(bad("not a host")) }
    }

    /// The addresses that it stands for now.
    async fn resolve(&self) -> Vec<SocketAddr> {
        let hosts = match self {
            Self::Host { host, port } => vec![(host.clone(), *port)],
            Self::Service(name) => match narvi_dns::Resolver::of_machine().services(name).await {
                Ok(hosts) => hosts,
                Err(error) => {
                    tracing::warn!(name, %error, "cannot look up the SRV records of those to join");
                    return Vec::new();
                }
            },
        };
        let mut found = Vec::new();
        for (host, port) in hosts.into_iter().take(MOST_ADDRESSES) {
            match timeout(LOOKUP_TIMEOUT, lookup_host((host.as_str(), port))).await {
                Ok(Ok(addresses)) => found.extend(addresses.take(MOST_ADDRESSES)),
                Ok(Err(error)) => tracing::warn!(host, %error, "cannot look up a host to join"),
                Err(_) => tracing::warn!(host, "looking up a host to join takes too long"),
            }
        }
        found
    }
}

/// Contacts those to join: often until one has answered, then now and again, so that a cluster that fell apart comes
/// together. Tells once when one has answered, or when there is no one else to join.
pub(super) async fn contact(
    seeds: Vec<Seed>,
    handle: Arc<ChitchatHandle>,
    own: SocketAddr,
    every: Duration,
    met: Arc<Notify>,
) {
    let mut wait = FIRST_WAIT;
    let mut told = false;
    loop {
        let mut addresses = BTreeSet::new();
        for seed in &seeds {
            addresses.extend(seed.resolve().await);
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

#[cfg(test)]
mod tests {
    use super::Seed;

    #[test]
    fn names_are_read_as_loki_writes_them() {
        let host = |host: &str, port| Some(Seed::Host { host: host.to_owned(), port });
        let service = |name: &str| Some(Seed::Service(name.to_owned()));
        for (text, expected) in [
            ("loki-memberlist", host("loki-memberlist", 7946)),
            ("loki:7947", host("loki", 7947)),
            (" loki.ns.svc ", host("loki.ns.svc", 7946)),
            ("dns+loki.ns.svc:1234", host("loki.ns.svc", 1234)),
            ("dns+loki", host("loki", 7946)),
            ("10.0.0.1", host("10.0.0.1", 7946)),
            ("10.0.0.1:1", host("10.0.0.1", 1)),
            ("[::1]:5", host("::1", 5)),
            ("::1", host("::1", 7946)),
            ("dnssrv+_gossip._tcp.loki.svc", service("_gossip._tcp.loki.svc")),
            ("dnssrvnoa+_gossip._tcp.loki.svc:9", service("_gossip._tcp.loki.svc")),
            ("", None),
            ("loki:port", None),
            ("loki:0", None),
            ("lo ki", None),
            ("dnssrv+", None),
            ("a..b", None),
        ] {
            assert_eq!(Seed::parse(text).ok(), expected, "{text}");
        }
    }
}
