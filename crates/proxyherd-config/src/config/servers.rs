//! The servers of a herd and the links between them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use proxyherd_core::types::ServerName;

use super::{
    CLASSIC_LINKS,
    address::Address,
    doors::{self, ADDRESS, Door, parse_address},
    durability::{DurabilitySettings, GivenDurability},
    section::Section,
    site::Site,
    value::Placed,
};
use crate::door_kind::DoorKind;

/// Maximum number of links of a server. Each further link would add copies of each report and save few hops.
pub const LINKS_PER_SERVER_MAX: usize = proxyherd_core::limits::LINKS_MAX;

/// One server of the herd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The server's name. No other server has this name.
    pub name: ServerName,
    /// The server's doors, in the order of [`DoorKind::ALL`]. The doors of one kind are in the order of the file.
    pub doors: Vec<Door>,
    /// The address where the server listens for other servers. Every server with a link has such an address.
    pub peer: Option<Address>,
    /// The address that other servers dial, if that is not `peer`.
    pub advertise: Option<Address>,
    /// The neighbors that this server's entry names. The entries of other servers may name this server too.
    /// [`super::Config::links_of`] returns all its links.
    pub neighbors: Vec<ServerName>,
    /// When the server acknowledges reports.
    pub durability: DurabilitySettings,
}

/// The server at the other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// The neighbor's name.
    pub name: ServerName,
    /// The address at which this server dials the neighbor.
    pub address: Address,
    /// Whether this server dials the neighbor. Otherwise the neighbor dials this server.
    pub dial: bool,
}

impl ServerConfig {
    /// The server's doors of this kind, in the order of the file.
    pub fn doors_of(&self, kind: DoorKind) -> impl Iterator<Item = &Door> {
        self.doors.iter().filter(move |door| door.kind == kind)
    }

    /// The server's first door of this kind.
    pub fn door(&self, kind: DoorKind) -> Option<&Door> {
        self.doors_of(kind).next()
    }

    /// Replaces the server's doors of this kind with doors at these addresses, all without TLS.
    pub fn set_doors(&mut self, kind: DoorKind, addresses: impl IntoIterator<Item = Address>) {
        self.doors.retain(|door| door.kind != kind);
        self.doors.extend(addresses.into_iter().map(|address| Door::plain(kind, address)));
        self.doors.sort_by_key(|door| door.kind);
    }

    /// The address that other servers dial.
    pub fn dialed(&self) -> Option<&Address> {
        self.advertise.as_ref().or(self.peer.as_ref())
    }
}

/// Whether `name` dials `neighbor`. Both ends of a link compute the same answer from the two names.
pub(super) fn dials(name: &ServerName, neighbor: &ServerName) -> bool {
    name.as_str().as_bytes() < neighbor.as_str().as_bytes()
}

pub(super) fn links_of(servers: &[ServerConfig], name: &ServerName) -> Vec<Neighbor> {
    let Some(this) = servers.iter().find(|server| server.name == *name) else { return Vec::new() };
    let linked = |other: &&ServerConfig| {
        other.name != *name && (this.neighbors.contains(&other.name) || other.neighbors.contains(name))
    };
    let neighbor = |other: &ServerConfig| {
        let address = other.dialed()?.clone();
        Some(Neighbor { name: other.name.clone(), address, dial: dials(name, &other.name) })
    };
    servers.iter().filter(linked).filter_map(neighbor).collect()
}

/// The server of the classic herd with this index and name.
pub(super) fn classic(index: u16, name: &str) -> ServerConfig {
    let named = |name: &str| ServerName::new(name).expect("the classic names are letters");
    let at = |port: u16| Address::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port + index);
    ServerConfig {
        name: named(name),
        doors: vec![Door::plain(DoorKind::Line, at(12000)), Door::plain(DoorKind::Http, at(8000))],
        peer: Some(at(13000)),
        advertise: None,
        neighbors: CLASSIC_LINKS[usize::from(index)].iter().map(|name| named(name)).collect(),
        durability: DurabilitySettings::default(),
    }
}

/// The parts of a `[[server]]` that could be read, for the checks between servers.
pub(super) struct Draft {
    /// `server[2]`
    pub(super) path: String,
    pub(super) site: Site,
    pub(super) name: Option<Placed<ServerName>>,
    pub(super) doors: Vec<Placed<Door>>,
    pub(super) peer: Option<Placed<Address>>,
    pub(super) advertise: Option<Placed<Address>>,
    pub(super) neighbors: Vec<Placed<ServerName>>,
    pub(super) durability: GivenDurability,
}

/// Reads a `[[server]]`. `herd` is what `[herd]` says of durability.
pub(super) fn read(index: usize, mut section: Section<'_, '_>, herd: &GivenDurability) -> Draft {
    let name_help = "a server has a name: name = \"Riley\"";
    let draft = Draft {
        path: format!("server[{index}]"),
        site: section.site(),
        name: section.required("name", "takes a server's name", ServerName::new, name_help),
        doors: doors::read(&mut section),
        peer: section.parsed("peer", ADDRESS, parse_address),
        advertise: section.parsed("advertise", ADDRESS, parse_address),
        neighbors: section.list("neighbors", "takes servers' names", ServerName::new),
        durability: herd.read_server(&mut section),
    };
    section.finish();
    draft
}

impl Draft {
    /// The server. `None` if its name could not be read.
    pub(super) fn into_server(self) -> Option<ServerConfig> {
        let value = |placed: Option<Placed<Address>>| placed.map(|placed| placed.value);
        let mut named = BTreeSet::new();
        let neighbors = self.neighbors.into_iter().map(|neighbor| neighbor.value);
        Some(ServerConfig {
            name: self.name?.value,
            doors: self.doors.into_iter().map(|door| door.value).collect(),
            peer: value(self.peer),
            advertise: value(self.advertise),
            neighbors: neighbors.filter(|name| named.insert(name.clone())).collect(),
            durability: self.durability.settings(),
        })
    }
}
