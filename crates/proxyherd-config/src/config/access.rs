//! The section `[access]`: who may reach the doors, and whether tokens decide what a caller may do.
//!
//! Three rules hold between this section and the doors ([`check_doors`]). With tokens "off", every door must be on
//! loopback, unless the section says `open = true`. A door without TLS must be on loopback, unless the section says
//! `exposed = true`. With tokens "on", the section needs the hash of the operator's token. Where the section frees a
//! door or believes every proxy, there is a warning.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use super::{
    address::{Address, AddressError},
    diagnostic::Diagnostic,
    doors::Door,
    reader::Reader,
    section::Section,
    servers::{Draft, ServerConfig},
    value::Placed,
};
use crate::door_kind::DoorKind;

/// The length of a SHA-256 hash, bytes.
const HASH_LEN: usize = 32;

/// What to write for a missing or wrong hash.
const HASH_HELP: &str = "`proxyherd init` makes a token and writes its hash; for a token of your own, which must have \
                         the form phd_operator_ and 64 hexadecimal digits, printf %s TOKEN | sha256sum prints the hash";

/// The section `[access]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// Who decides what a caller may do.
    pub tokens: Tokens,
    /// SHA-256 of the operator's token. It is always set if tokens are on.
    pub operator_token_sha256: Option<[u8; HASH_LEN]>,
    /// Whether a door without TLS may have an address that is not on loopback.
    pub exposed: bool,
    /// Whether a door may have such an address although tokens are off.
    pub open: bool,
    /// Further host names that HTTP answers to, in lower case.
    pub hosts: Vec<String>,
    /// The origins of web pages that may call the API.
    pub origins: Vec<WebOrigin>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<Network>,
    /// The beginning of the links that shares have, without a slash at the end.
    pub public_url: Option<String>,
}

/// Who decides what a caller may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokens {
    /// Every caller may do everything.
    #[default]
    Off,
    /// Tokens decide, at every door.
    On,
}

/// The origin of a web page, as browsers write it: `scheme://host[:port]` in lower case, without the scheme's own port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WebOrigin(String);

/// An address, or the addresses of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix_len: u8,
}

impl AccessSettings {
    /// The origin of [`AccessSettings::public_url`]. Pages of this origin are the herd's own.
    pub fn public_origin(&self) -> Option<WebOrigin> {
        self.public_url.as_deref().and_then(WebOrigin::of_url)
    }
}

impl ServerConfig {
    /// The origins of the server's HTTP doors, as a browser can open them, in the order of the file. An address that
    /// means all interfaces is left out, and so is one whose port the system chooses.
    pub fn http_origins(&self) -> impl Iterator<Item = WebOrigin> {
        let doors = self.doors_of(DoorKind::Http);
        let doors = doors.filter(|door| !door.address.is_unspecified() && door.address.port() != 0);
        doors.filter_map(|door| {
            let scheme = if door.tls { "https" } else { "http" };
            WebOrigin::of_url(&format!("{scheme}://{}", door.address.authority()))
        })
    }
}

impl WebOrigin {
    /// Reads an origin.
    pub fn parse(text: &str) -> Result<WebOrigin, String> {
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = lower.split_once("://").ok_or("for example \"https://app.example.org\"")?;
        let own_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return Err("an origin begins with https:// or http://".to_owned()),
        };
        if rest.contains('*') {
            return Err("an origin has no wildcard: name each origin".to_owned());
        }
        let authority = rest.trim_end_matches('/');
        let with_port = if has_port(authority) { authority.to_owned() } else { format!("{authority}:1") };
        if with_port.parse::<Address>().is_err() {
            return Err("an origin is SCHEME://HOST or SCHEME://HOST:PORT, without a path".to_owned());
        }
        let origin = format!("{scheme}://{}", authority.strip_suffix(own_port).unwrap_or(authority));
        if origin == text { Ok(WebOrigin(origin)) } else { Err(format!("did you mean {origin:?}?")) }
    }

    /// The origin of a URL whose authority is known to be well formed.
    pub(super) fn of_url(url: &str) -> Option<WebOrigin> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        Some(WebOrigin(format!("{scheme}://{}", authority.strip_suffix(own_port).unwrap_or(&authority))))
    }

    /// The origin as browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The origin's host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let authority = self.0.split_once("://").map_or("", |(_, authority)| authority);
        match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => authority.split(':').next().unwrap_or(authority),
        }
    }
}

/// Whether the text after a host has a port. The colons of an IPv6 address are within brackets.
fn has_port(authority: &str) -> bool {
    authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'))
}

