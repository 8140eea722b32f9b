//! Where servers are, as settings name them: a host and port, or a name of which DNS tells many.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net::lookup_host, time::timeout};

use crate::{Resolver, is_name};

/// How long one host may take to look up.
const LOOKUP: Duration = Duration::from_secs(5);
/// Hosts of one place, and addresses of one host, beyond which none are looked at.
const MOST: usize = 1_024;

/// Where one or many servers are to be found.
///
/// | text | which servers |
/// |---|---|
/// | `host:port` | the host |
/// | `dns+host:port`, `dns:///host:port` | each address of the host |
/// | `dnssrv+name` | each address of each target of the name's SRV records |
/// | `dnssrvnoa+name` | each target of the name's SRV records |
///
/// A port after the name of SRV records is allowed and means nothing: they have their own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the forms that there are")]
pub enum Place {
    /// One server, known by this name.
    Host {
        /// A name, or an address without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A server at each address of a host.
    Addresses {
        /// A name, or an address without brackets.
        host: String,
        /// Their port.
        port: u16,
    },
    /// A server for each SRV record of a name.
    Service {
        /// The name, `_service._protocol.domain` as a rule.
        name: String,
        /// Whether servers are known by the addresses of the targets, or by the targets' names.
        addresses: bool,
    },
}

/// A text that names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// A port is needed, and there is none.
    #[error("{0:?} has no port: write host:port")]
    NoPort(String),
    /// What stands where the port does is none.
    #[error("{0:?} has no port between 1 and 65535 behind its host")]
    BadPort(String),
    /// It is no host.
    #[error("{0:?} is not a host: write host:port, dns+host:port or dnssrv+name")]
    NotAHost(String),
    /// The way to look it up is unknown.
    #[error("{0:?} begins with {1}+, which is not known: use dns+, dnssrv+ or dnssrvnoa+")]
    UnknownScheme(String, String),
}

impl Place {
    /// Reads a place. A host without a port has the default one.
    ///
    /// # Errors
    /// It is no place, or has no port and there is no default.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, PlaceError> {
        let text = text.trim();
        let (scheme, rest) = match text.strip_prefix("dns:///") {
            Some(rest) => (Some("dns"), rest),
            None => text.split_once('+').map_or((None, text), |(scheme, rest)| (Some(scheme), rest)),
        };
        match scheme {
            None => host_and_port(text, rest, default_port).map(|(host, port)| Self::Host { host, port }),
            Some("dns") => host_and_port(text, rest, default_port).map(|(host, port)| Self::Addresses { host, port }),
            Some(scheme @ ("dnssrv" | "dnssrvnoa")) => {
                let name = rest.split(':').next().unwrap_or(rest);
                if !is_name(name) {
                    return Err(PlaceError::NotAHost(text.to_owned()));
                }
                Ok(Self::Service { name: name.to_owned(), addresses: scheme == "dnssrv" })
            }
            Some(scheme) => Err(PlaceError::UnknownScheme(text.to_owned(), scheme.to_owned())),
        }
    }

    /// Hosts and ports that it stands for now; addresses of hosts are not looked up.
    ///
    /// # Errors
    /// As for [`Resolver::services`].
    pub async fn hosts(&self, resolver: &Resolver) -> io::Result<Vec<(String, u16)>> {
        match self {
            Self::Host { host, port } | Self::Addresses { host, port } => Ok(vec![(host.clone(), *port)]),
            Self::Service { name, .. } => {
                let mut hosts = resolver.services(name).await?;
                hosts.truncate(MOST);
                Ok(hosts)
            }
        }
    }

    /// All addresses that it stands for now, sorted, each once: what to connect to.
    ///
    /// # Errors
    /// A name cannot be looked up.
    pub async fn addresses(&self, resolver: &Resolver) -> io::Result<Vec<SocketAddr>> {
        let mut found = Vec::new();
        for (host, port) in self.hosts(resolver).await? {
            found.extend(addresses_of(&host, port).await?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Its servers as `host:port`, by the names that they are to be known by: a [`Place::Host`] and a target of
    /// `dnssrvnoa+` as they are written, all others by address. Sorted, each once.
    ///
    /// # Errors
    /// A name cannot be looked up.
    pub async fn servers(&self, resolver: &Resolver) -> io::Result<Vec<String>> {
        if let Self::Host { .. } | Self::Service { addresses: false, .. } = self {
            let hosts = self.hosts(resolver).await?;
            let mut servers: Vec<_> = hosts.iter().map(|(host, port)| authority(host, *port)).collect();
            servers.sort_unstable();
            servers.dedup();
            return Ok(servers);
        }
        Ok(self.addresses(resolver).await?.iter().map(SocketAddr::to_string).collect())
    }
}

/// Addresses of a host, which may be an address.
///
/// # Errors
/// It cannot be looked up, or not in time; the message names it.
pub async fn addresses_of(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = match timeout(LOOKUP, lookup_host((host, port))).await {
        Ok(found) => found.map_err(|error| io::Error::new(error.kind(), format!("cannot look up {host}: {error}")))?,
        Err(_) => {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("cannot look up {host}: no answer in time")));
        }
    };
    Ok(found.take(MOST).collect())
}

