//! The plan of a herd, from which its `herd.toml` is written: its servers, their links, and the settings that a test
//! needs.

use std::{fmt::Write as _, net::SocketAddr};

use super::{Herd, LINKS, NAMES, OPERATOR_TOKEN_SHA256, free_ports, wait::eventually};

/// Everything in the file except for the addresses.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) names: Vec<&'static str>,
    links: Vec<(&'static str, &'static str)>,
    herd: String,
    places: String,
    limits: String,
    log: String,
    access: String,
    is_encrypted: bool,
    has_phones: bool,
}

/// The addresses at which a server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) line: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) http: SocketAddr,
    /// Only if the plan has this door.
    pub(crate) phones: SocketAddr,
}

impl Addresses {
    /// Free addresses on this machine.
    pub(crate) fn free() -> Addresses {
        let ports = free_ports(4);
        let at = |index: usize| SocketAddr::from(([127, 0, 0, 1], ports[index]));
        Addresses { line: at(0), peer: at(1), http: at(2), phones: at(3) }
    }
}

impl Plan {
    /// Five servers and six links.
    pub(crate) fn classic() -> Plan {
        Plan::of(&NAMES)
    }

    /// Riley and Jaquez, and the link between them.
    pub(crate) fn pair() -> Plan {
        Plan::of(&["Riley", "Jaquez"])
    }

    /// Only Riley, without neighbors.
    pub(crate) fn single() -> Plan {
        Plan::of(&["Riley"])
    }

    fn of(names: &[&'static str]) -> Plan {
        let names = names.to_vec();
        let [herd, places, limits, log, access] = [const { String::new() }; 5];
        Plan {
            names,
            links: LINKS.to_vec(),
            herd,
            places,
            limits,
            log,
            access,
            is_encrypted: false,
            has_phones: false,
        }
    }

    /// The plan with one more server, which has links with these servers.
    pub(crate) fn with_server(mut self, name: &'static str, neighbors: &[&'static str]) -> Plan {
        self.names.push(name);
        neighbors.iter().fold(self, |plan, neighbor| plan.with_link(name, neighbor))
    }

    /// The plan without this server.
    pub(crate) fn without_server(mut self, name: &str) -> Plan {
        self.names.retain(|other| *other != name);
        self
    }

    /// The plan with one more link.
    pub(crate) fn with_link(mut self, one: &'static str, other: &'static str) -> Plan {
        self.links.push((one, other));
        self
    }

    /// The plan without this link.
    pub(crate) fn without_link(mut self, one: &str, other: &str) -> Plan {
        self.links.retain(|link| *link != (one, other) && *link != (other, one));
        self
    }

    /// The plan with encrypted links, for which `proxyherd init` makes the certificates.
    pub(crate) fn encrypted(mut self) -> Plan {
        self.is_encrypted = true;
        self
    }

    /// The plan with a door for phones at every server.
    pub(crate) fn with_phones(mut self) -> Plan {
        self.has_phones = true;
        self
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// With this line in `[herd]`.
    pub(crate) fn herd(mut self, line: &str) -> Plan {
        self.herd += &format!("{line}\n");
        self
    }

    /// With this line in `[places]`.
    pub(crate) fn places(mut self, line: &str) -> Plan {
        self.places += &format!("{line}\n");
        self
    }

    /// With this line in `[limits]`.
    pub(crate) fn limits(mut self, line: &str) -> Plan {
        self.limits += &format!("{line}\n");
        self
    }

    /// With this line in `[log]`.
    pub(crate) fn log(mut self, line: &str) -> Plan {
        self.log += &format!("{line}\n");
        self
    }

    /// With this line in `[access]`.
    pub(crate) fn access(mut self, line: &str) -> Plan {
        self.access += &format!("{line}\n");
        self
    }

    /// With tokens on. The operator's token is [`OPERATOR_TOKEN`](super::OPERATOR_TOKEN).
    pub(crate) fn with_tokens(self) -> Plan {
        self.access(&format!("tokens = \"on\"\noperator_token_sha256 = {OPERATOR_TOKEN_SHA256:?}"))
    }

    /// Writes the file, and starts no server.
    pub(crate) fn prepare(&self) -> Herd {
        Herd::prepare(self)
    }

    /// Starts every server. When this returns, all servers are ready and all links are up.
    pub(crate) fn start(&self) -> Herd {
        // The ports were free when they were chosen. If a port is in use now, other ports are chosen.
        let herd = eventually("the herd starts", || {
            let mut herd = self.prepare();
            herd.try_start(&self.names, &[]).map(|()| herd)
        });
        herd.wait_for_links(&self.names);
        herd
    }

    pub(crate) fn text(&self, addresses: &[Addresses]) -> String {
        let Plan { herd, places, limits, log, access, .. } = self;
        let tls = if self.is_encrypted { "certs" } else { "off" };
        let mut text =
            format!("[herd]\ntls = {tls:?}\n{herd}\n[limits]\n{limits}\n[log]\n{log}\n[access]\n{access}\n");
        // A test that needs more than single lines writes the whole section.
        if !places.is_empty() {
            write!(text, "[places]\n{places}\n").unwrap();
        }
        for (name, Addresses { line, peer, http, phones }) in self.names.iter().zip(addresses) {
            let neighbors: Vec<_> = self.neighbors(name).collect();
            let phones = if self.has_phones { format!("phones = \"{phones}\"\n") } else { String::new() };
            write!(
                text,
                "[[server]]\nname = \"{name}\"\nlisten = \"{line}\"\npeer = \"{peer}\"\nhttp = \"{http}\"\n{phones}\
                 neighbors = {neighbors:?}\n\n"
            )
            .unwrap();
        }
        text
    }

    /// The neighbors of `name`.
    pub(crate) fn neighbors<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'static str> + 'a {
        let other = move |&(one, two): &(&'static str, &'static str)| match (one == name, two == name) {
            (true, _) => Some(two),
            (_, true) => Some(one),
            _ => None,
        };
        self.links.iter().filter_map(other).filter(|name| self.names.contains(name))
    }
}
