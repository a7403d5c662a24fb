//! Compares two readings of the file. [`HerdChange`] lists the servers and links that were added or removed.
//! [`LinkChange`] lists what one server must do about its own links. This module changes nothing itself.

use std::{collections::BTreeSet, fmt};

use proxyherd_core::types::ServerName;

use super::{Config, address::Address, servers::Neighbor};

/// The difference between the herd of one reading and the herd of the next reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HerdChange {
    /// New servers. Each pair holds a new server and the servers that it has links with.
    pub added: Vec<(ServerName, Vec<ServerName>)>,
    /// Servers that are no longer in the herd.
    pub removed: Vec<ServerName>,
    /// New links between servers that were already in the herd.
    pub links_added: Vec<LinkEnds>,
    /// Removed links between servers that stay.
    pub links_removed: Vec<LinkEnds>,
    /// Servers that other servers now dial at another address.
    pub moved: Vec<(ServerName, Address)>,
}

/// The two ends of a link. The first server dials the second one.
pub type LinkEnds = (ServerName, ServerName);

/// What one server must do about its links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Links to make.
    pub added: Vec<Neighbor>,
    /// The neighbors whose links must be closed.
    pub removed: Vec<ServerName>,
    /// Neighbors that now have another address.
    pub moved: Vec<Neighbor>,
}

impl HerdChange {
    /// The change from `before` to `after`.
    pub fn between(before: &Config, after: &Config) -> HerdChange {
        let links =
            |config: &Config| config.servers.iter().flat_map(|server| dialed(config, &server.name)).collect();
        let (old, new): (BTreeSet<LinkEnds>, BTreeSet<LinkEnds>) = (links(before), links(after));
        let stay = |(one, other): &&LinkEnds| {
            [one, other].iter().all(|name| is_in(before, name) && is_in(after, name))
        };
        let added = after.servers.iter().filter(|server| !is_in(before, &server.name));
        let with_links =
            |name: &ServerName| after.links_of(name).into_iter().map(|neighbor| neighbor.name).collect();
        HerdChange {
            added: added.map(|server| (server.name.clone(), with_links(&server.name))).collect(),
            removed: before.names().iter().filter(|name| !is_in(after, name)).cloned().collect(),
            links_added: new.difference(&old).filter(stay).cloned().collect(),
            links_removed: old.difference(&new).filter(stay).cloned().collect(),
            moved: moved(before, after),
        }
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        *self == HerdChange::default()
    }
}

fn is_in(config: &Config, name: &ServerName) -> bool {
    config.server(name.as_str()).is_some()
}

/// The links that `name` dials.
fn dialed(config: &Config, name: &ServerName) -> Vec<LinkEnds> {
    let neighbors = config.links_of(name).into_iter().filter(|neighbor| neighbor.dial);
    neighbors.map(|neighbor| (name.clone(), neighbor.name)).collect()
}

fn moved(before: &Config, after: &Config) -> Vec<(ServerName, Address)> {
    let moved = |server: &super::ServerConfig| {
        let (was, is) = (before.server(server.name.as_str())?.dialed()?, server.dialed()?);
        (was != is).then(|| (server.name.clone(), is.clone()))
    };
    after.servers.iter().filter_map(moved).collect()
}

impl LinkChange {
    /// The change from the links `before` to the links `after`.
    pub fn between(before: &[Neighbor], after: &[Neighbor]) -> LinkChange {
        let find =
            |all: &[Neighbor], name: &ServerName| all.iter().position(|neighbor| neighbor.name == *name);
        let was = |neighbor: &&Neighbor| find(before, &neighbor.name).map(|place| &before[place]);
        let is_elsewhere =
            |neighbor: &&Neighbor| was(neighbor).is_some_and(|was| was.address != neighbor.address);
        let gone = before.iter().filter(|neighbor| find(after, &neighbor.name).is_none());
        LinkChange {
            added: after.iter().filter(|neighbor| was(neighbor).is_none()).cloned().collect(),
            removed: gone.map(|neighbor| neighbor.name.clone()).collect(),
            moved: after.iter().filter(is_elsewhere).cloned().collect(),
        }
    }
}

