//! The servers of the herd, as this server knows them, for people who look at the herd: the HTTP doors that herd.toml
//! gives each server, and the links that are up.
//!
//! [`HerdDoors`] holds what herd.toml says. The topology replaces it when the file changes ([`HerdDoors::follow`]), and
//! the doors compare the origins of web pages with it. [`Herd::known_servers`] adds the links, by the link states that
//! were flooded to this server and by the spanning tree.
//!
//! This module knows no protocol, and asks no other server.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use parking_lot::RwLock;
use proxyherd_config::{
    clock,
    config::{Config, WebOrigin},
};
use proxyherd_core::{replica::TreeView, types::ServerName};

use super::{Denied, Herd};
use crate::caller::Caller;

/// Maximum length of all origins that pages are told, bytes. The policy of the map's page names each of them twice, and
/// proxies accept 4 KiB of headers. This is enough for more than 60 doors. Pages do not ask the doors beyond it.
const SHOWN_ORIGINS_LEN_MAX: usize = 1400;

/// The HTTP doors of all servers that herd.toml names now.
#[derive(Debug, Default)]
pub struct HerdDoors {
    listed: RwLock<Arc<ListedServers>>,
}

/// The servers of herd.toml, as the file was read last.
#[derive(Debug, Default)]
pub struct ListedServers {
    servers: Vec<ListedServer>,
    /// The origins of pages that these doors serve.
    origins: HashSet<String>,
}

#[derive(Debug)]
struct ListedServer {
    name: ServerName,
    /// The doors that pages are told.
    http: Vec<WebOrigin>,
    neighbors: Vec<ServerName>,
}

/// One server of the herd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownServer {
    /// The server's name.
    pub name: ServerName,
    /// The origins of its HTTP doors, in the order of herd.toml.
    pub http: Vec<WebOrigin>,
    /// Its links, in the order of herd.toml.
    pub links: Vec<KnownLink>,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLink {
    /// The server at the other end.
    pub neighbor: ServerName,
    /// Whether the link is up. `None`: this server reaches neither end, or does not share link states.
    pub up: Option<bool>,
    /// Whether the link carries changes: it is part of the spanning tree, or the herd has no tree.
    pub eager: bool,
}

impl HerdDoors {
    pub(super) fn new(config: &Config) -> HerdDoors {
        HerdDoors { listed: RwLock::new(Arc::new(ListedServers::of(config))) }
    }

    /// From now on, the servers are those of `config`.
    pub(crate) fn follow(&self, config: &Config) {
        *self.listed.write() = Arc::new(ListedServers::of(config));
    }

    /// The servers that herd.toml names now.
    pub(crate) fn now(&self) -> Arc<ListedServers> {
        Arc::clone(&self.listed.read())
    }
}

impl ListedServers {
    fn of(config: &Config) -> ListedServers {
        let mut servers: Vec<ListedServer> = Vec::with_capacity(config.servers.len());
        let mut origins = HashSet::new();
        for server in &config.servers {
            server.http_origins().for_each(|origin| with_aliases(&origin, &mut origins));
            let neighbors = config.links_of(&server.name).into_iter().map(|neighbor| neighbor.name);
            let (name, neighbors) = (server.name.clone(), neighbors.collect());
            servers.push(ListedServer { name, http: Vec::new(), neighbors });
        }
        let mut left = SHOWN_ORIGINS_LEN_MAX;
        let rounds = config.servers.iter().map(|server| server.http_origins().count()).max().unwrap_or(0);
        // The first door of each server comes before the second door of any server.
        for round in 0..rounds {
            for (listed, server) in servers.iter_mut().zip(&config.servers) {
                let Some(origin) = server.http_origins().nth(round) else { continue };
                let len = origin.as_str().len();
                if len <= left {
                    left -= len;
                    listed.http.push(origin);
                }
            }
        }
        ListedServers { servers, origins }
    }

    /// Whether a door of the herd serves pages of this origin.
    pub(crate) fn is_origin(&self, origin: &[u8]) -> bool {
        std::str::from_utf8(origin).is_ok_and(|origin| self.origins.contains(origin))
    }

    /// Whether any server has an HTTP door with an origin.
    pub(crate) fn has_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    /// The origins of the doors that pages are told.
    pub(crate) fn shown_origins(&self) -> impl Iterator<Item = &WebOrigin> {
        self.servers.iter().flat_map(|server| &server.http)
    }
}

/// Adds an origin. People write `localhost` for a loopback address, and the other way round.
fn with_aliases(origin: &WebOrigin, origins: &mut HashSet<String>) {
    const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
    let text = origin.as_str();
    if let Some((scheme, authority)) = text.split_once("://")
        && let Some(host) = LOOPBACK.iter().find(|host| {
            authority.strip_prefix(**host).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        })
    {
        let rest = &authority[host.len()..];
        origins.extend(LOOPBACK.iter().map(|alias| format!("{scheme}://{alias}{rest}")));
    }
    origins.insert(text.to_owned());
}