impl Network {
    /// Reads an address or a network in CIDR notation: `10.0.0.0/8`.
    pub fn parse(text: &str) -> Result<Network, String> {
        let (address, prefix_len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let example = "for example \"10.0.0.1\" or \"10.0.0.0/8\"";
        let address: IpAddr = address.parse().map_err(|_| example)?;
        let address = address.to_canonical();
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix_len = match prefix_len {
            None => bits,
            Some(len) => len
                .parse()
                .ok()
                .filter(|len| *len <= bits)
                .ok_or_else(|| format!("the number after the slash is from 0 to {bits}"))?,
        };
        let network = Network { first: masked(address, prefix_len), prefix_len };
        if network.first == address { Ok(network) } else { Err(format!("did you mean \"{network}\"?")) }
    }

    /// Whether an address is in the network. An IPv4 address that is mapped into IPv6 counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.prefix_len) == self.first
    }
}

/// As the configuration writes it.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.first.is_ipv4() { 32 } else { 128 };
        match self.prefix_len {
            len if len == bits => write!(f, "{}", self.first),
            len => write!(f, "{}/{len}", self.first),
        }
    }
}

/// The address with zeros after its first bits.
fn masked(address: IpAddr, prefix_len: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix_len)).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

/// The section as it was given.
pub(super) struct GivenAccess {
    pub(super) value: AccessSettings,
    tokens: Option<Placed<Tokens>>,
    open: Placed<bool>,
}

pub(super) fn read(mut section: Section<'_, '_>) -> GivenAccess {
    let site = section.site();
    let tokens = section.choice("tokens", &[("off", Tokens::Off), ("on", Tokens::On)]);
    let is_hash_given = section.is_given("operator_token_sha256");
    let hash = section.parsed("operator_token_sha256", "takes 64 hexadecimal digits", parse_hash);
    let tokens_value = tokens.as_ref().map(|tokens| tokens.value).unwrap_or_default();
    if tokens_value == Tokens::On && !is_hash_given {
        let site = tokens.as_ref().map_or(&site, |tokens| &tokens.site).clone();
        let message = "is missing: with tokens \"on\", nobody could make the first token";
        let missing = Diagnostic::error(site, section.key("operator_token_sha256"), message);
        section.report(missing.help(HASH_HELP));
    }
    let open = section.boolean("open", false);
    let proxies = section.list("proxies", "takes addresses and networks", Network::parse);
    check_proxies(&proxies, &mut section);
    let value = AccessSettings {
        tokens: tokens_value,
        operator_token_sha256: hash.map(|hash| hash.value),
        exposed: section.boolean("exposed", false).value,
        open: open.value,
        hosts: values(section.list("hosts", "takes host names", parse_host)),
        origins: values(section.list("origins", "takes origins of web pages", WebOrigin::parse)),
        proxies: values(proxies),
        public_url: section.parsed("public_url", "takes a URL", parse_url).and_then(|url| url.value),
    };
    section.finish();
    GivenAccess { value, tokens, open }
}

fn values<T>(placed: Vec<Placed<T>>) -> Vec<T> {
    placed.into_iter().map(|placed| placed.value).collect()
}

fn parse_hash(text: &str) -> Result<[u8; HASH_LEN], &'static str> {
    let mut hash = [0; HASH_LEN];
    if text.len() != 2 * HASH_LEN || !text.is_ascii() {
        return Err(HASH_HELP);
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| HASH_HELP)?;
    }
    // from_str_radix accepts a sign.
    if text.contains('+') { Err(HASH_HELP) } else { Ok(hash) }
}

fn parse_host(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    let name = lower.trim_end_matches('.');
    if let Some((_, rest)) = name.split_once("://") {
        return Err(format!("write the name alone: {:?}", rest.split(['/', ':']).next().unwrap_or(rest)));
    }
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(ip.to_string());
    }
    match format!("{name}:1").parse::<Address>() {
        Ok(_) if name == lower => Ok(lower),
        Ok(_) => Err(format!("did you mean {name:?}?")),
        Err(_) if name.parse::<Address>().is_ok() => Err("write the name without a port".to_owned()),
        Err(_) => Err("for example \"herd.example.org\"".to_owned()),
    }
}

