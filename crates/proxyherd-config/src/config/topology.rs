//! Checks between the servers of a herd. No two servers share a name or an address. Each link leads to a server. Links
//! without encryption stay on loopback.
//!
//! The file does not say which servers share a machine. The checks conclude this from the addresses that other servers
//! dial.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use proxyherd_core::{limits::SERVERS_MAX, types::ServerName};

use super::{
    address::Address,
    diagnostic::Diagnostic,
    doors::GivenCertificate,
    durability::GivenDurability,
    nearest,
    reader::Reader,
    servers::{Draft, LINKS_PER_SERVER_MAX, dials},
    settings::Tls,
    site::Site,
    value::Placed,
};
use crate::door_kind::DoorKind;

/// For each server, by index, the indices of the servers that it has a link with.
type LinkedServers = Vec<BTreeSet<usize>>;

pub(super) fn check(drafts: &[Draft], tls: &Tls, durability: &GivenDurability, reader: &mut Reader<'_>) {
    let is_misspelled = reader.has_errors_in("server") || reader.has_slip_of_section("server");
    if drafts.is_empty() && !is_misspelled {
        let mistake = Diagnostic::keyless(reader.whole(), "the herd has no server");
        reader.report(
            mistake.help("begin each server with a line [[server]]; `proxyherd init` writes an example"),
        );
    }
    if let Some(draft) = drafts.get(SERVERS_MAX) {
        let message = format!("is one server too many: a herd has at most {SERVERS_MAX}");
        let help = "divide the clients among several herds";
        reader.report(Diagnostic::error(draft.site.clone(), &draft.path, message).help(help));
    }
    check_names(drafts, reader);
    let links = check_neighbors(drafts, reader);
    for (draft, linked) in drafts.iter().zip(&links) {
        check_link_count(draft, linked.len(), reader);
        check_peer(draft, linked, drafts, reader);
        match tls {
            Tls::Off => check_unencrypted(draft, reader),
            Tls::Certs(_) => check_certified(draft, reader),
        }
    }
    check_addresses(drafts, reader);
    check_advertised(drafts, reader);
    // If names or neighbors are wrong, a server without links is probably a consequence of that mistake.
    if !reader.has_errors() {
        check_durability(durability, drafts, &links, reader);
        warn_of_parts(drafts, &links, reader);
    }
}

fn check_names(drafts: &[Draft], reader: &mut Reader<'_>) {
    let mut first_by_name: BTreeMap<&ServerName, &Placed<ServerName>> = BTreeMap::new();
    for name in drafts.iter().filter_map(|draft| draft.name.as_ref()) {
        if let Some(first) = first_by_name.get(&name.value) {
            let mistake =
                error(name, "is another server's name too").related(first.site.clone(), "first here");
            reader.report(mistake.help("give one of them another name"));
        } else {
            first_by_name.insert(&name.value, name);
        }
    }
}

/// Reports neighbors that are not servers, and returns the links. A link exists if either end names the other.
fn check_neighbors(drafts: &[Draft], reader: &mut Reader<'_>) -> LinkedServers {
    let names: Vec<Option<&str>> =
        drafts.iter().map(|draft| draft.name.as_ref().map(|name| name.value.as_str())).collect();
    // A neighbor that is not the name of a server may be meant for a server whose name is wrong in the file.
    let are_names_known = names.iter().flatten().collect::<BTreeSet<_>>().len() == drafts.len();
    let mut links = vec![BTreeSet::new(); drafts.len()];
    for (index, draft) in drafts.iter().enumerate() {
        let mut named = BTreeSet::new();
        for neighbor in &draft.neighbors {
            match names.iter().position(|name| *name == Some(neighbor.value.as_str())) {
                None if are_names_known => {
                    reader.report(unknown_neighbor(neighbor, names.iter().flatten().copied()));
                }
                None => {}
                Some(other) if other == index => {
                    reader.report(error(neighbor, "is the server itself").help("leave it out"));
                }
                Some(_) if !named.insert(&neighbor.value) => {
                    let warning = warning(neighbor, "is in the list already");
                    reader.report(warning.help("leave it out"));
                }
                Some(other) => {
                    links[index].insert(other);
                    links[other].insert(index);
                }
            }
        }
    }
    links
}