/// One line, for a log.
impl fmt::Display for HerdChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (server, links) in &self.added {
            parts.push(match links[..] {
                [] => format!("added server {server} without links"),
                _ => format!("added server {server} with links to {}", joined(links)),
            });
        }
        parts.extend(self.removed.iter().map(|server| format!("removed server {server}")));
        let pairs = |verb, pairs: &[LinkEnds]| {
            let pair = |(one, other): &LinkEnds| format!("{verb} link {one}-{other}");
            pairs.iter().map(pair).collect::<Vec<_>>()
        };
        parts.extend(pairs("added", &self.links_added));
        parts.extend(pairs("removed", &self.links_removed));
        parts.extend(
            self.moved.iter().map(|(server, address)| format!("{server} is dialed at {address} now")),
        );
        f.write_str(&parts.join("; "))
    }
}

fn joined(names: &[ServerName]) -> String {
    names.iter().map(ServerName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ServerName {
        ServerName::new(name).unwrap()
    }

    /// The classic herd, changed.
    fn changed(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::classic();
        change(&mut config);
        config
    }

    fn with_hart(config: &mut Config) {
        let mut hart = config.servers[4].clone();
        hart.name = name("Hart");
        hart.neighbors = vec![name("Riley"), name("Bernard")];
        config.servers.push(hart);
    }

    fn without(config: &mut Config, gone: &str) {
        config.servers.retain(|server| server.name.as_str() != gone);
        config.servers.iter_mut().for_each(|server| server.neighbors.retain(|name| name.as_str() != gone));
    }

    /// Expects these texts for a change and for the reverse change.
    fn check(after: &Config, expected: &str, back: &str) {
        let before = Config::classic();
        assert_eq!(HerdChange::between(&before, after).to_string(), expected);
        assert_eq!(HerdChange::between(after, &before).to_string(), back);
        assert!(HerdChange::between(after, after).is_empty());
        for server in before.servers.iter().filter(|server| is_in(after, &server.name)) {
            leads_from_one_to_the_other(&before.links_of(&server.name), &after.links_of(&server.name));
        }
    }

    fn leads_from_one_to_the_other(before: &[Neighbor], after: &[Neighbor]) {
        let change = LinkChange::between(before, after);
        let mut links = before.to_vec();
        links.retain(|neighbor| !change.removed.contains(&neighbor.name));
        for moved in &change.moved {
            links
                .iter_mut()
                .filter(|neighbor| neighbor.name == moved.name)
                .for_each(|link| link.clone_from(moved));
        }
        links.extend(change.added);
        links.sort_by_key(|neighbor| after.iter().position(|other| other.name == neighbor.name));
        assert_eq!(links, after);
    }

    #[test]
    fn a_change_of_servers_is_told_with_their_links() {
        let added = "added server Hart with links to Riley, Bernard";
        check(&changed(with_hart), added, "removed server Hart");
        let alone = changed(|config| {
            with_hart(config);
            config.servers[5].neighbors.clear();
        });
        check(&alone, "added server Hart without links", "removed server Hart");
        let swapped = changed(|config| {
            with_hart(config);
            without(config, "Jaquez");
        });
        let back = "added server Jaquez with links to Riley, Bernard; removed server Hart";
        check(&swapped, &format!("{added}; removed server Jaquez"), back);
    }

    #[test]
    fn a_change_of_links_is_told_once_whichever_end_names_them() {
        let other_end = changed(|config| {
            config.servers[0].neighbors.clear();
            config.servers[1].neighbors.push(name("Riley"));
            config.servers[2].neighbors.push(name("Riley"));
        });
        check(&other_end, "", "");
        let rewired = changed(|config| config.servers[0].neighbors = vec![name("Jaquez"), name("Campbell")]);
        check(
            &rewired,
            "added link Campbell-Riley; removed link Juzang-Riley",
            "added link Juzang-Riley; removed link Campbell-Riley",
        );
    }

    #[test]
    fn a_server_has_moved_if_others_find_it_elsewhere() {
        let moved = changed(|config| config.servers[1].advertise = Some("127.0.0.1:9".parse().unwrap()));
        check(&moved, "Jaquez is dialed at 127.0.0.1:9 now", "Jaquez is dialed at 127.0.0.1:13001 now");
        let elsewhere = changed(|config| config.servers[1].doors[0].address = "127.0.0.1:9".parse().unwrap());
        check(&elsewhere, "", "");
    }
}
