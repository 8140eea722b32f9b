//! Which servers there are, and which of them has a key.

use std::{collections::BTreeSet, io, time::Duration};

use narvi_dns::Resolver;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::MemcachedSettings;

/// How long one name may take to look up.
const LOOKUP: Duration = Duration::from_secs(5);

/// Where servers are to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A host and port, taken as they are.
    Plain(String),
    /// A host and port: each address of the host.
    Addresses(String),
    /// SRV records of a name; each address of each target, or the targets themselves.
    Service { name: String, addresses: bool },
}

/// The places that settings name.
pub(super) fn places(settings: &MemcachedSettings) -> Result<Vec<Place>, String> {
    let mut places = Vec::new();
    for address in settings.addresses.iter().map(|address| address.trim()).filter(|address| !address.is_empty()) {
        places.push(match address.split_once('+') {
            Some(("dns", name)) => Place::Addresses(with_port(name)?),
            Some(("dnssrv", name)) => Place::Service { name: name.to_owned(), addresses: true },
            Some(("dnssrvnoa", name)) => Place::Service { name: name.to_owned(), addresses: false },
            Some((scheme, _)) => return Err(format!("{scheme}+ is not known; use dns+, dnssrv+ or dnssrvnoa+")),
            None => Place::Plain(with_port(address)?),
        });
    }
    if !settings.host.is_empty() {
        if !places.is_empty() {
            return Err("host and addresses are both given; leave one out".to_owned());
        }
        let name = match settings.service.is_empty() {
            true => settings.host.clone(),
            false => format!("_{}._tcp.{}", settings.service, settings.host),
        };
        places.push(Place::Service { name, addresses: false });
    }
    if places.is_empty() {
        return Err("neither host nor addresses are given".to_owned());
    }
    Ok(places)
}

fn with_port(address: &str) -> Result<String, String> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(_)) => Ok(address.to_owned()),
        _ => Err(format!("{address:?} has no port; write host:11211")),
    }
}

/// Looks all places up. Servers, sorted, each once.
pub(super) async fn resolve(places: &[Place], resolver: &Resolver) -> io::Result<Vec<String>> {
    let mut servers = BTreeSet::new();
    for place in places {
        match place {
            Place::Plain(address) => drop(servers.insert(address.clone())),
            Place::Addresses(address) => servers.extend(addresses(address).await?),
            Place::Service { name, addresses: wanted } => {
                for (target, port) in resolver.services(name).await? {
                    let address = format!("{target}:{port}");
                    match wanted {
                        true => servers.extend(addresses(&address).await?),
                        false => drop(servers.insert(address)),
                    }
                }
            }
        }
    }
    Ok(servers.into_iter().collect())
}

async fn addresses(address: &str) -> io::Result<Vec<String>> {
    let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host(address)).await;
    let found = found.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("{address}: no answer in time")))?;
    Ok(found?.map(|address| address.to_string()).collect())
}

/// Which server has a key: the one that the key and its address hash highest with. So a server that comes takes its
/// share of keys from all the others, one that goes leaves its keys to them, and no other key moves.
pub(super) fn owner<'a>(servers: impl Iterator<Item = &'a str>, key: &[u8]) -> Option<usize> {
    let rank = |(at, server): (usize, &str)| (xxh3_64_with_seed(key, xxh3_64(server.as_bytes())), at);
    servers.enumerate().map(rank).max().map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::{Place, owner, places};
    use crate::MemcachedSettings;

    fn of(host: &str, addresses: &[&str]) -> Result<Vec<Place>, String> {
        let addresses = addresses.iter().map(|&address| address.to_owned()).collect();
        places(&MemcachedSettings { host: host.to_owned(), addresses, ..MemcachedSettings::default() })
    }

    #[test]
    fn addresses_are_read_as_loki_reads_them() {
        let service = |name: &str, addresses| Place::Service { name: name.to_owned(), addresses };
        assert_eq!(
            of("", &["a:1", " dns+b:2", "dnssrv+_m._tcp.c", "dnssrvnoa+_m._tcp.d", "[::1]:3"]).expect("they are right"),
            [
                Place::Plain("a:1".to_owned()),
                Place::Addresses("b:2".to_owned()),
                service("_m._tcp.c", true),
                service("_m._tcp.d", false),
                Place::Plain("[::1]:3".to_owned()),
            ]
        );
        assert_eq!(of("chunks", &[]), Ok(vec![service("_memcached._tcp.chunks", false)]));
        for (host, addresses, message) in [
            ("", &[][..], "neither"),
            ("a", &["b:1"][..], "both"),
            ("", &["a"][..], "no port"),
            ("", &["dns+a"][..], "no port"),
            ("", &["mdns+a:1"][..], "mdns+"),
        ] {
            let error = of(host, addresses).expect_err("it is wrong");
            assert!(error.contains(message), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_server_that_comes_takes_its_share_and_no_other_key_moves(servers in btree_set("[a-z]{1,5}:[0-9]", 2..12)) {
            let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
            let (new, old) = servers.split_last().expect("there are two");
            let mut moved = 0;
            for key in 0..2_000_u32 {
                let key = key.to_le_bytes();
                let before = owner(old.iter().copied(), &key).expect("there is one");
                // In another order: only the names count.
                let after = owner(servers.iter().rev().copied(), &key).map(|at| servers[servers.len() - 1 - at]);
                let after = after.expect("there is one");
                prop_assert!(after == old[before] || after == *new);
                moved += usize::from(after == *new);
            }
            let share = 2_000 / servers.len();
            prop_assert!(moved > share / 2 && moved < share * 3 / 2, "{moved} of 2000 moved to one of {}", servers.len());
        }
    }
}