fn unknown_neighbor<'n>(
    neighbor: &Placed<ServerName>,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Diagnostic {
    let help = match nearest::of(neighbor.value.as_str(), names.clone()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("the herd's servers: {}", names.collect::<Vec<_>>().join(", ")),
    };
    error(neighbor, "names no server of this herd").help(help)
}

fn check_link_count(draft: &Draft, count: usize, reader: &mut Reader<'_>) {
    if count > LINKS_PER_SERVER_MAX {
        let site = draft.name.as_ref().map_or(&draft.site, |name| &name.site).clone();
        let message = format!("has {count} links, including links that only the other server names");
        let help =
            format!("a server has at most {LINKS_PER_SERVER_MAX} links; reports travel over several links");
        reader.report(Diagnostic::error(site, &draft.path, message).help(help));
    }
}

/// A door with TLS needs a certificate, and a certificate needs a door with TLS.
pub(super) fn check_certificate(drafts: &[Draft], given: &GivenCertificate, reader: &mut Reader<'_>) {
    let mut doors = drafts.iter().flat_map(|draft| &draft.doors);
    match doors.find(|door| door.value.tls) {
        Some(door) if !given.is_given => {
            let mistake = error(door, "has TLS, but there is no certificate for it");
            let help = "add a section [tls] with cert = \"fullchain.pem\" and key = \"privkey.pem\"";
            reader.report(mistake.help(help));
        }
        None if given.value.is_some() => {
            let message = "is for doors with TLS, but no address of a door begins with tls://";
            let help = "write tls:// before the addresses that should have TLS, or leave the section out";
            reader.report(Diagnostic::warning(given.site.clone(), "tls", message).help(help));
        }
        _ => {}
    }
}

fn check_peer(draft: &Draft, linked: &BTreeSet<usize>, drafts: &[Draft], reader: &mut Reader<'_>) {
    let key = format!("{}.peer", draft.path);
    // A server with a wrong address gets no second message about a missing address.
    if reader.has_errors_in(&key) {
        return;
    }
    match (&draft.peer, &draft.advertise) {
        (None, Some(advertise)) => {
            let help = "add peer = …, the address where this server listens for other servers; they dial `advertise`";
            reader.report(error(advertise, "is set, but `peer` is missing").help(help));
        }
        (None, None) if !linked.is_empty() => {
            let others = names_of(linked, drafts);
            let mistake = Diagnostic::error(draft.site.clone(), key, "is missing");
            reader.report(
                mistake.help(format!("its links with {others} need an address: peer = \"HOST:PORT\"")),
            );
        }
        _ => check_dialed_port(draft, linked, drafts, reader),
    }
}

/// Without encryption, a peer port must be on loopback: anybody who reaches the port can speak as any server.
fn check_unencrypted(draft: &Draft, reader: &mut Reader<'_>) {
    for address in [&draft.peer, &draft.advertise].into_iter().flatten() {
        if !address.value.is_loopback() {
            let mistake = error(address, "must be on loopback, since `herd.tls` is \"off\"");
            let near = loopback(&address.value);
            let help = format!("for example \"{near}\"; or encrypt the links: tls = \"certs\"");
            reader.report(mistake.help(help));
        }
    }
}

/// The files of a server's certificate are named after the server. They are in the same directory as the authority's
/// files, so no server may have the name of the authority's files.
fn check_certified(draft: &Draft, reader: &mut Reader<'_>) {
    if let Some(name) = draft.name.as_ref().filter(|name| name.value.as_str() == "ca") {
        let mistake = error(name, "is the name of the authority's files, ca.pem and ca.key");
        reader.report(mistake.help("give the server another name"));
    }
}

