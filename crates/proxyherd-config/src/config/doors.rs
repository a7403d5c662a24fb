//! Reads the doors of a server: one address or a list of addresses for each kind of door. An address with TLS begins
//! with `tls://`. This module also reads the section `[tls]`, the certificate of the doors with TLS.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    address::{Address, AddressError},
    diagnostic::Diagnostic,
    nearest,
    secret::looks_secret,
    section::Section,
    settings::parse_path,
    site::Site,
    value::Placed,
};
use crate::door_kind::{DoorKind, NOT_BUILT};

/// The beginning of an address whose door speaks TLS.
pub const TLS_SCHEME: &str = "tls://";
/// URL schemes that mean TLS, in case somebody writes a URL instead of an address.
const SECURE_SCHEMES: [&str; 7] = ["tls", "ssl", "https", "wss", "mqtts", "rediss", "tcps"];
/// URL schemes that mean a connection without TLS.
const PLAIN_SCHEMES: [&str; 5] = ["http", "tcp", "ws", "mqtt", "redis"];

/// Maximum number of addresses of one door. Each address costs a task and a descriptor that clients cannot have.
pub const ADDRESSES_PER_DOOR_MAX: usize = 8;

/// What [`parse_address`] accepts, for messages.
pub(super) const ADDRESS: &str = "takes an address: HOST:PORT, [IPv6]:PORT or NAME:PORT";

/// One address of a door.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Door {
    /// The kind of the door.
    pub kind: DoorKind,
    /// The address.
    pub address: Address,
    /// Whether the connections there are encrypted.
    pub tls: bool,
}

/// The section `[tls]`: the certificate of the doors with TLS, two PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorCertificate {
    /// The file with the certificate chain.
    pub cert: PathBuf,
    /// The file with the private key.
    pub key: PathBuf,
}

/// Why a text is not an address of a door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoorError {
    /// The text is nearly an address.
    #[error("did you mean {0:?}?")]
    Near(String),
    /// The text has several addresses.
    #[error("write each address in its own quotes, in a list: [{0}]")]
    Several(String),
    /// The text has a path, or a scheme other than `tls://`.
    #[error("an address has no path, and no scheme except tls://")]
    Url,
    /// The text is not an address, or has no address after `tls://`.
    #[error(transparent)]
    Address(AddressError),
}

impl Door {
    /// A door without TLS.
    pub fn plain(kind: DoorKind, address: Address) -> Door {
        Door { kind, address, tls: false }
    }

    /// Reads `HOST:PORT` or `tls://HOST:PORT`.
    pub fn parse(kind: DoorKind, text: &str) -> Result<Door, DoorError> {
        let (tls, rest) = text.strip_prefix(TLS_SCHEME).map_or((false, text), |rest| (true, rest));
        let door = rest.parse().map(|address| Door { kind, address, tls });
        door.map_err(|error| match (near(text.trim()).or_else(|| trimmed(text)), error) {
            _ if is_list(text) => DoorError::Several(quoted(text)),
            (Some(near), _) => DoorError::Near(near),
            (None, AddressError::Url) => DoorError::Url,
            (None, error) => DoorError::Address(error),
        })
    }
}

/// As the configuration writes it.
impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.tls { TLS_SCHEME } else { "" }, self.address)
    }
}

/// The address that a URL or a misspelled `tls://` was meant to be.
fn near(text: &str) -> Option<String> {
    let (scheme, rest) = match text.find([':', '/']).map(|at| text.split_at(at)) {
        Some((scheme, rest)) if rest.starts_with('/') || rest.starts_with(":/") || is_scheme(scheme) => {
            (scheme, rest.trim_start_matches([':', '/']))
        }
        _ => ("", text),
    };
    let address = rest.trim_end_matches('/');
    address.parse::<Address>().ok()?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme.is_empty() || PLAIN_SCHEMES.contains(&scheme.as_str()) {
        return (address != text).then(|| address.to_owned());
    }
    let is_secure =
        SECURE_SCHEMES.contains(&scheme.as_str()) || nearest::slip_of(&scheme, ["tls"].into_iter()).is_some();
    is_secure.then(|| format!("{TLS_SCHEME}{address}"))
}

/// The address without the spaces around it.
fn trimmed(text: &str) -> Option<String> {
    let bare = text.trim();
    let is_address = bare.strip_prefix(TLS_SCHEME).unwrap_or(bare).parse::<Address>().is_ok();
    (bare != text && is_address).then(|| bare.to_owned())
}

/// The parts of a text between commas and spaces.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|part| !part.is_empty())
}

fn is_list(text: &str) -> bool {
    let is_address = |part: &str| part.strip_prefix(TLS_SCHEME).unwrap_or(part).parse::<Address>().is_ok();
    parts(text).count() > 1 && parts(text).all(is_address)
}

fn quoted(text: &str) -> String {
    parts(text).map(|part| format!("{part:?}")).collect::<Vec<_>>().join(", ")
}

fn is_scheme(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    SECURE_SCHEMES.iter().chain(&PLAIN_SCHEMES).any(|scheme| *scheme == word)
}

/// Parses an address of a link, which cannot begin with `tls://`.
pub(super) fn parse_address(text: &str) -> Result<Address, String> {
    match text.strip_prefix(TLS_SCHEME) {
        Some(rest) if rest.parse::<Address>().is_ok() => {
            Err(format!("`herd.tls` encrypts the links; tls:// is only for doors: write {rest:?}"))
        }
        _ => text.parse().map_err(|error: AddressError| error.to_string()),
    }
}

