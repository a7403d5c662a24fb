//! Addresses where a server listens or is dialed, as the configuration writes them.
//!
//! This module checks only the form of an address. A host name is resolved when the address is used. So servers can
//! start before host names resolve.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Maximum length of a host name, bytes. RFC 1035, section 2.3.4, allows 255, of which the encoding needs two.
const NAME_LEN_MAX: usize = 253;
/// Maximum length of a label of a host name, bytes (RFC 1035, section 2.3.4).
const LABEL_LEN_MAX: usize = 63;

/// `HOST:PORT`, `[IPv6]:PORT` or `NAME:PORT`. Port 0 lets the system choose.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    host: AddressHost,
    port: u16,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum AddressHost {
    Ip(IpAddr),
    /// Lower case and without a final dot, so that equal names compare equal.
    Name(String),
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text has no port.
    #[error("the port is missing: HOST:PORT")]
    NoPort,
    /// The text after the last colon is not a port.
    #[error("the port is a number from 0 to 65535")]
    BadPort,
    /// The text has no host before the colon.
    #[error("the host is missing: write 127.0.0.1 for this machine only, 0.0.0.0 for all its interfaces")]
    NoHost,
    /// The text has an IPv6 address without brackets, so it is unclear which colon begins the port.
    #[error("write an IPv6 address in brackets: [::1]:PORT")]
    BareIpv6,
    /// The text in the brackets is not an IPv6 address.
    #[error("the text in brackets is not an IPv6 address")]
    BadIpv6,
    /// The host looks like an IPv4 address, but is not a valid IPv4 address.
    #[error("an IPv4 address is four numbers from 0 to 255, without leading zeros")]
    BadIpv4,
    /// The text is a URL.
    #[error("an address has no scheme and no path: HOST:PORT")]
    Url,
    /// The host is neither an IP address nor a host name.
    #[error("a host name has only letters, digits, `-` and `_`, in parts of 1 to 63 characters between dots")]
    BadName,
}

impl Address {
    /// The address of this IP address and port.
    pub fn new(ip: IpAddr, port: u16) -> Address {
        let text = std::net::SocketAddr::new(ip, port).to_string();
        Address { text, host: AddressHost::Ip(ip), port }
    }

    /// The host without brackets, in the form that a resolver accepts.
    pub fn host(&self) -> String {
        match &self.host {
            AddressHost::Ip(ip) => ip.to_string(),
            AddressHost::Name(name) => name.clone(),
        }
    }

    /// The address as the authority of a URL: a name in lower case and without a final dot, an IPv6 address in
    /// brackets.
    pub fn authority(&self) -> String {
        match &self.host {
            AddressHost::Ip(ip) => std::net::SocketAddr::new(*ip, self.port).to_string(),
            AddressHost::Name(name) => format!("{name}:{}", self.port),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is a name, which must be resolved.
    pub fn is_name(&self) -> bool {
        matches!(&self.host, AddressHost::Name(_))
    }

    /// Whether the address is on loopback: in 127.0.0.0/8, `::1`, or the name `localhost`.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            AddressHost::Ip(ip) => ip.to_canonical().is_loopback(),
            AddressHost::Name(name) => name == "localhost",
        }
    }

    /// Whether the address means all interfaces, so that nobody can dial the address.
    pub fn is_unspecified(&self) -> bool {
        matches!(&self.host, AddressHost::Ip(ip) if ip.to_canonical().is_unspecified())
    }

    /// Whether two listeners at these addresses would conflict on one machine.
    pub fn overlaps(&self, other: &Address) -> bool {
        self.port == other.port && self.port != 0 && self.host.overlaps(&other.host)
    }
}

impl AddressHost {
    fn overlaps(&self, other: &AddressHost) -> bool {
        match (self, other) {
            (AddressHost::Ip(one), AddressHost::Ip(two)) => {
                ips_overlap(one.to_canonical(), two.to_canonical())
            }
            (AddressHost::Name(one), AddressHost::Name(two)) => one == two,
            (AddressHost::Ip(ip), AddressHost::Name(name))
            | (AddressHost::Name(name), AddressHost::Ip(ip)) => {
                ip.is_unspecified()
                    || name == "localhost"
                        && [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(ip)
            }
        }
    }
}

/// With the default settings of a system, a listener at `::` accepts IPv4 connections too. So `::` overlaps every
/// address.
fn ips_overlap(one: IpAddr, two: IpAddr) -> bool {
    let takes = |wide: IpAddr, narrow: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
    one == two || takes(one, two) || takes(two, one)
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        if text.contains("://") || text.contains('/') {
            return Err(AddressError::Url);
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(AddressError::BareIpv6);
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        if text.ends_with(']') {
            return Err(AddressError::NoPort);
        }
        let (host, port) = (parse_host(host)?, parse_port(port)?);
        Ok(Address { text: text.to_owned(), host, port })
    }
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::BadPort);
    }
    text.parse().map_err(|_| AddressError::BadPort)
}