/// What this server knows of its own links, by its neighbors: whether each is up, and whether it carries changes.
type OwnLinks = BTreeMap<ServerName, (bool, bool)>;

impl Herd {
    /// The HTTP doors of the herd.
    pub fn doors_of_herd(&self) -> &Arc<HerdDoors> {
        &self.doors
    }

    /// The servers of herd.toml with their HTTP doors and their links. The caller needs the right to operate.
    pub fn known_servers(&self, caller: &Caller) -> Result<Vec<KnownServer>, Denied> {
        Denied::unless_operates(caller, clock::now_ns())?;
        let (listed, view) = (self.doors.now(), self.replica.tree_view());
        let links = self.links.all();
        let own: OwnLinks = links
            .iter()
            .map(|link| {
                let is_up = link.state().up_since.is_some();
                (link.neighbor.clone(), (is_up, self.replica.is_eager(link.id)))
            })
            .collect();
        let known = listed.servers.iter().map(|server| KnownServer {
            name: server.name.clone(),
            http: server.http.clone(),
            links: server
                .neighbors
                .iter()
                .map(|neighbor| self.known_link(&server.name, neighbor, &own, &view))
                .collect(),
        });
        Ok(known.collect())
    }

    fn known_link(
        &self,
        server: &ServerName,
        neighbor: &ServerName,
        own: &OwnLinks,
        view: &TreeView,
    ) -> KnownLink {
        let other_end = match self.name() {
            me if me == server => Some(neighbor),
            me if me == neighbor => Some(server),
            _ => None,
        };
        // This server sees the state of its own links sooner than any announcement.
        let own = other_end.and_then(|other| own.get(other));
        let up = own.map(|(is_up, _)| *is_up).or_else(|| view.is_up(server, neighbor));
        let is_eager = match own {
            Some((_, is_eager)) if !self.identity.has_tree => *is_eager,
            _ => view.is_in_tree(server, neighbor),
        };
        KnownLink { neighbor: neighbor.clone(), up, eager: up == Some(true) && is_eager }
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_config::door_kind::DoorKind;

    use super::*;

    fn texts<'a>(origins: impl Iterator<Item = &'a WebOrigin>) -> Vec<&'a str> {
        origins.map(WebOrigin::as_str).collect()
    }

    #[test]
    fn pages_of_the_doors_in_herd_toml_are_the_herds_own_whichever_name_of_loopback_they_use() {
        let mut config = Config::classic();
        config.servers[1].set_doors(DoorKind::Http, ["riley.example.org:80".parse().unwrap()]);
        config.servers[2].set_doors(DoorKind::Http, ["0.0.0.0:8002".parse().unwrap()]);
        let doors = HerdDoors::new(&config);
        for (origin, expected) in [
            ("http://127.0.0.1:8000", true),
            ("http://localhost:8000", true),
            ("http://[::1]:8000", true),
            ("http://riley.example.org", true),
            ("https://127.0.0.1:8000", false),
            ("http://127.0.0.1:8002", false),
            ("http://0.0.0.0:8002", false),
            ("http://127.0.0.1:12000", false),
            ("http://127.0.0.1", false),
            ("http://127.0.0.1:8000.evil.example", false),
            ("http://localhost.evil.example:8000", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(doors.now().is_origin(origin.as_bytes()), expected, "{origin}");
        }
        assert!(!doors.now().is_origin(b"\xff"));
        config.servers.truncate(1);
        doors.follow(&config);
        assert!(!doors.now().is_origin(b"http://riley.example.org") && doors.now().has_origins());
    }

    #[test]
    fn every_server_has_a_door_that_pages_are_told_before_any_has_two() {
        let mut config = Config::classic();
        let at = |port: u16| format!("127.0.0.1:{port}").parse().unwrap();
        config.servers[0].set_doors(DoorKind::Http, (1..=8).map(|index| at(9000 + index)));
        let one = config.servers[0].clone();
        for index in 0..60 {
            let mut more = one.clone();
            more.name = ServerName::new(&format!("s{index}")).unwrap();
            more.neighbors.clear();
            config.servers.push(more);
        }
        let listed = ListedServers::of(&config);
        let shown = texts(listed.shown_origins());
        assert!(shown.iter().map(|origin| origin.len()).sum::<usize>() <= SHOWN_ORIGINS_LEN_MAX);
        assert!(listed.servers.iter().all(|server| !server.http.is_empty()), "{shown:?}");
        assert_eq!(listed.servers[0].http.len(), 2);
        assert!(listed.is_origin(b"http://127.0.0.1:9008"), "the bound is for what is shown alone");
    }
}