/// A neighbor must be able to dial the address. No neighbor can dial port 0, because a neighbor does not learn which
/// port the system chooses.
fn check_dialed_port(draft: &Draft, linked: &BTreeSet<usize>, drafts: &[Draft], reader: &mut Reader<'_>) {
    let Some(dialed) = draft.advertise.as_ref().or(draft.peer.as_ref()) else { return };
    let dials_it = |other: &&usize| match (&drafts[**other].name, &draft.name) {
        (Some(other), Some(name)) => dials(&other.value, &name.value),
        _ => false,
    };
    let dialing: BTreeSet<usize> = linked.iter().filter(dials_it).copied().collect();
    if dialing.is_empty() {
        return;
    }
    if dialed.value.is_unspecified() {
        let mistake = error(dialed, "means all addresses of its machine, so no server can dial this address");
        let help = format!(
            "{} must dial this server: add advertise = \"HOST:{}\"",
            names_of(&dialing, drafts),
            dialed.value.port()
        );
        reader.report(mistake.help(help));
    } else if dialed.value.port() == 0 {
        let mistake = error(dialed, "has port 0, which no server can dial");
        let help = format!("{} must dial this server: write a port number", names_of(&dialing, drafts));
        reader.report(mistake.help(help));
    }
}

fn loopback(address: &Address) -> Address {
    Address::new(Ipv4Addr::LOCALHOST.into(), address.port())
}

/// A socket at which a server listens, as the file gives its address.
struct Listener<'d> {
    draft: &'d Draft,
    /// The kind of the socket's door. `None` for the socket where other servers connect.
    kind: Option<DoorKind>,
    address: &'d Address,
    key: &'d str,
    site: &'d Site,
}

/// All listeners of a server.
fn listeners(draft: &Draft) -> impl Iterator<Item = Listener<'_>> {
    let doors = draft.doors.iter().map(|Placed { value, key, site }| Listener {
        draft,
        kind: Some(value.kind),
        address: &value.address,
        key,
        site,
    });
    let peer = draft.peer.iter();
    doors.chain(peer.map(|Placed { value, key, site }| Listener {
        draft,
        kind: None,
        address: value,
        key,
        site,
    }))
}

/// No two listeners of one machine share an address.
fn check_addresses(drafts: &[Draft], reader: &mut Reader<'_>) {
    let mut all: Vec<Listener<'_>> = drafts.iter().flat_map(listeners).collect();
    all.sort_by_key(|listener| (&listener.site.source, listener.site.column));
    for (index, one) in all.iter().enumerate() {
        let in_the_way = |first: &&Listener<'_>| {
            share_a_machine(first.draft, one.draft) && first.address.overlaps(one.address)
        };
        if let Some(first) = all[..index].iter().find(in_the_way) {
            let message = format!("is already in use by `{}`", first.key);
            let mistake = Diagnostic::error(one.site.clone(), one.key, message);
            let is_same_list = first.draft.path == one.draft.path && first.kind == one.kind;
            let help = if is_same_list {
                "leave one of them out, or give it its own port"
            } else {
                "give each door its own port"
            };
            reader.report(mistake.related(first.site.clone(), "first here").help(help));
        }
    }
}

/// Whether two servers possibly run on one machine: other servers dial both at the same host, or the file does not give
/// the host.
fn share_a_machine(one: &Draft, two: &Draft) -> bool {
    let host = |draft: &Draft| draft.advertise.as_ref().or(draft.peer.as_ref()).map(|at| at.value.clone());
    match (host(one), host(two)) {
        (Some(one), Some(two)) => one.is_loopback() && two.is_loopback() || one.host() == two.host(),
        _ => true,
    }
}

/// The address that a server advertises must not be the address of another server or of a door.
fn check_advertised(drafts: &[Draft], reader: &mut Reader<'_>) {
    for (index, draft) in drafts.iter().enumerate() {
        let Some(advertise) = &draft.advertise else { continue };
        let near = drafts.iter().enumerate().filter(|(_, other)| share_a_machine(draft, other));
        let mut others = near.flat_map(|(other, draft)| {
            let listening =
                listeners(draft).filter(move |listener| listener.kind.is_some() || other != index);
            let listening = listening.map(|listener| (listener.address, listener.key, listener.site));
            let earlier = draft.advertise.iter().filter(move |_| other < index);
            listening.chain(earlier.map(|Placed { value, key, site }| (value, key.as_str(), site)))
        });
        if let Some((_, key, site)) = others.find(|(address, ..)| address.overlaps(&advertise.value)) {
            let mistake = error(advertise, &format!("leads to `{key}`"));
            let help = "`advertise` is the address at which other servers reach this server's `peer`";
            reader.report(mistake.related(site.clone(), "first here").help(help));
        }
    }
}

