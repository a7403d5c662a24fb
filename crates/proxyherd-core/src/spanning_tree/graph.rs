//! The graph of servers and links, and the spanning tree in it. The tree comes from a breadth-first search that gives
//! the same result at every server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::types::ServerName;

/// Servers, and the neighbors of each server.
pub(super) type Graph<'a> = BTreeMap<&'a ServerName, BTreeSet<&'a ServerName>>;

/// The neighbors with which `me` shares an edge of the tree.
pub(super) fn tree_of(graph: &Graph<'_>, me: &ServerName) -> BTreeSet<ServerName> {
    edges_of(graph, me)
        .into_iter()
        .filter_map(|(child, parent)| match (child == me, parent == me) {
            (true, _) => Some(parent.clone()),
            (_, true) => Some(child.clone()),
            _ => None,
        })
        .collect()
}

/// All edges of the tree that has `me` in it: each server but the root, with the server from which the search reached
/// it.
pub(super) fn edges_of<'a>(graph: &Graph<'a>, me: &'a ServerName) -> Vec<(&'a ServerName, &'a ServerName)> {
    // The root is chosen among all servers that `me` reaches, so all of them choose the same root.
    let reached = reach(graph, me);
    let degree = |server: &ServerName| graph.get(server).map_or(0, BTreeSet::len);
    let first = reached
        .keys()
        .copied()
        .max_by(|one, other| degree(one).cmp(&degree(other)).then_with(|| other.cmp(one)));
    let parents = reach(graph, first.unwrap_or(me));
    parents.into_iter().filter_map(|(child, parent)| Some((child, parent?))).collect()
}

/// All servers that `root` reaches, each with the server from which the search reached it.
pub(super) fn reach<'a>(
    graph: &Graph<'a>,
    root: &'a ServerName,
) -> BTreeMap<&'a ServerName, Option<&'a ServerName>> {
    let (mut parents, mut next) = (BTreeMap::from([(root, None)]), VecDeque::from([root]));
    while let Some(server) = next.pop_front() {
        for &near in graph.get(server).into_iter().flatten() {
            if !parents.contains_key(near) {
                parents.insert(near, Some(server));
                next.push_back(near);
            }
        }
    }
    parents
}
