//! Decides which addresses count as one address, wherever something is counted for each address.

use std::net::{IpAddr, Ipv6Addr};

/// The first address of the subscriber that has `ip`. A subscriber with one IPv6 address has all addresses of its /64
/// (RFC 6177), so all these addresses count as one address. An IPv4 address counts by itself, even if it is mapped into
/// IPv6 (RFC 4291, section 2.5.5.2).
pub(crate) fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_64_bits_is_one_subscriber_and_so_is_an_ipv4_address() {
        for (ip, expected) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::9", "2001:db8:1:2::"),
            ("2001:db8:1:3::9", "2001:db8:1:3::"),
            ("::1", "::"),
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("10.0.0.2", "10.0.0.2"),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!(subscriber(ip).to_string(), expected, "{ip}");
        }
    }
}
