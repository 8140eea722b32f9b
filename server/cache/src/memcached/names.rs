//! Which servers there are, and which of them has a key.

use std::{collections::BTreeSet, io};

use narvi_dns::{Place, Resolver};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::MemcachedSettings;

/// The places that settings name.
pub(super) fn places(settings: &MemcachedSettings) -> Result<Vec<Place>, String> {
    let addresses = settings.addresses.iter().map(|address| address.trim()).filter(|address| !address.is_empty());
    let places: Result<Vec<_>, _> = addresses.map(|address| Place::parse(address, None)).collect();
    let mut places = places.map_err(|error| error.to_string())?;
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

/// Looks all places up. Servers, sorted, each once.
pub(super) async fn resolve(places: &[Place], resolver: &Resolver) -> io::Result<Vec<String>> {
    let mut servers = BTreeSet::new();
    for place in places {
        servers.extend(place.servers(resolver).await?);
    }
    Ok(servers.into_iter().collect())
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
            of("", &["a:1", " ", " dns+b:2", "dnssrv+_m._tcp.c"]).expect("they are right"),
            [
                Place::Host { host: "a".to_owned(), port: 1 },
                Place::Addresses { host: "b".to_owned(), port: 2 },
                service("_m._tcp.c", true),
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
