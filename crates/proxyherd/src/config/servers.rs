//! The servers of a herd and the links between them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use proxyherd_core::types::ServerName;

use super::{CLASSIC_LINKS, address::Address, diagnostic::Site, section::Section, value::Placed};

/// Most links a server has. More would cost more copies of each report than they shorten its way.
pub const LINKS_PER_SERVER_MAX: usize = proxyherd_core::limits::LINKS_MAX;

const ADDRESS: &str = "takes an address: HOST:PORT, [IPv6]:PORT or NAME:PORT";

/// One server of the herd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name, no other server's.
    pub name: ServerName,
    /// Where its clients find it.
    pub listen: Address,
    /// Where it listens for other servers. A server that has links has it.
    pub peer: Option<Address>,
    /// What other servers dial, where that is not `peer`.
    pub advertise: Option<Address>,
    /// Where its HTTP door is, if it has one.
    pub http: Option<Address>,
    /// The neighbors it names; others may name it. [`super::Config::links_of`] holds both.
    pub neighbors: Vec<ServerName>,
}

/// The other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Who it is.
    pub name: ServerName,
    /// Where it is dialled.
    pub address: Address,
    /// Is it dialled from here? Else it dials.
    pub dial: bool,
}

impl Server {
    /// What other servers dial.
    pub fn dialled(&self) -> Option<&Address> {
        self.advertise.as_ref().or(self.peer.as_ref())
    }
}

/// One of the two ends must dial, and both must agree which without talking.
pub(super) fn dials(name: &ServerName, neighbor: &ServerName) -> bool {
    name.as_str().as_bytes() < neighbor.as_str().as_bytes()
}

pub(super) fn links_of(servers: &[Server], name: &ServerName) -> Vec<Neighbor> {
    let Some(this) = servers.iter().find(|server| server.name == *name) else { return Vec::new() };
    let linked = |other: &&Server| {
        other.name != *name && (this.neighbors.contains(&other.name) || other.neighbors.contains(name))
    };
    let neighbor = |other: &Server| {
        let address = other.dialled()?.clone();
        Some(Neighbor { name: other.name.clone(), address, dial: dials(name, &other.name) })
    };
    servers.iter().filter(linked).filter_map(neighbor).collect()
}

/// The classic herd's server of that index and name.
pub(super) fn classic(index: u16, name: &str) -> Server {
    let named = |name: &str| ServerName::new(name).expect("the classic names are letters");
    let at = |port: u16| Address::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port + index);
    Server {
        name: named(name),
        listen: at(12000),
        peer: Some(at(13000)),
        advertise: None,
        http: Some(at(8000)),
        neighbors: CLASSIC_LINKS[usize::from(index)].iter().map(|name| named(name)).collect(),
    }
}

/// A `[[server]]` as it was given, with what could be read of it: the checks that span servers look at this.
pub(super) struct Draft {
    /// `server[2]`
    pub(super) path: String,
    pub(super) site: Site,
    pub(super) name: Option<Placed<ServerName>>,
    pub(super) listen: Option<Placed<Address>>,
    pub(super) peer: Option<Placed<Address>>,
    pub(super) advertise: Option<Placed<Address>>,
    pub(super) http: Option<Placed<Address>>,
    pub(super) neighbors: Vec<Placed<ServerName>>,
}

pub(super) fn read(index: usize, mut section: Section<'_, '_>) -> Draft {
    let name_help = "a server has a name: name = \"Riley\"";
    let listen_help = "a server has an address for its clients: listen = \"127.0.0.1:12000\"";
    let draft = Draft {
        path: format!("server[{index}]"),
        site: section.site(),
        name: section.required("name", "takes a server's name", ServerName::new, name_help),
        listen: section.required("listen", ADDRESS, str::parse, listen_help),
        peer: section.parsed("peer", ADDRESS, str::parse),
        advertise: section.parsed("advertise", ADDRESS, str::parse),
        http: section.parsed("http", ADDRESS, str::parse),
        neighbors: section.list("neighbors", "takes servers' names", ServerName::new),
    };
    for (key, door) in [("resp", "Redis"), ("mqtt", "MQTT")] {
        if let Some(given) = section.any(key) {
            let instead = format!("leave it out: the door for {door} clients is not built yet");
            section.refuse_unbuilt(&given, &instead);
        }
    }
    section.finish();
    draft
}

impl Draft {
    /// The server, if all of it could be read.
    pub(super) fn into_server(self) -> Option<Server> {
        let value = |placed: Option<Placed<Address>>| placed.map(|placed| placed.value);
        let mut named = BTreeSet::new();
        let neighbors = self.neighbors.into_iter().map(|neighbor| neighbor.value);
        Some(Server {
            name: self.name?.value,
            listen: self.listen?.value,
            peer: value(self.peer),
            advertise: value(self.advertise),
            http: value(self.http),
            neighbors: neighbors.filter(|name| named.insert(name.clone())).collect(),
        })
    }
}
