//! The addresses of this machine's network interfaces, by which settings may name where an instance is.

use std::net::IpAddr;

/// The address of the first of these interfaces that has one that others can use: of version 4, or else of version 6.
pub fn interface_address(names: &[String]) -> Option<IpAddr> {
    let all = addresses();
    names.iter().find_map(|name| chosen(&all, name))
}

fn chosen(all: &[(String, IpAddr)], name: &str) -> Option<IpAddr> {
    let usable = || all.iter().filter(|(interface, ip)| interface == name && can_be_told(*ip)).map(|(_, ip)| *ip);
    usable().find(IpAddr::is_ipv4).or_else(|| usable().next())
}

/// Whether an address means the same elsewhere; that of a link does not.
fn can_be_told(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

#[cfg(unix)]
fn addresses() -> Vec<(String, IpAddr)> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        let ip = v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))?;
        Some((interface.interface_name, ip))
    };
    all.filter_map(address).collect()
}

#[cfg(not(unix))]
fn addresses() -> Vec<(String, IpAddr)> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, UdpSocket};

    use super::{addresses, chosen, interface_address};

    #[test]
    fn the_first_interface_with_an_address_counts() {
        let all = [
            ("eth0", "fe80::1"),
            ("eth1", "169.254.0.7"),
            ("eth1", "2001:db8::1"),
            ("eth1", "10.0.0.1"),
            ("eth1", "10.0.0.2"),
            ("eth2", "2001:db8::2"),
        ];
        let all = all.map(|(name, ip)| (name.to_owned(), ip.parse::<IpAddr>().expect("right")));
        let found = |name: &str| chosen(&all, name).map(|ip| ip.to_string());
        assert_eq!(found("eth0"), None);
        assert_eq!(found("eth1").as_deref(), Some("10.0.0.1"));
        assert_eq!(found("eth2").as_deref(), Some("2001:db8::2"));
        assert_eq!(found("eth3"), None);
    }

    #[test]
    fn this_machine_can_listen_where_it_says_it_is() {
        let names = addresses().into_iter().map(|(name, _)| name);
        for name in names {
            let Some(ip) = interface_address(&["none0".to_owned(), name.clone()]) else { continue };
            assert!(UdpSocket::bind((ip, 0)).is_ok(), "{name} {ip}");
        }
        assert_eq!(interface_address(&["none0".to_owned()]), None);
        assert_eq!(interface_address(&[]), None);
    }
}