/// Reports servers that wait for more neighbors than they have, and a time that nobody waits.
fn check_durability(
    herd: &GivenDurability,
    drafts: &[Draft],
    links: &LinkedServers,
    reader: &mut Reader<'_>,
) {
    for (draft, linked) in drafts.iter().zip(links) {
        let durability = &draft.durability;
        if durability.replicas.value > linked.len() as u64 {
            reader.report(too_many_replicas(draft, linked.len()));
        }
        // What a server takes from [herd] is reported once, below.
        if durability.gives_other_timeout() && !durability.waits() {
            reader.report(unused_timeout(&durability.ack_timeout_ms));
        }
    }
    if herd.gives_other_timeout() && !drafts.iter().any(|draft| draft.durability.waits()) {
        reader.report(unused_timeout(&herd.ack_timeout_ms));
    }
}

fn too_many_replicas(draft: &Draft, neighbors: usize) -> Diagnostic {
    let replicas = &draft.durability.replicas;
    let server = draft.name.as_ref().map_or_else(|| draft.path.clone(), |name| name.value.to_string());
    let count = match neighbors {
        0 => "has no neighbor".to_owned(),
        1 => "has only 1 neighbor".to_owned(),
        more => format!("has only {more} neighbors"),
    };
    let help = if draft.durability.gives_replicas() {
        format!("write at most {neighbors}, or give {server} more neighbors")
    } else {
        format!("write replicas = {neighbors} below the [[server]] {server}, or give {server} more neighbors")
    };
    let message = format!("is more than server {server} can have: {server} {count}");
    error(replicas, &message).found(format!("found {}", replicas.value)).help(help)
}

fn unused_timeout(ack_timeout_ms: &Placed<u64>) -> Diagnostic {
    let message = "has no effect: without `journal` and `replicas`, a report is acknowledged at once";
    warning(ack_timeout_ms, message).help("leave it out, or write journal = true or replicas = 1")
}

/// Warns of servers that have no path to the rest of the herd. An operator may intend such a herd for a while, so this
/// is not an error.
fn warn_of_parts(drafts: &[Draft], links: &LinkedServers, reader: &mut Reader<'_>) {
    let mut parts = parts_of(links);
    let Some(largest) = (0..parts.len()).max_by_key(|&index| (parts[index].len(), parts.len() - index))
    else {
        return;
    };
    parts.remove(largest);
    for part in parts {
        let first = part.iter().next().map(|&index| &drafts[index]);
        let Some(name) = first.and_then(|draft| draft.name.as_ref()) else { continue };
        let message = match part.len() {
            1 => "has no link, so it hears of no other server's clients".to_owned(),
            _ => {
                format!("and its neighbors have no path to the rest of the herd: {}", names_of(&part, drafts))
            }
        };
        let site = name.site.clone();
        let key = name.key.trim_end_matches(".name");
        reader.report(Diagnostic::warning(site, key, message).help("name a neighbor: neighbors = [\"…\"]"));
    }
}

/// The connected components of the herd, as sets of indices.
fn parts_of(links: &LinkedServers) -> Vec<BTreeSet<usize>> {
    let mut parts: Vec<BTreeSet<usize>> = Vec::new();
    for start in 0..links.len() {
        if parts.iter().any(|part| part.contains(&start)) {
            continue;
        }
        let mut part = BTreeSet::new();
        let mut ahead = vec![start];
        while let Some(index) = ahead.pop() {
            if part.insert(index) {
                ahead.extend(&links[index]);
            }
        }
        parts.push(part);
    }
    parts
}

fn names_of(indices: &BTreeSet<usize>, drafts: &[Draft]) -> String {
    let named = indices.iter().filter_map(|&index| drafts[index].name.as_ref());
    named.map(|name| name.value.to_string()).collect::<Vec<_>>().join(", ")
}

fn error<T>(placed: &Placed<T>, message: &str) -> Diagnostic {
    Diagnostic::error(placed.site.clone(), &placed.key, message)
}

fn warning<T>(placed: &Placed<T>, message: &str) -> Diagnostic {
    Diagnostic::warning(placed.site.clone(), &placed.key, message)
}