fn parse_host(text: &str) -> Result<AddressHost, AddressError> {
    if text.is_empty() {
        return Err(AddressError::NoHost);
    }
    if let Some(inside) = text.strip_prefix('[') {
        let ip = inside.strip_suffix(']').and_then(|inside| inside.parse().ok());
        return ip.map(|ip| AddressHost::Ip(IpAddr::V6(ip))).ok_or(AddressError::BadIpv6);
    }
    if text.contains(':') {
        return Err(AddressError::BareIpv6);
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(AddressHost::Ip(IpAddr::V4(ip)));
    }
    parse_name(text).map(AddressHost::Name)
}

/// Parses a host name. A name whose last part is a number was probably meant as an IPv4 address. Resolvers treat such a
/// name in different ways.
fn parse_name(text: &str) -> Result<String, AddressError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::BadIpv4);
    }
    if name.len() > NAME_LEN_MAX || !name.split('.').all(is_label) {
        return Err(AddressError::BadName);
    }
    Ok(name.to_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_LEN_MAX).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn an_address_is_shown_as_it_was_written() {
        for (text, host, port) in [
            ("127.0.0.1:12000", "127.0.0.1", 12000),
            ("[::1]:0", "::1", 0),
            ("[0:0::1]:80", "::1", 80),
            ("localhost:65535", "localhost", 65535),
            ("Riley.Example.org.:080", "riley.example.org", 80),
            ("herd_1-a:1", "herd_1-a", 1),
        ] {
            let address = address(text);
            assert_eq!((address.to_string().as_str(), address.host().as_str()), (text, host));
            assert_eq!(address.port(), port, "{text}");
        }
        assert_eq!(Address::new(Ipv6Addr::LOCALHOST.into(), 9).to_string(), "[::1]:9");
    }

    #[test]
    fn a_text_that_is_no_address_says_what_is_wrong_with_it() {
        use AddressError::*;
        for (text, error) in [
            ("", NoPort),
            ("127.0.0.1", NoPort),
            ("localhost", NoPort),
            ("[::1]", NoPort),
            ("localhost:", BadPort),
            ("localhost:http", BadPort),
            ("localhost:65536", BadPort),
            ("localhost:+80", BadPort),
            ("localhost:-1", BadPort),
            ("localhost: 80", BadPort),
            (":80", NoHost),
            ("::1", BareIpv6),
            ("::1:80", BareIpv6),
            ("fe80::1:2:3:80:99999", BareIpv6),
            ("[::g]:80", BadIpv6),
            ("[127.0.0.1]:80", BadIpv6),
            ("[fe80::1%eth0]:80", BadIpv6),
            ("127.0.0.256:80", BadIpv4),
            ("127.0.0.01:80", BadIpv4),
            ("127.1:80", BadIpv4),
            ("12000:80", BadIpv4),
            ("http://localhost:80", Url),
            ("localhost:80/", Url),
            ("local host:80", BadName),
            ("-a:80", BadName),
            ("a-:80", BadName),
            ("a..b:80", BadName),
            (".:80", BadName),
            ("Räuber:80", BadName),
            (&format!("{}:80", "x".repeat(64)), BadName),
            (&format!("{}com:80", "abcdefg.".repeat(32)), BadName),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }

    #[test]
    fn loopback_is_127_8_and_ipv6_1_and_localhost() {
        for text in ["127.0.0.1:1", "127.255.0.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "LocalHost:1"] {
            assert!(address(text).is_loopback(), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "128.0.0.1:1", "10.0.0.1:1", "localhost.example.org:1"] {
            assert!(!address(text).is_loopback(), "{text}");
        }
    }

    #[test]
    fn listeners_that_would_conflict_overlap() {
        let check = |one: &str, two: &str, expected: bool| {
            assert_eq!(address(one).overlaps(&address(two)), expected, "{one} {two}");
            assert_eq!(address(two).overlaps(&address(one)), expected, "{two} {one}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("0.0.0.0:80", "127.0.0.1:80", true);
        check("0.0.0.0:80", "[::1]:80", false);
        check("[::]:80", "127.0.0.1:80", true);
        check("[::]:80", "0.0.0.0:80", true);
        check("localhost:80", "127.0.0.1:80", true);
        check("localhost:80", "[::1]:80", true);
        check("localhost:80", "127.0.0.2:80", false);
        check("Riley:80", "riley:80", true);
        check("riley:80", "0.0.0.0:80", true);
        check("riley:80", "jaquez:80", false);
        check("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true);
    }
}