/// A host and port as one text: addresses of IPv6 in brackets.
#[must_use]
pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn host_and_port(whole: &str, text: &str, default_port: Option<u16>) -> Result<(String, u16), PlaceError> {
    let default = || default_port.ok_or_else(|| PlaceError::NoPort(whole.to_owned()));
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(PlaceError::BadPort(whole.to_owned())),
            port => Ok((address.ip().to_string(), port)),
        };
    }
    if let Ok(ip) = text.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(text).parse::<IpAddr>() {
        return Ok((ip.to_string(), default()?));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
        None => (text, Some(0)),
    };
    if !is_name(host) {
        return Err(PlaceError::NotAHost(whole.to_owned()));
    }
    match port {
        Some(0) => Ok((host.to_owned(), default()?)),
        Some(port) => Ok((host.to_owned(), port)),
        None => Err(PlaceError::BadPort(whole.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Place, PlaceError, authority};
    use crate::Resolver;

    #[test]
    fn places_are_read_as_loki_writes_them() {
        let host = |host: &str, port| Some(Place::Host { host: host.to_owned(), port });
        let many = |host: &str, port| Some(Place::Addresses { host: host.to_owned(), port });
        let service = |name: &str, addresses| Some(Place::Service { name: name.to_owned(), addresses });
        for (text, expected) in [
            ("loki-memberlist", host("loki-memberlist", 7946)),
            ("loki:7947", host("loki", 7947)),
            (" loki.ns.svc ", host("loki.ns.svc", 7946)),
            ("dns+loki.ns.svc:1234", many("loki.ns.svc", 1234)),
            ("dns+loki", many("loki", 7946)),
            ("dns:///loki.ns.svc.:9095", many("loki.ns.svc.", 9095)),
            ("10.0.0.1", host("10.0.0.1", 7946)),
            ("10.0.0.1:1", host("10.0.0.1", 1)),
            ("[::1]:5", host("::1", 5)),
            ("[::1]", host("::1", 7946)),
            ("dns+::1", many("::1", 7946)),
            ("dnssrv+_gossip._tcp.loki.svc", service("_gossip._tcp.loki.svc", true)),
            ("dnssrvnoa+_gossip._tcp.loki.svc:9", service("_gossip._tcp.loki.svc", false)),
            ("", None),
            ("loki:port", None),
            ("loki:0", None),
            ("10.0.0.1:0", None),
            ("lo ki", None),
            ("dns+", None),
            ("dnssrv+", None),
            ("a..b", None),
            ("[::1", None),
        ] {
            assert_eq!(Place::parse(text, Some(7946)).ok(), expected, "{text}");
        }
    }

    #[test]
    fn without_a_default_a_port_is_needed() {
        for text in ["loki", "10.0.0.1", "::1", "dns+loki"] {
            assert_eq!(Place::parse(text, None), Err(PlaceError::NoPort(text.to_owned())));
        }
        assert!(Place::parse("[::1]:80", None).is_ok() && Place::parse("dnssrv+loki", None).is_ok());
        let error = Place::parse("mdns+a:1", None).expect_err("it is not known").to_string();
        assert!(error.contains("mdns+"), "{error}");
    }

    #[tokio::test]
    async fn hosts_stay_names_unless_addresses_are_wanted() {
        let place = |text| Place::parse(text, None).expect("it is right");
        let resolver = Resolver::default();
        let servers = async |text| place(text).servers(&resolver).await.expect("no name is looked up");
        assert_eq!(servers("no-such-host.invalid:1").await, ["no-such-host.invalid:1"]);
        assert_eq!(servers("[::1]:1").await, ["[::1]:1"]);
        assert_eq!(servers("dns+127.0.0.1:5").await, ["127.0.0.1:5"]);
        let addresses = place("127.0.0.1:7").addresses(&resolver).await.expect("it is one");
        assert_eq!(addresses, ["127.0.0.1:7".parse().expect("it is one")]);
        let error = place("dnssrv+a").addresses(&resolver).await.expect_err("there is no name server").to_string();
        assert!(error.contains("cannot look up a"), "{error}");
    }

    proptest! {
        #[test]
        fn a_host_written_down_is_read_again(text in "[a-z0-9+:.\\[\\]/-]{0,20}", port in prop::option::of(1_u16..)) {
            if let Ok(Place::Host { host, port }) = Place::parse(&text, port) {
                prop_assert!(port > 0);
                prop_assert_eq!(Place::parse(&authority(&host, port), None), Ok(Place::Host { host, port }));
            }
        }
    }
}