/// Reads the URL that the links of shares begin with. `None` for the empty text, which is the default.
fn parse_url(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let example = || "for example \"https://herd.example.org\"".to_owned();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(example)?;
    if rest.contains(['?', '#']) {
        return Err(
            "a link's query and fragment come after this URL: write it without `?` and `#`".to_owned()
        );
    }
    if rest.contains('@') {
        return Err(
            "everybody who has a link sees this URL: write it without a user and a password".to_owned()
        );
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    check_authority(authority).map_err(|error| format!("{error}; {}", example()))?;
    // The characters of a path (RFC 3986, section 3.3).
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !path.bytes().all(is_plain) {
        return Err("other characters of a path than A-Z a-z 0-9 - . _ ~ must be percent-encoded".to_owned());
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

/// Reads `HOST` or `HOST:PORT` of a URL. Without a port, the port of the address is 1.
pub(super) fn check_authority(authority: &str) -> Result<Address, AddressError> {
    if has_port(authority) { authority.parse() } else { format!("{authority}:1").parse() }
}

/// Warns of `proxies` that mean every address.
fn check_proxies(proxies: &[Placed<Network>], section: &mut Section<'_, '_>) {
    for proxy in proxies.iter().filter(|proxy| proxy.value.prefix_len == 0) {
        let message = "means every address: every client can then claim any address in X-Forwarded-For";
        let warning = Diagnostic::warning(proxy.site.clone(), &proxy.key, message);
        section.report(warning.help("name the addresses of the proxies alone"));
    }
}

/// Checks which addresses the doors have.
pub(super) fn check_doors(drafts: &[Draft], access: &GivenAccess, reader: &mut Reader<'_>) {
    let AccessSettings { tokens, exposed, open, .. } = access.value;
    // A word that is neither "on" nor "off" has its own message.
    let are_tokens_known = access.tokens.is_some() || !reader.has_errors_in("access.tokens");
    for door in drafts.iter().flat_map(|draft| &draft.doors) {
        if door.value.address.is_loopback() {
            continue;
        }
        let mut refuse = |message: &str, help: String| {
            reader.report(Diagnostic::error(door.site.clone(), &door.key, message).help(help));
        };
        if tokens == Tokens::Off && !open && are_tokens_known {
            let address = Address::new(Ipv4Addr::LOCALHOST.into(), door.value.address.port());
            let near = Door { address, ..door.value.clone() };
            let message = "must be on loopback: with `access.tokens` \"off\", everybody who reaches the door may do \
                           everything";
            let instead = "or let tokens decide: tokens = \"on\" in [access]; open = true allows this";
            refuse(message, format!("write \"{near}\", {instead}"));
        }
        if !door.value.tls && !exposed {
            let near = Door { tls: true, ..door.value.clone() };
            let message = "must be on loopback or have TLS: without TLS, anybody on the way can read and change \
                           everything";
            let instead = "or exposed = true in [access], if a proxy in front has TLS";
            refuse(message, format!("write \"{near}\", {instead}"));
        }
        if !door.value.tls && exposed && tokens == Tokens::On && door.value.kind == DoorKind::Line {
            let near = Door { tls: true, ..door.value.clone() };
            let message =
                "has no TLS and is not on loopback: the tokens of AUTH lines cross the network in the clear";
            let warning = Diagnostic::warning(door.site.clone(), &door.key, message);
            reader.report(warning.help(format!("write \"{near}\", or put the door on loopback")));
        }
    }
    warn_if_open(drafts, access, reader);
}

/// Warns once if everybody who reaches a door that is not on loopback may do everything.
fn warn_if_open(drafts: &[Draft], access: &GivenAccess, reader: &mut Reader<'_>) {
    let mut doors = drafts.iter().flat_map(|draft| &draft.doors);
    let is_wide = doors.any(|door| !door.value.address.is_loopback());
    if access.open.value && access.value.tokens == Tokens::Off && is_wide {
        let message = "lets everybody who reaches a door do everything: tokens are \"off\", and not all doors are on loopback";
        let warning = Diagnostic::warning(access.open.site.clone(), &access.open.key, message);
        reader.report(warning.help("let tokens decide: tokens = \"on\" in [access]"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), expected, "{network} {address}");
            assert_eq!(parsed.to_string(), network);
        }
        for bad in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "::/129", "herd", "10.0.0.0/-1"] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_public_url_has_an_origin_and_a_host() {
        for (url, origin, host) in [
            ("https://Herd.Example/map", "https://herd.example", "herd.example"),
            ("https://herd.example:443", "https://herd.example", "herd.example"),
            ("http://herd.example:443", "http://herd.example:443", "herd.example"),
            ("http://[2001:db8::1]:8000/a/b", "http://[2001:db8::1]:8000", "2001:db8::1"),
        ] {
            let access = AccessSettings { public_url: Some(url.to_owned()), ..AccessSettings::default() };
            let found = access.public_origin().unwrap();
            assert_eq!((found.as_str(), found.host()), (origin, host));
            assert_eq!(WebOrigin::parse(origin), Ok(found));
        }
        assert_eq!(AccessSettings::default().public_origin(), None);
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for origin in [
            "https://app.example.org",
            "http://localhost:3000",
            "https://[2001:db8::1]:8443",
            "http://10.0.0.1",
        ] {
            assert_eq!(WebOrigin::parse(origin).as_ref().map(WebOrigin::as_str), Ok(origin));
        }
        for (bad, expected) in [
            ("https://App.example.org", "did you mean \"https://app.example.org\"?"),
            ("https://a.example/", "did you mean \"https://a.example\"?"),
            ("https://a.example:443", "did you mean \"https://a.example\"?"),
            ("a.example", "for example \"https://app.example.org\""),
            ("*", "for example \"https://app.example.org\""),
            ("https://*.example", "an origin has no wildcard: name each origin"),
            ("ftp://a.example", "an origin begins with https:// or http://"),
            ("https://a.example/path", "an origin is SCHEME://HOST or SCHEME://HOST:PORT, without a path"),
            ("https://", "an origin is SCHEME://HOST or SCHEME://HOST:PORT, without a path"),
        ] {
            assert_eq!(WebOrigin::parse(bad), Err(expected.to_owned()), "{bad}");
        }
    }
}
