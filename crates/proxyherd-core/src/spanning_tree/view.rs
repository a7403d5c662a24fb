//! What one server knows of all links of the herd, for people who look at the herd.
//!
//! A server knows the link states that were flooded to it. The state of a server that no path leads to may be old, so
//! such a state counts for nothing here.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    SpanningTree,
    graph::{edges_of, reach},
};
use crate::types::ServerName;

/// The link states and the spanning tree, as one server knows them at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeView {
    /// The servers to which a path of links leads, and this server itself. Each has the neighbors to which it announces
    /// a link that is up.
    announced: BTreeMap<ServerName, BTreeSet<ServerName>>,
    /// The links of the tree. The name that sorts first comes first.
    edges: BTreeSet<(ServerName, ServerName)>,
}

impl TreeView {
    /// Whether a path of links leads to this server. It does to this server itself.
    pub fn reaches(&self, server: &ServerName) -> bool {
        self.announced.contains_key(server)
    }

    /// Whether the link between two servers is up: each end that is within reach announces it. `None`: no path leads to
    /// either end, so nothing is known.
    pub fn is_up(&self, one: &ServerName, other: &ServerName) -> Option<bool> {
        let announces = |from: &ServerName, to| self.announced.get(from).map(|up| up.contains(to));
        match (announces(one, other), announces(other, one)) {
            (Some(one), Some(other)) => Some(one && other),
            (announced, None) | (None, announced) => announced,
        }
    }

    /// Whether the link between two servers is part of the tree.
    pub fn is_in_tree(&self, one: &ServerName, other: &ServerName) -> bool {
        self.edges.contains(&in_order(one, other))
    }
}

fn in_order(one: &ServerName, other: &ServerName) -> (ServerName, ServerName) {
    (one.min(other).clone(), one.max(other).clone())
}

impl SpanningTree {
    /// What this server knows of all links.
    pub(crate) fn view(&self) -> TreeView {
        let graph = self.graph();
        let reached = reach(&graph, &self.me);
        let announced = self.states.iter().filter(|(server, _)| reached.contains_key(server));
        TreeView {
            announced: announced
                .map(|(server, state)| (server.clone(), state.up.iter().cloned().collect()))
                .collect(),
            edges: edges_of(&graph, &self.me).into_iter().map(|(one, other)| in_order(one, other)).collect(),
        }
    }
}