/// Reads the doors of one server, in the order of their kinds and then of the file. Refuses keys of doors that are not
/// built.
pub(super) fn read(section: &mut Section<'_, '_>) -> Vec<Placed<Door>> {
    let mut doors = Vec::new();
    for kind in DoorKind::ALL {
        doors.extend(read_kind(section, kind));
    }
    for (key, clients) in NOT_BUILT {
        if let Some(given) = section.not_built(key) {
            let instead = format!("leave it out: the door for {clients} is not built yet");
            section.refuse_unbuilt(&given, &instead);
        }
    }
    doors
}

fn read_kind(section: &mut Section<'_, '_>, kind: DoorKind) -> Vec<Placed<Door>> {
    let key = kind.key();
    let Some(given) = section.one_or_more(key, ADDRESS, |text| Door::parse(kind, text)) else {
        if let Some(help) = kind.missing() {
            let missing = Diagnostic::error(section.site(), section.key(key), "is missing");
            section.report(missing.help(help));
        }
        return Vec::new();
    };
    let (count, doors) = (given.count, given.values);
    if count == 0 {
        let mistake = Diagnostic::error(given.site, given.key, "is an empty list");
        section.report(
            mistake.help(kind.missing().unwrap_or("leave the key out if the server has no such door")),
        );
    } else if count > ADDRESSES_PER_DOOR_MAX {
        let message = format!("has {count} addresses");
        let help = format!("a door has at most {ADDRESSES_PER_DOOR_MAX}");
        section.report(Diagnostic::error(given.site, given.key, message).help(help));
    }
    doors
}

/// The section `[tls]` as it was given.
pub(super) struct GivenCertificate {
    /// The names of the two files, if both could be read.
    pub(super) value: Option<DoorCertificate>,
    /// Whether one of the two keys is set to any value.
    pub(super) is_given: bool,
    /// The place of the section.
    pub(super) site: Site,
}

/// Reads the names of the two files. One file without the other is a mistake.
pub(super) fn read_certificate(mut section: Section<'_, '_>, base: &Path) -> GivenCertificate {
    let examples = [("cert", "fullchain.pem"), ("key", "privkey.pem")];
    let files = examples.map(|(key, example)| {
        let parse = |text: &str| parse_file(text, example);
        Some(section.parsed(key, "takes the name of a PEM file", parse)?.relative_to(base))
    });
    let is_given = examples.iter().any(|(key, _)| section.is_given(key));
    let site = section.site();
    for (key, example) in examples {
        if !is_given || section.is_given(key) {
            continue;
        }
        let message = "is missing: a certificate needs its key, and a key needs its certificate";
        let mistake = Diagnostic::error(site.clone(), section.key(key), message);
        section.report(mistake.help(format!("for example {key} = {example:?}")));
    }
    section.finish();
    let [cert, key] = files;
    let value = cert.zip(key).map(|(cert, key)| DoorCertificate { cert, key });
    GivenCertificate { value, is_given, site }
}

fn parse_file(text: &str, example: &str) -> Result<PathBuf, String> {
    if looks_secret(text) {
        return Err(format!("for example {example:?}; never the content of the file"));
    }
    parse_path(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        match Door::parse(DoorKind::Http, text) {
            Ok(door) => format!("{} {}", if door.tls { "TLS" } else { "plain" }, door.address),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_address_is_plain_unless_tls_stands_before_it() {
        for (text, expected) in [
            ("127.0.0.1:80", "plain 127.0.0.1:80"),
            ("[::1]:80", "plain [::1]:80"),
            ("herd.example.org:80", "plain herd.example.org:80"),
            ("tls:80", "plain tls:80"),
            ("tls://127.0.0.1:80", "TLS 127.0.0.1:80"),
            ("tls://[::1]:0", "TLS [::1]:0"),
            ("tls://herd.example.org:80", "TLS herd.example.org:80"),
            ("tls://tls:80", "TLS tls:80"),
        ] {
            assert_eq!(said(text), expected, "{text}");
            assert_eq!(Door::parse(DoorKind::Http, text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_nearly_an_address_is_answered_with_the_address() {
        let tls = "did you mean \"tls://127.0.0.1:1\"?";
        let plain = "did you mean \"127.0.0.1:1\"?";
        let none = "an address has no path, and no scheme except tls://";
        for (text, expected) in [
            ("tls:/127.0.0.1:1", tls),
            ("tls//127.0.0.1:1", tls),
            ("tls:127.0.0.1:1", tls),
            ("tls:///127.0.0.1:1", tls),
            ("tls://127.0.0.1:1/", tls),
            (" tls://127.0.0.1:1", tls),
            ("127.0.0.1:1 ", plain),
            (
                "127.0.0.1:1, tls://[::1]:1",
                "write each address in its own quotes, in a list: [\"127.0.0.1:1\", \"tls://[::1]:1\"]",
            ),
            ("TLS://127.0.0.1:1", tls),
            ("tsl://127.0.0.1:1", tls),
            ("https://127.0.0.1:1", tls),
            ("https://127.0.0.1:1/", tls),
            ("rediss://127.0.0.1:1", tls),
            ("http://127.0.0.1:1", plain),
            ("tcp://127.0.0.1:1", plain),
            ("127.0.0.1:1/", plain),
            ("//127.0.0.1:1", plain),
            ("gopher://127.0.0.1:1", none),
            ("http://127.0.0.1:1/path", none),
            ("http://127.0.0.1", none),
            ("tls://tls://127.0.0.1:1", none),
            ("tls://127.0.0.1", "the port is missing: HOST:PORT"),
            ("tls://", "the port is missing: HOST:PORT"),
            (
                "tls://:1",
                "the host is missing: write 127.0.0.1 for this machine only, 0.0.0.0 for all its interfaces",
            ),
            ("tls://::1:1", "write an IPv6 address in brackets: [::1]:PORT"),
            ("", "the port is missing: HOST:PORT"),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }
}
